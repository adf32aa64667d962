//! Errors when no source gave the object.

use std::time::Duration;

use oci::Digest;
use wire::Side;

use super::error::FetchError;
use crate::source::SourceError;

/// Notes the latest fault of a source, which replaces its earlier one: a source may break off any number of times.
pub(super) fn note_fault(faults: &mut Vec<(String, SourceError)>, source: String, fault: SourceError) {
    faults.retain(|(other, _)| *other != source);
    faults.push((source, fault));
}

pub(super) fn took_too_long(limit: Duration) -> SourceError {
    SourceError {
        side: Side::Network,
        word: "timeout",
        passing: true,
        text: format!("it did not answer within {} s", limit.as_secs()),
    }
}

pub(super) fn cut_short() -> SourceError {
    SourceError {
        side: Side::Network,
        word: "cut_short",
        passing: true,
        text: "it ended too early".to_owned(),
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
