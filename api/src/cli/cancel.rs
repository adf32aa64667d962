//! `stoker cancel`: ends preheats that are still open.

use api::types::PreheatBody;
use clap::Args;
use serde_json::json;

use super::output;
use super::stop::{FAILED, Stop};
use crate::cli::client::{Api, AskError, ServerFlags};

/// Cancel open preheats: peers stop within seconds and keep the bytes that they have.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit code 1 if one of them has already ended or does not exist.

Example:
  stoker cancel 17 18")]
pub(crate) struct CancelArguments {
    /// Ids, as `stoker preheats` shows them.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<i64>,
    #[command(flatten)]
    server: ServerFlags,
}

pub(crate) async fn run(arguments: CancelArguments) -> Result<(), Stop> {
    let api = Api::new(&arguments.server)?;
    each(&arguments.ids, async |id| {
        let path = format!("/api/v1/preheats/{id}/cancel");
        api.post(&path, &json!({})).await
    })
    .await
}

/// Runs `act` for each id and prints the state after it. A refusal of one does not stop the others.
pub(super) async fn each(
    ids: &[i64],
    act: impl AsyncFn(i64) -> Result<PreheatBody, AskError>,
) -> Result<(), Stop> {
    let mut any_refused = false;
    for id in ids {
        match act(*id).await {
            Ok(preheat) => output::say(format!(
                "{}  {}  {}",
                preheat.id,
                preheat.state.word(),
                preheat.image
            )),
            Err(AskError::Refused { reason, .. }) => {
                output::remark(format!("stoker: {id}: {reason}"));
                any_refused = true;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if any_refused {
        return Err(Stop::silent(FAILED));
    }
    Ok(())
}
