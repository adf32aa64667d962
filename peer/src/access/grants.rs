//! What registries said yes to: for this caller, at this registry, in this repository, this very digest.
//!
//! **Invariant:** a yes is never for a repository as a whole. What a manifest's yes covers is told by the manifest
//! ([`super::listings`]), and only a yes that was given for it *as a manifest* covers anything: a blob that merely
//! reads like one does not.
//!
//! Kept in memory, and as one note per caller and repository in the store's index, whose writing never waits for
//! the disk. Notes hold HMACs, names and times.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use oci::{Digest, Location, Origin};
use serde::{Deserialize, Serialize};
use wire::ObjectKind;
use wire::between_peers::read_hash;

use super::caller_key::CallerKey;

/// All yeses of this peer.
const KEPT: usize = 50_000;
/// Of one caller in one repository.
const KEPT_IN_ONE_PLACE: usize = 500;
/// A yes that is repeated is written down again only when it is this much younger.
const WRITTEN_AGAIN_AFTER_MS: i64 = 60_000;

/// Who, where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) caller: CallerKey,
    location: Arc<Location>,
}

impl Place {
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
struct Yes {
    at_ms: i64,
    manifest: bool,
    #[serde(skip)]
    written_ms: i64,
}

type OfPlace = HashMap<Digest, Yes>;

/// Where yeses outlive the process.
pub(crate) trait Notes: Send + Sync {
    fn put(&self, name: &str, value: &[u8]);
    fn remove(&self, name: &str);
    fn all(&self) -> Vec<(String, Vec<u8>)>;
}

pub(crate) struct Yeses {
    notes: Box<dyn Notes>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    places: HashMap<Place, OfPlace>,
    count: usize,
}

impl Yeses {
    /// Starts with what was kept before.
    pub(crate) fn open(notes: impl Notes + 'static) -> Self {
        let mut known = Known::default();
        for (name, value) in notes.all() {
            let read = Place::from_note(&name).zip(serde_json::from_slice::<OfPlace>(&value).ok());
            match read {
                Some((place, yeses)) => {
                    known.count += yeses.len();
                    known.places.insert(place, yeses);
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
    pub(crate) fn grant(&self, place: &Place, digest: &Digest, kind: ObjectKind, now_ms: i64) {
        let known = &mut *self.known();
        let yeses = known.places.entry(place.clone()).or_default();
        let before = yeses.get(digest).copied();
        let manifest = kind == ObjectKind::Manifest || before.is_some_and(|yes| yes.manifest);
        let changed = before.is_none_or(|yes| {
            yes.manifest != manifest || now_ms.saturating_sub(yes.written_ms) >= WRITTEN_AGAIN_AFTER_MS
        });
        let written_ms = if changed {
            now_ms
        } else {
            before.map_or(now_ms, |yes| yes.written_ms)
        };
        let yes = Yes {
            at_ms: now_ms,
            manifest,
            written_ms,
        };
        if yeses.insert(digest.clone(), yes).is_none() {
            known.count += 1;
        }
        if yeses.len() > KEPT_IN_ONE_PLACE {
            known.count -= forget_older_half(yeses);
        }
        if changed {
            self.write(place, yeses);
        }
        if known.count > KEPT {
            self.forget_oldest_places(known);
        }
    }

    /// The registry has just said no to something that these yeses would cover.
    pub(crate) fn forget(&self, place: &Place, digests: &[Digest]) {
        let known = &mut *self.known();
        let Some(yeses) = known.places.get_mut(place) else {
            return;
        };
        let before = yeses.len();
        yeses.retain(|digest, _| !digests.contains(digest));
        if yeses.len() == before {
            return;
        }
        known.count -= before - yeses.len();
        self.write(place, yeses);
    }

    /// The caller may not pull from this repository any more.
    pub(crate) fn forget_place(&self, place: &Place) {
        let known = &mut *self.known();
        if let Some(yeses) = known.places.remove(place) {
            known.count -= yeses.len();
            self.notes.remove(&place.note());
        }
    }

    /// The account does not exist any more, or not with this password.
    pub(crate) fn forget_caller(&self, caller: &CallerKey, origin: &Origin) {
        let known = &mut *self.known();
        let gone: Vec<Place> = known
            .places
            .keys()
            .filter(|at| at.caller == *caller && at.location.origin == *origin)
            .cloned()
            .collect();
        for place in gone {
            known.count -= known.places.remove(&place).map_or(0, |yeses| yeses.len());
            self.notes.remove(&place.note());
        }
    }

    /// When the registry last said yes to this very object.
    pub(crate) fn given_at(&self, place: &Place, digest: &Digest) -> Option<i64> {
        self.known().places.get(place)?.get(digest).map(|yes| yes.at_ms)
    }

    /// The manifests that the caller may read in this place, and since when; youngest yes first.
    pub(crate) fn manifests(&self, place: &Place) -> Vec<(Digest, i64)> {
        let mut manifests: Vec<(Digest, i64)> = match self.known().places.get(place) {
            Some(yeses) => yeses
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
        self.known().places.iter().any(|(place, yeses)| {
            place.caller == *caller
                && place.location.origin == *origin
                && yeses.values().any(|yes| yes.at_ms >= since_ms)
        })
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, place: &Place, yeses: &OfPlace) {
        if yeses.is_empty() {
            return self.notes.remove(&place.note());
        }
        if let Ok(value) = serde_json::to_vec(yeses) {
            self.notes.put(&place.note(), &value);
        }
    }

    /// Makes room for a tenth: those go first whose last yes is longest ago.
    fn forget_oldest_places(&self, known: &mut Known) {
        let youngest = |yeses: &OfPlace| yeses.values().map(|yes| yes.at_ms).max().unwrap_or(i64::MIN);
        let mut by_age: Vec<(i64, Place)> = known
            .places
            .iter()
            .map(|(place, yeses)| (youngest(yeses), place.clone()))
            .collect();
        by_age.sort_unstable_by_key(|(at_ms, _)| *at_ms);
        for (_, place) in by_age {
            if known.count <= KEPT - KEPT / 10 {
                return;
            }
            known.count -= known.places.remove(&place).map_or(0, |yeses| yeses.len());
            self.notes.remove(&place.note());
        }
    }
}

fn forget_older_half(yeses: &mut OfPlace) -> usize {
    let before = yeses.len();
    let mut times: Vec<i64> = yeses.values().map(|yes| yes.at_ms).collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let (median, mut surplus) = (*median, before / 2);
    // Many may have the same time: stop at half, whatever their times.
    yeses.retain(|_, yes| {
        let goes = surplus > 0 && yes.at_ms <= median;
        surplus -= usize::from(goes);
        !goes
    });
    before - yeses.len()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::access::caller_key::Keyring;

    /// Notes that outlive what is opened on them.
    #[derive(Clone, Default)]
    pub(crate) struct InMemory(Arc<Mutex<HashMap<String, Vec<u8>>>>);

    impl InMemory {
        fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<u8>>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl Notes for InMemory {
        fn put(&self, name: &str, value: &[u8]) {
            self.lock().insert(name.to_owned(), value.to_vec());
        }

        fn remove(&self, name: &str) {
            self.lock().remove(name);
        }

        fn all(&self) -> Vec<(String, Vec<u8>)> {
            self.lock()
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        }
    }

    pub(crate) fn place(user: &str, repository: &str) -> Place {
        let location = format!("https://reg.lan/v2/{repository}");
        let caller = Keyring::new(&[1; 32]).account(user, "pw");
        Place::new(caller, &location.parse().expect("a location"))
    }

    fn digest(of: u32) -> Digest {
        Digest::of(&of.to_be_bytes())
    }

    #[test]
    fn a_yes_is_for_one_caller_one_repository_and_one_digest() {
        let yeses = Yeses::open(InMemory::default());
        yeses.grant(&place("ann", "a"), &digest(1), ObjectKind::Blob, 5);
        assert_eq!(yeses.given_at(&place("ann", "a"), &digest(1)), Some(5));
        assert_eq!(yeses.given_at(&place("ann", "a"), &digest(2)), None);
        assert_eq!(yeses.given_at(&place("ann", "b"), &digest(1)), None);
        assert_eq!(yeses.given_at(&place("bob", "a"), &digest(1)), None);
    }

    #[test]
    fn yeses_survive_a_restart() {
        let notes = InMemory::default();
        let yeses = Yeses::open(notes.clone());
        yeses.grant(&place("ann", "a"), &digest(1), ObjectKind::Manifest, 5);
        yeses.grant(&place("ann", "a"), &digest(2), ObjectKind::Blob, 6);
        yeses.forget(&place("ann", "a"), &[digest(2)]);
        let again = Yeses::open(notes);
        assert_eq!(again.manifests(&place("ann", "a")), [(digest(1), 5)]);
        assert_eq!(again.given_at(&place("ann", "a"), &digest(2)), None);
    }

    #[test]
    fn notes_tell_no_secret() {
        let notes = InMemory::default();
        let yeses = Yeses::open(notes.clone());
        yeses.grant(&place("ann", "a"), &digest(1), ObjectKind::Blob, 5);
        let written = format!("{:?}", notes.lock());
        assert!(!written.contains("ann") && !written.contains("pw"), "{written}");
    }

    #[test]
    fn junk_in_the_notes_is_dropped() {
        let notes = InMemory::default();
        notes.put("junk", b"{}");
        notes.put(&place("ann", "a").note(), b"junk");
        let yeses = Yeses::open(notes.clone());
        assert_eq!(yeses.given_at(&place("ann", "a"), &digest(1)), None);
        assert!(notes.all().is_empty());
    }

    #[test]
    fn a_refused_account_loses_what_it_had_at_that_registry() {
        let yeses = Yeses::open(InMemory::default());
        let (ann, bob) = (place("ann", "a"), place("bob", "a"));
        yeses.grant(&ann, &digest(1), ObjectKind::Blob, 5);
        yeses.grant(&bob, &digest(1), ObjectKind::Blob, 5);
        let origin = ann.location.origin.clone();
        assert!(yeses.any(&ann.caller, &origin, 5));
        assert!(!yeses.any(&ann.caller, &origin, 6));
        yeses.forget_caller(&ann.caller, &origin);
        assert!(!yeses.any(&ann.caller, &origin, 0));
        assert!(yeses.any(&bob.caller, &origin, 0));
    }

    #[test]
    fn a_place_has_a_bound() {
        let yeses = Yeses::open(InMemory::default());
        let limit = u32::try_from(KEPT_IN_ONE_PLACE).expect("small");
        for number in 0..=limit {
            yeses.grant(
                &place("ann", "a"),
                &digest(number),
                ObjectKind::Blob,
                i64::from(number),
            );
        }
        assert_eq!(yeses.given_at(&place("ann", "a"), &digest(0)), None);
        assert!(yeses.given_at(&place("ann", "a"), &digest(limit)).is_some());
        assert!(yeses.known().count <= KEPT_IN_ONE_PLACE);
    }

    proptest! {
        #[test]
        fn the_count_is_the_number_of_yeses(steps in proptest::collection::vec((0_u32..5, 0_u32..5, any::<bool>()), 0..60)) {
            let yeses = Yeses::open(InMemory::default());
            for (user, object, grants) in steps {
                let place = place(&user.to_string(), "a");
                if grants {
                    yeses.grant(&place, &digest(object), ObjectKind::Blob, 1);
                } else {
                    yeses.forget(&place, &[digest(object)]);
                }
            }
            let known = yeses.known();
            prop_assert_eq!(known.count, known.places.values().map(HashMap::len).sum::<usize>());
        }
    }
}
