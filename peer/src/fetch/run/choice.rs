//! Chooses the peer for each chunk. A pure function.
//!
//! All peers of a crowd compute the same ranking for a chunk (rendezvous hashing). The first peer reads the chunk
//! from a seed, and all others read it from the first. So a seed sends each chunk about once, and all
//! peers send about the same amount. No peer waits for a peer of lower rank, so peers never
//! wait in a circle.

use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};

/// Faults after which a peer is no longer used for this object.
const FAULTS: u32 = 3;

/// What is known of the other peers when a chunk is requested.
pub(super) struct Choice<'a> {
    pub(super) object: &'a str,
    /// The name of this peer among the siblings.
    pub(super) me: &'a str,
    pub(super) siblings: &'a [String],
    /// Peers that hold the whole, or read it from the registry.
    pub(super) seeds: &'a [String],
    /// Faults of each peer.
    pub(super) faults: &'a HashMap<String, u32>,
}

impl<'a> Choice<'a> {
    /// The peer to ask for `chunk`, not one of those in `tried`.
    pub(super) fn parent_of(&self, chunk: u64, tried: &HashSet<String>) -> Option<&'a str> {
        let fit = |peer: &&'a String| {
            !tried.contains(*peer) && self.faults.get(*peer).copied().unwrap_or(0) < FAULTS
        };
        let rank = |peer: &str| rank(self.object, chunk, peer);
        let mine = rank(self.me);
        // After a failure, a peer is chosen that certainly has the chunk.
        let before_us = self.siblings.iter().filter(fit).filter(|_| tried.is_empty());
        let sibling = before_us
            .map(|peer| (rank(peer), peer))
            .filter(|(of_peer, _)| *of_peer > mine)
            .max();
        let seed = || {
            let seeds = self.seeds.iter().filter(fit);
            seeds.map(|peer| (rank(peer), peer)).max()
        };
        let anybody = || {
            let others = self.siblings.iter().filter(fit);
            others.map(|peer| (rank(peer), peer)).max()
        };
        sibling
            .or_else(seed)
            .or_else(anybody)
            .map(|(_, peer)| peer.as_str())
    }
}

fn rank(object: &str, chunk: u64, peer: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(object.as_bytes())
        .chain_update(chunk.to_be_bytes())
        .chain_update(peer.as_bytes())
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count)
            .map(|number| format!("http://10.0.0.{number}:65002"))
            .collect()
    }

    fn others(all: &[String], me: &str) -> Vec<String> {
        all.iter().filter(|name| *name != me).cloned().collect()
    }

    /// The peer that each peer asks for a chunk, in a crowd where all know all.
    fn parents_of(all: &[String], chunk: u64, faults: &HashMap<String, u32>) -> Vec<String> {
        let seeds = ["http://seed:1".to_owned()];
        let ask = |me: &String| {
            let siblings = others(all, me);
            let choice = Choice {
                object: "sha256:x",
                me,
                siblings: &siblings,
                seeds: &seeds,
                faults,
            };
            let parent = choice.parent_of(chunk, &HashSet::new());
            parent.expect("a parent").to_owned()
        };
        all.iter().map(ask).collect()
    }

    #[test]
    fn one_peer_takes_a_chunk_from_the_seed_and_all_others_from_that_one() {
        let all = names(8);
        for chunk in 0..50 {
            let parents = parents_of(&all, chunk, &HashMap::new());
            let first = parents.iter().position(|parent| parent == "http://seed:1");
            let first = &all[first.expect("one asks the seed")];
            let from_first = parents.iter().filter(|parent| *parent == first).count();
            assert_eq!(from_first, 7, "{chunk}");
        }
    }

    #[test]
    fn all_peers_are_first_about_as_often() {
        let all = names(8);
        let firsts: Vec<usize> = (0..800)
            .map(|chunk| {
                let parents = parents_of(&all, chunk, &HashMap::new());
                parents
                    .iter()
                    .position(|parent| parent == "http://seed:1")
                    .expect("one")
            })
            .collect();
        for peer in 0..8 {
            let count = firsts.iter().filter(|first| **first == peer).count();
            assert!((60..140).contains(&count), "{peer} is first for {count} of 800");
        }
    }

    #[test]
    fn a_single_peer_asks_the_seed() {
        assert_eq!(parents_of(&names(1), 3, &HashMap::new()), ["http://seed:1"]);
    }

    #[test]
    fn a_peer_with_too_many_faults_is_not_asked() {
        let all = names(3);
        let faults: HashMap<String, u32> = all.iter().map(|name| (name.clone(), FAULTS)).collect();
        assert!(
            parents_of(&all, 1, &faults)
                .iter()
                .all(|parent| parent == "http://seed:1")
        );
    }

    #[test]
    fn after_a_failure_the_seed_is_asked_and_then_any_peer() {
        let (all, seeds) = (names(4), ["http://seed:1".to_owned()]);
        let siblings = others(&all, &all[0]);
        let faults = HashMap::new();
        let choice = Choice {
            object: "sha256:x",
            me: &all[0],
            siblings: &siblings,
            seeds: &seeds,
            faults: &faults,
        };
        let mut tried: HashSet<String> = HashSet::from([siblings[0].clone()]);
        assert_eq!(choice.parent_of(1, &tried), Some("http://seed:1"));
        tried.insert(seeds[0].clone());
        let next = choice.parent_of(1, &tried).expect("a peer is left");
        assert!(siblings[1..].iter().any(|name| name == next));
        tried.extend(siblings.iter().cloned());
        assert_eq!(choice.parent_of(1, &tried), None);
    }
}
