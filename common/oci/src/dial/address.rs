//! Special addresses (loopback, link-local, cloud metadata, private networks) and address ranges.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

use crate::text::tame;

/// `127.0.0.0/8`, `::1/128`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange(IpNet);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address or address range: write for example 127.0.0.0/8 or ::1")]
pub struct BadRange(String);

impl AddressRange {
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for AddressRange {
    type Err = BadRange;

    fn from_str(text: &str) -> Result<Self, BadRange> {
        let text = text.trim();
        let range = text.parse().or_else(|_| text.parse().map(IpAddr::into));
        range.map(Self).map_err(|_| BadRange(tame(text, 60)))
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Returns the IPv4 address in an IPv6 one that is mapped, compatible or has the well-known NAT64 prefix.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    let segments = six.segments();
    let four = match segments {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => last_four(six),
        // :: and ::1 stay IPv6.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => last_four(six),
        _ => return address,
    };
    four.into()
}

fn last_four(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}

/// Describes an address that is not simply another machine: loopback, link-local, metadata or none.
pub fn inside(address: IpAddr) -> Option<&'static str> {
    match canonical(address) {
        IpAddr::V4(four) => inside_v4(four),
        IpAddr::V6(six) => inside_v6(six).or_else(|| carried(six).into_iter().find_map(inside_v4)),
    }
}

/// Whether the address is in a private network: RFC 1918, ULA, 100.64.0.0/10.
pub(super) fn is_private(address: IpAddr) -> bool {
    match canonical(address) {
        IpAddr::V4(four) => is_private_v4(four),
        IpAddr::V6(six) => {
            let is_site_local = six.segments()[0] & 0xffc0 == 0xfec0;
            six.is_unique_local() || is_site_local || carried(six).into_iter().any(is_private_v4)
        }
    }
}

/// Whether it is not a public address.
pub(crate) fn is_inside(address: IpAddr) -> bool {
    is_private(address) || inside(address).is_some()
}

pub(super) const PRIVATE: &str = "a private address that a public registry led to";
const LOOPBACK: &str = "an address of this machine";
const LINK_LOCAL: &str = "an address of this machine's link";
const METADATA: &str = "an address of a cloud's metadata service";
const NOBODY: &str = "not the address of a machine";

fn inside_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address {
        four if METADATA_V4.contains(&four.octets()) => Some(METADATA),
        four if four.is_loopback() => Some(LOOPBACK),
        four if four.is_link_local() => Some(LINK_LOCAL),
        four if four.octets()[0] == 0 || four.is_multicast() || four.is_broadcast() => Some(NOBODY),
        _ => None,
    }
}

fn inside_v6(address: Ipv6Addr) -> Option<&'static str> {
    match address {
        six if is_metadata_v6(six) => Some(METADATA),
        six if six.is_loopback() => Some(LOOPBACK),
        six if six.is_unicast_link_local() => Some(LINK_LOCAL),
        six if six.is_unspecified() || six.is_multicast() => Some(NOBODY),
        _ => None,
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_private() || (first == 100 && second & 0xc0 == 64)
}

/// AWS, Google, Azure and most others; Alibaba; Azure's wire server; Oracle.
const METADATA_V4: [[u8; 4]; 4] = [
    [169, 254, 169, 254],
    [100, 100, 100, 200],
    [168, 63, 129, 16],
    [192, 0, 0, 192],
];

/// Google, Oracle, Scaleway, Linode.
const METADATA_V6: [Ipv6Addr; 4] = [
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
    Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1),
];

/// AWS also serves pod credentials, DNS and time under one prefix.
fn is_metadata_v6(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [0xfd00, 0xec2, 0, 0, 0, 0, 0, _]) || METADATA_V6.contains(&address)
}

/// Returns the IPv4 addresses that packets to an IPv6 address may reach, beside those that [`canonical`] knows: by
/// 6to4, Teredo (server and client), ISATAP, or a translator with a local prefix (RFC 8215).
fn carried(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let octets = address.octets();
    let at = |places: [usize; 4]| Ipv4Addr::from(places.map(|place| octets.get(place).copied().unwrap_or(0)));
    match address.segments() {
        [0x2002, ..] => vec![at([2, 3, 4, 5])],
        [0x2001, 0, ..] => vec![at([4, 5, 6, 7]), Ipv4Addr::from(!u32::from(last_four(address)))],
        [0, 0, 0, 0, 0xffff, 0, ..] | [_, _, _, _, 0 | 0x200, 0x5efe, ..] => vec![last_four(address)],
        [0x64, 0xff9b, 1, ..] => translated(&octets, at),
        _ => Vec::new(),
    }
}

/// Reads the RFC 6052 forms below a /48. They skip octet 8, and zeros follow the address.
fn translated(octets: &[u8; 16], at: impl Fn([usize; 4]) -> Ipv4Addr) -> Vec<Ipv4Addr> {
    let forms = [
        ([6, 7, 9, 10], 11),
        ([7, 9, 10, 11], 12),
        ([9, 10, 11, 12], 13),
        ([12, 13, 14, 15], 16),
    ];
    let fits = |end: usize| octets.iter().skip(end).all(|octet| *octet == 0);
    let found = forms.into_iter().filter(|(_, end)| fits(*end));
    // A shorter form read as a longer one begins with zero.
    found
        .map(|(places, _)| at(places))
        .filter(|four| four.octets()[0] != 0)
        .collect()
}
