//! One address for HTTPS and plain HTTP, like an attacker on the path to a registry: TLS connections are forwarded to one
//! server; all others are recorded and forwarded to another one.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::Registry;
use crate::serving::serve_each;

/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 22;

/// Runs until it is dropped.
pub struct TwoDoors {
    address: std::net::SocketAddr,
    shared: Arc<ListenerPair>,
    _serving: JoinSet<()>,
}

struct ListenerPair {
    tls: String,
    plain: String,
    in_clear: Mutex<Vec<u8>>,
}

impl TwoDoors {
    pub async fn before(tls: &Registry, plain: &Registry) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(ListenerPair {
            tls: tls.host(),
            plain: plain.host(),
            in_clear: Mutex::default(),
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

    /// `127.0.0.1:PORT`: a registry's name.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Everything that clients sent without TLS so far, in lower case.
    pub fn sent_in_clear(&self) -> String {
        let sent = self.shared.in_clear.lock();
        String::from_utf8_lossy(&sent).to_lowercase()
    }
}

impl ListenerPair {
    async fn pass(&self, client: TcpStream) -> std::io::Result<()> {
        let mut first = [0];
        client.peek(&mut first).await?;
        let is_tls = first == [HANDSHAKE];
        let server = if is_tls { &self.tls } else { &self.plain };
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
        let there = async {
            let mut piece = vec![0; 16 * 1024];
            loop {
                let length = from_client.read(&mut piece).await?;
                if length == 0 {
                    return to_server.shutdown().await;
                }
                let bytes = piece.get(..length).unwrap_or_default();
                if !is_tls {
                    let mut sent = self.in_clear.lock();
                    sent.extend_from_slice(bytes);
                }
                to_server.write_all(bytes).await?;
            }
        };
        let back = async { copy(&mut from_server, &mut to_client).await.map(drop) };
        // If the server closes, both directions end.
        tokio::select! {
            ended = back => ended,
            Err(error) = there => Err(error),
        }
    }
}
