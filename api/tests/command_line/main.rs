//! The program `stoker`: exit codes, the demo, the doctor, and `up` with an empty data folder.

mod config;
mod demo;
mod doctor;
mod exit_codes;
mod labels;
mod own_process;
mod up;

use std::process::{Command, Output};

/// `stoker` without the environment variables that configure it.
fn stoker(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stoker"));
    command.args(arguments);
    unsteered(command)
}

/// The same, started by a shell that runs `before` first (`umask 022 &&`) and then `exec`.
fn stoker_after(before: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = format!("{before} exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_stoker")]);
    command.args(arguments);
    unsteered(command)
}

fn unsteered(mut command: Command) -> Command {
    for (name, _) in std::env::vars() {
        if name.starts_with("STOKER_") || name.starts_with("OTEL_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
}

/// The exit code and everything that was printed.
fn transcript(output: &Output) -> String {
    format!(
        "exit {:?}\n-- stdout\n{}\n-- stderr\n{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
