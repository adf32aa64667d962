//! `stoker cancel`: ends preheats that are still open.

use api::types::PreheatBody;
use clap::Args;
use serde_json::json;

use super::output;
use super::stop::{FAILED, Stop};
use crate::cli::client::{Api, AskError, ServerFlags};

/// Cancel preheats that are still open: peers stop within seconds and keep the bytes that they have.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit code 1 when one of them had ended already or is not there.

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

/// Does it to each and says how each then stands; a refusal of one does not keep the others.
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
            Err(AskError::Refused { said, .. }) => {
                output::remark(format!("stoker: {id}: {said}"));
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
