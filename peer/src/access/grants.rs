//! The grants of registries: this caller may read this digest at this location.
//!
//! **Invariant:** a grant is never for a whole repository. A grant for a manifest covers what the manifest lists
//! ([`super::listings`]), but only if it was given for it *as a manifest*: a blob with the same bytes covers nothing.
//!
//! Grants are kept in memory, and as one note per caller and location in the store's index, which is written without
//! waiting for the disk. Notes hold HMACs, names and times.

use std::collections::HashMap;
use std::sync::Arc;

use oci::{Digest, Location, Origin};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use wire::ObjectKind;
use wire::between_peers::read_hash;

use super::caller_key::CallerKey;
use super::notes::Notes;

/// The most grants of this peer.
const KEPT: usize = 50_000;
/// The most grants of one caller at one location.
const KEPT_AT_ONE_LOCATION: usize = 500;
/// A repeated grant is written again only when it is this much younger.
const WRITTEN_AGAIN_AFTER_MS: i64 = 60_000;

/// A caller at a location.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct CallerLocation {
    pub(crate) caller: CallerKey,
    location: Arc<Location>,
}

impl CallerLocation {
    pub(crate) fn new(caller: CallerKey, location: &Location) -> Self {
        Self {
            caller,
            location: Arc::new(location.clone()),
        }
    }

    /// Begins with the caller's HMAC, so that names of notes are spread evenly.
    fn note(&self) -> String {
        let caller = hex::encode(self.caller.bytes());
        format!("{caller} {}", self.location)
    }

