//! Which of the scope's peers: all, a number, a share, or those at given addresses.

use std::net::IpAddr;

use preheat::PeerChoice;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::server::problem::Problem;

const MOST_ADDRESSES: usize = 1000;

/// Narrows `all_seed_peers` and `all_peers`. One of the three.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peers {
    /// As many of each cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub(crate) count: Option<u32>,
    /// Of each cluster's peers, rounded up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub(crate) percent: Option<u8>,
    /// Those that call in from these addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, example = json!(["10.0.0.7"]))]
    pub(crate) addresses: Option<Vec<String>>,
}

impl Peers {
    pub(crate) fn read(self) -> Result<PeerChoice, Problem> {
        match (self.count, self.percent, self.addresses) {
            (None, None, None) => Ok(PeerChoice::All),
            (Some(count @ 1..), None, None) => Ok(PeerChoice::Count(count)),
            (None, Some(percent @ 1..=100), None) => Ok(PeerChoice::Percent(percent)),
            (None, None, Some(addresses)) => read_addresses(&addresses).map(PeerChoice::Addresses),
            _ => Err(Problem::invalid(
                "`peers`: write one of `count` (1 or more), `percent` (1 to 100; `percentage` in a job) and `addresses` \
             (`ips` in a job).",
            )),
        }
    }

    /// As it was asked for; nothing for all.
    pub(crate) fn shown(choice: PeerChoice) -> Option<Self> {
        let mut shown = Self::default();
        match choice {
            PeerChoice::All => return None,
            PeerChoice::Count(count) => shown.count = Some(count),
            PeerChoice::Percent(percent) => shown.percent = Some(percent),
            PeerChoice::Addresses(addresses) => {
                shown.addresses = Some(addresses.iter().map(IpAddr::to_string).collect());
            }
        }
        Some(shown)
    }
}

fn read_addresses(texts: &[String]) -> Result<Vec<IpAddr>, Problem> {
    if texts.is_empty() || texts.len() > MOST_ADDRESSES {
        return Err(Problem::invalid(format!(
            "`peers.addresses`: write from 1 to {MOST_ADDRESSES} of them."
        )));
    }
    let read: Result<Vec<IpAddr>, _> = texts.iter().map(|text| text.parse()).collect();
    read.map_err(|_| Problem::invalid("`peers.addresses`: write addresses such as 10.0.0.7, not names."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<PeerChoice, Problem> {
        serde_json::from_str::<Peers>(json).expect("the shape").read()
    }

    #[test]
    fn one_way_of_choosing_at_a_time() {
        assert_eq!(read(r#"{"count": 3}"#).unwrap(), PeerChoice::Count(3));
        assert_eq!(read(r#"{"percent": 100}"#).unwrap(), PeerChoice::Percent(100));
        let addresses = PeerChoice::Addresses(vec!["10.0.0.7".parse().unwrap()]);
        assert_eq!(read(r#"{"addresses": ["10.0.0.7"]}"#).unwrap(), addresses);
        let wrong = [
            r#"{"count": 0}"#,
            r#"{"percent": 101}"#,
            r#"{"count": 1, "percent": 1}"#,
            r#"{"addresses": []}"#,
            r#"{"addresses": ["node-1"]}"#,
        ];
        for wrong in wrong {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
