//! Reserved ports.
//!
//! **Invariant:** while a [`Port`] lives, no other test on this machine gets its number, so a server can be restarted on
//! it. The numbers are below those for outgoing connections, which could otherwise take the port during a restart.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 11_000;
const COUNT: u32 = 20_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port of 127.0.0.1 (or of a machine of our own), ours until dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    host: Ipv4Addr,
    /// Locked; the lock ends with the file's descriptor, however this process ends.
    _lock: File,
}

impl Port {
    /// The next free one.
    pub fn free() -> Self {
        Self::free_at(Ipv4Addr::LOCALHOST)
    }

    /// Does not try to bind on another machine: all numbers there come from here.
    pub(crate) fn free_at(host: Ipv4Addr) -> Self {
        let folder = std::env::temp_dir().join("stoker-world-ports");
        crate::files::make_dir(&folder);
        let start = std::process::id().wrapping_mul(131);
        for _ in 0..COUNT {
            let number = FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
            let number = u16::try_from(number).unwrap_or(u16::MAX);
            let Ok(lock) = File::create(folder.join(number.to_string())) else {
                continue;
            };
            let unused = || host != Ipv4Addr::LOCALHOST || TcpListener::bind((host, number)).is_ok();
            if lock.try_lock().is_ok() && unused() {
                return Self {
                    number,
                    host,
                    _lock: lock,
                };
            }
        }
        panic!("no free port between {FIRST} and {}", FIRST + COUNT);
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    pub fn address(&self) -> SocketAddr {
        (self.host, self.number).into()
    }
}

/// `127.0.0.1:PORT`, or the address of its machine.
impl std::fmt::Display for Port {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_assigned_twice() {
        let ports: Vec<Port> = (0..50).map(|_| Port::free()).collect();
        let mut numbers: Vec<u16> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), ports.len());
    }
}
