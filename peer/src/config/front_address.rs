//! The address at which container runtimes reach the front. Challenges name it as the token server.
//!
//! **Invariant:** a `Host` header is a claim of the caller. It counts only if it is an IP address or `localhost`, or the
//! host of `front_url`. Any other name could lead a password to another machine (DNS rebinding).

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::uri::Authority;
use url::Url;

/// The front's address, as configured.
#[derive(Debug, Clone)]
pub struct FrontAddress {
    listens_at: String,
    url: Option<FrontUrl>,
}

/// `front_url`: scheme, host and port, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FrontUrl {
    base: String,
    authority: String,
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a front_url: write http://host[:port] or https://host[:port]")]
pub(super) struct BadFrontUrl(String);

impl Default for FrontAddress {
    fn default() -> Self {
        Self {
            listens_at: "127.0.0.1:65001".to_owned(),
            url: None,
        }
    }
}

impl FrontAddress {
    pub(super) fn new(url: Option<FrontUrl>) -> Self {
        Self {
            url,
            ..Self::default()
        }
    }

    /// Sets the address that the front listens at.
    pub(crate) fn listen_at(&mut self, address: SocketAddr) {
        let reachable = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        self.listens_at = SocketAddr::new(reachable, address.port()).to_string();
    }

    /// Returns the base URL for a caller who sent this `Host`: the caller's own address if it counts, else the configured
    /// one.
    pub(crate) fn base_url(&self, host: Option<&str>) -> String {
        let host = host.and_then(|host| host.parse::<Authority>().ok());
        match (&self.url, host) {
            (Some(url), Some(host)) if host.as_str().eq_ignore_ascii_case(&url.authority) => url.base.clone(),
            (_, Some(host)) if names_an_address(&host) => format!("http://{host}"),
            (Some(url), _) => url.base.clone(),
            (None, _) => format!("http://{}", self.listens_at),
        }
    }
}

/// Returns whether the host is an IP address or `localhost`: no name server decides where it leads.
fn names_an_address(host: &Authority) -> bool {
    let name = host.host();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let is_address = bare.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost");
    is_address && !host.as_str().contains('@')
}

impl FromStr for FrontUrl {
    type Err = BadFrontUrl;

    fn from_str(text: &str) -> Result<Self, BadFrontUrl> {
        let bad = || BadFrontUrl(text.chars().take(100).collect());
        let url = Url::parse(text).map_err(|_| bad())?;
        let has_more = !url.username().is_empty()
            || url.password().is_some()
            || url.path() != "/"
            || url.query().is_some()
            || url.fragment().is_some();
        let host = url.host_str().ok_or_else(bad)?;
        if has_more || !matches!(url.scheme(), "http" | "https") {
            return Err(bad());
        }
        let authority = url
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self {
            base: format!("{}://{authority}", url.scheme()),
            authority,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: Option<&str>) -> FrontAddress {
        let mut address = FrontAddress::new(url.map(|url| url.parse().expect("a URL")));
        address.listen_at("0.0.0.0:7000".parse().expect("an address"));
        address
    }

    #[test]
    fn the_callers_own_address_counts_and_a_strange_name_does_not() {
        let plain = address(None);
        for (host, base) in [
            (Some("127.0.0.1:65001"), "http://127.0.0.1:65001"),
            (Some("10.1.2.3:80"), "http://10.1.2.3:80"),
            (Some("[::1]:65001"), "http://[::1]:65001"),
            (Some("localhost:65001"), "http://localhost:65001"),
            (Some("evil.example.com:65001"), "http://127.0.0.1:7000"),
            (Some("ann@127.0.0.1:65001"), "http://127.0.0.1:7000"),
            (Some("127.0.0.1.evil.example"), "http://127.0.0.1:7000"),
            (Some("a b\""), "http://127.0.0.1:7000"),
            (None, "http://127.0.0.1:7000"),
        ] {
            assert_eq!(plain.base_url(host), base, "{host:?}");
        }
    }

    #[test]
    fn the_configured_url_counts_for_its_own_name_and_instead_of_strange_ones() {
        let named = address(Some("https://stoker.lan"));
        for (host, base) in [
            (Some("stoker.lan"), "https://stoker.lan"),
            (Some("Stoker.LAN"), "https://stoker.lan"),
            (Some("evil.example.com"), "https://stoker.lan"),
            (Some("127.0.0.1:65001"), "http://127.0.0.1:65001"),
            (None, "https://stoker.lan"),
        ] {
            assert_eq!(named.base_url(host), base, "{host:?}");
        }
    }

    #[test]
    fn a_front_url_has_no_path_and_no_user() {
        for bad in [
            "stoker.lan",
            "ftp://stoker.lan",
            "http://stoker.lan/v2",
            "http://a@stoker.lan",
            "http://stoker.lan?x",
        ] {
            assert!(bad.parse::<FrontUrl>().is_err(), "{bad}");
        }
        let url: FrontUrl = "http://stoker.lan:65001/".parse().expect("a URL");
        assert_eq!(url.base, "http://stoker.lan:65001");
    }
}
