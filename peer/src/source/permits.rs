//! Limits how many requests to one peer wait for an answer at one time. A request without an open connection
//! costs both sides a TLS handshake; with a limit, most find an open one.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

const REQUESTS_AT_ONCE: usize = 16;
/// Peers that are remembered. Beyond that, the state starts again.
const KEPT: usize = 1_024;

/// Permits by the URL of a peer's `share`. Clones share them.
#[derive(Clone, Default)]
pub(super) struct PeerPermits(Arc<Mutex<HashMap<String, Arc<Semaphore>>>>);

impl PeerPermits {
    pub(super) fn of(&self, share_url: &str) -> Arc<Semaphore> {
        let mut known = self.0.lock();
        if let Some(permits) = known.get(share_url) {
            return Arc::clone(permits);
        }
        if known.len() >= KEPT {
            known.clear();
        }
        let permits = Arc::new(Semaphore::new(REQUESTS_AT_ONCE));
        known.insert(share_url.to_owned(), Arc::clone(&permits));
        permits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_has_its_own_permits_and_their_number_is_bounded() {
        let permits = PeerPermits::default();
        assert!(Arc::ptr_eq(&permits.of("https://a"), &permits.of("https://a")));
        assert!(!Arc::ptr_eq(&permits.of("https://a"), &permits.of("https://b")));
        for number in 0..3 * KEPT {
            permits.of(&number.to_string());
        }
        assert!(permits.0.lock().len() <= KEPT);
    }
}
