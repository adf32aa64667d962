//! Texts about entries that cannot be fetched, and manifests that the registry lacks.

use oci::manifest::{EntryFault, UnusableEntry};
use oci::{Digest, Platform};
use wire::Side;

use super::reader::Reader;
use super::trouble::Trouble;

/// How a caller leaves a platform out.
const LEAVE_OUT: &str = "preheat only the other platforms (--platform, platforms)";

/// The error about an entry that the preheat needs. `kind` is `entry` of an index or `layer` of a manifest.
pub(super) fn needed(
    kind: &str,
    listed_in: &Digest,
    entry: &UnusableEntry,
    platform: Option<&Platform>,
) -> Trouble {
    let name = name_of(kind, entry);
    let what = platform.map_or_else(|| name.clone(), |platform| format!("{platform} ({name})"));
    let rebuild = match entry.fault {
        EntryFault::Algorithm { .. } => "build the image with sha256 or sha512 digests",
        _ => "build and push the image again",
    };
    let or = platform.map_or_else(String::new, |_| format!(", or {LEAVE_OUT}"));
    let text = format!(
        "{what} of {} cannot be fetched: {}; {rebuild}{or}",
        listed_in.short(),
        entry.fault
    );
    Trouble {
        kind: "bad_image",
        text,
        side: Side::Registry,
        retry: false,
        retry_after: None,
    }
}

/// The note about an entry that the preheat does not need.
pub(super) fn noted(kind: &str, listed_in: &Digest, entry: &UnusableEntry) -> String {
    let name = name_of(kind, entry);
    let platform = entry.platform.as_ref();
    let platform = platform.map_or_else(String::new, |platform| format!(" ({platform})"));
    format!("left out: {name}{platform} of {listed_in}: {}", entry.fault)
}

fn name_of(kind: &str, entry: &UnusableEntry) -> String {
    match entry.number {
        0 => "the config".to_owned(),
        number => format!("{kind} {number}"),
    }
}

/// The error about a manifest that an index lists and the registry lacks, as mirrors of some platforms do.
pub(super) fn lacking(reader: &Reader, digest: &Digest, platform: Option<&Platform>) -> Trouble {
    let (registry, repository) = reader.names();
    let what = platform.map_or_else(|| "a manifest".to_owned(), ToString::to_string);
    let text = format!(
        "{registry} lacks {what} of {repository}, which the index lists (404 for {}); {LEAVE_OUT}",
        digest.short()
    );
    Trouble {
        kind: "sparse_index",
        text,
        side: Side::Registry,
        retry: false,
        retry_after: None,
    }
}
