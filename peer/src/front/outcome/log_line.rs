//! The log line of one pull: a warning with its side if the pull failed.

use std::time::Duration;

use oci::Digest;
use tracing::{info, warn};
use wire::{PullResult, PullSource};

use super::{ObjectSource, PullOutcome, millis};
use crate::pulls::harmless;
use crate::spans::signed;

impl PullOutcome {
    pub(super) fn log(&self, result: PullResult, took: Duration, sources: &[PullSource]) {
        let method = if self.head_only { "HEAD" } else { "GET" };
        let image = format!("{}/{}", self.target.registry, self.target.repository);
        let reference = self.target.reference.as_str();
        let digest = self.target.digest.as_ref().map(Digest::as_str);
        let (access, bytes, result) = (self.access, signed(self.bytes), result.word());
        let (status, duration_ms) = (self.status_code(), millis(took));
        let source = self.source_words(sources);
        match &self.trouble {
            Some(trouble) if result == PullResult::Failed.word() => {
                let (side, why) = (trouble.side.word(), harmless(&trouble.text));
                warn!(
                    stoker.image = image,
                    stoker.reference = reference,
                    stoker.digest = digest,
                    stoker.access = access,
                    stoker.result = result,
                    stoker.source = source,
                    stoker.bytes = bytes,
                    stoker.side = side,
                    http.response.status_code = status,
                    duration_ms,
                    trouble = why,
                    "{method} {image} {reference}: {why}"
                );
            }
            trouble => info!(
                stoker.image = image,
                stoker.reference = reference,
                stoker.digest = digest,
                stoker.access = access,
                stoker.result = result,
                stoker.source = source,
                stoker.bytes = bytes,
                http.response.status_code = status,
                duration_ms,
                trouble = trouble.as_ref().map(|trouble| harmless(&trouble.text)),
                "{method} {image} {reference}: {status} from {source}"
            ),
        }
    }

    fn source_words(&self, sources: &[PullSource]) -> String {
        let names: Vec<&str> = sources.iter().map(|from| from.source.as_str()).collect();
        match &self.source {
            None => "none".to_owned(),
            Some(ObjectSource::Store) => "store".to_owned(),
            Some(ObjectSource::Registry) => "registry".to_owned(),
            Some(ObjectSource::Fetch(_)) if names.is_empty() => "fetch".to_owned(),
            Some(ObjectSource::Fetch(_)) => names.join(" "),
        }
    }
}
