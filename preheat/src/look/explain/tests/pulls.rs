//! What the last pulls make of it.

use super::*;

#[test]
fn whole_and_never_asked_for_says_where_to_look() {
    let explained = conclude(&facts());
    assert_eq!(verdicts(&explained), [FindingKind::WholeNotPulledYet]);
    assert!(explained.share.whole);
    assert!(
        explained.findings[0].to_do.contains("hosts.toml"),
        "{:?}",
        explained.findings
    );
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
    assert!(
        says.contains("own store: 2 objects, 3.81 MiB at 40.0 MB/s, 2027-01-15"),
        "{says}"
    );
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
    let (verdicts, says) = told(&with_reply(vec![sealed(ROOT), sealed(LAYER)], pulls));
    assert_eq!(verdicts, [FindingKind::WholePulledFromPeers]);
    assert!(says.contains("from seed-1: 1 object"), "{says}");
}

#[test]
fn pulled_from_the_registry_says_what_came_first() {
    let mut early = pull(LAYER, PullResult::Miss, vec![from("h.lan", true)]);
    early.at_unix_ms = NOW - 6 * MINUTE;
    let (verdicts, says) = told(&with_reply(
        vec![sealed(ROOT), sealed(LAYER)],
        vec![early.clone()],
    ));
    assert_eq!(verdicts, [FindingKind::WholePulledFromRegistry]);
    assert!(says.contains("before the preheat was done"), "{says}");
    early.at_unix_ms = NOW - MINUTE;
    let (_, says) = told(&with_reply(vec![sealed(ROOT), sealed(LAYER)], vec![early]));
    assert!(says.contains("neither the store nor a peer had it"), "{says}");
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
    let (verdicts, says) = told(&with_reply(vec![sealed(ROOT), sealed(LAYER)], vec![head]));
    assert_eq!(verdicts, [FindingKind::WholeNotPulledYet]);
    assert!(says.contains("ask for its headers"), "{says}");
}

#[test]
fn a_pull_that_failed_or_was_refused_comes_before_all_is_well() {
    for (result, verdict) in [
        (PullResult::Failed, FindingKind::PullFailed),
        (PullResult::Refused, FindingKind::PullRefused),
    ] {
        let mut bad = pull(LAYER, result, vec![]);
        bad.trouble = Some("no space left on device".to_owned());
        let (verdicts, says) = told(&with_reply(vec![sealed(ROOT), sealed(LAYER)], vec![bad]));
        assert_eq!(verdicts, [verdict]);
        assert!(says.contains("no space left"), "{says}");
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
    assert!(
        explained.findings[0]
            .says
            .starts_with("What linux/amd64 needs of the image is on node-1 whole")
    );
}

#[test]
fn what_another_platform_needs_is_no_comfort() {
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
        told(&facts).0,
        [FindingKind::NotInScope],
        "nobody has pulled it here"
    );
    let reply = facts.reply.as_mut().expect("a reply");
    reply.pulls = vec![pull(OTHER_LAYER, PullResult::Hit, vec![])];
    assert_eq!(
        told(&facts).0,
        [FindingKind::NotInScope],
        "another platform was pulled"
    );
}

#[test]
fn pulls_side_by_side_are_as_fast_as_they_are_together() {
    let side_by_side = |gap: i64| {
        let mut second = pull(LAYER, PullResult::Hit, vec![]);
        second.at_unix_ms += gap;
        let pulls = vec![pull(ROOT, PullResult::Hit, vec![]), second];
        told(&with_reply(vec![sealed(ROOT), sealed(LAYER)], pulls)).1
    };
    assert!(side_by_side(0).contains("at 40.0 MB/s"), "{}", side_by_side(0));
    assert!(side_by_side(50).contains("at 26.7 MB/s"), "{}", side_by_side(50));
    assert!(
        side_by_side(30_000).contains("at 20.0 MB/s"),
        "{}",
        side_by_side(30_000)
    );
}
