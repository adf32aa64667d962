//! A proxy for HTTP and HTTPS that requires a user name and password and records its requests.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{PASSWORD, USER};
use crate::serving::serve_each;

/// The head of one request, at most.
const HEAD_LIMIT: u64 = 64 * 1024;

/// Runs until it is dropped. It resolves names that end in `.invalid` to this machine; nothing else does.
pub struct ForwardProxy {
    address: std::net::SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl ForwardProxy {
    /// [`USER`] with [`PASSWORD`] may pass.
    pub async fn start() -> Self {
        Self::with(true).await
    }

    /// Everyone may pass.
    pub async fn open() -> Self {
        Self::with(false).await
    }

    async fn with(asks: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        let serving = serve_each(listener, move |stream| {
            let seen = Arc::clone(&seen);
            async move { pass(stream, asks, &seen).await }
        });
        Self {
            address,
            heads,
            _serving: serving,
        }
    }

    /// Without user name and password.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// With user name and password.
    pub fn url_with_account(&self) -> String {
        format!("http://{USER}:{PASSWORD}@{}", self.address)
    }

    /// Returns the head of every request as received.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().clone()
    }
}

/// One connection, one request: the connection closes with its answer.
async fn pass(stream: TcpStream, asks: bool, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut client = BufReader::new(stream);
    let head = head(&mut client).await?;
    seen.lock().push(head.clone());
    let pair = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let is_known = |line: &str| line.eq_ignore_ascii_case(&format!("proxy-authorization: Basic {pair}"));
    if asks && !head.lines().any(is_known) {
        let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"proxy\"\r\n\
            content-length: 0\r\nconnection: close\r\n\r\n";
        return client.get_mut().write_all(refusal.as_bytes()).await;
    }
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method == "CONNECT" {
        let (host, port) = target.rsplit_once(':').unwrap_or((target, "443"));
        let mut server = connect(host, port.parse().unwrap_or_default()).await?;
        client.get_mut().write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    }
    let url = url::Url::parse(target).map_err(std::io::Error::other)?;
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default());
    let mut server = connect(host, port.unwrap_or_default()).await?;
    server.write_all(forwarded(&head, &url).as_bytes()).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

async fn connect(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let is_ours = host.rsplit('.').next() == Some("invalid");
    let host = if is_ours { "127.0.0.1" } else { host };
    TcpStream::connect((host, port)).await
}

async fn head(client: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut head = String::new();
    let mut limited = client.take(HEAD_LIMIT);
    while !head.ends_with("\r\n\r\n") {
        if limited.read_line(&mut head).await? == 0 {
            break;
        }
    }
    Ok(head)
}

/// Rewrites the head for the server: only the path, no proxy headers, one request per connection.
fn forwarded(head: &str, url: &url::Url) -> String {
    let path = &url[url::Position::BeforePath..];
    let first = head.lines().next().unwrap_or_default();
    let method = first.split(' ').next().unwrap_or_default();
    let rest = head.lines().skip(1).filter(|line| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        !line.is_empty() && name != "proxy-authorization" && name != "connection"
    });
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    for line in rest {
        text += line;
        text += "\r\n";
    }
    text + "connection: close\r\n\r\n"
}
