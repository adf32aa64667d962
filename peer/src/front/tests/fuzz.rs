//! Fuzz tests: mutates what a client can put into a request, for a few seconds or as long as the variable says:
//!
//! ```text
//! STOKER_FUZZ_SECONDS=600 cargo test -p peer --lib fuzz -- --nocapture --test-threads 1
//! ```
//!
//! An input with a new outcome joins the pool. Each run prints its seed, and `STOKER_FUZZ_SEED` repeats one. An input that
//! fails is printed: add it to the tests.

mod head;
mod mutation;
mod path;
mod range;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use mutation::Mutations;

/// The duration in ordinary test runs.
const SHORT: Duration = Duration::from_secs(2);
/// The most inputs in the pool.
const KEPT: usize = 2_048;

/// The inputs of one target, and the outcomes so far.
struct Fuzzing {
    name: &'static str,
    seed: u64,
    ends: Instant,
    mutations: Mutations,
    pool: Vec<Vec<u8>>,
    /// How many inputs at the start of the pool are well-formed.
    samples: usize,
    seen: HashSet<u64>,
    tried: u64,
}

impl Fuzzing {
    fn new(name: &'static str, samples: &[&str], words: &'static [&'static str]) -> Self {
        let seed = number("STOKER_FUZZ_SEED").unwrap_or_else(rand::random);
        let time = number("STOKER_FUZZ_SECONDS").map_or(SHORT, Duration::from_secs);
        Self {
            name,
            seed,
            ends: Instant::now() + time,
            mutations: Mutations::new(seed, words),
            pool: samples.iter().map(|sample| sample.as_bytes().to_vec()).collect(),
            samples: samples.len(),
            seen: HashSet::new(),
            tried: 0,
        }
    }

    /// Returns the next input; none after the time limit.
    fn next(&mut self) -> Option<Vec<u8>> {
        if Instant::now() > self.ends {
            return None;
        }
        let nth = usize::try_from(self.tried).unwrap_or(usize::MAX);
        self.tried += 1;
        if nth < self.samples {
            return self.pool.get(nth).cloned();
        }
        // Every other one from a well-formed input.
        let from = if nth % 2 == 0 {
            self.samples
        } else {
            self.pool.len()
        };
        let pool = self.pool.get(..from).unwrap_or_default();
        Some(self.mutations.of(pool))
    }

    /// Records the outcome of an input, as a word or number.
    fn went(&mut self, input: Vec<u8>, way: u64) {
        if self.seen.insert(way) && self.pool.len() < KEPT {
            self.pool.push(input);
        }
    }
}

impl Drop for Fuzzing {
    #[expect(clippy::print_stderr, reason = "for who runs it by hand")]
    fn drop(&mut self) {
        let (name, seed, tried, ways) = (self.name, self.seed, self.tried, self.seen.len());
        eprintln!("fuzz {name}: {tried} inputs went {ways} ways, seed {seed}");
    }
}

/// Prints the input if the test fails.
struct Tried<'input>(&'input [u8]);

impl Drop for Tried<'_> {
    #[expect(clippy::print_stderr, reason = "what was found has to be seen")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this input failed: b\"{}\"", self.0.escape_ascii());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no command line of its own")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
