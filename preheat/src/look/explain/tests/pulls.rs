//! Verdicts from the last pulls.

use super::*;
use crate::look::explain::pulls::speed_of;

#[test]
fn a_whole_image_without_pulls_says_what_to_check() {
    let explained = conclude(&facts());
    assert_eq!(verdicts(&explained), [FindingKind::WholeNotPulledYet]);
    assert!(explained.share.whole);
    insta::assert_snapshot!(explained.findings[0].says, @"node-1 holds the whole image (2 objects, 1.91 MiB). No pull of it through this node is recorded.");
    assert_eq!(explained.registry, RegistryStanding::Answers);
}

#[test]
fn pulled_from_the_store() {
    let hits = vec![
        pull(ROOT, PullResult::Hit, vec![]),
        pull(LAYER, PullResult::Hit, vec![]),
    ];
    let facts = with_reply(vec![sealed(ROOT), sealed(LAYER)], hits);
    let explained = conclude(&facts);
    assert_eq!(verdicts(&explained), [FindingKind::WholePulledFromStore]);
    let says = &explained.findings[0].says;
    insta::assert_snapshot!(says, @"node-1 holds the whole image (2 objects, 1.91 MiB). The last pull came from its own store: 2 objects, 3.81 MiB at 40.0 MB/s, 2027-01-15 07:59:00 UTC (60 s ago).");
    assert_eq!(explained.pulls[0].megabytes_per_second, Some(20.0));
    assert_eq!(
        explained.pulls[0].trace_url.as_deref(),
        Some("http://jaeger:16686/trace/beef")
    );
}

#[test]
fn pulled_from_peers_names_them() {
    let pulls = vec![
        pull(ROOT, PullResult::Hit, vec![]),
        pull(LAYER, PullResult::Miss, vec![from("seed-1", false)]),
    ];
    let (verdicts, says) = verdicts_and_text(&with_reply(vec![sealed(ROOT), sealed(LAYER)], pulls));
    assert_eq!(verdicts, [FindingKind::WholePulledFromPeers]);
    insta::assert_snapshot!(says, @"node-1 holds the whole image (2 objects, 1.91 MiB). The last pull fetched from seed-1: 1 object, 1.91 MiB at 20.0 MB/s, 2027-01-15 07:59:00 UTC (60 s ago). The next pull reads from the store.");
}

#[test]
fn pulled_from_the_registry_says_whether_the_preheat_had_ended() {
    let mut early = pull(LAYER, PullResult::Miss, vec![from("h.lan", true)]);
    early.at_unix_ms = NOW - 6 * MINUTE;
    let (verdicts, says) = verdicts_and_text(&with_reply(
        vec![sealed(ROOT), sealed(LAYER)],
        vec![early.clone()],
    ));
    assert_eq!(verdicts, [FindingKind::WholePulledFromRegistry]);
    insta::assert_snapshot!(says, @"node-1 holds the whole image (2 objects, 1.91 MiB). The last pull read from the registry: 1 object, 1.91 MiB at 20.0 MB/s, 2027-01-15 07:54:00 UTC (6 min ago), before the preheat had ended. The next pull reads from the store.");
    early.at_unix_ms = NOW - MINUTE;
    let (_, says) = verdicts_and_text(&with_reply(vec![sealed(ROOT), sealed(LAYER)], vec![early]));
    insta::assert_snapshot!(says, @"node-1 holds the whole image (2 objects, 1.91 MiB). The last pull read from the registry: 1 object, 1.91 MiB at 20.0 MB/s, 2027-01-15 07:59:00 UTC (60 s ago), after the preheat: neither the store nor a peer held the objects then. The next pull reads from the store.");
}

#[test]
fn only_the_last_pull_of_an_object_counts() {
    let mut old = pull(LAYER, PullResult::Refused, vec![]);
    old.at_unix_ms = NOW - 2 * MINUTE;
    let head = pull("v1", PullResult::Head, vec![]);
    let pulls = vec![old, pull(LAYER, PullResult::Hit, vec![]), head];
    let explained = conclude(&with_reply(vec![sealed(ROOT), sealed(LAYER)], pulls));
    assert_eq!(verdicts(&explained), [FindingKind::WholePulledFromStore]);
    let shown: Vec<_> = explained.pulls.iter().map(|pull| pull.result).collect();
    assert_eq!(shown, [PullResult::Hit, PullResult::Head]);
}

#[test]
fn pulls_of_other_images_of_the_repository_are_left_out() {
    let other = pull(OTHER_LAYER, PullResult::Miss, vec![from("h.lan", true)]);
    let explained = conclude(&with_reply(vec![sealed(ROOT), sealed(LAYER)], vec![other]));
    assert_eq!(verdicts(&explained), [FindingKind::WholeNotPulledYet]);
    assert!(explained.pulls.is_empty());
}

