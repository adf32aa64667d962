//! `stoker harbor`: configures Harbor through its documented API.

mod address;
mod connect;
mod execution;
mod generation;
mod instance;
mod policy;
mod their_api;

use clap::{Args, Subcommand};

use super::stop::Stop;

/// Configure Harbor so that its preheat policies reach this manager.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  export STOKER_HARBOR_PASSWORD=…
  stoker harbor connect --harbor https://harbor.example.com --user admin --project library \\
      --endpoint http://stoker.example.com:8080 --token-file /var/lib/stoker/admin.token --run")]
pub(crate) struct HarborArguments {
    #[command(subcommand)]
    action: HarborAction,
}

#[derive(Debug, Subcommand)]
enum HarborAction {
    Connect(Box<connect::ConnectArguments>),
}

pub(crate) async fn run(arguments: HarborArguments) -> Result<(), Stop> {
    match arguments.action {
        HarborAction::Connect(arguments) => connect::run(*arguments).await,
    }
}
