use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Fuzzing, Tried};
use crate::front::tests::support::{FrontFixture, SignIn};

const WORDS: [&str; 44] = [
    "\r\n",
    "\r\n\r\n",
    "\n",
    ": ",
    "GET ",
    "HEAD ",
    "PUT ",
    "OPTIONS * ",
    " HTTP/1.1",
    " HTTP/1.0",
    "HTTP/9.9",
    "Host: a\r\n",
    "Host: a@b:1\r\n",
    "Range: bytes=0-1\r\n",
    "Range: bytes=0-1,5-9,-3\r\n",
    "Range: bytes=7-\r\n",
    "If-Range: \"x\"\r\n",
    "If-None-Match: *\r\n",
    "If-None-Match: W/\"x\", \"\r\n",
    "Authorization: Basic YTpi\r\n",
    "Authorization: Bearer x\r\n",
    "Authorization: stoker-local.x\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Expect: 100-continue\r\n",
    "Upgrade: h2c\r\n",
    "Connection: close\r\n",
    "X-Dragonfly-Registry: http://a.lan/x\r\n",
    "X-Dragonfly-Registry: https://u@h\r\n",
    "traceparent: 00-0-0-00\r\n",
    "x-request-id: \u{1}\r\n",
    "Accept: */*\r\n",
    "?ns=",
    "&ns=",
    "%",
    "%00",
    "%3A",
    "http://127.0.0.1/",
    "#",
    "/v2/",
    "/stoker/token",
    "\0",
    "\u{e9}",
    " ",
];
/// Sent after the input, so that the server does not wait for the end of a head.
const LAST: &str = "\r\n\r\nGET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
/// The limit for a head whose body never comes.
const PATIENCE: Duration = Duration::from_millis(250);
/// The limit for all other heads.
const LIMIT: Duration = Duration::from_secs(60);

fn samples(registry: &str, layer: &str, manifest: &str) -> Vec<String> {
    let ns = registry.replace(':', "%3A");
    let head = |method: &str, path: &str, headers: &str| {
        format!("{method} {path}?ns={ns} HTTP/1.1\r\nHost: 127.0.0.1:65001\r\n{headers}\r\n")
    };
    let blob = format!("/v2/a/blobs/{layer}");
    vec![
        head("GET", &blob, ""),
        head("GET", &blob, "Range: bytes=0-9\r\n"),
        head("GET", &blob, "Range: bytes=0-9,20-29,-5\r\n"),
        head(
            "GET",
            &blob,
            &format!("Range: bytes=4-\r\nIf-Range: \"{layer}\"\r\n"),
        ),
        head("GET", &blob, &format!("If-None-Match: \"{layer}\"\r\n")),
        head("HEAD", &blob, "Authorization: Basic YW5uOnB3LWFubg==\r\n"),
        head(
            "GET",
            &format!("/v2/a/manifests/{manifest}"),
            "Accept: */*\r\nRange: bytes=1-5\r\n",
        ),
        format!("GET {blob} HTTP/1.1\r\nHost: x\r\nX-Dragonfly-Registry: http://{registry}\r\n\r\n"),
        "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
    ]
}

/// Every head gets a response, which is no failure of ours, and bytes of the object are right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_head_gets_other_bytes_or_no_answer() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world
        .registry
        .push("a", (0..=255_u8).cycle().take(3_000).collect::<Vec<u8>>());
    assert_eq!(world.pull("a", &image, None).await, StatusCode::OK);
    let samples = samples(
        &world.registry_name,
        image.layer.as_str(),
        image.manifest.as_str(),
    );
    let samples: Vec<&str> = samples.iter().map(String::as_str).collect();
    let mut fuzzing = Fuzzing::new("head", &samples, &WORDS);
    while let Some(input) = fuzzing.next() {
        let tried = Tried(&input);
        let answer = answer(world.front, &input).await;
        let way = check(&input, &answer, image.layer.as_str(), &image.layer_bytes);
        drop(tried);
        fuzzing.went(input, way);
    }
    assert_eq!(
        world.pull("a", &image, None).await,
        StatusCode::OK,
        "the front is as it was"
    );
}

async fn answer(front: SocketAddr, input: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let patience = if may_wait(input) { PATIENCE } else { LIMIT };
    let talk = async {
        let mut stream = TcpStream::connect(front).await.expect("the front listens");
        // The server may close while we write.
        let _ = stream.write_all(&[input, LAST.as_bytes()].concat()).await;
        let mut piece = vec![0; 16_384];
        while let Ok(Ok(length @ 1..)) = timeout(patience, stream.read(&mut piece)).await {
            answer.extend_from_slice(&piece[..length]);
        }
    };
    timeout(LIMIT, talk).await.expect("the front answers or closes");
    answer
}

/// Returns whether the head announces a body, or is not the beginning of a request.
fn may_wait(input: &[u8]) -> bool {
    let head = String::from_utf8_lossy(input).to_lowercase();
    head.contains("content-length") || head.contains("transfer-encoding") || !head.contains("http/")
}

/// Returns the outcome: the status of the first response, and which headers it has.
fn check(input: &[u8], answer: &[u8], layer: &str, bytes: &Bytes) -> u64 {
    if input.starts_with(b"PRI") || input.is_empty() {
        return 0;
    }
    let text = String::from_utf8_lossy(answer);
    let Some(status) = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)) else {
        // The server waits for the announced body.
        assert!(answer.is_empty(), "no answer of HTTP: {}", answer.escape_ascii());
        assert!(may_wait(input), "nothing was answered");
        return 1;
    };
    let status: u64 = status.parse().expect("a status");
    assert!(
        status < 500 || matches!(status, 502 | 503 | 505),
        "{}",
        text.lines().next().unwrap_or_default()
    );
    let head_ends = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a whole head")
        + 4;
    let head = text.get(..head_ends).unwrap_or_default().to_lowercase();
    let of_layer = head.contains(&format!("docker-content-digest: {layer}"));
    if of_layer && !input.starts_with(b"HEAD") {
        let body = answer.get(head_ends..).unwrap_or_default();
        check_body(status, &head, body, bytes);
    }
    let headers = [
        "content-range",
        "etag",
        "multipart",
        "www-authenticate",
        "connection: close",
    ];
    let bits = headers
        .iter()
        .fold(0, |bits, name| bits * 2 + u64::from(head.contains(name)));
    status * 64 + bits
}

fn check_body(status: u64, head: &str, body: &[u8], bytes: &Bytes) {
    match status {
        200 => assert!(body.starts_with(bytes), "other bytes as the whole"),
        206 if head.contains("content-range: bytes ") => {
            let told = head.split("content-range: bytes ").nth(1).unwrap_or_default();
            let (first, rest) = told.split_once('-').expect("a range");
            let (last, _) = rest.split_once('/').expect("a size");
            let (first, last): (usize, usize) =
                (first.parse().expect("a number"), last.parse().expect("a number"));
            assert!(body.starts_with(&bytes[first..=last]), "other bytes as a part");
        }
        206 => assert!(head.contains("multipart/byteranges; boundary="), "{head}"),
        304 | 416 => {}
        other => panic!("{other} with the layer's digest"),
    }
}