#[test]
fn a_runtime_that_only_asked_for_headers_has_the_image() {
    let head = pull("v1", PullResult::Head, vec![]);
    let (verdicts, says) = verdicts_and_text(&with_reply(vec![sealed(ROOT), sealed(LAYER)], vec![head]));
    assert_eq!(verdicts, [FindingKind::WholeNotPulledYet]);
    insta::assert_snapshot!(says, @"node-1 holds the whole image (2 objects, 1.91 MiB). The last request of a runtime was for headers only: the runtime has the layers already.");
}

#[test]
fn a_failed_or_refused_pull_comes_before_a_whole_image() {
    const TROUBLE: &str = "no space left on device";
    for (result, verdict) in [
        (PullResult::Failed, FindingKind::PullFailed),
        (PullResult::Refused, FindingKind::PullRefused),
    ] {
        let mut bad = pull(LAYER, result, vec![]);
        bad.trouble = Some(TROUBLE.to_owned());
        let (verdicts, says) = verdicts_and_text(&with_reply(vec![sealed(ROOT), sealed(LAYER)], vec![bad]));
        assert_eq!(verdicts, [verdict]);
        assert!(says.contains(TROUBLE), "{says}");
    }
}

#[test]
fn all_that_one_platform_needs_is_enough() {
    let narrow = |preheat: &mut Preheated| {
        preheat.scope = Scope::SingleSeedPeer;
        preheat.placed.clear();
    };
    let mut facts = with_preheat(narrow, vec![sealed(ROOT), sealed(LAYER)]);
    facts.needed = vec![
        object(ROOT, ObjectKind::Manifest, 500, None),
        object(LAYER, ObjectKind::Blob, 2_000_000, Some("linux/amd64")),
        object(OTHER_LAYER, ObjectKind::Blob, 2_000_000, Some("linux/arm64")),
        object(OTHER, ObjectKind::Blob, 100, Some("unknown/unknown")),
    ];
    let preheat = facts.preheat.as_mut().expect("a preheat");
    preheat.objects.extend([OTHER_LAYER.to_owned(), OTHER.to_owned()]);
    let reply = facts.reply.as_mut().expect("a reply");
    reply.pulls = vec![pull(LAYER, PullResult::Miss, vec![from("seed-1", false)])];
    let explained = conclude(&facts);
    assert_eq!(
        verdicts(&explained),
        [FindingKind::WholePulledFromPeers, FindingKind::NotInScope]
    );
    assert_eq!(explained.share.whole_for, ["linux/amd64"]);
    insta::assert_snapshot!(explained.findings[0].says, @"node-1 holds all that linux/amd64 needs of the image. The last pull fetched from seed-1: 1 object, 1.91 MiB at 20.0 MB/s, 2027-01-15 07:59:00 UTC (60 s ago). The next pull reads from the store.");
}

#[test]
fn the_objects_of_another_platform_are_not_enough() {
    let narrow = |preheat: &mut Preheated| {
        preheat.scope = Scope::SingleSeedPeer;
        preheat.placed.clear();
    };
    let mut facts = with_preheat(narrow, vec![sealed(ROOT), sealed(LAYER)]);
    facts.needed = vec![
        object(ROOT, ObjectKind::Manifest, 500, None),
        object(LAYER, ObjectKind::Blob, 2_000_000, Some("linux/amd64")),
        object(OTHER_LAYER, ObjectKind::Blob, 2_000_000, Some("linux/arm64")),
    ];
    let preheat = facts.preheat.as_mut().expect("a preheat");
    preheat.objects.insert(OTHER_LAYER.to_owned());
    assert_eq!(
        verdicts_and_text(&facts).0,
        [FindingKind::NotInScope],
        "nobody has pulled it here"
    );
    let reply = facts.reply.as_mut().expect("a reply");
    reply.pulls = vec![pull(OTHER_LAYER, PullResult::Hit, vec![])];
    assert_eq!(
        verdicts_and_text(&facts).0,
        [FindingKind::NotInScope],
        "another platform was pulled"
    );
}

#[test]
fn overlapping_pulls_are_counted_over_their_common_time() {
    let side_by_side = |gap: i64| {
        let mut second = pull(LAYER, PullResult::Hit, vec![]);
        second.at_unix_ms += gap;
        let pulls = vec![pull(ROOT, PullResult::Hit, vec![]), second];
        let explained = conclude(&with_reply(vec![sealed(ROOT), sealed(LAYER)], pulls));
        speed_of(&explained.pulls.iter().collect::<Vec<_>>())
    };
    assert_eq!(side_by_side(0), Some(40.0));
    assert_eq!(side_by_side(50), Some(26.7));
    assert_eq!(side_by_side(30_000), Some(20.0));
}
