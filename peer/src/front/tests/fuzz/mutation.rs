//! Makes new inputs from inputs.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// The longest input.
const LONGEST: usize = 96 * 1024;
/// Numbers at which code tends to fail.
const EDGES: [u64; 12] = [
    0,
    1,
    2,
    9,
    255,
    65_536,
    1 << 31,
    1 << 32,
    1 << 53,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

pub(super) struct Mutations {
    random: StdRng,
    words: &'static [&'static str],
}

impl Mutations {
    pub(super) fn new(seed: u64, words: &'static [&'static str]) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            words,
        }
    }

    /// Returns one input of `pool`, changed in one or several positions.
    pub(super) fn of(&mut self, pool: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.one_of(pool).cloned().unwrap_or_default();
        let changes = *self.one_of(&[1, 1, 1, 2, 3, 6]).unwrap_or(&1);
        for _ in 0..changes {
            self.change(&mut input, pool);
            input.truncate(LONGEST);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, pool: &[Vec<u8>]) {
        let (from, to) = self.span(input);
        match self.random.random_range(0..9_u32) {
            0 => drop(input.drain(from..to)),
            1 => self.put_word(input, from, from),
            2 => self.put_word(input, from, to),
            3 => {
                let times = *self.one_of(&[1, 2, 7, 300]).unwrap_or(&1);
                let again = input[from..to].repeat(times);
                input.splice(to..to, again.into_iter().take(LONGEST));
            }
            4 => input
                .splice(from..from, [self.random.random::<u8>()])
                .for_each(drop),
            5 => {
                if let Some(byte) = input.get_mut(from) {
                    *byte ^= 1 << self.random.random_range(0..8_u32);
                }
            }
            6 => {
                let other = self.one_of(pool).cloned().unwrap_or_default();
                let (begin, end) = self.span(&other);
                input
                    .splice(from..to, other[begin..end].iter().copied())
                    .for_each(drop);
            }
            7 => self.change_number(input, from),
            _ => {
                let swapped: Vec<u8> = input[from..to].iter().rev().copied().collect();
                input.splice(from..to, swapped).for_each(drop);
            }
        }
    }

    fn put_word(&mut self, input: &mut Vec<u8>, from: usize, to: usize) {
        let word = self.one_of(self.words).copied().unwrap_or_default();
        input.splice(from..to, word.bytes()).for_each(drop);
    }

    /// Replaces the first number behind `from`.
    fn change_number(&mut self, input: &mut Vec<u8>, from: usize) {
        let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let Some(begin) = (from..input.len()).find(|at| input[*at].is_ascii_digit()) else {
            return;
        };
        let end = begin + digits(&input[begin..]);
        let before: u64 = std::str::from_utf8(&input[begin..end])
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or_default();
        let after = match self.random.random_range(0..5_u32) {
            0 => before.wrapping_add(1),
            1 => before.wrapping_sub(1),
            2 => self.random.random_range(0..20),
            3 => return drop(input.splice(begin..end, *b"99999999999999999999999")),
            _ => *self.one_of(&EDGES).unwrap_or(&0),
        };
        input
            .splice(begin..end, after.to_string().into_bytes())
            .for_each(drop);
    }

    /// Returns a length, mostly a short one.
    fn span(&mut self, input: &[u8]) -> (usize, usize) {
        let from = self.random.random_range(0..=input.len());
        let longest = if self.random.random_bool(0.8) {
            8
        } else {
            input.len()
        };
        let to = from + self.random.random_range(0..=longest);
        (from, to.min(input.len()))
    }

    fn one_of<'pool, T>(&mut self, pool: &'pool [T]) -> Option<&'pool T> {
        if pool.is_empty() {
            return None;
        }
        pool.get(self.random.random_range(0..pool.len()))
    }
}
