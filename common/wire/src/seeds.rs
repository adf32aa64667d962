//! Which seed an object belongs to, computed alike on every node and on the manager.

use std::cmp::Reverse;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Returns the seeds of a cluster in the order of preference for `digest` (rendezvous hashing).
///
/// The planner places an object on the first ones, and a node looks for it there. So the result depends only on the
/// cluster, the digest and the set of seeds, not on their order.
pub fn seeds_in_order<'a, T>(
    cluster: &str,
    digest: &str,
    seeds: &'a [T],
    id: impl Fn(&T) -> Uuid,
) -> Vec<&'a T> {
    let mut ordered: Vec<&T> = seeds.iter().collect();
    ordered.sort_by_cached_key(|seed| {
        let seed = id(seed);
        (Reverse(weight(cluster, digest, seed)), seed)
    });
    ordered
}

fn weight(cluster: &str, digest: &str, seed: Uuid) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [cluster.as_bytes(), digest.as_bytes(), seed.as_bytes()] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(seeds: &[Uuid], digest: &str) -> Vec<Uuid> {
        seeds_in_order("default", digest, seeds, |seed| *seed)
            .into_iter()
            .copied()
            .collect()
    }

    proptest! {
        #[test]
        fn the_order_does_not_depend_on_the_input_order(ids: Vec<u128>, digest: String) {
            let seeds: Vec<Uuid> = ids.into_iter().map(Uuid::from_u128).collect();
            let mut reversed = seeds.clone();
            reversed.reverse();
            prop_assert_eq!(order(&seeds, &digest), order(&reversed, &digest));
        }

        #[test]
        fn a_seed_that_leaves_moves_only_its_own_objects(digest: String) {
            let seeds: Vec<Uuid> = (1..=5).map(Uuid::from_u128).collect();
            let before = order(&seeds, &digest);
            let without_last: Vec<Uuid> = seeds.iter().copied().filter(|seed| *seed != before[4]).collect();
            prop_assert_eq!(order(&without_last, &digest), &before[..4]);
        }
    }

    #[test]
    fn objects_are_spread_over_the_seeds() {
        let seeds: Vec<Uuid> = (1..=4).map(Uuid::from_u128).collect();
        for seed in &seeds {
            let first = (0..1000)
                .filter(|n| order(&seeds, &format!("sha256:{n}"))[0] == *seed)
                .count();
            assert!((150..350).contains(&first), "{seed} is first for {first} of 1000");
        }
    }
}
