//! Circles among the modules of a crate.
//!
//! A module stands for its whole folder here: siblings whose folders reach each other form a circle, whichever files
//! tie them. A parent and its own child may use each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::tree::{Name, Tree};

/// Siblings that reach each other, and the arrows that tie them.
#[derive(Debug)]
pub(crate) struct Circle {
    siblings: BTreeSet<Name>,
    /// From one file to another.
    arrows: Vec<(Name, Name)>,
}

impl Circle {
    pub(crate) fn siblings(&self) -> impl Iterator<Item = String> {
        self.siblings.iter().map(|name| name.join("::"))
    }
}

impl fmt::Display for Circle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.siblings().collect::<Vec<_>>().join(", "))?;
        for (from, to) in &self.arrows {
            writeln!(out, "    {} -> {}", from.join("::"), to.join("::"))?;
        }
        Ok(())
    }
}

type Arrows<'a> = BTreeMap<&'a [String], BTreeSet<&'a [String]>>;

/// Every circle of siblings in the crate.
pub(crate) fn circles(tree: &Tree) -> Vec<Circle> {
    let files: Vec<(Name, Name)> = tree
        .arrows()
        .into_iter()
        .flat_map(|(from, used)| used.into_iter().map(move |to| (from.clone(), to)))
        .filter(|(from, to)| !from.starts_with(to) && !to.starts_with(from))
        .collect();
    let mut siblings = Arrows::new();
    for (from, to) in &files {
        let (from, to) = below_common_parent(from, to);
        siblings.entry(from).or_default().insert(to);
    }
    let reached: Arrows = siblings
        .keys()
        .map(|name| (*name, reached(name, &siblings)))
        .collect();
    let mut left: BTreeSet<&[String]> = reached
        .keys()
        .copied()
        .filter(|name| reached[name].contains(name))
        .collect();
    let mut circles = Vec::new();
    while let Some(first) = left.first().copied() {
        let is_tied = |other: &&[String]| reached[first].contains(other) && reached[other].contains(first);
        let members: BTreeSet<&[String]> = left.iter().copied().filter(is_tied).collect();
        left.retain(|name| !members.contains(name));
        circles.push(circle(&members, &files));
    }
    circles
}

/// The two siblings below which `from` and `to` lie.
fn below_common_parent<'a>(from: &'a Name, to: &'a Name) -> (&'a [String], &'a [String]) {
    let common = from.iter().zip(to).take_while(|(from, to)| from == to).count();
    (&from[..=common], &to[..=common])
}

fn circle(members: &BTreeSet<&[String]>, files: &[(Name, Name)]) -> Circle {
    let ties = files.iter().filter(|(from, to)| {
        let (from, to) = below_common_parent(from, to);
        members.contains(from) && members.contains(to)
    });
    Circle {
        siblings: members.iter().map(|name| name.to_vec()).collect(),
        arrows: ties.cloned().collect(),
    }
}

fn reached<'a>(from: &'a [String], arrows: &Arrows<'a>) -> BTreeSet<&'a [String]> {
    let mut seen = BTreeSet::new();
    let mut left = vec![from];
    while let Some(next) = left.pop() {
        left.extend(
            arrows
                .get(next)
                .into_iter()
                .flatten()
                .copied()
                .filter(|to| seen.insert(*to)),
        );
    }
    seen
}
