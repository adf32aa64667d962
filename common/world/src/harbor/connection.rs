//! One keep-alive TCP connection that carries raw HTTP/1.1.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// An answer as received.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// No complete answer came.
#[derive(Debug)]
pub struct Broken(String);

impl Broken {
    pub(super) fn late(limit: Duration) -> Self {
        Self(format!("no answer within {limit:?}"))
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl Answer {
    pub(super) fn keeps_alive(&self) -> bool {
        self.headers
            .get("connection")
            .is_none_or(|value| !value.eq_ignore_ascii_case("close"))
    }
}

pub(super) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(super) async fn open(address: &str) -> Result<Self, Broken> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Whether the other side has neither closed it nor sent unexpected bytes.
    pub(super) fn is_open(&self) -> bool {
        let mut byte = [0];
        let nothing_came = self.0.get_ref().try_read(&mut byte);
        matches!(nothing_came, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<Answer, Broken> {
        self.0.get_mut().write_all(request).await?;
        let status_line = self.line().await?;
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| Broken(format!("not HTTP/1.1: {status_line:?}")))?;
        let headers = self.headers().await?;
        let body = self.body(status, &headers).await?;
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    async fn headers(&mut self) -> Result<BTreeMap<String, String>, Broken> {
        let mut headers = BTreeMap::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(headers);
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| Broken(format!("no header: {line:?}")))?;
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }

    async fn body(&mut self, status: u16, headers: &BTreeMap<String, String>) -> Result<Vec<u8>, Broken> {
        if headers
            .get("transfer-encoding")
            .is_some_and(|coding| coding == "chunked")
        {
            return self.chunks().await;
        }
        let length = match headers.get("content-length") {
            Some(length) => length
                .parse()
                .map_err(|_| Broken(format!("no length: {length:?}")))?,
            None if status == 204 => 0,
            None => {
                return Err(Broken(
                    "neither Content-Length nor chunks: the connection cannot be kept".to_owned(),
                ));
            }
        };
        self.bytes(length).await
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, Broken> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let length = line.split(';').next().unwrap_or_default();
            let length =
                usize::from_str_radix(length, 16).map_err(|_| Broken(format!("no chunk: {line:?}")))?;
            body.extend(self.bytes(length).await?);
            self.line().await?;
            if length == 0 {
                return Ok(body);
            }
        }
    }

    async fn bytes(&mut self, length: usize) -> Result<Vec<u8>, Broken> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    async fn line(&mut self) -> Result<String, Broken> {
        let mut line = String::new();
        if self.0.read_line(&mut line).await? == 0 {
            return Err(Broken("closed before the answer was complete".to_owned()));
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}
