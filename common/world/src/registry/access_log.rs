//! The registry's requests, from the access log, which it writes when a response is complete.
//!
//! The access log has every request; the registry's JSON log lacks refused ones.

use super::Registry;
use crate::program::eventually;
use crate::{files, http::status_of};
use std::time::Duration;

/// One request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub uri: String,
    pub status: u16,
    /// Of the answer's body.
    pub bytes: u64,
    pub user_agent: String,
}

/// Marks requests that are only made to know that all earlier ones are in the log.
const MARK: &str = "/v2/?settled=";

impl Request {
    pub fn path(&self) -> &str {
        self.uri.split_once('?').map_or(&self.uri, |(path, _)| path)
    }

    /// A GET that was answered with content (200 or 206), by tag or digest.
    pub fn is_get_of(&self, reference: &str) -> bool {
        let named = self
            .path()
            .rsplit_once('/')
            .is_some_and(|(_, last)| last == reference);
        named && self.method == "GET" && matches!(self.status, 200 | 206)
    }
}

/// `127.0.0.1 - - [21/Nov/2026:12:48:02 +0000] "GET /v2/ HTTP/1.1" 401 87 "" "curl/7.88.1"`
fn parse(line: &str) -> Option<Request> {
    let mut quoted = line.split('"');
    let mut request = quoted.nth(1)?.split(' ');
    let mut result = quoted.next()?.split_whitespace();
    Some(Request {
        method: request.next()?.to_owned(),
        uri: request.next()?.to_owned(),
        status: result.next()?.parse().ok()?,
        bytes: result.next()?.parse().ok()?,
        user_agent: quoted.nth(2)?.to_owned(),
    })
}

impl Registry {
    /// Every request that was answered since the start, or since [`Registry::forget_requests`].
    pub async fn requests(&mut self) -> Vec<Request> {
        self.settle().await;
        let log = files::read_text(&self.access_log());
        let lines = log.lines().skip(self.forgotten);
        let requests =
            lines.map(|line| parse(line).unwrap_or_else(|| panic!("cannot parse the log line: {line}")));
        requests
            .filter(|request| !request.uri.starts_with(MARK))
            .collect()
    }

    /// GETs of a manifest or blob that were answered with content; a digest, or a tag as it was asked for.
    pub async fn gets_of(&mut self, reference: &str) -> usize {
        self.requests()
            .await
            .iter()
            .filter(|request| request.is_get_of(reference))
            .count()
    }

    /// Forgets all requests so far.
    pub async fn forget_requests(&mut self) {
        self.settle().await;
        self.forgotten = files::read_text(&self.access_log()).lines().count();
    }

    /// Waits for the log: a line is written when the response is complete, shortly after its reader knows.
    async fn settle(&mut self) {
        if !self.is_running() {
            return;
        }
        let url = format!("{}{MARK}{}", self.url(), uuid::Uuid::new_v4());
        status_of(self.client(), &url).await;
        let (_, mark) = url.split_once(MARK).unwrap_or_default();
        eventually("the registry's access log", Duration::from_secs(10), async || {
            files::read_text(&self.access_log()).contains(mark).then_some(())
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_access_log_is_parsed() {
        let line = r#"127.0.0.1 - - [21/Nov/2026:12:48:02 +0000] "GET /v2/a/blobs/sha256:ab?ns=x HTTP/1.1" 206 92 "" "curl/7.88.1""#;
        let request = parse(line).expect("a request");
        assert_eq!((request.status, request.bytes), (206, 92));
        assert_eq!(request.user_agent, "curl/7.88.1");
        assert!(request.is_get_of("sha256:ab"));
        assert!(!request.is_get_of("sha256:a"));
    }

    #[test]
    fn a_refused_get_is_not_counted() {
        let line =
            r#"127.0.0.1 - - [21/Nov/2026:12:48:02 +0000] "GET /v2/a/manifests/v1 HTTP/1.1" 401 87 "" "x""#;
        assert!(!parse(line).expect("a request").is_get_of("v1"));
    }
}
