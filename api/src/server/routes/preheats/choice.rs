//! Which of the scope's peers: all, a number, a share, or those at given addresses.

use std::net::IpAddr;

use preheat::PeerChoice;

use crate::server::problem::Problem;
use crate::types::PeerSelection;

const MOST_ADDRESSES: usize = 1000;

impl PeerSelection {
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
        serde_json::from_str::<PeerSelection>(json)
            .expect("the shape")
            .read()
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
