//! Which peers fetch an object at the same time, by object and zone.
//!
//! **Invariant:** the number of objects and of peers for each is bounded.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use oci::Digest;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::Instant;

/// Objects that have a crowd at one time.
const OBJECTS: usize = 4_096;
/// Peers in one crowd.
const MEMBERS: usize = 64;
/// How long a peer stays listed after it left: most likely it has the object.
const LINGERS: Duration = Duration::from_secs(30);

/// The crowds of all objects. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Crowds(Arc<Mutex<HashMap<Digest, ObjectCrowd>>>);

struct ObjectCrowd {
    members: Vec<CrowdMember>,
    changed: watch::Sender<()>,
}

struct CrowdMember {
    url: String,
    zone: String,
    connections: usize,
    left: Instant,
}

/// One peer's place in a crowd, until it is dropped.
pub(super) struct CrowdPlace {
    crowds: Crowds,
    digest: Digest,
    pub(super) url: String,
    zone: String,
    pub(super) changed: watch::Receiver<()>,
}

impl Crowds {
    /// Returns none when there is no room.
    pub(super) fn join(&self, digest: &Digest, url: &str, zone: &str) -> Option<CrowdPlace> {
        let mut crowds = self.lock();
        if crowds.len() >= OBJECTS {
            crowds.retain(|_, crowd| crowd.is_alive());
        }
        if crowds.len() >= OBJECTS && !crowds.contains_key(digest) {
            return None;
        }
        let crowd = crowds.entry(digest.clone()).or_insert_with(ObjectCrowd::new);
        if !crowd.admit(url, zone) {
            return None;
        }
        let changed = crowd.changed.subscribe();
        crowd.changed.send_replace(());
        Some(CrowdPlace {
            crowds: self.clone(),
            digest: digest.clone(),
            url: url.to_owned(),
            zone: zone.to_owned(),
            changed,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, ObjectCrowd>> {
        self.0.lock()
    }
}

impl ObjectCrowd {
    fn new() -> Self {
        Self {
            members: Vec::new(),
            changed: watch::channel(()).0,
        }
    }

    fn is_alive(&self) -> bool {
        self.members.iter().any(CrowdMember::is_listed)
    }

    fn admit(&mut self, url: &str, zone: &str) -> bool {
        self.members.retain(CrowdMember::is_listed);
        if let Some(known) = self.members.iter_mut().find(|member| member.url == url) {
            known.connections += 1;
            return true;
        }
        if self.members.len() >= MEMBERS {
            return false;
        }
        self.members.push(CrowdMember {
            url: url.to_owned(),
            zone: zone.to_owned(),
            connections: 1,
            left: Instant::now(),
        });
        true
    }
}

impl CrowdMember {
    fn is_listed(&self) -> bool {
        self.connections > 0 || self.left.elapsed() < LINGERS
    }
}

impl CrowdPlace {
    /// Returns the other peers of the same zone.
    pub(super) fn others(&self) -> Vec<String> {
        let crowds = self.crowds.lock();
        let members = crowds.get(&self.digest).map(|crowd| &crowd.members);
        let is_near = |member: &&CrowdMember| member.is_listed() && member.zone == self.zone;
        let counted = members.into_iter().flatten().filter(is_near);
        let mut others: Vec<String> = counted
            .map(|member| member.url.clone())
            .filter(|url| *url != self.url)
            .collect();
        others.sort_unstable();
        others
    }
}

impl Drop for CrowdPlace {
    fn drop(&mut self) {
        if let Some(crowd) = self.crowds.lock().get_mut(&self.digest)
            && let Some(member) = crowd.members.iter_mut().find(|member| member.url == self.url)
        {
            member.connections = member.connections.saturating_sub(1);
            member.left = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u8) -> Digest {
        Digest::of(&[number])
    }

    #[tokio::test]
    async fn each_peer_learns_of_all_others() {
        let crowds = Crowds::default();
        let a = crowds.join(&digest(1), "http://a:1", "").expect("room");
        let b = crowds.join(&digest(1), "http://b:1", "").expect("room");
        let _other = crowds.join(&digest(2), "http://c:1", "").expect("room");
        assert_eq!(a.others(), ["http://b:1"]);
        assert_eq!(b.others(), ["http://a:1"]);
        assert!(a.changed.has_changed().expect("open"));
        drop(b);
        // It left, and most likely has the object.
        assert_eq!(a.others(), ["http://b:1"]);
    }

    #[tokio::test]
    async fn peers_learn_only_of_peers_in_their_zone() {
        let crowds = Crowds::default();
        let join = |url, zone| crowds.join(&digest(1), url, zone).expect("room");
        let (a, _b) = (join("http://a:1", "north"), join("http://b:1", "north"));
        let c = join("http://c:1", "south");
        assert_eq!(a.others(), ["http://b:1"]);
        assert!(c.others().is_empty());
    }

    #[tokio::test]
    async fn a_crowd_has_bounds() {
        let crowds = Crowds::default();
        let members: Vec<_> = (0..=MEMBERS)
            .map(|number| crowds.join(&digest(1), &format!("http://h{number}:1"), ""))
            .collect();
        assert!(members[..MEMBERS].iter().all(Option::is_some));
        assert!(members[MEMBERS].is_none());
    }
}
