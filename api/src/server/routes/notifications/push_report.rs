//! The response to push events.

use preheat::{PreheatId, Requester};
use serde::Serialize;
use tracing::warn;
use utoipa::ToSchema;

use crate::server::app::App;
use crate::server::problem::Problem;
use crate::server::routes::pushed::Pushed;
use crate::server::triggers::Outcome;

/// Maximum number of reasons in a response.
const MOST_REASONS: usize = 100;

/// What the events led to.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Heard)]
pub(crate) struct PushReport {
    /// Preheats that these events created, now or on an earlier delivery.
    preheats: Vec<PreheatId>,
    /// Events that created no preheat.
    passed_over: Vec<PassedOverPush>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PassedOver)]
pub(crate) struct PassedOverPush {
    /// Why, and what to do if a preheat was expected.
    why: String,
}

impl PassedOverPush {
    /// Not a push of a tag: the usual case, and no error.
    pub(crate) fn nothing(app: &App, source: Requester, why: &str) -> Self {
        app.count(source, Outcome::PassedOver);
        Self { why: why.to_owned() }
    }

    pub(crate) fn malformed(app: &App, source: Requester, why: &str) -> Self {
        app.count(source, Outcome::Malformed);
        warn!(source = source.word(), reason = why, "unreadable event: {why}");
        Self { why: why.to_owned() }
    }
}

impl PushReport {
    /// Creates the preheat of a push if a rule matches, and records the result.
    pub(crate) async fn act(
        &mut self,
        app: &App,
        caller: Option<&str>,
        pushed: Pushed,
    ) -> Result<(), Problem> {
        let image = pushed.image.to_string();
        match pushed.act(app, caller).await? {
            Ok(id) => self.preheat(id),
            Err(why) => self.nothing(PassedOverPush {
                why: format!("{image}: {}", why.words()),
            }),
        }
        Ok(())
    }

    pub(crate) fn nothing(&mut self, passed_over: PassedOverPush) {
        if self.passed_over.len() < MOST_REASONS {
            self.passed_over.push(passed_over);
        }
    }

    pub(crate) fn preheat(&mut self, id: PreheatId) {
        self.preheats.push(id);
    }
}
