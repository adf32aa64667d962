//! A client that is not the bottleneck: HTTP/1.1 over one connection, with nothing between the socket and the
//! count.

use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

const BUFFER: usize = 256 << 10;
const LONGEST_HEAD: usize = 16 << 10;

/// One keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    host: String,
    buffer: Vec<u8>,
}

/// The result of one request.
#[derive(Debug, Default)]
pub(crate) struct BodyCount {
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) first_byte: Duration,
}

/// How a body is read.
pub(crate) struct Reading {
    /// Hashes the body if set.
    pub(crate) hash: Option<Sha256>,
    /// Bytes a second. `None`: no limit.
    pub(crate) pace: Option<u64>,
}

impl Reading {
    pub(crate) fn fast() -> Self {
        Self {
            hash: None,
            pace: None,
        }
    }

    pub(crate) fn slow(bytes_a_second: u64) -> Self {
        Self {
            pace: Some(bytes_a_second),
            ..Self::fast()
        }
    }
}

impl Connection {
    /// `http://address:port`
    pub(crate) async fn open(base: &str) -> std::io::Result<Self> {
        let host = base.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&host).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            host,
            buffer: vec![0; BUFFER],
        })
    }

    pub(crate) async fn get(&mut self, path: &str, range: Option<&str>) -> std::io::Result<BodyCount> {
        self.read(path, range, &mut Reading::fast()).await
    }

    pub(crate) async fn read(
        &mut self,
        path: &str,
        range: Option<&str>,
        reading: &mut Reading,
    ) -> std::io::Result<BodyCount> {
        let begin = Instant::now();
        let range = range
            .map(|range| format!("Range: {range}\r\n"))
            .unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{range}\r\n", self.host);
        self.stream.write_all(request.as_bytes()).await?;
        let (head, filled) = self.head().await?;
        let (status, length) = read_head(&self.buffer[..head]).ok_or_else(|| broken("no head"))?;
        let mut got = BodyCount {
            status,
            bytes: (filled - head) as u64,
            first_byte: begin.elapsed(),
        };
        if let Some(hash) = &mut reading.hash {
            hash.update(&self.buffer[head..filled]);
        }
        while got.bytes < length {
            if let Some(pace) = reading.pace {
                sleep(
                    Duration::from_secs(1) * u32::try_from(BUFFER).unwrap_or(1)
                        / u32::try_from(pace).unwrap_or(1),
                )
                .await;
            }
            let read = self.stream.read(&mut self.buffer).await?;
            if read == 0 {
                return Err(broken("the body was cut"));
            }
            if let Some(hash) = &mut reading.hash {
                hash.update(&self.buffer[..read]);
            }
            got.bytes += read as u64;
        }
        Ok(got)
    }

    /// Reads until the head is complete. Returns where it ends, and how much has come.
    async fn head(&mut self) -> std::io::Result<(usize, usize)> {
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Err(broken("closed before an answer"));
            }
            filled += read;
            let seen = &self.buffer[..filled.min(LONGEST_HEAD)];
            if let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
                return Ok((end + 4, filled));
            }
            if filled > LONGEST_HEAD {
                return Err(broken("an endless head"));
            }
        }
    }
}

fn broken(why: &str) -> std::io::Error {
    std::io::Error::other(why.to_owned())
}

/// Returns the status and the length of the body.
fn read_head(head: &[u8]) -> Option<(u16, u64)> {
    let text = std::str::from_utf8(head).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    Some((status, length?))
}

/// Requests each of these paths once, over `connections` connections. Returns the seconds it took.
pub(crate) async fn each_once(base: &str, paths: &[String], connections: usize) -> f64 {
    let begin = Instant::now();
    let shares = (0..connections).map(|first| async move {
        let mut connection = Connection::open(base).await.expect("connected");
        for path in paths.iter().skip(first).step_by(connections) {
            let got = connection
                .get(path, None)
                .await
                .unwrap_or_else(|error| panic!("{base}{path}: {error}"));
            assert_eq!(got.status, 200, "{base}{path}");
        }
    });
    futures_util::future::join_all(shares).await;
    begin.elapsed().as_secs_f64()
}

/// Reads one object. Returns the seconds and the digest of what came, or `None` when it did not come whole.
pub(crate) async fn proven(base: &str, path: &str) -> (f64, Option<String>) {
    let begin = Instant::now();
    let mut reading = Reading {
        hash: Some(Sha256::new()),
        pace: None,
    };
    let got = async {
        let mut connection = Connection::open(base).await?;
        connection.read(path, None, &mut reading).await
    };
    let whole = got.await.is_ok_and(|got| got.status == 200);
    let took = begin.elapsed().as_secs_f64();
    let hash = reading.hash.take().filter(|_| whole).map(Sha256::finalize);
    let digest = hash.map(|hash| format!("sha256:{}", hex::encode(hash)));
    (took, digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_length_are_read_from_the_head() {
        let head = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 65536\r\nEtag: \"a:b\"\r\n\r\n";
        assert_eq!(read_head(head), Some((206, 65_536)));
        assert_eq!(read_head(b"HTTP/1.1 200 OK\r\n\r\n"), None);
    }
}
