//! Which addresses may be dialled. Public addresses: always. Private networks: unless an unconfigured public registry
//! leads there ([`Dial::outside_only`]). Loopback, link-local and cloud metadata addresses: only if listed.
//!
//! **Invariant:** the decision is about the address that the connection goes to. An IP address in a URL is checked
//! before each request ([`Dial::check`]), a name when it is resolved ([`Dial`] is the resolver of our clients). So no
//! redirect, token realm or changed DNS record leads to a forbidden address.
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

/// The dial rule of one program. Clones share it.
#[derive(Clone)]
pub struct Dial {
    rule: Arc<RwLock<Rule>>,
    /// For requests that must not reach a private network.
    outside_only: bool,
}

#[derive(Default)]
struct Rule {
    /// Refuses nothing.
    open: bool,
    addresses: Vec<AddressRange>,
    hosts: Vec<ListedHost>,
}

/// A host from the configuration.
#[derive(Debug, PartialEq, Eq)]
struct ListedHost {
    host: String,
    ports: Ports,
}

#[derive(Debug, PartialEq, Eq)]
enum Ports {
    One(u16),
    /// 80 and 443, for a registry that is configured without a port.
    Usual,
    All,
}

/// An address that is dialled only if listed, and is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} is at {address}, {what}, which must be listed to be dialled")]
pub struct NotAllowed {
    host: String,
    address: IpAddr,
    what: &'static str,
}

impl NotAllowed {
    /// Returns what an operator can do about it.
    pub fn what_to_do(&self) -> String {
        let Self { host, address, .. } = self;
        format!(
            "to allow it, add [registry.\"{host}\"], or addresses = [\"{address}\"] in [dial], to the configuration of the manager (peers receive it) or of this peer"
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
    /// Refuses nothing: for programs that dial only what their user names.
    pub fn open() -> Self {
        Self::with(Rule {
            open: true,
            ..Rule::default()
        })
    }

    /// Of the special addresses, allows these and those of hosts that are listed later.
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

    /// The same rule, but private networks must be listed too: for targets that an unconfigured public registry names.
    #[must_use]
    pub fn outside_only(&self) -> Self {
        Self {
            rule: Arc::clone(&self.rule),
            outside_only: true,
        }
    }

    /// Returns the resolver for a client with these options.
    #[must_use]
    pub fn for_client(&self, options: &TlsOptions) -> Self {
        if options.outside_only {
            self.outside_only()
        } else {
            self.clone()
        }
    }

    /// Replaces the listed addresses.
    pub fn list_addresses(&self, addresses: Vec<AddressRange>) {
        self.write(|rule| rule.addresses = addresses);
    }

    /// Replaces the listed hosts by those in these settings. Never pass settings that a request created.
    pub fn list_hosts<'all>(&self, settings: impl IntoIterator<Item = &'all RegistrySettings>) {
        let hosts = settings.into_iter().flat_map(hosts_of).collect();
        self.write(|rule| rule.hosts = hosts);
    }

    /// Checks the URL of a request; a host name is checked again when it is resolved.
    pub async fn check(&self, url: &Url) -> Result<(), NotAllowed> {
        let is_open = self.read().open;
        if is_open || self.lists(url) {
            return Ok(());
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.allow(address.into(), url),
            Some(Host::Ipv6(address)) => self.allow(address.into(), url),
            // The resolver allows this name, but the port is not listed.
            Some(Host::Domain(name)) if self.lists_name(name) => self.check_behind(name, url).await,
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// Whether the configuration lists this host and port.
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
        // If the name cannot be resolved, the connection reports it.
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

    /// Returns those of a name's addresses that may be dialled.
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
    /// Reads `host` or `host:port`; without a port, `otherwise` applies.
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

/// Returns `host` or, unless the port is the default, `host:port`.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests;
