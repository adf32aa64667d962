//! The limit of open files and connections of this process.
//!
//! **Invariant:** client connections never use the last descriptors, which files, outgoing connections and probes need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

/// Descriptors that clients cannot use: an eighth of all, within these bounds.
const RESERVED: std::ops::RangeInclusive<u64> = 32..=1_024;
/// Below this a busy peer refuses clients.
const FEW: u64 = 4_096;

/// Raises the soft limit of open files to the hard one. Shells and containers set the soft limit to 1,024 for programs
/// that use `select`; this program does not.
pub fn raise_limit() {
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: now.maximum,
        maximum: now.maximum,
    };
    if now.current != now.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        warn!(%error, "cannot raise the limit of open files");
    }
    let limit = limit();
    if limit < FEW {
        warn!(limit, "open file limit is low: raise ulimit -Hn or LimitNOFILE=");
    } else {
        info!(limit, "limit of open files");
    }
}

/// Returns the current soft limit.
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Returns the number below which a descriptor may be a client connection.
pub(crate) fn for_connections() -> u64 {
    below_reserve(limit())
}

fn below_reserve(limit: u64) -> u64 {
    limit.saturating_sub((limit / 8).clamp(*RESERVED.start(), *RESERVED.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_descriptors_are_reserved() {
        for (limit, for_clients) in [
            (0, 0),
            (64, 32),
            (1_024, 896),
            (4_096, 3_584),
            (1_048_576, 1_047_552),
        ] {
            assert_eq!(below_reserve(limit), for_clients, "{limit}");
        }
    }
}
