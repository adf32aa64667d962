//! `stoker harbor`: configures Harbor through its documented API.

mod address;
mod connect;
mod disconnect;
mod execution;
mod generation;
mod import;
mod instance;
mod policy;
mod provider;
mod site;
mod status;
mod their_api;
mod token;
mod undo;

use clap::{Args, Subcommand};

use super::stop::Stop;

/// Configure Harbor so that its preheat policies reach this manager.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  export STOKER_HARBOR_PASSWORD=…
  stoker harbor connect --harbor https://harbor.example.com --user admin --project library \\
      --endpoint http://stoker.example.com:8080 --token-file /var/lib/stoker/admin.token --run
  stoker harbor status --harbor https://harbor.example.com --token-file /var/lib/stoker/admin.token
  stoker harbor import --harbor https://harbor.example.com")]
pub(crate) struct HarborArguments {
    #[command(subcommand)]
    action: HarborAction,
}

#[derive(Debug, Subcommand)]
enum HarborAction {
    Connect(Box<connect::ConnectArguments>),
    Status(Box<status::StatusArguments>),
    Disconnect(Box<disconnect::DisconnectArguments>),
    Import(Box<import::ImportArguments>),
}

pub(crate) async fn run(arguments: HarborArguments) -> Result<(), Stop> {
    match arguments.action {
        HarborAction::Connect(arguments) => connect::run(*arguments).await,
        HarborAction::Status(arguments) => status::run(*arguments).await,
        HarborAction::Disconnect(arguments) => disconnect::run(*arguments).await,
        HarborAction::Import(arguments) => import::run(*arguments).await,
    }
}
