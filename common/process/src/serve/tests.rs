//! Which connections are closed and which stay open, over real sockets.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use futures_util::stream;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::{ListenerLimits, Serving, bind};
use crate::Running;

/// Longer than every expected wait; only a failing test reaches it.
const TEST_LIMIT: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(400);
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

fn short() -> ListenerLimits {
    ListenerLimits {
        first_byte: SHORT,
        head: SHORT,
        idle: SHORT,
        body_pause: SHORT,
        body_grace: SHORT * 2,
        stalled_reader: SHORT * 4,
        ..ListenerLimits::default()
    }
}

struct ServedListener {
    address: SocketAddr,
    running: Running,
    /// One permit for all readers of `/endless`.
    slots: Arc<Semaphore>,
}

impl ServedListener {
    async fn with(limits: ListenerLimits) -> Self {
        let slots = Arc::new(Semaphore::new(1));
        let listener = bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let running = Running::new();
        Serving::new(listener, routes(slots.clone()))
            .limits(limits)
            .spawn(&running);
        Self {
            address,
            running,
            slots,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connected")
    }

    async fn connect_and_send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.expect("sent");
        stream
    }

    async fn http2(
        &self,
    ) -> (
        http2::SendRequest<Body>,
        tokio::task::JoinHandle<Option<hyper::Result<()>>>,
    ) {
        let stream = TokioIo::new(self.connect().await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream)
            .await
            .expect("HTTP/2");
        (sender, self.running.spawn(connection))
    }

    fn get(path: &str) -> hyper::Request<Body> {
        let request = hyper::Request::get(format!("http://a{path}"));
        request.body(Body::empty()).expect("a request")
    }
}

fn routes(slots: Arc<Semaphore>) -> Router {
    Router::new()
        .route("/", get(|| async { "ok" }))
        .route("/poll", get(long_poll))
        .route("/events", get(|| async { Body::from_stream(events()) }))
        .route("/large", get(|| async { Body::from_stream(large()) }))
        .route("/endless", get(endless))
        .route("/upload", post(upload))
        .with_state(slots)
}

async fn long_poll() -> &'static str {
    sleep(SHORT * 6).await;
    "work"
}

/// Pauses longer than each limit, then an event; twice.
fn events() -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(0, |sent| async move {
        if sent == 2 {
            return None;
        }
        sleep(SHORT * 5).await;
        Some((Ok(Bytes::from_static(b"data: x\n\n")), sent + 1))
    })
}

const LARGE: usize = 32 << 20;
const CHUNK_SIZE: usize = 64 << 10;
static CHUNK: &[u8] = &[7; CHUNK_SIZE];

fn large() -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    stream::iter((0..LARGE / CHUNK_SIZE).map(|_| Ok(Bytes::from_static(CHUNK))))
}

async fn endless(State(slots): State<Arc<Semaphore>>) -> Result<Body, StatusCode> {
    let permit = slots
        .try_acquire_owned()
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let pieces = stream::unfold(permit, |permit: OwnedSemaphorePermit| async move {
        Some((Ok::<_, Infallible>(Bytes::from_static(CHUNK)), permit))
    });
    Ok(Body::from_stream(pieces))
}

/// Responds with the number of bytes received; 408 if the body was interrupted.
async fn upload(body: Body) -> Result<String, StatusCode> {
    let bytes = axum::body::to_bytes(body, 1 << 20).await;
    bytes
        .map(|bytes| bytes.len().to_string())
        .map_err(|_| StatusCode::REQUEST_TIMEOUT)
}

