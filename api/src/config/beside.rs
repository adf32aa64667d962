//! What the file says of the peer that `stoker up` runs in its own process. The keys are those of a peer's own file, read
//! by the peer's own reader. `stoker manager` checks them and ignores them, so that both take the same file.
//!
//! This is the one module of the configuration that knows peers.

use peer::PeerSettings;
use settings::{OwnRegistry, Section};
use wire::ClusterName;

/// Where `share` listens in `stoker up`.
const SHARE: &str = "127.0.0.1:65002";

/// The peer beside the manager.
#[derive(Debug)]
pub(crate) struct PeerBeside {
    pub(crate) settings: PeerSettings,
    /// `peer_cluster`: in a peer's own file it is `cluster`, which is a table in this one.
    pub(crate) cluster: ClusterName,
}

pub(super) fn read(top: &Section<'_>, registries: &[OwnRegistry]) -> PeerBeside {
    let cluster: Option<ClusterName> = top.parsed("peer_cluster");
    let built_in = ClusterName::default();
    top.default("peer_cluster", built_in.as_str());
    PeerBeside {
        settings: PeerSettings::read(top, registries, SHARE),
        cluster: cluster.unwrap_or(built_in),
    }
}
