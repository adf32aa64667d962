//! Time limits and size limits: every wait has an end and every count a bound.

use std::time::Duration;

/// The limits of the domain. Without configuration, the defaults hold.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A preheat ends within this; Harbor gives up after 1,801 s.
    pub preheat_limit: Duration,
    /// A preheat that finds no live seed fails after this.
    pub no_seed_limit: Duration,
    /// The placements of a peer that is disconnected this long fail.
    pub absent_limit: Duration,
    /// Work of a seed that is disconnected this long goes to another seed, where the scope allows it.
    pub replan_after: Duration,
    /// A session ends unless its peer calls within this.
    pub session_lease: Duration,
    /// The longest that a peer's call for work is held.
    pub take_wait: Duration,
    /// The longest wait for the answer of a peer or a registry to a read-only question.
    pub answer_wait: Duration,
    /// A lot that its peer has not confirmed is handed out again after this.
    pub redeliver_after: Duration,
    pub max_objects: usize,
    /// Levels of indexes above a manifest.
    pub max_depth: usize,
    pub resolve_attempts: u32,
    /// Preheats that are resolved at the same time.
    pub resolvers: usize,
    /// Preheats that ended longer ago are forgotten; none: they are kept for ever.
    pub keep_ended: Option<Duration>,
    /// Peers with a session.
    pub live_peers: u64,
    /// Peers that joined and whose certificates can still be renewed.
    pub members: u64,
    pub clusters: u64,
    pub joins_a_minute: u64,
    /// Between two spot checks of seeds; none: seeds are not checked.
    pub spot_check_every: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            preheat_limit: Duration::from_secs(1_700),
            no_seed_limit: Duration::from_secs(300),
            absent_limit: Duration::from_secs(300),
            replan_after: Duration::from_secs(20),
            session_lease: Duration::from_secs(15),
            take_wait: Duration::from_secs(20),
            answer_wait: Duration::from_secs(5),
            redeliver_after: Duration::from_secs(10),
            max_objects: 2_000,
            max_depth: 4,
            resolve_attempts: 5,
            resolvers: 8,
            keep_ended: Some(Duration::from_secs(30 * 24 * 3_600)),
            live_peers: 20_000,
            members: 100_000,
            clusters: 1_000,
            joins_a_minute: 1_200,
            spot_check_every: Some(Duration::from_secs(10)),
        }
    }
}

/// The longest time limit that a caller can set.
const LONGEST_PREHEAT: Duration = Duration::from_secs(24 * 3_600);

impl Limits {
    /// Returns the time limit of a preheat. Without a limit in the request, or with zero, the configured one holds.
    pub(crate) fn of_preheat(&self, asked: Option<Duration>) -> Duration {
        asked
            .filter(|asked| !asked.is_zero())
            .map_or(self.preheat_limit, |asked| asked.min(LONGEST_PREHEAT))
    }
}

/// Larger sums are refused, so that hostile sizes cannot overflow: 16 TiB.
pub(crate) const MAX_IMAGE_BYTES: u64 = 1 << 44;

/// For metrics, which count in seconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "no time that is measured here has 52 bits of milliseconds"
)]
pub(crate) fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1_000.0
}

pub(crate) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 8)
}