/// Reads until the other side closes; a reset counts as a close.
async fn read_to_close(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let ended = timeout(TEST_LIMIT, stream.read_to_end(&mut all)).await;
    assert!(ended.is_ok(), "still open after {TEST_LIMIT:?}");
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn stalled_connections_are_closed_while_others_are_served() {
    let listener = ServedListener::with(short()).await;
    let whole_preface = [PREFACE, SETTINGS].concat();
    let stalled: [(&str, &[u8]); 9] = [
        ("nothing", b""),
        ("one byte", b"G"),
        ("half a head", b"GET / HTTP/1.1\r\nhost: a\r\n"),
        ("half a preface", b"PRI * HTT"),
        ("the preface", PREFACE),
        ("preface and SETTINGS", &whole_preface),
        ("an idle connection", GET),
        (
            "half a head after a request",
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /",
        ),
        (
            "a body that stops",
            b"POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc",
        ),
    ];
    let mut streams = Vec::new();
    for (name, bytes) in stalled {
        streams.push((name, listener.connect_and_send(bytes).await));
    }
    for (name, mut stream) in streams {
        let ended = read_to_close(&mut stream);
        tokio::pin!(ended);
        let answer = loop {
            tokio::select! {
                answer = &mut ended => break answer,
                () = sleep(SHORT / 4) => exchange(&mut listener.connect().await).await,
            }
        };
        let answered = answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 408");
        let expected = name.contains("body") || name.contains("request") || name.contains("idle");
        assert_eq!(answered, expected, "{name}: {answer:?}");
    }
}

/// Sends one request and reads the response; the connection stays open.
async fn exchange(stream: &mut TcpStream) {
    stream
        .write_all(GET)
        .await
        .expect("the connection of a live client was closed");
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 200");
    let mut last = [0; 6];
    while &last != b"\r\n\r\nok" {
        last.rotate_left(1);
        last[5] = stream.read_u8().await.expect("the rest of the answer");
    }
}

#[tokio::test]
async fn a_head_that_arrives_too_slowly_is_closed() {
    let listener = ServedListener::with(short()).await;
    let (mut reader, mut writer) = listener.connect().await.into_split();
    let slow_writer = async move {
        writer.write_all(b"GET / HTTP/1.1\r\n").await?;
        loop {
            writer.write_all(b"a: b\r\n").await?;
            sleep(SHORT / 8).await;
        }
    };
    let slow_writer: tokio::task::JoinHandle<Option<std::io::Result<()>>> =
        listener.running.spawn(slow_writer);
    let mut all = Vec::new();
    let ended = timeout(TEST_LIMIT, reader.read_to_end(&mut all)).await;
    assert!(ended.is_ok(), "still open after {TEST_LIMIT:?}");
    slow_writer.abort();
}

#[tokio::test]
async fn a_body_that_arrives_too_slowly_is_refused_and_a_steady_one_arrives() {
    let listener = ServedListener::with(ListenerLimits {
        body_floor: 1_024,
        ..short()
    })
    .await;
    for (piece, pieces, expected) in [(1, 60, "HTTP/1.1 408"), (1_024, 30, "HTTP/1.1 200")] {
        let length = piece * pieces;
        let head = format!("POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
        let (mut reader, mut writer) = listener.connect_and_send(head.as_bytes()).await.into_split();
        let sending = listener.running.spawn(async move {
            for _ in 0..pieces {
                if writer.write_all(&vec![b'x'; piece]).await.is_err() {
                    break;
                }
                sleep(SHORT / 4).await;
            }
            writer
        });
        let mut head = [0; 12];
        let answered = timeout(TEST_LIMIT, reader.read_exact(&mut head)).await;
        answered.expect("an answer in time").expect("an answer");
        assert_eq!(
            String::from_utf8_lossy(&head),
            expected,
            "{piece} bytes at a time"
        );
        sending.abort();
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_loses_its_slot() {
    let listener = ServedListener::with(short()).await;
    let dead = listener
        .connect_and_send(b"GET /endless HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    dead.readable().await.expect("an answer begins");
    assert_eq!(listener.slots.available_permits(), 0);
    let freed = timeout(TEST_LIMIT, listener.slots.acquire()).await;
    drop(freed.expect("the slot is still held").expect("not closed"));
}

#[tokio::test]
async fn a_stream_that_reads_nothing_loses_its_slot_and_its_connection_stays_open() {
    let listener = ServedListener::with(short()).await;
    let (mut sender, connection) = listener.http2().await;
    let dead = sender
        .send_request(ServedListener::get("/endless"))
        .await
        .expect("answered");
    assert_eq!(listener.slots.available_permits(), 0);
    let freed = timeout(TEST_LIMIT, async {
        while listener.slots.available_permits() == 0 {
            let other = sender.send_request(ServedListener::get("/")).await;
            assert_eq!(
                other.expect("the other stream is served").status(),
                StatusCode::OK
            );
            sleep(SHORT / 4).await;
        }
    });
    freed.await.expect("the slot is still held");
    assert!(!connection.is_finished(), "the whole connection was closed");
    drop(dead);
}

#[tokio::test]
async fn an_http2_connection_without_requests_is_closed_although_it_answers_pings() {
    let listener = ServedListener::with(ListenerLimits {
        ping_interval: SHORT / 8,
        ..short()
    })
    .await;
    let (mut sender, connection) = listener.http2().await;
    let answered = sender
        .send_request(ServedListener::get("/"))
        .await
        .expect("answered");
    assert_eq!(answered.status(), StatusCode::OK);
    drop(answered);
    let ended = timeout(TEST_LIMIT, connection).await;
    assert!(ended.is_ok(), "still open after {TEST_LIMIT:?}");
}

#[tokio::test]
async fn long_polls_event_streams_and_slow_readers_stay_open() {
    let listener = ServedListener::with(short()).await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let mut poll = listener.connect_and_send(request("/poll").as_bytes()).await;
    let mut events = listener.connect_and_send(request("/events").as_bytes()).await;
    let mut slow = listener.connect_and_send(request("/large").as_bytes()).await;
    let (mut taken, mut piece) = (0, vec![0; 1 << 20]);
    loop {
        let read = slow
            .read(&mut piece)
            .await
            .expect("the connection of a slow reader was closed");
        if read == 0 {
            break;
        }
        taken += read;
        // In total longer than the limit for a stalled reader.
        sleep(Duration::from_millis(u64::try_from(read / 8_192).expect("small"))).await;
    }
    assert!(taken > LARGE, "only {taken} bytes came");
    assert!(read_to_close(&mut poll).await.ends_with("work"));
    assert_eq!(read_to_close(&mut events).await.matches("data: x").count(), 2);
}

#[tokio::test]
async fn a_listener_without_free_descriptors_refuses_but_probes_are_served() {
    let limits = ListenerLimits {
        descriptors: 0,
        ..short()
    };
    let full = ServedListener::with(limits).await;
    let mut refused = full.connect().await;
    // The write may already fail, because the connection is reset.
    let _ = refused.write_all(GET).await;
    assert_eq!(read_to_close(&mut refused).await, "");
    let probes = ServedListener::with(ListenerLimits::for_probes()).await;
    exchange(&mut probes.connect().await).await;
}

#[tokio::test]
async fn a_full_listener_refuses_until_a_connection_ends() {
    let listener = ServedListener::with(ListenerLimits {
        connections: 1,
        ..ListenerLimits::default()
    })
    .await;
    let mut only = listener.connect().await;
    exchange(&mut only).await;
    let mut second = listener.connect().await;
    assert_eq!(read_to_close(&mut second).await, "");
    drop(only);
    let served = timeout(TEST_LIMIT, async {
        loop {
            let mut next = listener.connect().await;
            let _ = next.write_all(GET).await;
            if next.read_u8().await.is_ok() {
                return;
            }
        }
    });
    served.await.expect("the slot is not released");
}
