use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn rate(bytes: u64) -> Rate {
    Rate::at_least(bytes)
}

/// Runs the bucket until `end`. Returns when each entry went on.
fn run(bucket: &mut Bucket<u32>, from: Duration, end: Duration) -> Vec<(Duration, u32, u64)> {
    let mut now = from;
    let mut went = Vec::new();
    loop {
        while let Some((bytes, who)) = bucket.next(now, |_| true) {
            went.push((now, who, bytes));
        }
        match bucket.opens_in() {
            Some(wait) if now + wait <= end => now += wait,
            _ => return went,
        }
    }
}

#[test]
fn without_a_rate_everything_passes() {
    let mut bucket: Bucket<u32> = Bucket::new(None, at(0));
    assert!((0..1_000).all(|_| bucket.take(at(0), u64::MAX / 2)));
}

#[test]
fn each_entry_waits_exactly_as_long_as_the_rate_says() {
    let mut bucket = Bucket::new(Some(rate(10 * MIB)), at(0));
    // One mebibyte is saved; the next one goes on credit.
    assert!(bucket.take(at(0), MIB));
    assert!(bucket.take(at(0), MIB));
    for who in 0..3 {
        assert!(!bucket.take(at(0), MIB));
        bucket.wait(Class::Interactive, MIB, who);
    }
    assert_eq!(bucket.opens_in(), Some(at(100)));
    let just_before = Duration::from_nanos(99_999_999);
    assert!(bucket.next(just_before, |_| true).is_none());
    let went = run(&mut bucket, just_before, at(10_000));
    assert_eq!(went, [(at(100), 0, MIB), (at(200), 1, MIB), (at(300), 2, MIB)]);
    assert_eq!(bucket.opens_in(), None);
}

#[test]
fn more_bytes_than_are_saved_pass_on_credit() {
    let mut bucket = Bucket::new(Some(rate(MIB)), at(0));
    assert!(bucket.take(at(0), 4 * MIB));
    bucket.wait(Class::Preheat, 1, 7);
    // 0.1 s of the rate was saved.
    assert_eq!(run(&mut bucket, at(0), at(60_000)), [(at(3_900), 7, 1)]);
}

#[test]
fn nothing_is_saved_beyond_a_tenth_of_a_second() {
    let mut bucket: Bucket<u32> = Bucket::new(Some(rate(10 * MIB)), at(0));
    assert!(bucket.take(at(3_600_000), 2 * MIB));
    assert!(!bucket.take(at(3_600_000), 1));
}

#[test]
fn a_clock_that_goes_back_adds_nothing() {
    let mut bucket: Bucket<u32> = Bucket::new(Some(rate(10 * MIB)), at(1_000));
    assert!(bucket.take(at(1_000), 2 * MIB));
    assert!(!bucket.take(at(0), 1));
    assert!(!bucket.take(at(1_099), 1));
    assert!(bucket.take(at(1_100), 1));
}

#[test]
fn later_entries_overtake_lower_classes_only() {
    let mut bucket = Bucket::new(Some(rate(10 * MIB)), at(0));
    assert!(bucket.take(at(0), 2 * MIB));
    bucket.wait(Class::Prefetch, MIB, 30);
    bucket.wait(Class::Preheat, MIB, 20);
    bucket.wait(Class::Interactive, MIB, 10);
    bucket.wait(Class::Interactive, MIB, 11);
    let order: Vec<u32> = run(&mut bucket, at(0), at(10_000))
        .iter()
        .map(|(_, who, _)| *who)
        .collect();
    assert_eq!(order, [10, 11, 20, 30]);
}

#[test]
fn a_class_below_gets_a_sixteenth_while_the_one_above_never_ends() {
    let mut bucket = Bucket::new(Some(rate(16 * MIB)), at(0));
    assert!(bucket.take(at(0), MIB) && bucket.take(at(0), MIB));
    for who in 0..4_000 {
        bucket.wait(Class::Interactive, MIB, who);
        bucket.wait(Class::Preheat, MIB, 10_000 + who);
        bucket.wait(Class::Prefetch, MIB, 20_000 + who);
    }
    let went = run(&mut bucket, at(0), at(100_000));
    let of = |class: u32| went.iter().filter(|(_, who, _)| who / 10_000 == class).count();
    let (above, preheat, prefetch) = (of(0), of(1), of(2));
    assert!(
        (95..=100).contains(&(above / preheat * 6)),
        "{above} {preheat} {prefetch}"
    );
    assert!(
        prefetch * 16 + 32 >= above + preheat,
        "{above} {preheat} {prefetch}"
    );
    assert!(prefetch <= preheat + preheat / 8, "{above} {preheat} {prefetch}");
}

