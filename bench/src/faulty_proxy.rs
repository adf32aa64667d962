//! A wire that misbehaves: a TCP proxy that changes, slows or cuts what its server answers.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

const BUFFER: usize = 64 << 10;
/// Answers shorter than this are left alone: heads, and what is no blob.
const SPARED: u64 = 64 << 10;

/// What befalls an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// One byte in so many is another.
    FlipEach(u64),
    /// Bytes a second.
    Slow(u64),
    /// The first answer that comes so far breaks off there; later ones are whole.
    CutOnceAt(u64),
}

/// Stands before a server until dropped.
pub(crate) struct Weather {
    address: String,
    /// Times that something was done to an answer.
    struck: Arc<AtomicU64>,
    /// Ends with the value.
    _task: JoinSet<()>,
}

impl Weather {
    /// `server` is asked for each connection anew: it may not be known yet.
    pub(crate) async fn before(
        on: Ipv4Addr,
        server: impl Fn() -> String + Send + 'static,
        fault: Fault,
    ) -> Self {
        let listener = TcpListener::bind((on, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let struck = Arc::new(AtomicU64::new(0));
        let counted = struck.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, server(), fault, counted.clone()));
            }
        });
        Self {
            address,
            struck,
            _task: task,
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn struck(&self) -> u64 {
        self.struck.load(Ordering::Relaxed)
    }
}

async fn carry(client: TcpStream, server: String, fault: Fault, struck: Arc<AtomicU64>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let ((mut asked, mut answered), (mut from, mut to)) = (client.into_split(), server.into_split());
    let questions = async {
        let _ = copy(&mut asked, &mut to).await;
    };
    let answers = async {
        let (mut buffer, mut passed) = (vec![0; BUFFER], 0_u64);
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let piece = passed..passed + read as u64;
            passed = piece.end;
            match fault {
                Fault::FlipEach(each) if piece.start / each != piece.end / each => {
                    buffer[read / 2] ^= 0x55;
                    struck.fetch_add(1, Ordering::Relaxed);
                }
                Fault::Slow(rate) if passed > SPARED => {
                    struck.fetch_add(1, Ordering::Relaxed);
                    #[expect(clippy::cast_precision_loss, reason = "a rate")]
                    sleep(Duration::from_secs_f64(read as f64 / rate as f64)).await;
                }
                Fault::CutOnceAt(at) if passed > at && struck.fetch_add(1, Ordering::Relaxed) == 0 => return,
                _ => {}
            }
            if answered.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = questions => {}
        () = answers => {}
    }
}
