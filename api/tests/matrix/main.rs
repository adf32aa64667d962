//! A matrix of registry behaviours and uses: what a plain client gets from the registry, a caller gets through a peer
//! too. Otherwise the peer answers with a 5xx, which makes a container runtime ask the registry itself.
//!
//! **Invariant:** each cell is tried with objects that no peer has seen.
//!
//! A seeded sample runs with all tests; `make test-matrix` runs every cell.

mod cell;
mod contents;
mod odd_registry;
mod plain_client;
mod site;

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use crate::cell::Cell;
use crate::odd_registry::OddRegistry;
use crate::site::{Finding, Shape, Site};

/// Cells at a time.
const AT_ONCE: usize = 8;
/// Cells of one site, so that its stores stay small.
const CELLS_OF_A_SITE: usize = 192;
/// Cells of the sample, for each shape of a site.
const SAMPLE: usize = 48;
const SEED: u64 = 13;

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_of_the_matrix_is_the_same_through_one_program() {
    assert_same(Shape::Up, &sample(SEED)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_of_the_matrix_is_the_same_through_node_and_seed() {
    assert_same(Shape::NodeAndSeed, &sample(SEED + 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes many minutes: make test-matrix"]
async fn every_cell_is_the_same_through_one_program() {
    assert_same(Shape::Up, &chosen()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes many minutes: make test-matrix"]
async fn every_cell_is_the_same_through_node_and_seed() {
    assert_same(Shape::NodeAndSeed, &chosen()).await;
}

fn sample(seed: u64) -> Vec<Cell> {
    let mut cells = cell::all();
    cells.shuffle(&mut StdRng::seed_from_u64(seed));
    cells.truncate(SAMPLE);
    cells
}

/// Every cell, or those whose names contain `STOKER_MATRIX`.
#[expect(clippy::disallowed_methods, reason = "a developer repeats some cells by name")]
fn chosen() -> Vec<Cell> {
    let part = std::env::var("STOKER_MATRIX").unwrap_or_default();
    let mut cells = cell::all();
    cells.retain(|cell| cell.to_string().contains(&part));
    cells
}

#[expect(
    clippy::print_stdout,
    reason = "the long run lists the cells that lead elsewhere"
)]
async fn assert_same(shape: Shape, cells: &[Cell]) {
    let mut findings: BTreeMap<String, Finding> = BTreeMap::new();
    for some in cells.chunks(CELLS_OF_A_SITE) {
        let registry = OddRegistry::start().await;
        let site = Site::start(shape, &registry).await;
        let tries = some.iter().map(|cell| site.try_cell(&registry, *cell));
        let mut tries = futures_util::stream::iter(tries).buffer_unordered(AT_ONCE);
        while let Some((cell, finding)) = tries.next().await {
            registry.forget(cell);
            findings.insert(cell.to_string(), finding);
        }
    }
    let differ: Vec<String> = findings
        .iter()
        .filter(|(_, finding)| !matches!(finding, Finding::Same))
        .map(|(cell, finding)| format!("{cell}: {finding}"))
        .collect();
    println!(
        "{} cells, {} are not the same\n{}",
        findings.len(),
        differ.len(),
        differ.join("\n")
    );
    let wrong = findings
        .values()
        .filter(|finding| matches!(finding, Finding::Differs(_)));
    assert_eq!(wrong.count(), 0, "cells that differ:\n{}", differ.join("\n"));
}
