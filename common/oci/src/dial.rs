//! Which addresses are dialled. Those outside always. Those of private networks, unless a registry outside that is not
//! configured leads there ([`Dial::outside_only`]). Those of this machine, of its link and of its cloud's metadata only
//! if somebody listed them.
//!
//! **Invariant:** what is decided on is the address that the connection goes to. Numbers in a URL are looked at before
//! each request ([`Dial::check`]), names when they are resolved ([`Dial`] is the resolver of our clients), so neither a
//! redirect, nor a token realm, nor a name that changes its mind leads where it must not.
//!
//! Non-goal: which registries a client may name. The front and the manager decide that.

mod address;
mod rules;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

pub(crate) use self::address::is_inside;
pub use self::address::{AddressRange, BadRange, inside};
use self::address::{PRIVATE, canonical, is_private};
pub use self::rules::{DialRules, is_named_by};
use crate::{RegistrySettings, TlsOptions};

/// The rule of one program. A clone is the same one.
#[derive(Clone)]
pub struct Dial {
    rule: Arc<RwLock<Rule>>,
    /// For requests that must not end inside.
    outside_only: bool,
}

#[derive(Default)]
struct Rule {
    /// Nothing is refused.
    open: bool,
    addresses: Vec<AddressRange>,
    hosts: Vec<ListedHost>,
}

/// A host that the configuration names.
#[derive(Debug, PartialEq, Eq)]
struct ListedHost {
    host: String,
    ports: Ports,
}

#[derive(Debug, PartialEq, Eq)]
enum Ports {
    One(u16),
    /// 80 and 443: a registry that was named without a port.
    Usual,
    All,
}

/// An address that nobody listed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} is at {address}, {what}, which is dialled only if it is listed")]
pub struct NotAllowed {
    host: String,
    address: IpAddr,
    what: &'static str,
}

impl NotAllowed {
    /// What a person can do about it.
    pub fn what_to_do(&self) -> String {
        let Self { host, address, .. } = self;
        format!(
            "if it is meant, write [registry.\"{host}\"], or addresses = [\"{address}\"] below [dial], into the configuration of the manager (its peers learn it) or of this peer"
        )
    }

    pub(crate) fn of(self, url: &Url) -> Self {
        Self {
            host: authority(url),
            ..self
        }
    }
}

impl Dial {
    /// Refuses nothing: for programs that dial only what their user named.
    pub fn open() -> Self {
        Self::with(Rule {
            open: true,
            ..Rule::default()
        })
    }

    /// Inside, only these addresses, and hosts that are listed later.
    pub fn guarded(addresses: Vec<AddressRange>) -> Self {
        Self::with(Rule {
            addresses,
            ..Rule::default()
        })
    }

    fn with(rule: Rule) -> Self {
        Self {
            rule: Arc::new(RwLock::new(rule)),
            outside_only: false,
        }
    }

    /// The same rule where private networks are to be listed too: for what a registry names that lies outside and that
    /// nobody configured.
    #[must_use]
    pub fn outside_only(&self) -> Self {
        Self {
            rule: Arc::clone(&self.rule),
            outside_only: true,
        }
    }

    /// What resolves the names of a client with these options.
    #[must_use]
    pub fn for_client(&self, options: &TlsOptions) -> Self {
        if options.outside_only {
            self.outside_only()
        } else {
            self.clone()
        }
    }

    /// Replaces the addresses that were listed before.
    pub fn list_addresses(&self, addresses: Vec<AddressRange>) {
        self.write(|rule| rule.addresses = addresses);
    }

