//! The node's own secret. Its identity for others is in its certificate ([`crate::membership`]).

use std::path::Path;

use anyhow::Context as _;

/// Returns the key for HMACs of callers' credentials: 32 random bytes, created at the first start.
pub(crate) fn front_secret(data_dir: &Path) -> anyhow::Result<[u8; 32]> {
    let path = data_dir.join("front.key");
    let bytes = process::files::private_file(&path, || rand::random::<[u8; 32]>().to_vec())
        .with_context(|| format!("the front's key in {}", path.display()))?;
    let key = <[u8; 32]>::try_from(bytes).ok();
    key.with_context(|| {
        format!(
            "{} is not 32 bytes long: remove it, and a new one is created",
            path.display()
        )
    })
}
