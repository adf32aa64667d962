//! Which witness to ask about a seed, and what its reply means: functions of values.
//!
//! **Invariant:** one witness removes no seed. Two count together if both are seeds, or if they joined by different
//! tokens: the owner of one node token can make any number of nodes.

use uuid::Uuid;
use wire::{SPOT_CHECK_BYTES, SpotCheckOutcome};

use crate::model::spot_check::SpotCheckVerdict;

/// The number of witnesses that are asked about one range.
const WITNESSES: usize = 5;

/// A peer that holds the checked object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Witness {
    pub(crate) peer: Uuid,
    pub(crate) name: String,
    pub(crate) seed: bool,
    /// The join token that it came by.
    pub(crate) token: Option<String>,
}

/// The reply of a witness; none: it did not reply.
pub(crate) type WitnessReply = (Witness, Option<SpotCheckOutcome>);

/// Seeds first; which of them comes first is drawn.
pub(crate) fn in_order(mut witnesses: Vec<Witness>, draw: u64) -> Vec<Witness> {
    witnesses.sort_by_key(|witness| witness.peer);
    let count = u64::try_from(witnesses.len()).unwrap_or(1).max(1);
    witnesses.rotate_left(usize::try_from(draw % count).unwrap_or(0));
    witnesses.sort_by_key(|witness| !witness.seed);
    witnesses
}

/// The part of an object that is compared; none for an empty object.
pub(crate) fn compared_part(size: u64, draw: u64) -> Option<(u64, u64)> {
    let parts = size.div_ceil(SPOT_CHECK_BYTES);
    let first = draw.checked_rem(parts)? * SPOT_CHECK_BYTES;
    Some((first, SPOT_CHECK_BYTES.min(size - first)))
}

/// Returns the witness to ask next; none when the outcome is certain, or no witness can change it.
pub(crate) fn next<'a>(witnesses: &'a [Witness], replies: &[WitnessReply]) -> Option<&'a Witness> {
    let is_open = matches!(
        checked(replies),
        SpotCheckVerdict::NoWitness | SpotCheckVerdict::Unanswered | SpotCheckVerdict::Suspected
    );
    if !is_open || replies.len() >= WITNESSES {
        return None;
    }
    let accusers: Vec<&Witness> = witnesses_with(replies, &SpotCheckOutcome::Different).collect();
    witnesses.iter().find(|witness| {
        let is_asked = replies.iter().any(|(asked, _)| asked.peer == witness.peer);
        let adds = accusers.is_empty() || accusers.iter().any(|accuser| are_two(accuser, witness));
        !is_asked && adds
    })
}

/// Returns the outcome of these replies.
pub(crate) fn checked(replies: &[WitnessReply]) -> SpotCheckVerdict {
    let accusers: Vec<&Witness> = witnesses_with(replies, &SpotCheckOutcome::Different).collect();
    let mut pairs = accusers
        .iter()
        .flat_map(|one| accusers.iter().map(move |other| (one, other)));
    let is_cleared = witnesses_with(replies, &SpotCheckOutcome::Equal).next().is_some();
    match (accusers.is_empty(), is_cleared) {
        (true, true) => SpotCheckVerdict::Sound,
        (true, false) if replies.is_empty() => SpotCheckVerdict::NoWitness,
        (true, false) => SpotCheckVerdict::Unanswered,
        (false, true) => SpotCheckVerdict::Contradicted,
        (false, false) if pairs.any(|(one, other)| are_two(one, other)) => SpotCheckVerdict::Removed,
        (false, false) => SpotCheckVerdict::Suspected,
    }
}

/// Returns the witnesses with this reply.
pub(crate) fn witnesses_with<'a>(
    replies: &'a [WitnessReply],
    what: &'a SpotCheckOutcome,
) -> impl Iterator<Item = &'a Witness> + use<'a> {
    let is_it = move |(_, answer): &&'a WitnessReply| answer.as_ref() == Some(what);
    replies.iter().filter(is_it).map(|(witness, _)| witness)
}

