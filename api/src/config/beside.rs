//! The settings of the peer that `stoker up` runs in its own process. The keys are those of a peer's file, and the peer's
//! reader reads them. `stoker manager` checks and ignores them, so that one file works for both.
//!
//! Only this module of the configuration knows peers.

use peer::PeerSettings;
use settings::{OwnRegistry, Section};
use wire::ClusterName;

/// The default of `share` in `stoker up`.
const SHARE: &str = "127.0.0.1:65002";

/// The peer in the manager's process.
#[derive(Debug)]
pub(crate) struct PeerBeside {
    pub(crate) settings: PeerSettings,
    /// `peer_cluster`. A peer's own file calls it `cluster`, but here `cluster` is a table.
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
