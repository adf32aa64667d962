//! A keep-alive connection that sends the bytes it is given and nothing else.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct RawConnection(BufReader<TcpStream>);

pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl RawConnection {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        Self(BufReader::new(
            TcpStream::connect(address).await.expect("connected"),
        ))
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> RawAnswer {
        timeout(PATIENCE, self.exchange(bytes))
            .await
            .expect("answered in time")
    }

    async fn exchange(&mut self, bytes: &[u8]) -> RawAnswer {
        self.0.write_all(bytes).await.expect("sent");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(
                self.0.read_line(&mut head).await.expect("a line"),
                0,
                "closed after {head:?}"
            );
        }
        let status = head
            .split(' ')
            .nth(1)
            .expect("a status")
            .parse()
            .expect("a number");
        let length: usize = header(&head, "content-length")
            .expect("a length")
            .parse()
            .expect("a number");
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.expect("a body");
        RawAnswer { status, head, body }
    }
}

impl RawAnswer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .next()
}

/// What Harbor sent, byte for byte, but for the token of the instance, which here is a real one.
pub(crate) fn fixture(name: &str, token: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    let recorded =
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(recorded.contains("\r\n\r\n"), "{name} has lost its line ends");
    assert!(recorded.contains("stub-token"), "{name} has no token to replace");
    recorded.replacen("stub-token", token, 1).into_bytes()
}

/// The registry token in the body of a recorded POST.
pub(crate) fn registry_token(recorded: &[u8]) -> String {
    let text = std::str::from_utf8(recorded).expect("text");
    let (_, body) = text.split_once("\r\n\r\n").expect("a body");
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    // From 2.12 on it stands one level deeper.
    let headers = body["args"].get("headers").unwrap_or(&body["headers"]);
    headers["Authorization"].as_str().expect("a header").to_owned()
}

/// The same bytes with another digest in them.
pub(crate) fn with_digest(recorded: &[u8], digest: &str) -> Vec<u8> {
    let text = std::str::from_utf8(recorded).expect("text");
    let at = text.find("sha256:").expect("a digest");
    [&text[..at], digest, &text[at + digest.len()..]]
        .concat()
        .into_bytes()
}
