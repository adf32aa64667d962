//! Checks the names and addresses of a hello: they are shown to people and sent to other peers.

use std::net::{IpAddr, Ipv6Addr};

use wire::Hello;

use crate::model::errors::HelloError;

const LONGEST_NAME: usize = 255;

/// An advertised address that other peers must not dial.
pub(crate) struct BadAddress {
    pub(crate) given: String,
    pub(crate) advice: &'static str,
}

impl From<BadAddress> for HelloError {
    fn from(bad: BadAddress) -> Self {
        Self::BadName {
            what: "--advertise",
            given: bad.given,
            advice: bad.advice,
        }
    }
}

pub(crate) fn check(hello: &Hello, seen_ip: IpAddr) -> Result<(), HelloError> {
    let manager = wire::VERSION;
    if hello.wire_version.abs_diff(manager) > 1 {
        return Err(HelloError::Version {
            peer: hello.wire_version,
            manager,
        });
    }
    let name_is_good =
        (1..=LONGEST_NAME).contains(&hello.name.len()) && !hello.name.contains(char::is_control);
    if !name_is_good {
        return Err(HelloError::BadName {
            what: "the peer's name",
            given: hello.name.chars().take(100).collect(),
            advice: "write 1 to 255 letters without control characters",
        });
    }
    if let Some(address) = hello.advertise.as_deref() {
        check_advertised(address, seen_ip).map_err(|advice| BadAddress {
            given: address.chars().take(100).collect(),
            advice,
        })?;
    }
    Ok(())
}

/// Private addresses are usual. A loopback address is one that only the manager's own machine may advertise: what comes
/// from loopback is on this machine.
fn check_advertised(address: &str, seen_ip: IpAddr) -> Result<(), &'static str> {
    let (host, port) = split(address).ok_or("write host or host:port")?;
    if port == Some(0) {
        return Err("port 0 is none: write the port that share listens on");
    }
    let is_here = seen_ip.to_canonical().is_loopback();
    let bare = host.trim_matches(['[', ']']);
    let Ok(ip) = bare.parse::<IpAddr>() else {
        let is_local = bare.eq_ignore_ascii_case("localhost") || is_number(bare);
        return if is_local && !is_here {
            Err("other machines cannot reach it: write a name or an address that they can reach")
        } else {
            Ok(())
        };
    };
    match oci::special_address(ip) {
        None => Ok(()),
        Some(_) if ip.to_canonical().is_loopback() && is_here => Ok(()),
        Some(_) => Err(
            "loopback, link-local, metadata, multicast and unspecified addresses are no peer's: write an address \
             that other machines can reach",
        ),
    }
}

/// `127.1` or `2130706433`: resolvers take such for addresses.
fn is_number(host: &str) -> bool {
    host.split('.')
        .next_back()
        .is_some_and(|last| last.starts_with(|letter: char| letter.is_ascii_digit()))
}

/// The host for people, and the base URL of `share`.
pub(crate) fn of(hello: &Hello, seen_ip: IpAddr) -> (String, String) {
    let seen = match seen_ip.to_canonical() {
        IpAddr::V6(ip) => format!("[{ip}]"),
        IpAddr::V4(ip) => ip.to_string(),
    };
    let (host, port) = match hello.advertise.as_deref().and_then(split) {
        Some((host, port)) => (host.to_owned(), port.unwrap_or(hello.share_port)),
        None => (seen, hello.share_port),
    };
    let url = format!("https://{host}:{port}");
    (host.trim_matches(['[', ']']).to_owned(), url)
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn split(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (text, None),
    };
    let is_v6 = || {
        host.strip_prefix('[')?
            .strip_suffix(']')?
            .parse::<Ipv6Addr>()
            .ok()
    };
    let is_label = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    let is_name = !host.is_empty() && host.len() <= 253 && host.chars().all(is_label);
    (is_name || is_v6().is_some()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELSEWHERE: &str = "10.0.0.7";

    fn hello(advertise: Option<&str>) -> Hello {
        Hello {
            wire_version: wire::VERSION,
            name: "seed-1".into(),
            advertise: advertise.map(str::to_owned),
            share_port: 65_002,
            software: String::new(),
            holdings_hash: String::new(),
        }
    }

    fn checked(advertise: &str, seen: &str) -> Result<(), HelloError> {
        check(&hello(Some(advertise)), seen.parse().unwrap())
    }

    #[test]
    fn the_address_is_the_seen_one_unless_another_was_given() {
        let seen: IpAddr = ELSEWHERE.parse().unwrap();
        let url = |advertise, seen| of(&hello(advertise), seen).1;
        assert_eq!(url(None, seen), "https://10.0.0.7:65002");
        assert_eq!(url(Some("edge.lan"), seen), "https://edge.lan:65002");
        assert_eq!(url(Some("edge.lan:7"), seen), "https://edge.lan:7");
        assert_eq!(url(Some("[fd00::1]:7"), seen), "https://[fd00::1]:7");
        assert_eq!(url(None, "::1".parse().unwrap()), "https://[::1]:65002");
        assert_eq!(
            url(None, "::ffff:10.0.0.7".parse().unwrap()),
            "https://10.0.0.7:65002"
        );
    }

    #[test]
    fn names_that_could_be_something_else_are_refused() {
        for bad in ["a/b", "user@host", "host:99999", "host:0", "", "a b", "[::1"] {
            assert!(checked(bad, ELSEWHERE).is_err(), "{bad}");
        }
        let nameless = Hello {
            name: String::new(),
            ..hello(None)
        };
        assert!(check(&nameless, ELSEWHERE.parse().unwrap()).is_err());
    }

    #[test]
    fn addresses_that_no_other_machine_may_dial_are_refused() {
        for bad in [
            "169.254.169.254",
            "169.254.169.254:80",
            "100.100.100.200",
            "[fd00:ec2::254]",
            "169.254.7.7",
            "[fe80::1]:7000",
            "224.0.0.1",
            "[ff02::1]",
            "0.0.0.0",
            "[::]:65002",
            "255.255.255.255",
            "127.0.0.1:65002",
            "[::1]",
            "[::ffff:127.0.0.1]:7",
            "[::ffff:169.254.169.254]:7",
            "localhost:7",
            "127.1",
            "2130706433",
        ] {
            assert!(checked(bad, ELSEWHERE).is_err(), "{bad}");
        }
        for fine in [
            "10.0.0.9:7000",
            "192.168.1.2",
            "[fd00::1]",
            "100.64.0.1",
            "edge.lan",
        ] {
            assert!(checked(fine, ELSEWHERE).is_ok(), "{fine}");
        }
    }

    #[test]
    fn loopback_is_for_peers_of_the_managers_own_machine() {
        for fine in ["127.0.0.1:65002", "[::1]:7", "localhost"] {
            assert!(checked(fine, "127.0.0.1").is_ok(), "{fine}");
        }
        assert!(checked("169.254.169.254", "127.0.0.1").is_err());
    }

    #[test]
    fn a_peer_of_another_age_is_told_so() {
        let old = Hello {
            wire_version: wire::VERSION + 2,
            ..hello(None)
        };
        let refused = check(&old, ELSEWHERE.parse().unwrap());
        assert!(matches!(refused, Err(HelloError::Version { .. })));
    }
}
