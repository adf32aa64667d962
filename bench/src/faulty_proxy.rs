//! A TCP proxy with faults: it changes, slows or cuts the responses of its server.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

const BUFFER: usize = 64 << 10;
/// Shorter responses are left alone: heads, and everything but blobs.
const SPARED: u64 = 64 << 10;

/// What happens to a response.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// One byte in this many is wrong.
    FlipEach(u64),
    /// Slow: this many bytes a second.
    Slow(u64),
    /// The first response that gets this far breaks off there; later ones are whole.
    CutOnceAt(u64),
}

/// Runs before a server until it is dropped.
pub(crate) struct FaultyProxy {
    address: String,
    /// The number of faults so far.
    faults_made: Arc<AtomicU64>,
    /// Ends when the value is dropped.
    _task: JoinSet<()>,
}

impl FaultyProxy {
    /// `server` is called for each connection: the address may not be known at the start.
    pub(crate) async fn before(
        on: Ipv4Addr,
        server: impl Fn() -> String + Send + 'static,
        fault: Fault,
    ) -> Self {
        let listener = TcpListener::bind((on, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let faults_made = Arc::new(AtomicU64::new(0));
        let counted = faults_made.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, server(), fault, counted.clone()));
            }
        });
        Self {
            address,
            faults_made,
            _task: task,
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn faults_made(&self) -> u64 {
        self.faults_made.load(Ordering::Relaxed)
    }
}

async fn carry(client: TcpStream, server: String, fault: Fault, faults_made: Arc<AtomicU64>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let ((mut asked, mut answered), (mut from, mut to)) = (client.into_split(), server.into_split());
    let requests = async {
        let _ = copy(&mut asked, &mut to).await;
    };
    let responses = async {
        let (mut buffer, mut passed) = (vec![0; BUFFER], 0_u64);
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let range = passed..passed + read as u64;
            passed = range.end;
            match fault {
                Fault::FlipEach(each) if range.start / each != range.end / each => {
                    buffer[read / 2] ^= 0x55;
                    faults_made.fetch_add(1, Ordering::Relaxed);
                }
                Fault::Slow(rate) if passed > SPARED => {
                    faults_made.fetch_add(1, Ordering::Relaxed);
                    #[expect(clippy::cast_precision_loss, reason = "a rate")]
                    sleep(Duration::from_secs_f64(read as f64 / rate as f64)).await;
                }
                Fault::CutOnceAt(at) if passed > at && faults_made.fetch_add(1, Ordering::Relaxed) == 0 => {
                    return;
                }
                _ => {}
            }
            if answered.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        () = responses => {}
    }
}
