//! What registries said yes to: for this caller, at this registry, in this repository, this very digest.
//!
//! **Invariant:** a yes is never for a repository as a whole. What a manifest's yes covers is told by the manifest
//! ([`super::listings`]), and only a yes that was given for it *as a manifest* covers anything: a blob that merely
//! reads like one does not.
//!
//! Kept in memory, and as one note per caller and repository in the store's index, whose writing never waits for
//! the disk. Notes hold HMACs, names and times.

use std::collections::HashMap;
use std::sync::Arc;

use oci::{Digest, Location, Origin};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use wire::ObjectKind;
use wire::between_peers::read_hash;

use super::caller_key::CallerKey;
use super::notes::Notes;

/// All yeses of this peer.
const KEPT: usize = 50_000;
/// Of one caller in one repository.
const KEPT_IN_ONE_PLACE: usize = 500;
/// A yes that is repeated is written down again only when it is this much younger.
const WRITTEN_AGAIN_AFTER_MS: i64 = 60_000;

/// Who, where.
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
    places: HashMap<CallerLocation, LocationGrants>,
    count: usize,
}

impl Grants {
    /// Starts with what was kept before.
    pub(crate) fn open(notes: impl Notes + 'static) -> Self {
        let mut known = KnownGrants::default();
        for (name, value) in notes.all() {
            let read =
                CallerLocation::from_note(&name).zip(serde_json::from_slice::<LocationGrants>(&value).ok());
            match read {
                Some((place, grants)) => {
                    known.count += grants.len();
                    known.places.insert(place, grants);
                }
                None => notes.remove(&name),
            }
        }
        Self {
            notes: Box::new(notes),
            known: Mutex::new(known),
        }
    }

    /// The registry has just said yes.
    pub(crate) fn grant(&self, place: &CallerLocation, digest: &Digest, kind: ObjectKind, now_ms: i64) {
        let known = &mut *self.known();
        let grants = known.places.entry(place.clone()).or_default();
        let before = grants.get(digest).copied();
        let manifest = kind == ObjectKind::Manifest || before.is_some_and(|yes| yes.manifest);
        let changed = before.is_none_or(|yes| {
            yes.manifest != manifest || now_ms.saturating_sub(yes.written_ms) >= WRITTEN_AGAIN_AFTER_MS
        });
        let written_ms = if changed {
            now_ms
        } else {
            before.map_or(now_ms, |yes| yes.written_ms)
        };
        let yes = KeptGrant {
            at_ms: now_ms,
            manifest,
            written_ms,
        };
        if grants.insert(digest.clone(), yes).is_none() {
            known.count += 1;
        }
        if grants.len() > KEPT_IN_ONE_PLACE {
            known.count -= forget_older_half(grants);
        }
        if changed {
            self.write(place, grants);
        }
        if known.count > KEPT {
            self.forget_oldest_places(known);
        }
    }

    /// The registry has just said no to something that these yeses would cover.
    pub(crate) fn forget(&self, place: &CallerLocation, digests: &[Digest]) {
        let known = &mut *self.known();
        let Some(grants) = known.places.get_mut(place) else {
            return;
        };
        let before = grants.len();
        grants.retain(|digest, _| !digests.contains(digest));
        if grants.len() == before {
            return;
        }
        known.count -= before - grants.len();
        self.write(place, grants);
    }

    /// The caller may not pull from this repository any more.
    pub(crate) fn forget_place(&self, place: &CallerLocation) {
        let known = &mut *self.known();
        if let Some(grants) = known.places.remove(place) {
            known.count -= grants.len();
            self.notes.remove(&place.note());
        }
    }

    /// The account does not exist any more, or not with this password.
    pub(crate) fn forget_caller(&self, caller: &CallerKey, origin: &Origin) {
        let known = &mut *self.known();
        let gone: Vec<CallerLocation> = known
            .places
            .keys()
            .filter(|at| at.caller == *caller && at.location.origin == *origin)
            .cloned()
            .collect();
        for place in gone {
            known.count -= known.places.remove(&place).map_or(0, |grants| grants.len());
            self.notes.remove(&place.note());
        }
    }

    /// When the registry last said yes to this very object.
    pub(crate) fn given_at(&self, place: &CallerLocation, digest: &Digest) -> Option<i64> {
        self.known().places.get(place)?.get(digest).map(|yes| yes.at_ms)
    }

    /// The manifests that the caller may read in this place, and since when; youngest yes first.
    pub(crate) fn manifests(&self, place: &CallerLocation) -> Vec<(Digest, i64)> {
        let mut manifests: Vec<(Digest, i64)> = match self.known().places.get(place) {
            Some(grants) => grants
                .iter()
                .filter(|(_, yes)| yes.manifest)
                .map(|(digest, yes)| (digest.clone(), yes.at_ms))
                .collect(),
            None => Vec::new(),
        };
        manifests.sort_unstable_by_key(|(_, at_ms)| std::cmp::Reverse(*at_ms));
        manifests
    }

    /// Whether this caller has any yes of this registry that is younger than `since_ms`.
    pub(crate) fn any(&self, caller: &CallerKey, origin: &Origin, since_ms: i64) -> bool {
        self.known().places.iter().any(|(place, grants)| {
            place.caller == *caller
                && place.location.origin == *origin
                && grants.values().any(|yes| yes.at_ms >= since_ms)
        })
    }

