//! `stoker`: parse, run, end with a code that scripts can rely on.
//!
//! * [`cli`]: the commands, and the client of the native API
//! * [`manager`]: puts a manager together from its configuration
//! * [`config`]: what the manager's file, environment and flags say
//!
//! The server itself is the library crate `api`; its bodies are in `api::types`.

mod cli;
mod config;
mod manager;

use std::process::ExitCode;

fn main() -> ExitCode {
    process::install_tls_provider();
    match cli::parse() {
        Ok(command) => cli::run(command),
        Err(code) => code,
    }
}
