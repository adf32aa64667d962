//! Timeouts and connection limits of a listener.

use std::time::Duration;

use crate::descriptors;

/// The limits of one listener. The defaults suit slow clients that make progress.
#[derive(Debug, Clone)]
pub struct ListenerLimits {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// From the connection to its first byte.
    pub first_byte: Duration,
    /// From the first byte of a request to the end of its head.
    pub head: Duration,
    /// For a connection without a request in progress. Longer than clients keep idle connections (90 s for Go and
    /// reqwest), so that the client closes first and no request hits a closing connection.
    pub idle: Duration,
    /// Between two chunks of a request's body.
    pub body_pause: Duration,
    /// For all waiting on a request's body together, plus a second for each `body_floor` bytes received.
    pub body_grace: Duration,
    /// Bytes per second.
    pub body_floor: u64,
    /// For a response of which the client reads nothing. Kernel buffers make this coarse: a client below about 5 KiB/s
    /// can look like one that reads nothing.
    pub stalled_reader: Duration,
    /// HTTP/2: a ping is sent after this idle time, and must be answered within `ping_answer`.
    pub ping_interval: Duration,
    pub ping_answer: Duration,
    /// HTTP/2: simultaneous requests on one connection.
    pub streams: u32,
    /// Connections of this listener.
    pub connections: usize,
    /// Connections of one address (IPv6: of one /64). Loopback is exempt, because a node's runtimes use it.
    pub per_address: usize,
    /// Connections of one client certificate.
    pub per_identity: usize,
    /// A connection with this descriptor number or a higher one is closed at once. The kernel assigns the lowest free
    /// number, so higher numbers stay free for files, outgoing connections and probes.
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
            // One address cannot use all descriptors.
            per_address: usize::try_from(descriptors / 2).map_or(4_096, |half| half.min(4_096)),
            per_identity: 2_048,
            descriptors,
        }
    }
}

impl ListenerLimits {
    /// Limits of the admin listener: few connections, but no reserved descriptors, so that probes work while other
    /// listeners are full.
    pub fn for_probes() -> Self {
        Self {
            connections: 256,
            per_address: 64,
            descriptors: u64::MAX,
            ..Self::default()
        }
    }

    /// Returns the longest interval between two checks of a connection.
    pub(super) fn look_every(&self) -> Duration {
        let shortest = [self.first_byte, self.head, self.idle, self.stalled_reader];
        let shortest = shortest.into_iter().min().unwrap_or(self.head);
        (shortest / 2).max(Duration::from_millis(1))
    }
}
