//! Who this peer is: a uuid in its data folder, made on the first start and never changed.

use std::path::Path;

use anyhow::Context as _;
use uuid::Uuid;

/// Reads `peer.id`, or makes it. Two peers must never share a data folder.
pub(crate) fn peer_id(data_dir: &Path) -> anyhow::Result<Uuid> {
    let path = data_dir.join("peer.id");
    let bytes = process::files::private_file(&path, || Uuid::new_v4().to_string().into_bytes())
        .with_context(|| format!("the peer's id in {}", path.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    text.trim().parse().with_context(|| {
        format!(
            "{} does not hold a uuid: remove it to become a new peer",
            path.display()
        )
    })
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_keeps_its_id() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = peer_id(folder.path()).expect("made");
        assert_eq!(peer_id(folder.path()).expect("read"), first);
    }
}
