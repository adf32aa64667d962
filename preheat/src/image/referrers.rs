//! Adds the referrers of an image: signatures, SBOMs, attestations.
//!
//! **Invariant:** no referrer can make a preheat fail. Invalid or excess referrers are left out and noted. A failure
//! that may pass soon is retried in the first attempts of the preheat, and noted later.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use oci::manifest::{Descriptor, IndexEntry, Manifest};
use oci::referrers::{REFERRERS_LIMIT, Referrers, cosign_tags, fallback_tag};
use oci::{Digest, FetchedManifest, RegistryError, Tag, TagOrDigest};

use super::choice::WantedPlatforms;
use super::objects::Gathered;
use super::reader::Reader;
use super::trouble::Trouble;
use super::walk::{ReadManifest, below, read};
use crate::model::limits::Limits;

/// The number of manifests of an image whose referrers are read: its root and its first platforms.
const SUBJECTS: usize = 20;
const AT_ONCE: usize = 8;

/// The longest `Retry-After` for which an image waits for its referrers.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// How the referrers of one image are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    /// The registry has manifests by tag only, so seeds get the bytes of those that have a tag.
    pub(super) by_tag_only: bool,
    /// A failure that may pass is returned, so that it is retried.
    pub(super) retry: bool,
}

impl Way {
    fn retries(self, trouble: &Trouble) -> bool {
        let is_soon = trouble.retry_after.is_none_or(|wait| wait <= LONGEST_WAIT);
        self.retry && trouble.retry && is_soon
    }
}

/// A manifest that refers to another one.
enum Referrer {
    /// The registry's list names it.
    Listed(Descriptor),
    /// Its tag names its subject.
    Tagged(FetchedManifest),
    /// The index under the fallback tag; verifiers read it.
    List(FetchedManifest),
}

pub(super) async fn add(
    reader: &Reader,
    objects: &mut Gathered,
    way: Way,
    limits: &Limits,
) -> Result<(), Trouble> {
    let subjects = subjects(objects);
    let found: Vec<_> = stream::iter(subjects)
        .map(|subject| async move {
            of_subject(reader, &subject, way)
                .await
                .map(|found| (subject, found))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let mut taken = 0;
    for (subject, SubjectReferrers { referrers, notes }) in found {
        for note in &notes {
            objects.note(note);
        }
        for referrer in referrers {
            taken += 1;
            if taken > REFERRERS_LIMIT {
                objects.note(&format!(
                    "left out: more than {REFERRERS_LIMIT} manifests refer to the image"
                ));
                return Ok(());
            }
            let outcome = take(reader, &subject, referrer, way, limits).await;
            let outcome = outcome.and_then(|below| Ok(objects.take_over(below)?));
            match outcome {
                Err(trouble) if way.retries(&trouble) => return Err(trouble),
                Err(trouble) => objects.note(&format!("left out: a referrer of {subject}: {}", trouble.text)),
                Ok(()) => {}
            }
        }
    }
    Ok(())
}

/// Returns the manifests whose referrers are read, the root first. Attestations of the image itself are not among them.
fn subjects(objects: &Gathered) -> Vec<Digest> {
    objects
        .manifests()
        .filter(|(_, object)| {
            let platform = object.platform.as_ref();
            platform.is_none_or(|platform| platform.os != "unknown")
        })
        .map(|(digest, _)| digest.clone())
        .take(SUBJECTS)
        .collect()
}

#[derive(Default)]
struct SubjectReferrers {
    referrers: Vec<Referrer>,
    notes: Vec<String>,
}

async fn of_subject(reader: &Reader, subject: &Digest, way: Way) -> Result<SubjectReferrers, Trouble> {
    let mut about = SubjectReferrers::default();
    let listed = match reader.referrers(subject).await {
        Ok(Some(listed)) => Ok(listed),
        Ok(None) => by_tag(reader, subject, &mut about).await,
        Err(error) => Err(error.into()),
    };
    match listed {
        Err(trouble) if way.retries(&trouble) => return Err(trouble),
        Err(trouble) => about.notes.push(format!(
            "the referrers of {subject} are unknown: {}",
            trouble.text
        )),
        Ok(Referrers { listed, left_out }) => {
            if left_out > 0 {
                about
                    .notes
                    .push(format!("left out: {left_out} referrers of {subject}"));
            }
            about.referrers.extend(listed.into_iter().map(Referrer::Listed));
        }
    }
    for tag in cosign_tags(subject) {
        match tagged(reader, tag).await.map_err(Trouble::from) {
            Ok(found) => about.referrers.extend(found.map(Referrer::Tagged)),
            Err(trouble) if way.retries(&trouble) => return Err(trouble),
            Err(trouble) => about.notes.push(format!(
                "a signature of {subject} cannot be read: {}",
                trouble.text
            )),
        }
    }
    Ok(about)
}

async fn tagged(reader: &Reader, tag: Tag) -> Result<Option<FetchedManifest>, RegistryError> {
    reader.manifest_if_there(&TagOrDigest::Tag(tag)).await
}

/// Reads the index under the fallback tag, for a registry without the referrers API.
async fn by_tag(
    reader: &Reader,
    subject: &Digest,
    about: &mut SubjectReferrers,
) -> Result<Referrers, Trouble> {
    let Some(tag) = fallback_tag(subject) else {
        return Ok(Referrers::default());
    };
    let Some(index) = tagged(reader, tag).await? else {
        return Ok(Referrers::default());
    };
    let listed = Referrers::parse(&index.bytes);
    let listed = listed.map_err(|cause| Trouble::of_image(&format!("the list {}", index.digest), cause))?;
    about.referrers.push(Referrer::List(index));
    Ok(listed)
}

/// Returns every object of one referrer.
async fn take(
    reader: &Reader,
    subject: &Digest,
    referrer: Referrer,
    way: Way,
    limits: &Limits,
) -> Result<Gathered, Trouble> {
    let root = match referrer {
        Referrer::Tagged(manifest) => ReadManifest::root(manifest, way.by_tag_only),
        Referrer::List(manifest) => return Ok(ReadManifest::root(manifest, way.by_tag_only).alone()),
        Referrer::Listed(descriptor) => {
            let entry = IndexEntry {
                descriptor,
                platform: None,
                attests_to: None,
            };
            let root = read(reader, entry).await?;
            holds_to(subject, &root)?;
            root
        }
    };
    below(reader, root, &WantedPlatforms::everything(), limits).await
}

/// Refuses a listed manifest that does not refer to `subject`.
fn holds_to(subject: &Digest, referrer: &ReadManifest) -> Result<(), Trouble> {
    match referrer.parsed()? {
        Manifest::Image { subject: named, .. } if named.as_ref() != Some(subject) => {
            let named = named.map_or_else(|| "nothing".to_owned(), |other| other.to_string());
            let digest = referrer.digest();
            Err(Trouble::of_caller(format!(
                "{digest} refers to {named}, not to {subject}"
            )))
        }
        _ => Ok(()),
    }
}
