//! Calls a manager byte for byte like Harbor's "Dragonfly" driver (2.12 and later), and checks the responses like
//! Harbor's Go client: types, words and times.
//!
//! All requests of one [`Harbor`] use one keep-alive connection, as long as the manager keeps it.

mod connection;
mod judge;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use connection::Connection;
pub use connection::{Answer, Broken};
pub use judge::{Created, Poll, Row, State};

/// Harbor's time limit for a response.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Harbor polls every 10 s; tests poll faster.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// The error that ends Harbor's job.
#[derive(Debug)]
pub enum HarborError {
    /// No response; Harbor's job would end with an error.
    Broken(Broken),
    /// Not 2xx (or 208).
    Refused { status: u16, body: String },
    /// Not what Harbor's client can read.
    Misread(String),
}

impl std::fmt::Display for HarborError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken(broken) => write!(out, "{broken}"),
            Self::Refused { status, body } => write!(out, "response {status}: {body}"),
            Self::Misread(why) => write!(out, "Harbor cannot read the response: {why}"),
        }
    }
}

impl std::error::Error for HarborError {}

/// A preheat request of Harbor.
#[derive(Debug, Clone)]
pub struct Wish {
    url: String,
    /// The registry token in the request.
    jwt: Option<String>,
    scope: String,
    clusters: Option<Vec<u64>>,
}

impl Wish {
    /// `url` as [`Registry::manifest_url`](crate::Registry::manifest_url) has it.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            jwt: None,
            scope: String::new(),
            clusters: None,
        }
    }

    #[must_use]
    pub fn jwt(mut self, jwt: impl Into<String>) -> Self {
        self.jwt = Some(jwt.into());
        self
    }

    /// `single_seed_peer`, `all_seed_peers` or `all_peers`.
    #[must_use]
    pub fn scope(mut self, scope: &str) -> Self {
        scope.clone_into(&mut self.scope);
        self
    }

    #[must_use]
    pub fn clusters(mut self, ids: &[u64]) -> Self {
        self.clusters = Some(ids.to_vec());
        self
    }

    /// The body, key by key in Harbor's order.
    fn body(&self) -> String {
        let headers = match &self.jwt {
            Some(jwt) => format!(r#"{{"Authorization":{}}}"#, json!(format!("Bearer {jwt}"))),
            None => "{}".to_owned(),
        };
        format!(
            r#"{{"type":"preheat","args":{{"type":"image","url":{url},"tag":"","filtered_query_params":"","headers":{headers},"scope":{scope},"concurrent_count":0,"timeout":0}},"scheduler_cluster_ids":{clusters}}}"#,
            url = json!(self.url),
            scope = json!(self.scope),
            clusters = json!(self.clusters),
        )
    }
}

/// Harbor's preheat driver, without the rest of Harbor.
pub struct Harbor {
    /// `host:port`
    address: String,
    authorization: Option<String>,
    connection: Option<Connection>,
}

impl Harbor {
    /// With a provider in mode OAUTH.
    pub fn oauth(address: impl Into<String>, token: &str) -> Self {
        Self::with(address.into(), Some(format!("Bearer {token}")))
    }

    /// In mode BASIC: `{"user":"password"}`.
    pub fn basic(address: impl Into<String>, user: &str, password: &str) -> Self {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        Self::with(address.into(), Some(format!("Basic {pair}")))
    }

    /// In mode NONE.
    pub fn anonymous(address: impl Into<String>) -> Self {
        Self::with(address.into(), None)
    }

    fn with(address: String, authorization: Option<String>) -> Self {
        Self {
            address,
            authorization,
            connection: None,
        }
    }

    /// `GET /healthy`, before anything else.
    pub async fn healthy(&mut self) -> Result<(), HarborError> {
        self.get("/healthy").await.map(drop)
    }

    /// `POST /oapi/v1/jobs`.
    pub async fn preheat(&mut self, wish: &Wish) -> Result<Created, HarborError> {
        let body = wish.body();
        let head = format!(
            "POST /oapi/v1/jobs HTTP/1.1\r\n{}",
            self.headers(Some(body.len()))
        );
        let answer = self.ask(&format!("{head}{body}")).await?;
        judge::created(&answer).map_err(HarborError::Misread)
    }

    /// `GET /oapi/v1/jobs/{id}`.
    pub async fn poll(&mut self, id: i64) -> Result<Poll, HarborError> {
        let answer = self.get(&format!("/oapi/v1/jobs/{id}")).await?;
        let poll = judge::poll(&answer).map_err(HarborError::Misread)?;
        if poll.id == id {
            Ok(poll)
        } else {
            Err(HarborError::Misread(format!("job {} for job {id}", poll.id)))
        }
    }

