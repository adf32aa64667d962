//! Errors when no source gave the object.

use std::time::Duration;

use oci::Digest;
use wire::Side;

use super::error::FetchError;
use crate::source::SourceError;

/// Limit until a source is open: sign-in, redirects and headers, each with a limit of its own.
pub(super) const OPEN_LIMIT: Duration = Duration::from_secs(90);

pub(super) fn took_too_long() -> SourceError {
    SourceError {
        side: Side::Network,
        word: "timeout",
        passing: true,
        text: format!("it did not answer within {} s", OPEN_LIMIT.as_secs()),
    }
}

/// All errors, each source once with its last one. The side is that of the last source.
pub(super) fn failed(digest: &Digest, faults: &[(String, SourceError)]) -> FetchError {
    let Some((_, last)) = faults.last() else {
        return FetchError::NoSource {
            digest: digest.clone(),
            side: Side::Peer,
            word: "no_source",
            reasons: "no peer holds it, and this fetch may not use the registry".to_owned(),
        };
    };
    let mut reasons: Vec<String> = Vec::new();
    let mut named: Vec<&str> = Vec::new();
    for (source, fault) in faults.iter().rev() {
        if !named.contains(&source.as_str()) {
            named.push(source);
            reasons.insert(0, format!("{source}: {fault}"));
        }
    }
    FetchError::NoSource {
        digest: digest.clone(),
        side: last.side,
        word: last.word,
        reasons: reasons.join("; "),
    }
}
