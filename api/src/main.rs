//! `stoker`: parse, run, end with a code that scripts can rely on.

mod client;
mod command;
mod config;
mod manager;
mod webhooks;

use std::process::ExitCode;

fn main() -> ExitCode {
    process::install_tls_provider();
    match command::parse() {
        Ok(command) => command::run(command),
        Err(code) => code,
    }
}
