use store::testing::Signer;
use tempfile::TempDir;
use wire::Role;

use super::*;
use crate::membership::tests::Authority;

const HERE: &str = "https://registry.lan/v2/a";
const NOW: i64 = 1_700_000_000_000;
const MINUTE: i64 = 60_000;
const AT_NOW: Carrier = Carrier::Peer { now_ms: NOW };

struct RecordsFixture {
    records: Records,
    store: Store,
    signer: Signer,
    _dir: TempDir,
}

fn world() -> RecordsFixture {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).expect("a store");
    let authority = Authority::new();
    let membership = authority.member(Role::Node, "default").membership;
    let registries = Registries::new(clients::client_factory());
    RecordsFixture {
        records: Records::new(membership, store.clone(), registries),
        store,
        signer: authority.signer,
        _dir: dir,
    }
}

fn at(location: &str) -> Location {
    location.parse().expect("a location")
}

fn digest() -> Digest {
    Digest::of(b"a private layer")
}

fn meaning(location: &str, seen_unix_ms: i64) -> TagRecord {
    TagRecord {
        location: location.to_owned(),
        tag: "v1".to_owned(),
        digest: digest().to_string(),
        media_type: String::new(),
        seen_unix_ms,
    }
}

impl RecordsFixture {
    fn learn_public(&self, proof: &PublicProof) -> Result<(), RecordError> {
        self.records.learn_public(proof, &at(HERE), &digest(), AT_NOW)
    }

    fn learn_tag(&self, signed: &Signed<TagMeaning>) -> Result<(), RecordError> {
        self.records.learn_tag(signed, &at(HERE), "v1", AT_NOW)
    }
}

#[test]
fn nothing_is_public_without_the_managers_signature_for_this_cluster_location_and_object() {
    let world = world();
    let (signer, here) = (&world.signer, at(HERE));
    let of_another = Digest::of(b"another layer");
    for (proof, why) in [
        (
            Signer::of("default").public(&digest(), &here, NOW),
            RecordError::NotSigned(NotSigned),
        ),
        (
            signer.public(&of_another, &here, NOW),
            RecordError::NotSigned(NotSigned),
        ),
        (
            signer.for_cluster("elsewhere").public(&digest(), &here, NOW),
            RecordError::OtherCluster,
        ),
        (
            signer.public(&digest(), &at("https://registry.lan/v2/b"), NOW),
            RecordError::OtherSubject,
        ),
        (
            signer.public(&digest(), &at("http://registry.lan/v2/a"), NOW),
            RecordError::OtherSubject,
        ),
        (
            signer.public(&digest(), &at("https://registry.lan/files/v2/a"), NOW),
            RecordError::OtherSubject,
        ),
        (
            signer.public(&digest(), &here, NOW + 6 * MINUTE),
            RecordError::FromFuture,
        ),
    ] {
        assert_eq!(world.learn_public(&proof), Err(why));
        assert_eq!(world.store.public_at(&digest(), &here), None, "{why}");
    }
    let genuine = signer.public(&digest(), &here, NOW + 4 * MINUTE);
    assert_eq!(world.learn_public(&genuine), Ok(()));
    assert_eq!(world.store.public_at(&digest(), &here), Some(NOW + 4 * MINUTE));
}

#[test]
fn no_tag_has_a_meaning_without_the_managers_signature_for_this_cluster_location_and_tag() {
    let world = world();
    let (signer, genuine) = (&world.signer, meaning(HERE, NOW));
    let another_tag = TagRecord {
        tag: "v2".to_owned(),
        ..genuine.clone()
    };
    for (signed, why) in [
        (
            Signer::of("default").tag(&genuine),
            RecordError::NotSigned(NotSigned),
        ),
        (
            signer.for_cluster("elsewhere").tag(&genuine),
            RecordError::OtherCluster,
        ),
        (
            signer.tag(&meaning("https://registry.lan/v2/b", NOW)),
            RecordError::OtherSubject,
        ),
        (
            signer.tag(&meaning("http://registry.lan/v2/a", NOW)),
            RecordError::OtherSubject,
        ),
        (signer.tag(&another_tag), RecordError::OtherSubject),
        (
            signer.tag(&meaning(HERE, NOW + 6 * MINUTE)),
            RecordError::FromFuture,
        ),
    ] {
        assert_eq!(world.learn_tag(&signed), Err(why));
        assert_eq!(world.store.tag(HERE, "v1"), None, "{why}");
    }
    assert_eq!(world.learn_tag(&signer.tag(&genuine)), Ok(()));
    assert_eq!(world.store.tag(HERE, "v1"), Some(genuine));
}

#[test]
fn an_older_record_that_is_replayed_changes_nothing() {
    let world = world();
    let (signer, here) = (&world.signer, at(HERE));
    for found_ms in [NOW, NOW - MINUTE] {
        assert_eq!(
            world.learn_public(&signer.public(&digest(), &here, found_ms)),
            Ok(())
        );
        assert_eq!(world.learn_tag(&signer.tag(&meaning(HERE, found_ms))), Ok(()));
    }
    assert_eq!(world.store.public_at(&digest(), &here), Some(NOW));
    assert_eq!(world.store.tag(HERE, "v1"), Some(meaning(HERE, NOW)));
}

#[test]
fn a_peer_whose_clock_is_behind_keeps_what_the_manager_itself_sends() {
    let world = world();
    let (ahead, here) = (NOW + 30 * MINUTE, at(HERE));
    let (proof, tag) = (
        world.signer.public(&digest(), &here, ahead),
        world.signer.tag(&meaning(HERE, ahead)),
    );
    let by_manager = Carrier::Manager;
    let learned = world.records.learn_public(&proof, &here, &digest(), by_manager);
    assert_eq!(learned, Ok(()));
    assert_eq!(world.records.learn_tag(&tag, &here, "v1", by_manager), Ok(()));
    assert_eq!(world.store.public_at(&digest(), &here), Some(ahead));
    assert_eq!(world.store.tag(HERE, "v1"), Some(meaning(HERE, ahead)));
}

#[test]
fn a_lot_has_proofs_for_exactly_the_objects_that_the_manager_signed() {
    let world = world();
    let signed = world.signer.public_lot(&["one", "two"], &at(HERE), NOW);
    let proofs = |digests: &[&str]| {
        world
            .records
            .verify_public(&signed, digests)
            .map(|verified| verified.proofs.len())
    };
    assert_eq!(proofs(&["one", "two"]), Ok(2));
    for others in [&["one", "private"][..], &["one"], &["one", "two", "private"]] {
        assert_eq!(proofs(others), Err(RecordError::OtherSubject), "{others:?}");
    }
}
