//! A token bucket with classes. It says who may go on now and how long the next one waits. It is a value: the
//! caller gives the time.
//!
//! Bytes are paid when they are taken, on credit if needed: the next ones wait until the debt is paid. So parts
//! may be larger than what is saved, and the rate holds exactly over a long time.
//!
//! **Invariant:** over any time `t`, no more passes than `rate * t`, the savings, and one part. Each class
//! keeps its order. A class goes before those below it, and each waiting class gets at least a sixteenth of
//! what goes before it: nothing waits for ever.

use std::collections::VecDeque;
use std::time::Duration;

use wire::Rate;

/// The most that an idle bucket saves, in nanoseconds of its rate.
const SAVED_NS: i128 = 100_000_000;
/// The largest debt, in nanoseconds of its rate.
const DEBT_NS: i128 = 60_000_000_000;
const SECOND_NS: i128 = 1_000_000_000;
/// A waiting class gets one byte for this many that go before it.
const ONE_OF: u64 = 16;

/// For whom bytes are moved. Earlier classes go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A container runtime waits for the bytes.
    Interactive,
    /// A preheat needs the bytes.
    Preheat,
    /// The bytes are fetched ahead.
    Prefetch,
}

impl Class {
    pub const ALL: [Self; 3] = [Self::Interactive, Self::Preheat, Self::Prefetch];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Preheat => "preheat",
            Self::Prefetch => "prefetch",
        }
    }
}

/// The waiting line of one class.
struct WaitingLine<T> {
    waiting: VecDeque<(u64, T)>,
    /// Bytes that went before this line since it began to wait.
    passed_over: u64,
}

/// A bucket. Without a rate everything passes.
pub(super) struct Bucket<T> {
    rate: Option<Rate>,
    /// Byte-nanoseconds: exact for every rate.
    level: i128,
    at: Duration,
    lines: [WaitingLine<T>; 3],
}

impl<T> Bucket<T> {
    pub(super) fn new(rate: Option<Rate>, now: Duration) -> Self {
        let line = || WaitingLine {
            waiting: VecDeque::new(),
            passed_over: 0,
        };
        let mut bucket = Self {
            rate,
            level: 0,
            at: now,
            lines: [line(), line(), line()],
        };
        bucket.level = bucket.saved_at_most();
        bucket
    }

    /// Changes the rate, also for those that wait. Savings and debt stay.
    pub(super) fn set_rate(&mut self, now: Duration, rate: Option<Rate>) {
        self.fill(now);
        let begins = self.rate.is_none();
        self.rate = rate;
        self.level = if begins {
            self.saved_at_most()
        } else {
            self.level.min(self.saved_at_most())
        };
    }

    /// Returns whether these bytes pass at once. Then they are paid.
    pub(super) fn take(&mut self, now: Duration, bytes: u64) -> bool {
        self.fill(now);
        let free = self.is_open() && self.lines.iter().all(|line| line.waiting.is_empty());
        if free {
            self.pay(bytes);
        }
        free
    }

    /// Adds an entry to the line of its class.
    pub(super) fn wait(&mut self, class: Class, bytes: u64, who: T) {
        self.line(class).waiting.push_back((bytes, who));
    }

    /// Takes and pays the next entry that may go on. Entries for which `is_there` is false are dropped and pay
    /// nothing.
    pub(super) fn next(&mut self, now: Duration, is_there: impl Fn(&T) -> bool) -> Option<(u64, T)> {
        self.fill(now);
        for line in &mut self.lines {
            while line.waiting.front().is_some_and(|(_, who)| !is_there(who)) {
                line.waiting.pop_front();
            }
            if line.waiting.is_empty() {
                line.passed_over = 0;
            }
        }
        if !self.is_open() {
            return None;
        }
        let class = self.next_class()?;
        let (bytes, who) = self.line(class).waiting.pop_front()?;
        self.pay(bytes);
        self.note_passed(class, bytes);
        Some((bytes, who))
    }

    /// The time until the next entry may go on. `None` when nothing waits.
    pub(super) fn opens_in(&self) -> Option<Duration> {
        if self.lines.iter().all(|line| line.waiting.is_empty()) {
            return None;
        }
        let owed = (-self.level).max(0).unsigned_abs();
        let rate = self.rate.map_or(1, Rate::bytes_per_second).into();
        let nanoseconds = if self.is_open() { 0 } else { owed.div_ceil(rate) };
        Some(Duration::from_nanos(
            u64::try_from(nanoseconds).unwrap_or(u64::MAX),
        ))
    }

    /// Pays for bytes that did not wait for their turn.
    pub(super) fn pay(&mut self, bytes: u64) {
        self.level = (self.level - i128::from(bytes) * SECOND_NS).max(-self.per_second() * DEBT_NS);
    }

    /// Gives back what was paid for bytes that did not move.
    pub(super) fn give_back(&mut self, bytes: u64) {
        self.level = (self.level + i128::from(bytes) * SECOND_NS).min(self.saved_at_most());
    }

    fn is_open(&self) -> bool {
        self.rate.is_none() || self.level >= 0
    }

    fn fill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.at).as_nanos();
        self.at = self.at.max(now);
        let came = i128::try_from(elapsed)
            .unwrap_or(DEBT_NS)
            .saturating_mul(self.per_second());
        self.level = self.level.saturating_add(came).min(self.saved_at_most());
    }

    /// The highest waiting class, unless one below it has been passed over for long enough.
    fn next_class(&self) -> Option<Class> {
        let is_owed = |class: &&Class| {
            let line = &self.lines[**class as usize];
            let first = line.waiting.front();
            first.is_some_and(|(bytes, _)| line.passed_over >= bytes.saturating_mul(ONE_OF))
        };
        let waits = |class: &&Class| !self.lines[**class as usize].waiting.is_empty();
        let mut classes = Class::ALL.iter();
        classes
            .clone()
            .find(is_owed)
            .or_else(|| classes.find(waits))
            .copied()
    }

    fn note_passed(&mut self, class: Class, bytes: u64) {
        let own = self.line(class);
        own.passed_over = own.passed_over.saturating_sub(bytes.saturating_mul(ONE_OF));
        for below in Class::ALL.into_iter().filter(|below| *below > class) {
            let line = self.line(below);
            if !line.waiting.is_empty() {
                line.passed_over = line.passed_over.saturating_add(bytes);
            }
        }
    }

    fn line(&mut self, class: Class) -> &mut WaitingLine<T> {
        &mut self.lines[class as usize]
    }

    fn per_second(&self) -> i128 {
        self.rate.map_or(0, |rate| rate.bytes_per_second().into())
    }

    fn saved_at_most(&self) -> i128 {
        self.per_second() * SAVED_NS
    }
}

#[cfg(test)]
mod tests;
