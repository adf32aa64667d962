//! Streams the state of a preheat by reading its rows once a second, whichever manager changes them.

use std::time::Duration;

use futures_util::{Stream, stream};

use super::get::get;
use super::views::PreheatView;
use crate::engine::preheater::Preheater;
use crate::model::state::PreheatId;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Yields the preheat now, and again after each visible change, until it ends. Yields nothing for an unknown preheat. If
/// the database fails, the next read is a second later.
pub fn watch(preheater: &Preheater, id: PreheatId) -> impl Stream<Item = PreheatView> + Send + use<> {
    let watcher = Watcher {
        preheater: preheater.clone(),
        id,
        seen: None,
    };
    stream::unfold(watcher, |mut watcher| async {
        let view = watcher.next().await?;
        Some((view, watcher))
    })
}

struct Watcher {
    preheater: Preheater,
    id: PreheatId,
    seen: Option<PreheatView>,
}

impl Watcher {
    async fn next(&mut self) -> Option<PreheatView> {
        if self.seen.as_ref().is_some_and(|seen| seen.state.has_ended()) {
            return None;
        }
        let mut may_look_at_once = self.seen.is_none();
        loop {
            if !std::mem::take(&mut may_look_at_once) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            match get(&self.preheater, self.id).await {
                Ok(None) => return None,
                Ok(Some(view)) if self.seen.as_ref() != Some(&view) => {
                    self.seen = Some(view.clone());
                    return Some(view);
                }
                Ok(Some(_)) => {}
                Err(error) => tracing::debug!(%error, "watched preheat not read, retrying"),
            }
        }
    }
}