    /// Replaces the hosts that were listed before by those that these settings name. Settings that a request brought
    /// about are not for this.
    pub fn list_hosts<'all>(&self, settings: impl IntoIterator<Item = &'all RegistrySettings>) {
        let hosts = settings.into_iter().flat_map(hosts_of).collect();
        self.write(|rule| rule.hosts = hosts);
    }

    /// Whether a request may go there, as far as its URL tells; a name is looked at again when it is resolved.
    pub async fn check(&self, url: &Url) -> Result<(), NotAllowed> {
        let is_open = self.read().open;
        if is_open || self.lists(url) {
            return Ok(());
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.allow(address.into(), url),
            Some(Host::Ipv6(address)) => self.allow(address.into(), url),
            // Its name opens it for the resolver, but this port was not named.
            Some(Host::Domain(name)) if self.lists_name(name) => self.check_behind(name, url).await,
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// Whether the configuration names this very place.
    pub(crate) fn lists(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        let rule = self.read();
        let numbers = match url.host() {
            Some(Host::Ipv4(address)) => rule.lists_address(address.into()),
            Some(Host::Ipv6(address)) => rule.lists_address(address.into()),
            _ => false,
        };
        numbers || rule.hosts.iter().any(|one| one.is(host) && one.has(port))
    }

    fn lists_name(&self, name: &str) -> bool {
        self.read().hosts.iter().any(|one| one.is(name))
    }

    async fn check_behind(&self, name: &str, url: &Url) -> Result<(), NotAllowed> {
        // A name that cannot be resolved is the connection's failure to tell.
        let mut found = tokio::net::lookup_host((name, 0)).await.into_iter().flatten();
        found.try_for_each(|found| self.allow(found.ip(), url))
    }

    fn allow(&self, address: IpAddr, url: &Url) -> Result<(), NotAllowed> {
        match self.read().refusal(address, self.outside_only) {
            None => Ok(()),
            Some(what) => Err(NotAllowed {
                host: authority(url),
                address: canonical(address),
                what,
            }),
        }
    }

    /// Those of a name's addresses that may be dialled.
    fn sieve(&self, name: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, NotAllowed> {
        let rule = self.read();
        if rule.open || rule.hosts.iter().any(|one| one.is(name)) {
            return Ok(found);
        }
        let refused = found.iter().find_map(|one| {
            let what = rule.refusal(one.ip(), self.outside_only)?;
            Some((canonical(one.ip()), what))
        });
        let allowed: Vec<_> = found
            .into_iter()
            .filter(|one| rule.refusal(one.ip(), self.outside_only).is_none())
            .collect();
        match refused {
            Some((address, what)) if allowed.is_empty() => Err(NotAllowed {
                host: name.to_owned(),
                address,
                what,
            }),
            _ => Ok(allowed),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Rule> {
        self.rule.read()
    }

    fn write(&self, change: impl FnOnce(&mut Rule)) {
        change(&mut self.rule.write());
    }
}

/// The resolver of every client that dials registries.
impl Resolve for Dial {
    fn resolve(&self, name: Name) -> Resolving {
        let dial = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed = dial.sieve(name.as_str(), found)?;
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

impl Rule {
    fn lists_address(&self, address: IpAddr) -> bool {
        let address = canonical(address);
        self.addresses.iter().any(|range| range.contains(address))
    }

    fn refusal(&self, address: IpAddr, outside_only: bool) -> Option<&'static str> {
        let private = (outside_only && is_private(address)).then_some(PRIVATE);
        inside(address)
            .or(private)
            .filter(|_| !self.open && !self.lists_address(address))
    }
}

impl ListedHost {
    /// `host` or `host:port`; without a port, `otherwise` are meant.
    fn new(text: &str, otherwise: Ports) -> Self {
        let parsed = text.rsplit_once(':');
        let with_port = parsed.and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        let (host, ports) = with_port.map_or((text, otherwise), |(host, port)| (host, Ports::One(port)));
        Self {
            host: host.to_ascii_lowercase(),
            ports,
        }
    }

    fn is(&self, host: &str) -> bool {
        self.host.eq_ignore_ascii_case(host.trim_end_matches('.'))
    }

    fn has(&self, port: u16) -> bool {
        match self.ports {
            Ports::One(one) => one == port,
            Ports::Usual => matches!(port, 80 | 443),
            Ports::All => true,
        }
    }
}

fn hosts_of(settings: &RegistrySettings) -> Vec<ListedHost> {
    let names = std::iter::once(&settings.name).chain(&settings.aliases);
    let names = names.map(|name| ListedHost::new(name.api_host(), Ports::Usual));
    let realms = settings.token_realms.iter();
    let realms = realms.map(|host| ListedHost::new(host, Ports::All));
    let proxies = settings.proxy.iter().map(|proxy| {
        let shown = proxy.to_string();
        let host = shown.split_once("://").map_or(shown.as_str(), |(_, host)| host);
        ListedHost::new(host, Ports::Usual)
    });
    names.chain(realms).chain(proxies).collect()
}

/// `host` or `host:port` as a person would write it.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests;
