//! A link between two programs that delays and corrupts bytes as configured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::serving::serve_each;

/// What it does to the bytes from the server.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinkFaults {
    /// Corrupts every n-th byte of a connection.
    pub flip_every: Option<u64>,
    /// Of all connections together.
    pub bytes_per_second: Option<u64>,
}

/// Runs until it is dropped.
pub struct FaultyLink {
    address: std::net::SocketAddr,
    shared: Arc<LinkState>,
    _serving: JoinSet<()>,
}

struct LinkState {
    faults: LinkFaults,
    server: Mutex<Option<String>>,
    passed: AtomicU64,
    flipped: AtomicU64,
    free_at: Mutex<Instant>,
}

impl FaultyLink {
    /// Listens; connections before [`Self::leads_to`] are closed.
    pub async fn start(faults: LinkFaults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(LinkState {
            faults,
            server: Mutex::default(),
            passed: AtomicU64::new(0),
            flipped: AtomicU64::new(0),
            free_at: Mutex::new(Instant::now()),
        });
        let of_all = Arc::clone(&shared);
        let serving = serve_each(listener, move |client| {
            let shared = Arc::clone(&of_all);
            async move { shared.pass(client).await }
        });
        Self {
            address,
            shared,
            _serving: serving,
        }
    }

    pub fn leads_to(&self, server_url: &str) {
        let address = server_url
            .split_once("://")
            .map_or(server_url, |(_, address)| address);
        let server = address.to_owned();
        *self.shared.server.lock() = Some(server);
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Returns the number of bytes from the server so far.
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::Relaxed)
    }

    /// Returns the number of corrupted bytes.
    pub fn flipped(&self) -> u64 {
        self.shared.flipped.load(Ordering::Relaxed)
    }
}

impl LinkState {
    async fn pass(&self, client: TcpStream) -> std::io::Result<()> {
        let server = self.server.lock().clone();
        let server = server.ok_or_else(|| std::io::Error::other("it leads nowhere yet"))?;
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
        let there = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
        let back = async {
            let mut piece = vec![0; 16 * 1024];
            let mut at = 0;
            loop {
                let length = from_server.read(&mut piece).await?;
                if length == 0 {
                    return to_client.shutdown().await;
                }
                let bytes = piece.get_mut(..length).unwrap_or_default();
                self.spoil(bytes, at);
                at += length as u64;
                self.pace(length as u64).await;
                to_client.write_all(bytes).await?;
                self.passed.fetch_add(length as u64, Ordering::Relaxed);
            }
        };
        // If the server closes, both directions end.
        tokio::select! {
            ended = back => ended,
            Err(error) = there => Err(error),
        }
    }

    fn spoil(&self, bytes: &mut [u8], begins: u64) {
        let Some(every) = self.faults.flip_every else {
            return;
        };
        for (at, byte) in (begins + 1..).zip(bytes) {
            if at % every == 0 {
                *byte ^= 0x20;
                self.flipped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn pace(&self, bytes: u64) {
        let Some(rate) = self.faults.bytes_per_second else {
            return;
        };
        let turn = {
            let mut free_at = self.free_at.lock();
            let begins = (*free_at).max(Instant::now());
            *free_at = begins + Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate.max(1));
            *free_at
        };
        sleep_until(turn).await;
    }
}
