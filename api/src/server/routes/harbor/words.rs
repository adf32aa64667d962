//! Words that all versions of Harbor send or receive.

use preheat::PreheatView;
use wire::Side;

use crate::server::problem::Problem;

/// A field with one possible value, which may also be missing or empty.
pub(super) fn only(field: &str, given: Option<&str>, understood: &str) -> Result<(), Problem> {
    match given {
        None | Some("") => Ok(()),
        Some(word) if word == understood => Ok(()),
        Some(_) => Err(Problem::invalid(format!(
            "`{field}` is none that is understood here: write \"{understood}\", or leave it out."
        ))),
    }
}

/// Why a preheat failed, on whose side, and which one it was; never empty.
pub(crate) fn why_it_failed(view: &PreheatView) -> String {
    let reason = view
        .reason
        .as_deref()
        .unwrap_or("the preheat failed without a reason being recorded");
    let side = view.side.map_or("", side_advice);
    format!("{reason}{side} (preheat {} of Stoker)", view.id)
}

/// A clause for the end of a reason, so that the reader knows where to look.
fn side_advice(side: Side) -> &'static str {
    match side {
        Side::Caller => " [side: caller; look at the image's name and the credential that was sent]",
        Side::Registry => " [side: registry; look at the registry's own log]",
        Side::Network => " [side: network; look at the way between peer and registry]",
        Side::Peer => " [side: peer; look at that peer's disk and log]",
        Side::Manager => " [side: manager; look at the manager's log]",
    }
}
