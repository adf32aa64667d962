//! The program as people run it: exit codes, the demo to its closing table, and `up` from nothing.

mod demo;
mod doctor;
mod exit_codes;
mod up;

use std::process::{Command, Output};

/// `stoker` with nothing of the caller's environment that would steer it.
fn stoker(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stoker"));
    command.args(arguments);
    for (name, _) in std::env::vars() {
        if name.starts_with("STOKER_") || name.starts_with("OTEL_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
}

fn told(output: &Output) -> String {
    format!(
        "exit {:?}\n-- stdout\n{}\n-- stderr\n{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
