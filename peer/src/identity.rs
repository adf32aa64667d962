//! What only this node knows of itself. Who it is to others stands in its certificate ([`crate::membership`]).

use std::path::Path;

use anyhow::Context as _;

/// The key under which callers' credentials are remembered without being kept: 32 random bytes of this node.
pub(crate) fn front_secret(data_dir: &Path) -> anyhow::Result<[u8; 32]> {
    let path = data_dir.join("front.key");
    let bytes = process::files::private_file(&path, || rand::random::<[u8; 32]>().to_vec())
        .with_context(|| format!("the front's key in {}", path.display()))?;
    let key = <[u8; 32]>::try_from(bytes).ok();
    key.with_context(|| {
        format!(
            "{} is not 32 bytes long: remove it to have a new one made",
            path.display()
        )
    })
}