#[test]
fn lower_classes_get_what_higher_ones_leave() {
    let mut bucket = Bucket::new(Some(rate(10 * MIB)), at(0));
    assert!(bucket.take(at(0), 2 * MIB));
    for who in 0..100 {
        bucket.wait(Class::Prefetch, MIB, who);
    }
    assert_eq!(run(&mut bucket, at(0), at(10_000)).len(), 100);
}

#[test]
fn a_cancelled_entry_pays_nothing() {
    let mut bucket = Bucket::new(Some(rate(10 * MIB)), at(0));
    assert!(bucket.take(at(0), 2 * MIB));
    bucket.wait(Class::Interactive, 900 * MIB, 1);
    bucket.wait(Class::Interactive, MIB, 2);
    assert_eq!(bucket.next(at(100), |who| *who != 1), Some((MIB, 2)));
    // Paid, but the waiting task was gone.
    bucket.give_back(MIB);
    assert!(bucket.take(at(100), 1));
}

#[test]
fn a_new_rate_applies_at_once() {
    let mut bucket = Bucket::new(Some(rate(MIB)), at(0));
    assert!(bucket.take(at(0), 11 * MIB));
    bucket.wait(Class::Interactive, MIB, 1);
    bucket.set_rate(at(900), Some(rate(10 * MIB)));
    assert_eq!(bucket.opens_in(), Some(at(1_000)));
    bucket.set_rate(at(1_000), None);
    assert_eq!(bucket.next(at(1_000), |_| true), Some((MIB, 1)));
    bucket.set_rate(at(2_000), Some(rate(MIB)));
    assert!(bucket.take(at(2_000), 1));
}

#[derive(Debug, Clone)]
enum BucketStep {
    Asks(Class, u64),
    Passes(u64),
    Leaves(usize),
    Rate(u64),
}

fn any_step() -> impl Strategy<Value = BucketStep> {
    prop_oneof![
        4 => (0..3_usize, 1..3 * MIB).prop_map(|(class, bytes)| BucketStep::Asks(Class::ALL[class], bytes)),
        4 => (0..400_u64).prop_map(BucketStep::Passes),
        1 => (0..20_usize).prop_map(BucketStep::Leaves),
        1 => (1..64 * MIB).prop_map(BucketStep::Rate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// For all requests, cancellations and changes: never more than the rate, in order within a class, and no
    /// entry is lost.
    #[test]
    fn the_rate_and_the_order_hold(steps in proptest::collection::vec(any_step(), 1..80), first in 1..64 * MIB) {
        let mut now = at(0);
        let mut bucket = Bucket::new(Some(rate(first)), now);
        let (mut allowed, mut largest, mut passed) = (0_u128, 0_u64, 0_u128);
        let mut in_force = rate(first).bytes_per_second();
        let mut fastest = in_force;
        let (mut number, mut asked, mut left) = (0_u32, Vec::new(), Vec::new());
        let mut went: Vec<u32> = Vec::new();
        for step in steps {
            match step {
                BucketStep::Asks(class, bytes) => {
                    largest = largest.max(bytes);
                    if bucket.take(now, bytes) {
                        passed += u128::from(bytes);
                    } else {
                        bucket.wait(class, bytes, number);
                        asked.push((number, class));
                        number += 1;
                    }
                }
                BucketStep::Passes(ms) => {
                    now += at(ms);
                    allowed += u128::from(in_force) * u128::from(ms);
                }
                BucketStep::Leaves(which) => left.extend(asked.get(which).map(|(who, _)| *who)),
                BucketStep::Rate(bytes) => {
                    bucket.set_rate(now, Some(rate(bytes)));
                    in_force = rate(bytes).bytes_per_second();
                    fastest = fastest.max(in_force);
                }
            }
            while let Some((bytes, who)) = bucket.next(now, |who| !left.contains(who)) {
                passed += u128::from(bytes);
                went.push(who);
            }
            let most = allowed / 1_000 + u128::from(fastest) / 10 + u128::from(largest) + 1;
            prop_assert!(passed <= most, "{passed} passed where {most} may");
        }
        for class in Class::ALL {
            let of_class: Vec<u32> = went.iter().copied()
                .filter(|who| asked.iter().any(|(one, of)| one == who && *of == class))
                .collect();
            prop_assert!(of_class.is_sorted(), "{of_class:?}");
        }
        went.extend(run(&mut bucket, now, Duration::from_secs(1 << 20)).iter().map(|(_, who, _)| *who));
        for (who, _) in asked {
            prop_assert!(went.contains(&who) || left.contains(&who), "{who} was forgotten");
        }
    }
}
