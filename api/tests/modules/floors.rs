//! The floors of a crate as ARCHITECTURE.md draws them: a table whose rows use only what stands in rows below.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::Tree;

/// The rows of the table behind `<!-- floors of CRATE -->`, top to bottom: the modules in each one's first cell.
pub(crate) fn drawn(page: &str, crate_name: &str) -> Vec<Vec<String>> {
    let mark = format!("<!-- floors of {crate_name} -->");
    let (_, table) = page.split_once(&mark).unwrap_or_else(|| panic!("no `{mark}`"));
    let rows = table
        .trim_start()
        .lines()
        .take_while(|line| line.starts_with('|'));
    rows.skip(2).map(modules_in).collect()
}

/// The words in backticks in the first cell.
fn modules_in(row: &str) -> Vec<String> {
    let cell = row.split('|').nth(1).unwrap_or_default();
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What contradicts the drawing: modules that it lacks or that are gone, and arrows that do not point down.
pub(crate) fn faults(tree: &Tree, floors: &[Vec<String>]) -> Vec<String> {
    let floor_of: BTreeMap<&str, usize> = floors
        .iter()
        .enumerate()
        .flat_map(|(floor, modules)| modules.iter().map(move |module| (module.as_str(), floor)))
        .collect();
    let arrows = top_level(tree);
    let mut faults: Vec<String> = arrows
        .keys()
        .filter(|module| !floor_of.contains_key(module.as_str()))
        .map(|module| format!("{module} is not drawn"))
        .collect();
    let gone = floor_of.keys().filter(|module| !arrows.contains_key(**module));
    faults.extend(gone.map(|module| format!("{module} is drawn and does not exist")));
    for (from, used) in &arrows {
        let upward = used
            .iter()
            .filter(|to| floor_of.get(to.as_str()) <= floor_of.get(from.as_str()));
        faults.extend(upward.map(|to| format!("{from} uses {to}, which stands beside or above it")));
    }
    faults
}

/// The modules at the top of the crate, and which of them each one uses with all that is below it.
fn top_level(tree: &Tree) -> BTreeMap<String, BTreeSet<String>> {
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, used) in tree.arrows() {
        let Some(from) = from.into_iter().next() else {
            continue;
        };
        let used = used
            .into_iter()
            .filter_map(|to| to.into_iter().next())
            .filter(|to| *to != from);
        arrows.entry(from.clone()).or_default().extend(used);
    }
    arrows
}
