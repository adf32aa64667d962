//! How many requests a registry allows at once, learned from its refusals. Pure: the caller gives time and chance.
//!
//! A refusal narrows the width to the requests that are still in flight: the registry serves those. After a quiet while,
//! one request more is tried. So one program alone finds the registry's limit with its first refusals, and several
//! programs share a limit without knowing of each other.
//!
//! **Invariant:** no more than `limit` requests are in flight, except those that were in flight when it was narrowed.
//! The limit is never below 1: something is always tried again.

use std::collections::VecDeque;
use std::time::Duration;

/// The first quiet while, and the longest. It doubles when one request more is refused.
const FIRST_QUIET: Duration = Duration::from_millis(250);
const LONGEST_QUIET: Duration = Duration::from_secs(60);
/// A limit that has grown this large is dropped.
const WIDEST: u32 = 64;
/// A limit without a request for this long is forgotten.
const KEPT_IDLE: Duration = Duration::from_secs(600);
/// The pause while others use all that the registry allows: an eighth of the time since its first refusal.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A freed place rests for a 32nd of the time that it was used: the registry notices the end of a request later than
/// we do, and other programs get a chance.
const RESTS: u32 = 32;
const SHORTEST_REST: Duration = Duration::from_millis(4);
const LONGEST_REST: Duration = Duration::from_secs(1);
/// A longer `Retry-After` is for all requests, also while others are in flight.
const FOR_ALL_FROM: Duration = Duration::from_secs(60);

/// A point in time, as the time since the program's start.
pub(super) type Moment = Duration;

/// A refusal by count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) retry_after: Option<Duration>,
    /// Spreads programs that are refused at the same time.
    pub(super) chance: u32,
}

/// The requests that are in flight under one limit.
#[derive(Debug, Default)]
pub(super) struct Width {
    limit: Option<u32>,
    in_flight: u32,
    /// When each resting place is free again; in order.
    resting: VecDeque<Moment>,
    /// A request above the last limit is in flight.
    is_probing: bool,
    quiet: Duration,
    probe_at: Moment,
    paused_until: Moment,
    /// Since when nothing but refusals came while nothing was in flight.
    refused_since: Option<Moment>,
    used: Moment,
}

impl Width {
    /// Returns the limit that was learned.
    pub(super) fn limit(&self) -> Option<u32> {
        self.limit
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(super) fn unserved_for(&self, now: Moment) -> Duration {
        self.refused_since
            .map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    pub(super) fn may_go(&self, now: Moment) -> bool {
        now >= self.paused_until && (self.has_room(now) || self.may_probe(now))
    }

    /// Counts one request more. Returns whether it is above the last limit.
    pub(super) fn take(&mut self, now: Moment) -> bool {
        let is_probe = !self.has_room(now);
        if is_probe {
            self.limit = self.limit.map(|limit| limit + 1);
            self.is_probing = true;
        }
        self.in_flight += 1;
        self.used = now;
        is_probe
    }

    /// The registry serves this request.
    pub(super) fn served(&mut self, now: Moment, was_probe: bool) {
        self.refused_since = None;
        self.paused_until = self.paused_until.min(now);
        if was_probe {
            self.is_probing = false;
            // There is room: the next one is tried at once.
            self.quiet = FIRST_QUIET;
            self.probe_at = now;
            self.limit = self.limit.filter(|limit| *limit < WIDEST);
        }
    }

    /// The registry refused this request, which is no longer in flight.
    pub(super) fn refused(&mut self, now: Moment, refusal: Refusal, was_probe: bool) {
        let others = self.leave(now, was_probe);
        self.quiet = match (self.limit, was_probe) {
            (Some(_), true) => (self.quiet * 2).min(LONGEST_QUIET),
            (Some(_), false) => self.quiet,
            (None, _) => FIRST_QUIET,
        };
        // A refused probe says only that one more is too many. Those that ended just now were served.
        let before = self.limit.filter(|_| was_probe).map(|limit| limit - 1);
        let allowed = before.unwrap_or(others + self.resting(now)).max(1);
        self.limit = Some(self.limit.map_or(allowed, |limit| limit.min(allowed)));
        self.probe_at = now + spread(self.quiet, refusal.chance) + self.quiet / 2;
        let asked = refusal.retry_after.unwrap_or_default();
        if others == 0 {
            let since = *self.refused_since.get_or_insert(now);
            let pause = (now.saturating_sub(since) / 8).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
            self.paused_until = now + spread(pause, refusal.chance).max(asked);
        } else if asked > FOR_ALL_FROM {
            self.paused_until = now + asked;
        }
    }

    /// A request ended, with a body or without.
    pub(super) fn ended(&mut self, now: Moment, served_for: Option<Duration>, was_probe: bool) {
        if was_probe && self.is_probing {
            // The registry said neither.
            self.limit = self.limit.map(|limit| (limit - 1).max(1));
        }
        self.leave(now, was_probe);
        if let (Some(_), Some(took)) = (self.limit, served_for) {
            let rest = (took / RESTS).clamp(SHORTEST_REST, LONGEST_REST);
            let free = self.resting.back().copied().unwrap_or_default().max(now + rest);
            self.resting.push_back(free);
        }
    }

    /// Returns the next moment at which a request may go, if time alone leads to it.
    pub(super) fn opens_at(&self, now: Moment) -> Option<Moment> {
        let rested = self.resting.iter().copied().find(|free| *free > now);
        let probes = (self.limit.is_some() && !self.is_probing).then_some(self.probe_at);
        [Some(self.paused_until), rested, probes]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    /// Whether nothing is lost if it is forgotten.
    pub(super) fn is_idle(&self, now: Moment) -> bool {
        let is_old = now.saturating_sub(self.used) > KEPT_IDLE;
        self.in_flight == 0 && (self.limit.is_none() || is_old) && now >= self.paused_until
    }

    fn has_room(&self, now: Moment) -> bool {
        self.limit.is_none_or(|limit| self.busy(now) < limit)
    }

    fn may_probe(&self, now: Moment) -> bool {
        let is_full = self.limit.is_some_and(|limit| self.in_flight == limit);
        is_full && !self.is_probing && now >= self.probe_at
    }

    fn busy(&self, now: Moment) -> u32 {
        self.in_flight.saturating_add(self.resting(now))
    }

    fn resting(&self, now: Moment) -> u32 {
        let resting = self.resting.iter().filter(|free| **free > now).count();
        u32::try_from(resting).unwrap_or(u32::MAX)
    }

    /// Returns how many others are in flight.
    fn leave(&mut self, now: Moment, was_probe: bool) -> u32 {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.is_probing &= !was_probe;
        self.used = now;
        self.resting.retain(|free| *free > now);
        self.in_flight
    }
}

/// Between half of it and the whole.
fn spread(whole: Duration, chance: u32) -> Duration {
    let share = f64::from(chance) / f64::from(u32::MAX);
    (whole / 2).saturating_add((whole / 2).mul_f64(share))
}
