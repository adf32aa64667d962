//! What a hello says about names and addresses, checked: all of it is shown to people and handed to other peers.

use std::net::{IpAddr, Ipv6Addr};

use wire::Hello;

use crate::fault::HelloError;

const LONGEST_NAME: usize = 255;
const LONGEST_CLUSTER: usize = 100;

pub(crate) fn check(hello: &Hello) -> Result<(), HelloError> {
    let manager = wire::VERSION;
    if hello.wire_version.abs_diff(manager) > 1 {
        return Err(HelloError::Version {
            peer: hello.wire_version,
            manager,
        });
    }
    let name_is_good =
        (1..=LONGEST_NAME).contains(&hello.name.len()) && !hello.name.contains(char::is_control);
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let cluster_is_good =
        (1..=LONGEST_CLUSTER).contains(&hello.cluster.len()) && hello.cluster.chars().all(is_word);
    let scheme_is_good = matches!(hello.share_scheme.as_str(), "http" | "https");
    let host_is_good = hello
        .advertise
        .as_deref()
        .is_none_or(|host| split(host).is_some());
    for (is_good, what, given, advice) in [
        (
            name_is_good,
            "the peer's name",
            hello.name.as_str(),
            "write 1 to 255 letters without control characters",
        ),
        (
            cluster_is_good,
            "the cluster",
            &hello.cluster,
            "write 1 to 100 letters, digits, '.', '_' and '-'",
        ),
        (
            scheme_is_good,
            "the scheme of share",
            &hello.share_scheme,
            "write http or https",
        ),
        (
            host_is_good,
            "--advertise",
            hello.advertise.as_deref().unwrap_or(""),
            "write host or host:port",
        ),
    ] {
        if !is_good {
            return Err(HelloError::BadName {
                what,
                given: given.chars().take(100).collect(),
                advice,
            });
        }
    }
    Ok(())
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
    let url = format!("{}://{host}:{port}", hello.share_scheme);
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
    use uuid::Uuid;
    use wire::Role;

    use super::*;

    fn hello(advertise: Option<&str>) -> Hello {
        Hello {
            wire_version: wire::VERSION,
            peer: Uuid::nil(),
            name: "seed-1".into(),
            cluster: "default".into(),
            role: Role::Seed,
            advertise: advertise.map(str::to_owned),
            share_port: 65_002,
            share_scheme: "http".into(),
            software: String::new(),
            holdings_hash: String::new(),
        }
    }

    #[test]
    fn the_address_is_the_seen_one_unless_another_was_given() {
        let seen: IpAddr = "10.0.0.7".parse().unwrap();
        let url = |advertise, seen| of(&hello(advertise), seen).1;
        assert_eq!(url(None, seen), "http://10.0.0.7:65002");
        assert_eq!(url(Some("edge.lan"), seen), "http://edge.lan:65002");
        assert_eq!(url(Some("edge.lan:7"), seen), "http://edge.lan:7");
        assert_eq!(url(Some("[fd00::1]:7"), seen), "http://[fd00::1]:7");
        assert_eq!(url(None, "::1".parse().unwrap()), "http://[::1]:65002");
        assert_eq!(
            url(None, "::ffff:10.0.0.7".parse().unwrap()),
            "http://10.0.0.7:65002"
        );
    }

    #[test]
    fn names_that_could_be_something_else_are_refused() {
        for bad in ["a/b", "user@host", "host:99999", "", "a b", "[::1"] {
            assert!(check(&hello(Some(bad))).is_err(), "{bad}");
        }
        assert!(
            check(&Hello {
                cluster: "a/b".into(),
                ..hello(None)
            })
            .is_err()
        );
        assert!(
            check(&Hello {
                name: String::new(),
                ..hello(None)
            })
            .is_err()
        );
        assert!(
            check(&Hello {
                share_scheme: "ftp".into(),
                ..hello(None)
            })
            .is_err()
        );
    }

    #[test]
    fn a_peer_of_another_age_is_told_so() {
        let old = Hello {
            wire_version: wire::VERSION + 2,
            ..hello(None)
        };
        assert!(matches!(check(&old), Err(HelloError::Version { .. })));
    }
}
