//! `stoker retry`: tries preheats again that failed or were cancelled.

use std::path::PathBuf;

use api::types::{RegistryUser, RetryPreheat};
use clap::Args;
use wire::SecretText;

use super::cancel::each;
use super::stop::Stop;
use crate::cli::client::{Api, ServerFlags};

/// Retry preheats that failed or were cancelled. They keep their ids; peers fetch only what is missing.
#[derive(Debug, Args)]
#[command(after_help = "\
The credential that came with a preheat (Harbor's, for example) is gone once it has ended. A retry uses the one that
is configured for the registry, or the one given here.

Examples:
  stoker retry 17
  stoker retry 17 --username robot --password-file /run/secrets/robot")]
pub(crate) struct RetryArguments {
    /// Ids, as `stoker preheats` shows them.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<i64>,
    /// A user of the registry.
    #[arg(long, env = "STOKER_USERNAME", requires = "password_file")]
    username: Option<String>,
    /// File with that user's password.
    #[arg(
        long,
        env = "STOKER_PASSWORD_FILE",
        value_name = "FILE",
        requires = "username"
    )]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    server: ServerFlags,
}

pub(crate) async fn run(arguments: RetryArguments) -> Result<(), Stop> {
    let api = Api::new(&arguments.server)?;
    let body = body(&arguments)?;
    each(&arguments.ids, async |id| {
        api.post(&format!("/api/v1/preheats/{id}/retry"), &body).await
    })
    .await
}

fn body(arguments: &RetryArguments) -> Result<RetryPreheat, Stop> {
    let (Some(username), Some(file)) = (&arguments.username, &arguments.password_file) else {
        return Ok(RetryPreheat::default());
    };
    let password = std::fs::read_to_string(file).map_err(|error| {
        Stop::usage(format!(
            "--password-file {} cannot be read: {error}",
            file.display()
        ))
    })?;
    let password = password.trim_end_matches(['\r', '\n']);
    Ok(RetryPreheat {
        credential: Some(RegistryUser {
            username: username.clone(),
            password: SecretText::new(password),
        }),
    })
}
