//! How long a connection may do nothing, and how many there may be.

use std::time::Duration;

use crate::descriptors;

/// The limits of one listener. The defaults are for clients that may be slow, but move.
#[derive(Debug, Clone)]
pub struct ListenerLimits {
    /// The TLS handshake.
    pub handshake: Duration,
    /// From the connection to its first byte.
    pub first_byte: Duration,
    /// From the first byte of a request to the end of its head.
    pub head: Duration,
    /// A connection without a request in progress. Longer than clients keep idle connections in their pools (90 s for
    /// Go and reqwest), so that the client closes first and no request meets a connection that is just being closed.
    pub idle: Duration,
    /// Between two pieces of a request's body.
    pub body_pause: Duration,
    /// All waiting for a request's body together may last this long, plus a second for each `body_floor` bytes received.
    pub body_grace: Duration,
    /// Bytes per second.
    pub body_floor: u64,
    /// A response from which the client takes nothing. The kernel's buffers make this coarse: a client that takes less
    /// than about 5 KiB/s can look like one that takes nothing.
    pub stalled_reader: Duration,
    /// HTTP/2: a ping is sent after this much silence, and has to be answered within `ping_answer`.
    pub ping_interval: Duration,
    pub ping_answer: Duration,
    /// HTTP/2: requests at one time on one connection.
    pub streams: u32,
    /// Connections of this listener.
    pub connections: usize,
    /// Connections of one address (IPv6: of one /64). Loopback is exempt: all of a node's runtimes come from there.
    pub per_address: usize,
    /// Connections of one client certificate.
    pub per_identity: usize,
    /// A connection whose descriptor has this number or a higher one is closed at once. Descriptors are numbered from
    /// the lowest free one, so this keeps the numbers above for files, for outgoing connections and for probes.
    pub descriptors: u64,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        let descriptors = descriptors::for_connections();
        Self {
            handshake: Duration::from_secs(10),
            first_byte: Duration::from_secs(20),
            head: Duration::from_secs(30),
            idle: Duration::from_secs(180),
            body_pause: Duration::from_secs(30),
            body_grace: Duration::from_secs(60),
            body_floor: 1_024,
            stalled_reader: Duration::from_secs(300),
            ping_interval: Duration::from_secs(60),
            ping_answer: Duration::from_secs(20),
            streams: 256,
            connections: 65_536,
            // One address cannot take all descriptors.
            per_address: usize::try_from(descriptors / 2).map_or(4_096, |half| half.min(4_096)),
            per_identity: 2_048,
            descriptors,
        }
    }
}

impl ListenerLimits {
    /// For the admin listener: few connections, and every descriptor is its own to use, so that probes are answered
    /// while the other listeners are full.
    pub fn for_probes() -> Self {
        Self {
            connections: 256,
            per_address: 64,
            descriptors: u64::MAX,
            ..Self::default()
        }
    }

    /// How often a connection is looked at, at least.
    pub(super) fn look_every(&self) -> Duration {
        let shortest = [self.first_byte, self.head, self.idle, self.stalled_reader];
        let shortest = shortest.into_iter().min().unwrap_or(self.head);
        (shortest / 2).max(Duration::from_millis(1))
    }
}
