//! The number of files and connections that this process may have open.
//!
//! **Invariant:** connections of clients never take the last descriptors: files, outgoing connections and probes need some.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

/// Kept from clients: an eighth of all, within these bounds.
const RESERVED: std::ops::RangeInclusive<u64> = 32..=1_024;
/// Below this a busy peer refuses clients.
const FEW: u64 = 4_096;

/// Raises the soft limit of open files to the hard one. Shells and containers set the soft limit to 1,024 for the sake of
/// programs that use `select`; this one does not.
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
        warn!(
            limit,
            "few files can be open at a time: raise the hard limit (ulimit -Hn, LimitNOFILE= of systemd)"
        );
    } else {
        info!(limit, "limit of open files");
    }
}

/// The soft limit now.
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Descriptors below this number may be connections of clients.
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
    fn clients_never_get_the_last_descriptors() {
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