/// Returns whether two witnesses count as two. The origin of a peer without a token is unknown.
fn are_two(one: &Witness, other: &Witness) -> bool {
    let by_different_tokens = one.token.is_some() && other.token.is_some() && one.token != other.token;
    one.peer != other.peer && (one.seed && other.seed || by_different_tokens)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn witness(number: u128, seed: bool, token: Option<&str>) -> Witness {
        Witness {
            peer: Uuid::from_u128(number),
            name: format!("peer-{number}"),
            seed,
            token: token.map(str::to_owned),
        }
    }

    fn seed(number: u128) -> Witness {
        witness(number, true, None)
    }

    fn node(number: u128, token: &str) -> Witness {
        witness(number, false, Some(token))
    }

    fn different(witness: Witness) -> WitnessReply {
        (witness, Some(SpotCheckOutcome::Different))
    }

    fn equal(witness: Witness) -> WitnessReply {
        (witness, Some(SpotCheckOutcome::Equal))
    }

    #[test]
    fn one_witness_never_removes_a_seed() {
        let alone = different(seed(1));
        assert_eq!(checked(std::slice::from_ref(&alone)), SpotCheckVerdict::Suspected);
        // … however often it says so.
        assert_eq!(checked(&[alone.clone(), alone]), SpotCheckVerdict::Suspected);
    }

    #[test]
    fn two_seeds_or_peers_of_different_tokens_count_as_two_and_nodes_of_one_token_do_not() {
        for (one, other, expected) in [
            (seed(1), seed(2), SpotCheckVerdict::Removed),
            (node(1, "a"), node(2, "b"), SpotCheckVerdict::Removed),
            (
                witness(1, true, Some("s")),
                node(2, "a"),
                SpotCheckVerdict::Removed,
            ),
            (node(1, "a"), node(2, "a"), SpotCheckVerdict::Suspected),
            (seed(1), node(2, "a"), SpotCheckVerdict::Suspected),
            (
                witness(1, false, None),
                witness(2, false, None),
                SpotCheckVerdict::Suspected,
            ),
        ] {
            assert_eq!(
                checked(&[different(one.clone()), different(other.clone())]),
                expected,
                "{one:?} {other:?}"
            );
        }
    }

    #[test]
    fn a_seed_that_one_witness_clears_stays() {
        assert_eq!(checked(&[equal(seed(1))]), SpotCheckVerdict::Sound);
        let both = [different(node(1, "a")), equal(seed(2))];
        assert_eq!(checked(&both), SpotCheckVerdict::Contradicted);
        assert_eq!(next(&[node(3, "b")], &both), None);
    }

    #[test]
    fn who_cannot_compare_is_no_witness() {
        assert_eq!(checked(&[]), SpotCheckVerdict::NoWitness);
        let replies = [
            (seed(1), None),
            (seed(2), Some(SpotCheckOutcome::OwnDamaged)),
            (seed(3), Some(SpotCheckOutcome::Nothing { why: String::new() })),
        ];
        assert_eq!(checked(&replies), SpotCheckVerdict::Unanswered);
        assert_eq!(next(&[seed(1), seed(2), seed(4)], &replies), Some(&seed(4)));
    }

    #[test]
    fn after_an_accusation_only_those_are_asked_who_count_beside_the_accuser() {
        let witnesses = [node(1, "a"), node(2, "a"), node(3, "b")];
        assert_eq!(next(&witnesses, &[]), Some(&witnesses[0]));
        let replies = [different(witnesses[0].clone())];
        assert_eq!(next(&witnesses, &replies), Some(&witnesses[2]));
        assert_eq!(next(&witnesses[..2], &replies), None);
    }

    #[test]
    fn seeds_are_asked_first_and_no_more_than_a_few() {
        let all = vec![node(1, "a"), seed(2), seed(3)];
        let first = |draw| in_order(all.clone(), draw)[0].clone();
        assert_eq!((first(0), first(2)), (seed(2), seed(3)));
        assert_eq!(in_order(all.clone(), 5)[2], node(1, "a"));
        assert_eq!(in_order(Vec::new(), 5), []);
        let silent: Vec<WitnessReply> = (0..5).map(|number| (seed(number), None)).collect();
        assert_eq!(next(&[seed(9)], &silent), None);
    }

    proptest! {
        #[test]
        fn a_piece_lies_within_the_object(size in 1..(5 * SPOT_CHECK_BYTES), draw: u64) {
            let (first, length) = compared_part(size, draw).expect("a part");
            prop_assert!(length > 0 && length <= SPOT_CHECK_BYTES && first + length <= size);
        }
    }

    #[test]
    fn an_empty_object_has_no_piece_and_every_piece_of_a_large_one_is_drawn() {
        assert_eq!(compared_part(0, 7), None);
        let size = 2 * SPOT_CHECK_BYTES + 5;
        let parts: Vec<_> = (0..3).filter_map(|draw| compared_part(size, draw)).collect();
        assert_eq!(
            parts,
            [
                (0, SPOT_CHECK_BYTES),
                (SPOT_CHECK_BYTES, SPOT_CHECK_BYTES),
                (2 * SPOT_CHECK_BYTES, 5)
            ]
        );
    }
}
