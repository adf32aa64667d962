//! Asks the registry what a preheat needs: the digest of the reference, and, unless they are known, its objects.

use oci::{ManifestHead, RegistryError, TagOrDigest};
use sea_orm::DbErr;

use super::share;
use super::share::SharedContent;
use crate::engine::preheater::Inner;
use crate::image::choice::WantedPlatforms;
use crate::image::find::{FoundImage, WantedParts, find};
use crate::image::location;
use crate::image::reader::Reader;
use crate::image::trouble::Trouble;
use crate::model::errors::StorageError;
use crate::plan::cluster_wishes::{platforms_wanted, referrers_wanted};
use crate::plan::live_clusters::live_clusters;
use crate::rows::preheats;

/// The result of asking the registry.
pub(super) struct Resolution {
    pub(super) content: SharedContent,
    pub(super) image: ResolvedImage,
}

impl Resolution {
    pub(super) fn digest(&self) -> &str {
        match &self.image {
            ResolvedImage::Found(found) => found.digest.as_str(),
            ResolvedImage::Known(known) => known.digest.as_str(),
        }
    }
}

pub(super) enum ResolvedImage {
    Found(Box<FoundImage>),
    /// An earlier preheat has the objects in the database.
    Known(KnownImage),
}

pub(super) struct KnownImage {
    pub(super) digest: oci::Digest,
    pub(super) public: bool,
    pub(super) credential: Option<String>,
}

/// Attempts of a preheat that a passing failure of its referrers may cost.
const REFERRERS_ATTEMPTS: i32 = 2;

pub(super) async fn ask(
    inner: &Inner,
    preheat: &preheats::Model,
    attempt: i32,
) -> Result<Resolution, Trouble> {
    let wanted: TagOrDigest = preheat
        .reference
        .parse()
        .map_err(|bad: oci::BadReference| Trouble::of_caller(bad.to_string()))?;
    let wants = WantedParts {
        retry_referrers: attempt <= REFERRERS_ATTEMPTS,
        ..wants(inner, preheat).await.map_err(StorageError::from)?
    };
    let location = location::of_preheat(inner, preheat);
    let location = location.map_err(|bad| Trouble::of_caller(bad.to_string()))?;
    let reader = Reader::new(inner, &location, preheat.credential.as_deref()).await?;
    let head = head(inner, &reader, preheat, &wanted).await?;
    let public = head.as_ref().and_then(|(_, public)| *public);
    if let Some((head, _)) = &head
        && !wants.referrers
    {
        let content = SharedContent::of(preheat, &head.digest, &wants);
        let source = share::source(inner.reads(), preheat, &content).await;
        if source.map_err(StorageError::from)?.is_some() {
            let known = KnownImage {
                digest: head.digest.clone(),
                public: public.unwrap_or_else(|| reader.is_anonymous()),
                credential: reader.credential_name(),
            };
            let image = ResolvedImage::Known(known);
            return Ok(Resolution { content, image });
        }
    }
    let found = whole(
        inner,
        &reader,
        &wanted,
        head.map(|(head, _)| head),
        &wants,
        public,
    )
    .await?;
    let content = SharedContent::of_found(preheat, &found, &wants);
    let image = ResolvedImage::Found(Box::new(found));
    Ok(Resolution { content, image })
}

/// By digest, so that a tag that moves meanwhile does not make two answers of one; unless the digest is gone.
async fn whole(
    inner: &Inner,
    reader: &Reader,
    wanted: &TagOrDigest,
    head: Option<ManifestHead>,
    wants: &WantedParts,
    public: Option<bool>,
) -> Result<FoundImage, Trouble> {
    if let Some(head) = head {
        let digest = TagOrDigest::Digest(head.digest);
        match find(reader, &digest, wants, public, &inner.limits).await {
            Err(trouble) if trouble.kind == "not_found" && wanted.tag().is_some() => {}
            other => return other,
        }
    }
    find(reader, wanted, wants, public, &inner.limits).await
}

/// What the reference means, for this request, and whether it was said to anybody. None: this registry has to be asked
/// for the whole manifest, also to hear why not.
async fn head(
    inner: &Inner,
    reader: &Reader,
    preheat: &preheats::Model,
    wanted: &TagOrDigest,
) -> Result<Option<(ManifestHead, Option<bool>)>, Trouble> {
    if !reader.is_anonymous()
        && share::was_public(inner.reads(), preheat)
            .await
            .map_err(StorageError::from)?
        && let Some(head) = reader.public_head(wanted).await
    {
        return Ok(Some((head, Some(true))));
    }
    match reader.signed_head(wanted).await {
        Ok(head) => Ok(Some((head, None))),
        Err(error) if is_overloaded(&error) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// Asking once more at once would make it worse.
fn is_overloaded(error: &RegistryError) -> bool {
    matches!(
        error,
        RegistryError::TooManyRequests { .. }
            | RegistryError::TooManyAtOnce { .. }
            | RegistryError::Unreachable { .. }
            | RegistryError::TimedOut { .. }
    )
}

/// Returns what the request states, else what its clusters are configured for.
async fn wants(inner: &Inner, preheat: &preheats::Model) -> Result<WantedParts, DbErr> {
    let named = preheat.platforms()?;
    let platforms = WantedPlatforms {
        named: !named.is_empty(),
        platforms: named,
    };
    let wants = WantedParts {
        platforms,
        referrers: preheat.referrers.unwrap_or_default(),
        retry_referrers: false,
    };
    let settings = &inner.cluster_settings;
    let nobody_cares = settings
        .values()
        .all(|one| one.platforms.is_empty() && !one.referrers);
    if nobody_cares || (wants.platforms.named && preheat.referrers.is_some()) {
        return Ok(wants);
    }
    let choice = preheat.clusters()?;
    let clusters = live_clusters(inner.reads(), false).await?;
    Ok(WantedParts {
        platforms: if wants.platforms.named {
            wants.platforms
        } else {
            let platforms = platforms_wanted(&choice, &clusters, settings);
            tracing::debug!(
                stoker.preheat = preheat.id,
                ?platforms,
                "platforms taken from the settings of the clusters"
            );
            WantedPlatforms {
                platforms,
                named: false,
            }
        },
        referrers: preheat
            .referrers
            .unwrap_or_else(|| referrers_wanted(&choice, &clusters, settings)),
        retry_referrers: false,
    })
}
