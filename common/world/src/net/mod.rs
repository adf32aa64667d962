//! Virtual machines on a network: network namespaces on one bridge, with addresses and links of a set rate. Needs root
//! and the kernel's `tbf`.
//!
//! **Invariant:** every namespace, link and bridge has this process's id in its name and is removed when its value is
//! dropped. The leftovers of dead processes are removed at the next start.
//!
//! Non-goals: delay and loss. Programs run inside with `on(&host)` of their `…Spec`.

mod kernel;
mod rate;
mod sweep;

use std::fs::File;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

pub use rate::Rate;

use kernel::{ip, ip_if_there, shape};
use parking_lot::Mutex;
use sweep::PREFIX;

use crate::Port;

/// Networks are `10.231.N.0/24`.
const NETWORKS: std::ops::RangeInclusive<u8> = 1..=250;
const LAST_HOST: u8 = 250;

/// Serializes the setup of networks, because a sweep reads the existing names.
static SETTING_UP: Mutex<()> = Mutex::new(());

/// A wire with machines on it; this process is one of them.
#[derive(Clone)]
pub struct Net(Arc<Bridge>);

/// A machine: a namespace that has an address, and `lo`.
#[derive(Clone)]
pub struct Host(Arc<Namespace>);

struct Bridge {
    name: String,
    number: u8,
    next: AtomicU8,
    /// Locked; the lock ends with the file's descriptor, however this process ends.
    _lock: File,
}

struct Namespace {
    name: String,
    /// The end of its link that this process sees.
    outer: String,
    address: Ipv4Addr,
    /// After the names: a namespace goes before its bridge.
    _bridge: Arc<Bridge>,
}

impl Net {
    /// A wire without machines, as fast as memory.
    pub fn new() -> Self {
        let _alone = SETTING_UP.lock();
        sweep::left_by_the_dead();
        let (number, lock) = free_number();
        let name = format!("{PREFIX}{}b{number}", std::process::id());
        ip(&["link", "add", &name, "type", "bridge"]);
        let bridge = Bridge {
            number,
            next: AtomicU8::new(2),
            _lock: lock,
            name,
        };
        let own = format!("10.231.{number}.1/24");
        ip(&["addr", "add", &own, "dev", &bridge.name]);
        ip(&["link", "set", &bridge.name, "up"]);
        Self(Arc::new(bridge))
    }

    /// Where machines reach what this process itself serves.
    pub fn own_address(&self) -> Ipv4Addr {
        self.0.address(1)
    }

    /// One more machine.
    pub fn host(&self) -> Host {
        let bridge = &self.0;
        let last = bridge.next.fetch_add(1, Ordering::Relaxed);
        assert!(
            last <= LAST_HOST,
            "the network has no free address: its limit is {LAST_HOST} machines"
        );
        let stem = format!("{PREFIX}{}x{}h{last}", std::process::id(), bridge.number);
        let namespace = Namespace {
            outer: format!("{PREFIX}{:x}{:02x}{last:02x}", std::process::id(), bridge.number),
            address: bridge.address(last),
            name: stem,
            _bridge: bridge.clone(),
        };
        namespace.set_up(bridge);
        Host(Arc::new(namespace))
    }

    /// One more machine, on a link of this rate, both ways.
    pub fn host_at(&self, rate: Rate) -> Host {
        let host = self.host();
        host.limit_incoming(rate);
        host.limit_outgoing(rate);
        host
    }
}

impl Default for Net {
    fn default() -> Self {
        Self::new()
    }
}

impl Bridge {
    fn address(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 231, self.number, last)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        ip_if_there(&["link", "del", &self.name]);
    }
}

impl Namespace {
    fn set_up(&self, bridge: &Bridge) {
        ip(&["netns", "add", &self.name]);
        let link = ["link", "add", &self.outer, "type", "veth"];
        let peer = ["peer", "name", "eth0", "netns", &self.name];
        ip(&[&link[..], &peer[..]].concat());
        ip(&["link", "set", &self.outer, "master", &bridge.name, "up"]);
        let own = format!("{}/24", self.address);
        ip(&["-n", &self.name, "addr", "add", &own, "dev", "eth0"]);
        ip(&["-n", &self.name, "link", "set", "eth0", "up"]);
        ip(&["-n", &self.name, "link", "set", "lo", "up"]);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip_if_there(&["link", "del", &self.outer]);
        ip_if_there(&["netns", "del", &self.name]);
    }
}

impl Host {
    pub fn address(&self) -> Ipv4Addr {
        self.0.address
    }

    /// A command that runs on this machine, in the folders of this one.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.0.name))
            .arg("--")
            .arg(program);
        command
    }

    /// What comes to it is no faster than this from here on.
    pub fn limit_incoming(&self, rate: Rate) {
        shape(None, &self.0.outer, rate);
    }

    /// What it sends is no faster than this from here on.
    pub fn limit_outgoing(&self, rate: Rate) {
        shape(Some(&self.0.name), "eth0", rate);
    }

    /// Disconnects the machine, as if its cable were pulled.
    pub fn unplug(&self) {
        ip(&["link", "set", &self.0.outer, "down"]);
    }

    pub fn plug_in(&self) {
        ip(&["link", "set", &self.0.outer, "up"]);
    }

    /// A port of this machine that nobody else has.
    pub(crate) fn free_port(&self) -> Port {
        Port::free_at(self.address())
    }
}

/// A network that no other process of this machine has now.
fn free_number() -> (u8, File) {
    let folder = std::env::temp_dir().join("stoker-world-nets");
    crate::files::make_dir(&folder);
    let mut numbers = NETWORKS;
    let found = numbers.find_map(|number| {
        let lock = File::create(folder.join(number.to_string())).ok()?;
        lock.try_lock().ok()?;
        Some((number, lock))
    });
    found.expect("a free network between 10.231.1 and 10.231.250")
}

/// `command`, inside of `host` if there is one.
pub(crate) fn command_on(host: Option<&Host>, program: &str) -> Command {
    host.map_or_else(|| Command::new(program), |host| host.command(program))
}

/// A port there.
pub(crate) fn port_on(host: Option<&Host>) -> Port {
    host.map_or_else(Port::free, Host::free_port)
}
