//! The command line: one file per command, and what their exit codes mean.

mod cancel;
mod client;
mod clusters;
mod config;
mod demo;
mod doctor;
mod explain;
mod harbor;
mod image;
mod limits;
mod manager;
mod migrate;
mod openapi;
mod output;
mod peers;
mod preheat;
mod preheats;
mod retry;
mod stop;
#[cfg(test)]
mod tests;
mod token;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::stop::{Stop, USAGE};

/// Preheats container images: nodes have them before the first pull, and read them from their own network.
#[derive(Debug, Parser)]
#[command(
    name = "stoker",
    version,
    after_help = "\
Try it, with nothing else installed:
  stoker demo

One machine:
  stoker up --data-dir /var/lib/stoker
  stoker preheat --token-file /var/lib/stoker/admin.token --wait nginx:1.27

Harbor: stoker harbor connect --harbor https://harbor.example.com --project library

Exit codes: 0 success · 1 failure, with the reason printed · 2 no usable response from the manager ·
64 wrong arguments or configuration.
Every flag has an environment variable: --data-dir is STOKER_DATA_DIR."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(up::UpArguments),
    Manager(manager::ManagerArguments),
    Demo(demo::DemoArguments),
    Doctor(doctor::DoctorArguments),
    Preheat(preheat::PreheatArguments),
    Preheats(preheats::PreheatsArguments),
    Cancel(cancel::CancelArguments),
    Config(config::ConfigArguments),
    Retry(retry::RetryArguments),
    Explain(explain::ExplainArguments),
    Harbor(harbor::HarborArguments),
    Image(image::ImageArguments),
    Clusters(clusters::ClustersArguments),
    Limits(limits::LimitsArguments),
    Peers(peers::PeersArguments),
    Token(token::TokenArguments),
    Migrate(migrate::MigrateArguments),
    Openapi(openapi::OpenapiArguments),
}

/// Returns the command, or the exit code after help or an error was printed.
pub(crate) fn parse() -> Result<Command, ExitCode> {
    Arguments::try_parse()
        .map(|arguments| arguments.command)
        .map_err(|error| {
            let _ = error.print();
            if error.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            }
        })
}

pub(crate) fn run(command: Command) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return stop::end(Err(Stop::failed(format!("the runtime cannot start: {error}")))),
    };
    stop::end(runtime.block_on(perform(command)))
}

async fn perform(command: Command) -> Result<(), Stop> {
    match command {
        Command::Up(arguments) => up::run(arguments).await,
        Command::Manager(arguments) => manager::run(arguments).await,
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Doctor(arguments) => doctor::run(arguments).await,
        Command::Preheat(arguments) => preheat::run(arguments).await,
        Command::Preheats(arguments) => preheats::run(arguments).await,
        Command::Cancel(arguments) => cancel::run(arguments).await,
        Command::Config(arguments) => config::run(arguments),
        Command::Retry(arguments) => retry::run(arguments).await,
        Command::Explain(arguments) => explain::run(arguments).await,
        Command::Harbor(arguments) => harbor::run(arguments).await,
        Command::Image(arguments) => image::run(arguments).await,
        Command::Clusters(arguments) => clusters::run(arguments).await,
        Command::Limits(arguments) => limits::run(arguments).await,
        Command::Peers(arguments) => peers::run(arguments).await,
        Command::Token(arguments) => token::run(arguments).await,
        Command::Migrate(arguments) => migrate::run(arguments).await,
        Command::Openapi(_) => {
            openapi::run();
            Ok(())
        }
    }
}
