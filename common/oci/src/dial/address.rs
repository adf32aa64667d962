//! Addresses that mean this machine, its link or its cloud, and ranges in which some of them are listed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::text::tame;

/// `127.0.0.0/8`, `::1/128`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    network: IpAddr,
    prefix: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address and no range of addresses; write for example 127.0.0.0/8 or ::1")]
pub struct BadRange(String);

impl AddressRange {
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = u32::from(network) ^ u32::from(address);
                differing.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = u128::from(network) ^ u128::from(address);
                differing.leading_zeros() >= u32::from(self.prefix)
            }
            _ => false,
        }
    }
}

impl FromStr for AddressRange {
    type Err = BadRange;

    fn from_str(text: &str) -> Result<Self, BadRange> {
        let bad = || BadRange(tame(text, 60));
        let (network, prefix) = text
            .trim()
            .split_once('/')
            .map_or((text.trim(), None), |(network, prefix)| (network, Some(prefix)));
        let network: IpAddr = network.parse().map_err(|_| bad())?;
        let longest = if network.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| bad())?,
            None => longest,
        };
        if prefix > longest {
            return Err(bad());
        }
        Ok(Self { network, prefix })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.network, self.prefix)
    }
}

/// IPv4 in the clothes of IPv6 is IPv4: mapped, compatible, and by the well-known prefix of a translator.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    let segments = six.segments();
    let four = match segments {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => last_four(six),
        // :: and ::1 are their own.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => last_four(six),
        _ => return address,
    };
    four.into()
}

fn last_four(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}

/// What an address means that is not simply another machine.
pub fn inside(address: IpAddr) -> Option<&'static str> {
    const LOOPBACK: &str = "an address of this machine";
    const LINK_LOCAL: &str = "an address of this machine's link";
    const METADATA: &str = "where clouds keep what a machine must not tell";
    const NOBODY: &str = "no machine's address";
    match canonical(address) {
        IpAddr::V4(four) if is_metadata_v4(four) => Some(METADATA),
        IpAddr::V4(four) if four.is_loopback() => Some(LOOPBACK),
        IpAddr::V4(four) if four.is_link_local() => Some(LINK_LOCAL),
        IpAddr::V4(four) if four.octets()[0] == 0 || four.is_multicast() || four.is_broadcast() => {
            Some(NOBODY)
        }
        IpAddr::V6(six) if six == AWS_METADATA => Some(METADATA),
        IpAddr::V6(six) if six.is_loopback() => Some(LOOPBACK),
        IpAddr::V6(six) if six.is_unicast_link_local() => Some(LINK_LOCAL),
        IpAddr::V6(six) if six.is_unspecified() || six.is_multicast() => Some(NOBODY),
        _ => None,
    }
}

const AWS_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

fn is_metadata_v4(address: Ipv4Addr) -> bool {
    matches!(address.octets(), [169, 254, 169, 254] | [100, 100, 100, 200])
}
