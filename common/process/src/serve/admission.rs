//! Admits connections by three counts: in all, per address and per client certificate.
//!
//! **Invariant:** dropping an [`AdmissionSlot`] reverts its counts, and the map has no more entries than there are
//! connections.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

use super::ListenerLimits;

/// The client that connections are counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum CountedClient {
    Address(IpAddr),
    Identity(Arc<str>),
}

#[derive(Debug, Default)]
struct ConnectionCounts {
    all: usize,
    of: HashMap<CountedClient, usize>,
}

/// The connection counts of one listener; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Admission(Arc<Mutex<ConnectionCounts>>);

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Listener,
    Address,
    Identity,
    Descriptors,
}

impl fmt::Display for Full {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Listener => "connection limit of the listener reached",
            Self::Address => "connection limit of the address reached",
            Self::Identity => "connection limit of the certificate reached",
            Self::Descriptors => "too few free descriptors: raise the limit of open files",
        })
    }
}

/// One admitted connection; its counts are reverted on drop.
#[derive(Debug)]
pub(super) struct AdmissionSlot {
    counts: Arc<Mutex<ConnectionCounts>>,
    clients: Vec<CountedClient>,
}

impl Admission {
    /// Admits a connection from `address` with this descriptor.
    pub(super) fn admit(
        &self,
        address: IpAddr,
        descriptor: u64,
        limits: &ListenerLimits,
    ) -> Result<AdmissionSlot, Full> {
        if descriptor >= limits.descriptors {
            return Err(Full::Descriptors);
        }
        let mut counts = self.0.lock();
        if counts.all >= limits.connections {
            return Err(Full::Listener);
        }
        let client = counted(address).map(CountedClient::Address);
        if let Some(client) = &client {
            counts.take(client, limits.per_address, Full::Address)?;
        }
        counts.all += 1;
        Ok(AdmissionSlot {
            counts: Arc::clone(&self.0),
            clients: client.into_iter().collect(),
        })
    }
}

impl AdmissionSlot {
    /// Counts the connection for its client certificate as well.
    pub(super) fn identified(&mut self, identity: Arc<str>, limits: &ListenerLimits) -> Result<(), Full> {
        let client = CountedClient::Identity(identity);
        let mut counts = self.counts.lock();
        counts.take(&client, limits.per_identity, Full::Identity)?;
        self.clients.push(client);
        Ok(())
    }
}

impl Drop for AdmissionSlot {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        counts.all -= 1;
        for client in &self.clients {
            counts.give_back(client);
        }
    }
}

impl ConnectionCounts {
    fn take(&mut self, client: &CountedClient, most: usize, full: Full) -> Result<(), Full> {
        let held = self.of.get(client).copied().unwrap_or(0);
        if held >= most {
            return Err(full);
        }
        self.of.insert(client.clone(), held + 1);
        Ok(())
    }

    fn give_back(&mut self, client: &CountedClient) {
        if let Some(held) = self.of.get_mut(client) {
            *held -= 1;
            if *held == 0 {
                self.of.remove(client);
            }
        }
    }
}

/// Returns the address to count by; `None` for loopback. An IPv6 host has a whole /64.
fn counted(address: IpAddr) -> Option<IpAddr> {
    let address = address.to_canonical();
    if address.is_loopback() {
        return None;
    }
    Some(match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> ListenerLimits {
        ListenerLimits {
            connections: 4,
            per_address: 2,
            per_identity: 1,
            descriptors: 100,
            ..ListenerLimits::default()
        }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_address_cannot_use_all_slots_and_frees_its_own() {
        let (admission, limits) = (Admission::default(), limits());
        let admit = |text: &str| admission.admit(address(text), 9, &limits);
        let first = admit("10.0.0.1").expect("a place");
        let _second = admit("::ffff:10.0.0.1").expect("a place");
        assert_eq!(admit("10.0.0.1").err(), Some(Full::Address));
        let _other = admit("10.0.0.2").expect("a place");
        drop(first);
        let _again = admit("10.0.0.1").expect("the place that was given back");
        let _fourth = admit("10.0.0.3").expect("a place");
        assert_eq!(admit("10.0.0.4").err(), Some(Full::Listener));
    }

    #[test]
    fn a_whole_ipv6_network_counts_as_one_address_and_loopback_is_not_counted() {
        let (admission, limits) = (Admission::default(), limits());
        let admit = |text: &str| admission.admit(address(text), 9, &limits);
        let held = [admit("2001:db8::1"), admit("2001:db8::2:0:0:2")];
        assert_eq!(admit("2001:db8::3").err(), Some(Full::Address));
        drop(held);
        let held: Vec<_> = (0..4).map(|_| admit("127.0.0.1").expect("a place")).collect();
        assert_eq!(
            admit("::1").err(),
            Some(Full::Listener),
            "loopback counts for the whole"
        );
        drop(held);
        let counts = admission.0.lock();
        assert_eq!((counts.all, counts.of.len()), (0, 0), "a count was left behind");
    }

    #[test]
    fn one_certificate_cannot_use_all_slots() {
        let (admission, limits) = (Admission::default(), limits());
        let mut one = admission.admit(address("10.0.0.1"), 9, &limits).expect("a place");
        let mut other = admission.admit(address("10.0.0.2"), 9, &limits).expect("a place");
        one.identified("node-1".into(), &limits).expect("the first");
        assert_eq!(other.identified("node-1".into(), &limits), Err(Full::Identity));
        drop(one);
        other
            .identified("node-1".into(), &limits)
            .expect("it is free again");
    }

    #[test]
    fn a_reserved_descriptor_is_refused() {
        let (admission, limits) = (Admission::default(), limits());
        assert!(admission.admit(address("127.0.0.1"), 99, &limits).is_ok());
        let refused = admission.admit(address("127.0.0.1"), 100, &limits);
        assert_eq!(refused.err(), Some(Full::Descriptors));
    }
}
