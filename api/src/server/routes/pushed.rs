//! One push event, and the preheat that it leads to.

use oci::ImageReference;
use preheat::{PreheatId, Requester, SubmitError, submit};
use sha2::{Digest as _, Sha256};
use tracing::{info, warn};
use wire::TraceContext;

use crate::server::app::App;
use crate::server::problem::Problem;
use crate::server::triggers::{Outcome, Wish};

const LONGEST_NAME: usize = 128;

/// A pushed image, as a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pushed {
    pub(crate) image: ImageReference,
    pub(crate) source: Requester,
    /// Names the message, so that a repeated one is recognised; `None` if nothing in the message tells a repeated one
    /// from the next push.
    pub(crate) delivery: Option<String>,
}

/// A push that led to no preheat.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    NoRule,
    Refused(String),
}

impl NotTaken {
    pub(crate) fn words(&self) -> &str {
        match self {
            Self::NoRule => {
                "no [[trigger]] of the manager's configuration names it: write one whose registry, repository and tag \
                 match"
            }
            Self::Refused(why) => why,
        }
    }
}

impl Pushed {
    /// Creates the preheat of the rule that matches. If storage fails, the sender retries.
    pub(crate) async fn act(
        mut self,
        app: &App,
        caller: Option<&str>,
    ) -> Result<Result<PreheatId, NotTaken>, Problem> {
        let registries = app.preheater().registries();
        if registries.knows(&self.image.registry) {
            // The configuration says how it is reached. The sender is often behind a proxy that terminates TLS.
            self.image.plain_http = false;
        }
        let (source, name) = (self.source, self.image.to_string());
        let configured_as = registries.canonical(&self.image.registry);
        let default = (source == Requester::Kraken).then(Wish::default);
        let wish = app.rules().wish_for(&self.image, &configured_as);
        let Some(wish) = wish.or(default.as_ref()) else {
            app.count(source, Outcome::NoRule);
            info!(
                stoker.image = name,
                source = source.word(),
                "{name} was pushed, and no [[trigger]] names it: nothing is preheated"
            );
            return Ok(Err(NotTaken::NoRule));
        };
        let request = wish.of(self.image, source, self.delivery);
        match submit(app.preheater(), caller, request, TraceContext::current()).await {
            Ok(id) => {
                app.count(source, Outcome::Taken);
                info!(
                    stoker.preheat = id,
                    stoker.image = name,
                    source = source.word(),
                    "{name} was pushed: preheat {id}"
                );
                Ok(Ok(id))
            }
            Err(SubmitError::Storage(cause)) => Err(Problem::storage(&cause)),
            Err(fault) => {
                app.count(source, Outcome::Refused);
                warn!(
                    stoker.image = name,
                    source = source.word(),
                    reason = %fault,
                    "{name} was pushed and cannot be preheated: {fault}"
                );
                Ok(Err(NotTaken::Refused(fault.to_string())))
            }
        }
    }
}

/// Returns the delivery of a message with a name; an unusual name is hashed with the other parts.
pub(crate) fn delivery_named(source: Requester, name: &str, otherwise: &[&str]) -> String {
    let is_plain =
        (8..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain {
        format!("{}:{name}", source.word())
    } else {
        let mut parts = vec![name];
        parts.extend_from_slice(otherwise);
        delivery_of(source, &parts)
    }
}

/// Returns the delivery of a message that these parts identify.
pub(crate) fn delivery_of(source: Requester, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    format!("{}:{}", source.word(), hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_differ_by_id_or_else_by_content() {
        let id = "320678d8-ca14-430f-8bb6-4ca139cd83f7";
        assert_eq!(
            delivery_named(Requester::Notification, id, &["x"]),
            format!("notification:{id}")
        );
        let odd = |name: &str, other: &str| delivery_named(Requester::Notification, name, &[other]);
        assert_ne!(odd("", "a"), odd("", "b"));
        assert_ne!(odd("a\nb", "a"), odd("a\nc", "a"));
        assert!(odd(&"x".repeat(10_000), "a").len() < 100);
        assert_ne!(
            delivery_of(Requester::Webhook, &["ab", "c"]),
            delivery_of(Requester::Webhook, &["a", "bc"])
        );
    }
}
