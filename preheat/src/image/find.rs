//! Finds every object that an image needs, from its reference.

use oci::{Digest, TagOrDigest};

use super::choice::WantedPlatforms;
use super::objects::Gathered;
use super::reader::Reader;
use super::referrers;
use super::trouble::Trouble;
use super::walk::{ReadManifest, below};
use crate::model::limits::Limits;

/// The wanted parts of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WantedParts {
    pub(crate) platforms: WantedPlatforms,
    /// Referrers of the image are wanted too.
    pub(crate) referrers: bool,
}

pub(crate) struct FoundImage {
    pub(crate) objects: Gathered,
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) public: bool,
    pub(crate) credential: Option<String>,
}

/// Reads the image. `public` says whether it is public, if that is known already.
pub(crate) async fn find(
    reader: &Reader,
    wanted: &TagOrDigest,
    wants: &WantedParts,
    public: Option<bool>,
    limits: &Limits,
) -> Result<FoundImage, Trouble> {
    let root = ReadManifest::root(reader.manifest(wanted).await?);
    let (digest, media_type) = (root.manifest.digest.clone(), root.media_type.clone());
    let (objects, public) = tokio::join!(everything(reader, root, wants, limits), async {
        match public {
            Some(known) => known,
            None => reader.is_public(&digest).await,
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
    limits: &Limits,
) -> Result<Gathered, Trouble> {
    let mut objects = below(reader, root, &wants.platforms, limits).await?;
    if wants.referrers {
        referrers::add(reader, &mut objects, limits).await?;
    }
    Ok(objects)
}
