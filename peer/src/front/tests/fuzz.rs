//! What a client can put into a request, mutated for a few seconds, or for as long as is asked:
//!
//! ```text
//! STOKER_FUZZ_SECONDS=600 cargo test -p peer --lib fuzz -- --nocapture --test-threads 1
//! ```
//!
//! An input whose outcome has not been seen before becomes one to go on from. Each run prints its seed;
//! `STOKER_FUZZ_SEED` repeats one. An input that finds something is printed, and belongs among the tests then.

mod head;
mod mutation;
mod path;
mod range;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use mutation::Mutations;

/// In the ordinary tests.
const SHORT: Duration = Duration::from_secs(2);
/// Inputs to go on from.
const KEPT: usize = 2_048;

/// Inputs for one target: what it knows of the shape of an input, and what it has seen so far.
struct Fuzzing {
    name: &'static str,
    seed: u64,
    ends: Instant,
    mutations: Mutations,
    pool: Vec<Vec<u8>>,
    /// The first ones of the pool, which are well-formed.
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

    /// The next input; none when the time is over.
    fn next(&mut self) -> Option<Vec<u8>> {
        if Instant::now() > self.ends {
            return None;
        }
        let nth = usize::try_from(self.tried).unwrap_or(usize::MAX);
        self.tried += 1;
        if nth < self.samples {
            return self.pool.get(nth).cloned();
        }
        // Every other one from what is well-formed.
        let from = if nth % 2 == 0 {
            self.samples
        } else {
            self.pool.len()
        };
        let pool = self.pool.get(..from).unwrap_or_default();
        Some(self.mutations.of(pool))
    }

    /// Tells what became of it: a word or number for each way that an input can go.
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

/// Shows the input, should the test fail while it is tried.
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
