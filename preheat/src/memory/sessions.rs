//! The sessions that this process has seen lately, with the peer behind each.

use std::collections::HashMap;

use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

/// Sessions kept in memory; beyond this the database is asked again.
const KEPT: usize = 50_000;

/// The peer behind a session.
#[derive(Debug, Clone)]
pub(crate) struct SessionPeer {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) cluster_id: i64,
    pub(crate) seed: bool,
    pub(crate) renewed_ms: i64,
}

#[derive(Default)]
pub(crate) struct KnownSessions(Mutex<HashMap<Uuid, SessionPeer>>);

impl KnownSessions {
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, SessionPeer>> {
        self.0.lock()
    }

    pub(crate) fn forget(&self, session: Uuid) {
        self.lock().remove(&session);
    }

    /// When the peer's lease was last prolonged, as far as this process knows.
    pub(crate) fn last_renewed_ms(&self, session: Uuid) -> Option<i64> {
        let renewed = self.lock().get(&session).map(|peer| peer.renewed_ms);
        renewed.filter(|at_ms| *at_ms > 0)
    }

    pub(crate) fn remember(&self, session: Uuid, peer: SessionPeer) {
        let mut known = self.lock();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(session, peer);
    }
}
