//! A Merkle tree with SHA-256 over a list of objects: proves that an object is in the list.
//!
//! **Invariant:** there is no valid path for an object that is not in the list. Hash inputs of objects and branches begin
//! with different bytes, so that neither can stand for the other.

use sha2::{Digest as _, Sha256};

pub(crate) type Hash = [u8; 32];

/// Longer paths are refused before hashing.
pub(crate) const LONGEST_PATH: usize = 32;

const OBJECT: u8 = 0;
const BRANCH: u8 = 1;

/// The hashes of a list, level by level: all objects first, the root last.
pub(crate) struct Tree(Vec<Vec<Hash>>);

impl Tree {
    /// Returns `None` for an empty list.
    pub(crate) fn over<'a>(objects: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut level: Vec<Hash> = objects.into_iter().map(of_object).collect();
        if level.is_empty() {
            return None;
        }
        let mut levels = Vec::new();
        while level.len() > 1 {
            let above = level.chunks(2).map(of_pair).collect();
            levels.push(std::mem::replace(&mut level, above));
        }
        levels.push(level);
        Some(Self(levels))
    }

    pub(crate) fn root(&self) -> Hash {
        let top = self.0.last().and_then(|level| level.first());
        top.copied().unwrap_or_default()
    }

    /// Returns the hashes that lead from the object at this index to the root, bottom up.
    pub(crate) fn path(&self, mut at: usize) -> Vec<Hash> {
        let mut path = Vec::new();
        for level in &self.0 {
            path.extend(level.get(at ^ 1).copied());
            at /= 2;
        }
        path
    }
}

/// Returns the root that this path leads to from the object; `None` if the path is too long.
pub(crate) fn root_of(object: &str, path: &[Hash]) -> Option<Hash> {
    let climb = |below: Hash, beside: &Hash| of_branch(&below, beside);
    (path.len() <= LONGEST_PATH).then(|| path.iter().fold(of_object(object), climb))
}

fn of_object(object: &str) -> Hash {
    Sha256::new()
        .chain_update([OBJECT])
        .chain_update(object)
        .finalize()
        .into()
}

/// A hash without a neighbour moves up unchanged.
fn of_pair(pair: &[Hash]) -> Hash {
    match pair {
        [one, other] => of_branch(one, other),
        [one] => *one,
        _ => Hash::default(),
    }
}

/// The smaller hash goes first, so that a path needs no left and right.
fn of_branch(one: &Hash, other: &Hash) -> Hash {
    Sha256::new()
        .chain_update([BRANCH])
        .chain_update(one.min(other))
        .chain_update(one.max(other))
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("sha256:{number:064x}")).collect()
    }

    fn tree(names: &[String]) -> Tree {
        Tree::over(names.iter().map(String::as_str)).expect("objects")
    }

    #[test]
    fn each_object_leads_to_the_root_and_no_other_object_does() {
        for count in [1, 2, 3, 4, 5, 7, 8, 9, 1_000] {
            let names = names(count);
            let tree = tree(&names);
            for (at, name) in names.iter().enumerate() {
                let path = tree.path(at);
                assert!(path.len() <= 10, "{count} objects, {} hashes", path.len());
                assert_eq!(root_of(name, &path), Some(tree.root()), "{at} of {count}");
                assert_ne!(root_of("sha256:other", &path), Some(tree.root()));
            }
        }
    }

    #[test]
    fn a_branch_is_not_accepted_as_an_object_and_a_long_path_is_refused() {
        let names = names(4);
        let tree = tree(&names);
        let branch = tree.0[1][0];
        let as_text = hex::encode(branch);
        assert_ne!(root_of(&as_text, &[tree.0[1][1]]), Some(tree.root()));
        assert_eq!(root_of(&names[0], &[Hash::default(); LONGEST_PATH + 1]), None);
    }

    #[test]
    fn an_empty_list_has_no_root() {
        assert!(Tree::over([]).is_none());
    }
}
