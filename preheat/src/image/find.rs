//! Finds every object that an image needs, from its reference.

use oci::{Digest, TagOrDigest};

use super::choice::WantedPlatforms;
use super::objects::Gathered;
use super::reader::Reader;
use super::referrers::{self, Way};
use super::trouble::Trouble;
use super::walk::{ReadManifest, below};
use crate::model::limits::Limits;

/// The wanted parts of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WantedParts {
    pub(crate) platforms: WantedPlatforms,
    /// Referrers of the image are wanted too.
    pub(crate) referrers: bool,
    /// A failure of referrers that may pass fails this attempt. Later attempts leave them out.
    pub(crate) retry_referrers: bool,
}

pub(crate) struct FoundImage {
    pub(crate) objects: Gathered,
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) public: bool,
    pub(crate) credential: Option<String>,
}

/// Reads the image. `public` says whether it is public, if that is known already. An image that is read by its tag is
/// one that the registry does not have by digest, so its root's bytes are handed to the seeds.
pub(crate) async fn find(
    reader: &Reader,
    wanted: &TagOrDigest,
    wants: &WantedParts,
    public: Option<bool>,
    limits: &Limits,
) -> Result<FoundImage, Trouble> {
    let by_tag_only = wanted.tag().is_some();
    let root = ReadManifest::root(reader.manifest(wanted).await?, by_tag_only);
    let (digest, media_type) = (root.manifest.digest.clone(), root.media_type.clone());
    let (objects, public) = tokio::join!(everything(reader, root, wants, by_tag_only, limits), async {
        match public {
            Some(known) => known,
            None => reader.is_public(wanted, &digest).await,
        }
    });
    Ok(FoundImage {
        objects: objects?,
        digest,
        media_type,
        public,
        credential: reader.credential_name(),
    })
}

async fn everything(
    reader: &Reader,
    root: ReadManifest,
    wants: &WantedParts,
    by_tag_only: bool,
    limits: &Limits,
) -> Result<Gathered, Trouble> {
    let mut objects = below(reader, root, &wants.platforms, limits).await?;
    if wants.referrers {
        let way = Way {
            by_tag_only,
            retry: wants.retry_referrers,
        };
        referrers::add(reader, &mut objects, way, limits).await?;
    }
    Ok(objects)
}