    /// Polls until the job has ended; fails like Harbor at the first unacceptable response.
    pub async fn until_done(&mut self, id: i64, limit: Duration) -> Poll {
        self.polls(id, limit, false).await
    }

    /// The same, but repeats polls without a response, as behind a proxy that hides a manager restart.
    pub async fn until_done_across_restarts(&mut self, id: i64, limit: Duration) -> Poll {
        self.polls(id, limit, true).await
    }

    async fn polls(&mut self, id: i64, limit: Duration, forgive_silence: bool) -> Poll {
        let deadline = Instant::now() + limit;
        let mut last = None;
        while Instant::now() < deadline {
            match self.poll(id).await {
                Ok(poll) if poll.state != State::Pending => return poll,
                Ok(poll) => last = Some(poll),
                Err(HarborError::Broken(_)) if forgive_silence => {}
                Err(error) => panic!("polling job {id}: {error}"),
            }
            sleep(POLL_EVERY).await;
        }
        panic!("job {id} has not ended within {limit:?}; last seen: {last:?}");
    }

    async fn get(&mut self, path: &str) -> Result<Answer, HarborError> {
        let request = format!("GET {path} HTTP/1.1\r\n{}", self.headers(None));
        self.ask(&request).await
    }

    /// In Harbor's order and spelling.
    fn headers(&self, content_length: Option<usize>) -> String {
        let of_body = |text: String| content_length.map(|_| text).unwrap_or_default();
        let authorization = self
            .authorization
            .as_ref()
            .map(|value| format!("Authorization: {value}\r\n"));
        [
            format!("Host: {}\r\nUser-Agent: Go-http-client/1.1\r\n", self.address),
            of_body(format!(
                "Content-Length: {}\r\n",
                content_length.unwrap_or_default()
            )),
            "Accept: application/json\r\n".to_owned(),
            authorization.unwrap_or_default(),
            of_body("Content-Type: application/json\r\n".to_owned()),
            "Accept-Encoding: gzip\r\n\r\n".to_owned(),
        ]
        .concat()
    }

    async fn ask(&mut self, request: &str) -> Result<Answer, HarborError> {
        let answer = self
            .exchange(request.as_bytes())
            .await
            .map_err(HarborError::Broken)?;
        // Go's client takes 208 for an error of its own.
        if answer.status / 100 == 2 && answer.status != 208 {
            return Ok(answer);
        }
        Err(HarborError::Refused {
            status: answer.status,
            body: String::from_utf8_lossy(&answer.body).into_owned(),
        })
    }

    /// Sends any bytes over the keep-alive connection and reads one answer.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer, Broken> {
        let repeatable = request.starts_with(b"GET ");
        let both = async {
            // The idle connection may have been closed; like Go, retry once on a new one.
            if let Some(mut kept) = self.connection.take().filter(Connection::is_open) {
                match kept.exchange(request).await {
                    Err(_) if repeatable => {}
                    answer => return answer.map(|answer| (kept, answer)),
                }
            }
            let mut fresh = Connection::open(&self.address).await?;
            let answer = fresh.exchange(request).await?;
            Ok((fresh, answer))
        };
        let (connection, answer) = timeout(ANSWER_LIMIT, both)
            .await
            .unwrap_or_else(|_| Err(Broken::late(ANSWER_LIMIT)))?;
        self.connection = Some(connection).filter(|_| answer.keeps_alive());
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_what_harbor_sent() {
        // As recorded from Harbor 2.15.2, but for the shortened token.
        let recorded = r#"{"type":"preheat","args":{"type":"image","url":"http://10.88.0.2:8080/v2/hb6b016998-private/app/manifests/v1","tag":"","filtered_query_params":"","headers":{"Authorization":"Bearer eyJhbGciOiJSU"},"scope":"single_seed_peer","concurrent_count":0,"timeout":0},"scheduler_cluster_ids":null}"#;
        let wish = Wish::new("http://10.88.0.2:8080/v2/hb6b016998-private/app/manifests/v1")
            .jwt("eyJhbGciOiJSU")
            .scope("single_seed_peer");
        assert_eq!(wish.body(), recorded);
        assert!(
            wish.clusters(&[1, 2])
                .body()
                .ends_with(r#""scheduler_cluster_ids":[1,2]}"#)
        );
    }

    #[test]
    fn the_headers_are_in_harbors_order() {
        let harbor = Harbor::oauth("10.88.0.1:9000", "stub-token");
        let recorded = "Host: 10.88.0.1:9000\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: 1397\r\n\
            Accept: application/json\r\nAuthorization: Bearer stub-token\r\nContent-Type: application/json\r\n\
            Accept-Encoding: gzip\r\n\r\n";
        assert_eq!(harbor.headers(Some(1397)), recorded);
    }
}