    fn known(&self) -> MutexGuard<'_, KnownGrants> {
        self.known.lock()
    }

    fn write(&self, place: &CallerLocation, grants: &LocationGrants) {
        if grants.is_empty() {
            return self.notes.remove(&place.note());
        }
        if let Ok(value) = serde_json::to_vec(grants) {
            self.notes.put(&place.note(), &value);
        }
    }

    /// Makes room for a tenth: those go first whose last yes is longest ago.
    fn forget_oldest_places(&self, known: &mut KnownGrants) {
        let youngest =
            |grants: &LocationGrants| grants.values().map(|yes| yes.at_ms).max().unwrap_or(i64::MIN);
        let mut by_age: Vec<(i64, CallerLocation)> = known
            .places
            .iter()
            .map(|(place, grants)| (youngest(grants), place.clone()))
            .collect();
        by_age.sort_unstable_by_key(|(at_ms, _)| *at_ms);
        for (_, place) in by_age {
            if known.count <= KEPT - KEPT / 10 {
                return;
            }
            known.count -= known.places.remove(&place).map_or(0, |grants| grants.len());
            self.notes.remove(&place.note());
        }
    }
}

fn forget_older_half(grants: &mut LocationGrants) -> usize {
    let before = grants.len();
    let mut times: Vec<i64> = grants.values().map(|yes| yes.at_ms).collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let (median, mut surplus) = (*median, before / 2);
    // Many may have the same time: stop at half, whatever their times.
    grants.retain(|_, yes| {
        let goes = surplus > 0 && yes.at_ms <= median;
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

    pub(crate) fn place(user: &str, repository: &str) -> CallerLocation {
        let location = format!("https://reg.lan/v2/{repository}");
        let caller = Keyring::new(&[1; 32]).account(user, "pw");
        CallerLocation::new(caller, &location.parse().expect("a location"))
    }

    fn digest(of: u32) -> Digest {
        Digest::of(&of.to_be_bytes())
    }

    #[test]
    fn a_yes_is_for_one_caller_one_repository_and_one_digest() {
        let grants = Grants::open(InMemory::default());
        grants.grant(&place("ann", "a"), &digest(1), ObjectKind::Blob, 5);
        assert_eq!(grants.given_at(&place("ann", "a"), &digest(1)), Some(5));
        assert_eq!(grants.given_at(&place("ann", "a"), &digest(2)), None);
        assert_eq!(grants.given_at(&place("ann", "b"), &digest(1)), None);
        assert_eq!(grants.given_at(&place("bob", "a"), &digest(1)), None);
    }

    #[test]
    fn yeses_survive_a_restart() {
        let notes = InMemory::default();
        let grants = Grants::open(notes.clone());
        grants.grant(&place("ann", "a"), &digest(1), ObjectKind::Manifest, 5);
        grants.grant(&place("ann", "a"), &digest(2), ObjectKind::Blob, 6);
        grants.forget(&place("ann", "a"), &[digest(2)]);
        let again = Grants::open(notes);
        assert_eq!(again.manifests(&place("ann", "a")), [(digest(1), 5)]);
        assert_eq!(again.given_at(&place("ann", "a"), &digest(2)), None);
    }

    #[test]
    fn notes_tell_no_secret() {
        let notes = InMemory::default();
        let grants = Grants::open(notes.clone());
        grants.grant(&place("ann", "a"), &digest(1), ObjectKind::Blob, 5);
        let written = format!("{:?}", notes.lock());
        assert!(!written.contains("ann") && !written.contains("pw"), "{written}");
    }

    #[test]
    fn junk_in_the_notes_is_dropped() {
        let notes = InMemory::default();
        notes.put("junk", b"{}");
        notes.put(&place("ann", "a").note(), b"junk");
        let grants = Grants::open(notes.clone());
        assert_eq!(grants.given_at(&place("ann", "a"), &digest(1)), None);
        assert!(notes.all().is_empty());
    }

    #[test]
    fn a_refused_account_loses_what_it_had_at_that_registry() {
        let grants = Grants::open(InMemory::default());
        let (ann, bob) = (place("ann", "a"), place("bob", "a"));
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
    fn a_place_has_a_bound() {
        let grants = Grants::open(InMemory::default());
        let limit = u32::try_from(KEPT_IN_ONE_PLACE).expect("small");
        for number in 0..=limit {
            grants.grant(
                &place("ann", "a"),
                &digest(number),
                ObjectKind::Blob,
                i64::from(number),
            );
        }
        assert_eq!(grants.given_at(&place("ann", "a"), &digest(0)), None);
        assert!(grants.given_at(&place("ann", "a"), &digest(limit)).is_some());
        assert!(grants.known().count <= KEPT_IN_ONE_PLACE);
    }

    proptest! {
        #[test]
        fn the_count_is_the_number_of_yeses(steps in proptest::collection::vec((0_u32..5, 0_u32..5, any::<bool>()), 0..60)) {
            let grants = Grants::open(InMemory::default());
            for (user, object, is_grant) in steps {
                let place = place(&user.to_string(), "a");
                if is_grant {
                    grants.grant(&place, &digest(object), ObjectKind::Blob, 1);
                } else {
                    grants.forget(&place, &[digest(object)]);
                }
            }
            let known = grants.known();
            prop_assert_eq!(known.count, known.places.values().map(HashMap::len).sum::<usize>());
        }
    }
}