    fn from_note(note: &str) -> Option<Self> {
        let (caller, location) = note.split_once(' ')?;
        Some(Self {
            caller: CallerKey::from_bytes(read_hash(caller)?),
            location: Arc::new(location.parse().ok()?),
        })
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct KeptGrant {
    at_ms: i64,
    manifest: bool,
    #[serde(skip)]
    written_ms: i64,
}

type LocationGrants = HashMap<Digest, KeptGrant>;

pub(crate) struct Grants {
    notes: Box<dyn Notes>,
    known: Mutex<KnownGrants>,
}

#[derive(Default)]
struct KnownGrants {
    locations: HashMap<CallerLocation, LocationGrants>,
    count: usize,
}

impl Grants {
    /// Reads the notes. Removes those that cannot be parsed.
    pub(crate) fn open(notes: impl Notes + 'static) -> Self {
        let mut known = KnownGrants::default();
        for (name, value) in notes.all() {
            let read =
                CallerLocation::from_note(&name).zip(serde_json::from_slice::<LocationGrants>(&value).ok());
            match read {
                Some((at, grants)) => {
                    known.count += grants.len();
                    known.locations.insert(at, grants);
                }
                None => notes.remove(&name),
            }
        }
        Self {
            notes: Box::new(notes),
            known: Mutex::new(known),
        }
    }

    /// Keeps a grant that the registry has just given.
    pub(crate) fn grant(&self, at: &CallerLocation, digest: &Digest, kind: ObjectKind, now_ms: i64) {
        let known = &mut *self.known();
        let grants = known.locations.entry(at.clone()).or_default();
        let before = grants.get(digest).copied();
        let manifest = kind == ObjectKind::Manifest || before.is_some_and(|grant| grant.manifest);
        let changed = before.is_none_or(|grant| {
            grant.manifest != manifest || now_ms.saturating_sub(grant.written_ms) >= WRITTEN_AGAIN_AFTER_MS
        });
        let written_ms = if changed {
            now_ms
        } else {
            before.map_or(now_ms, |grant| grant.written_ms)
        };
        let grant = KeptGrant {
            at_ms: now_ms,
            manifest,
            written_ms,
        };
        if grants.insert(digest.clone(), grant).is_none() {
            known.count += 1;
        }
        if grants.len() > KEPT_AT_ONE_LOCATION {
            known.count -= forget_older_half(grants);
        }
        if changed {
            self.write(at, grants);
        }
        if known.count > KEPT {
            self.forget_oldest_locations(known);
        }
    }

    /// Removes these grants: the registry has refused an object that they cover.
    pub(crate) fn forget(&self, at: &CallerLocation, digests: &[Digest]) {
        let known = &mut *self.known();
        let Some(grants) = known.locations.get_mut(at) else {
            return;
        };
        let before = grants.len();
        grants.retain(|digest, _| !digests.contains(digest));
        if grants.len() == before {
            return;
        }
        known.count -= before - grants.len();
        self.write(at, grants);
    }

    /// Removes all grants: the caller may no longer pull from this location.
    pub(crate) fn forget_location(&self, at: &CallerLocation) {
        let known = &mut *self.known();
        if let Some(grants) = known.locations.remove(at) {
            known.count -= grants.len();
            self.notes.remove(&at.note());
        }
    }

    /// Removes all grants of the caller at this registry: it refused the account or its password.
    pub(crate) fn forget_caller(&self, caller: &CallerKey, origin: &Origin) {
        let known = &mut *self.known();
        let gone: Vec<CallerLocation> = known
            .locations
            .keys()
            .filter(|at| at.caller == *caller && at.location.origin == *origin)
            .cloned()
            .collect();
        for at in gone {
            known.count -= known.locations.remove(&at).map_or(0, |grants| grants.len());
            self.notes.remove(&at.note());
        }
    }

    /// Returns when the registry last granted this object itself.
    pub(crate) fn given_at(&self, at: &CallerLocation, digest: &Digest) -> Option<i64> {
        self.known()
            .locations
            .get(at)?
            .get(digest)
            .map(|grant| grant.at_ms)
    }

    /// Returns the manifests that the caller may read at this location with the times of their grants, youngest first.
    pub(crate) fn manifests(&self, at: &CallerLocation) -> Vec<(Digest, i64)> {
        let mut manifests: Vec<(Digest, i64)> = match self.known().locations.get(at) {
            Some(grants) => grants
                .iter()
                .filter(|(_, grant)| grant.manifest)
                .map(|(digest, grant)| (digest.clone(), grant.at_ms))
                .collect(),
            None => Vec::new(),
        };
        manifests.sort_unstable_by_key(|(_, at_ms)| std::cmp::Reverse(*at_ms));
        manifests
    }

    /// Returns whether this caller has a grant of this registry that is younger than `since_ms`.
    pub(crate) fn any(&self, caller: &CallerKey, origin: &Origin, since_ms: i64) -> bool {
        self.known().locations.iter().any(|(at, grants)| {
            at.caller == *caller
                && at.location.origin == *origin
                && grants.values().any(|grant| grant.at_ms >= since_ms)
        })
    }

    fn known(&self) -> MutexGuard<'_, KnownGrants> {
        self.known.lock()
    }

    fn write(&self, at: &CallerLocation, grants: &LocationGrants) {
        if grants.is_empty() {
            return self.notes.remove(&at.note());
        }
        if let Ok(value) = serde_json::to_vec(grants) {
            self.notes.put(&at.note(), &value);
        }
    }

    /// Removes a tenth of all grants, first those of the locations without a recent grant.
    fn forget_oldest_locations(&self, known: &mut KnownGrants) {
        let youngest =
            |grants: &LocationGrants| grants.values().map(|grant| grant.at_ms).max().unwrap_or(i64::MIN);
        let mut by_age: Vec<(i64, CallerLocation)> = known
            .locations
            .iter()
            .map(|(at, grants)| (youngest(grants), at.clone()))
            .collect();
        by_age.sort_unstable_by_key(|(at_ms, _)| *at_ms);
        for (_, at) in by_age {
            if known.count <= KEPT - KEPT / 10 {
                return;
            }
            known.count -= known.locations.remove(&at).map_or(0, |grants| grants.len());
            self.notes.remove(&at.note());
        }
    }
}

fn forget_older_half(grants: &mut LocationGrants) -> usize {
    let before = grants.len();
    let mut times: Vec<i64> = grants.values().map(|grant| grant.at_ms).collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let (median, mut surplus) = (*median, before / 2);
    // Many grants may have the same time, so count them.
    grants.retain(|_, grant| {
        let goes = surplus > 0 && grant.at_ms <= median;
        surplus -= usize::from(goes);
        !goes
    });
    before - grants.len()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::access::caller_key::Keyring;
    use crate::access::notes::tests::InMemory;

    pub(crate) fn caller_at(user: &str, repository: &str) -> CallerLocation {
        let location = format!("https://reg.lan/v2/{repository}");
        let caller = Keyring::new(&[1; 32]).account(user, "pw");
        CallerLocation::new(caller, &location.parse().expect("a location"))
    }

    fn digest(of: u32) -> Digest {
        Digest::of(&of.to_be_bytes())
    }

    #[test]
    fn a_grant_is_for_one_caller_one_location_and_one_digest() {
        let grants = Grants::open(InMemory::default());
        grants.grant(&caller_at("ann", "a"), &digest(1), ObjectKind::Blob, 5);
        assert_eq!(grants.given_at(&caller_at("ann", "a"), &digest(1)), Some(5));
        assert_eq!(grants.given_at(&caller_at("ann", "a"), &digest(2)), None);
        assert_eq!(grants.given_at(&caller_at("ann", "b"), &digest(1)), None);
        assert_eq!(grants.given_at(&caller_at("bob", "a"), &digest(1)), None);
    }

    #[test]
    fn grants_survive_a_restart() {
        let notes = InMemory::default();
        let grants = Grants::open(notes.clone());
        grants.grant(&caller_at("ann", "a"), &digest(1), ObjectKind::Manifest, 5);
        grants.grant(&caller_at("ann", "a"), &digest(2), ObjectKind::Blob, 6);
        grants.forget(&caller_at("ann", "a"), &[digest(2)]);
        let again = Grants::open(notes);
        assert_eq!(again.manifests(&caller_at("ann", "a")), [(digest(1), 5)]);
        assert_eq!(again.given_at(&caller_at("ann", "a"), &digest(2)), None);
    }

    #[test]
    fn notes_hold_no_secret() {
        let notes = InMemory::default();
        let grants = Grants::open(notes.clone());
        grants.grant(&caller_at("ann", "a"), &digest(1), ObjectKind::Blob, 5);
        let written = format!("{:?}", notes.lock());
        assert!(!written.contains("ann") && !written.contains("pw"), "{written}");
    }

    #[test]
    fn invalid_notes_are_removed() {
        let notes = InMemory::default();
        notes.put("junk", b"{}");
        notes.put(&caller_at("ann", "a").note(), b"junk");
        let grants = Grants::open(notes.clone());
        assert_eq!(grants.given_at(&caller_at("ann", "a"), &digest(1)), None);
        assert!(notes.all().is_empty());
    }

    #[test]
    fn a_refused_account_loses_its_grants_at_that_registry() {
        let grants = Grants::open(InMemory::default());
        let (ann, bob) = (caller_at("ann", "a"), caller_at("bob", "a"));
        grants.grant(&ann, &digest(1), ObjectKind::Blob, 5);
        grants.grant(&bob, &digest(1), ObjectKind::Blob, 5);
        let origin = ann.location.origin.clone();
        assert!(grants.any(&ann.caller, &origin, 5));
        assert!(!grants.any(&ann.caller, &origin, 6));
        grants.forget_caller(&ann.caller, &origin);
        assert!(!grants.any(&ann.caller, &origin, 0));
        assert!(grants.any(&bob.caller, &origin, 0));
    }

    #[test]
    fn the_grants_of_one_location_are_bounded() {
        let grants = Grants::open(InMemory::default());
        let limit = u32::try_from(KEPT_AT_ONE_LOCATION).expect("small");
        for number in 0..=limit {
            grants.grant(
                &caller_at("ann", "a"),
                &digest(number),
                ObjectKind::Blob,
                i64::from(number),
            );
        }
        assert_eq!(grants.given_at(&caller_at("ann", "a"), &digest(0)), None);
        assert!(grants.given_at(&caller_at("ann", "a"), &digest(limit)).is_some());
        assert!(grants.known().count <= KEPT_AT_ONE_LOCATION);
    }

    proptest! {
        #[test]
        fn the_count_is_the_number_of_grants(steps in proptest::collection::vec((0_u32..5, 0_u32..5, any::<bool>()), 0..60)) {
            let grants = Grants::open(InMemory::default());
            for (user, object, is_grant) in steps {
                let at = caller_at(&user.to_string(), "a");
                if is_grant {
                    grants.grant(&at, &digest(object), ObjectKind::Blob, 1);
                } else {
                    grants.forget(&at, &[digest(object)]);
                }
            }
            let known = grants.known();
            prop_assert_eq!(known.count, known.locations.values().map(HashMap::len).sum::<usize>());
        }
    }
}
