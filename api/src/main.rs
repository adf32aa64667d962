//! `stoker`: parse, run, end with a code that scripts can rely on.

mod cli;
mod client;
mod config;
mod manager;
mod webhooks;

use std::process::ExitCode;

fn main() -> ExitCode {
    process::install_tls_provider();
    match cli::parse() {
        Ok(command) => cli::run(command),
        Err(code) => code,
    }
}
