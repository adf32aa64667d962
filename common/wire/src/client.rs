//! The peer's side of the calls. Every call has a limit; none is repeated here: the caller knows what
//! may be said twice.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::{
    Hello, HoldingsReport, JoinRequest, Joined, ProgressReport, ProgressResponse, Reply, SecretText,
    SeedAddress, SettleRequest, SettleResponse, TakeRequest, TakeResponse, TraceContext, Welcome, paths,
};

const CALL_LIMIT: Duration = Duration::from_secs(20);

/// Calls one manager, as one peer.
#[derive(Clone)]
pub struct ManagerClient {
    http: Client,
    base: String,
}

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Manager away or the way to it broken: try again.
    #[error("the manager cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The session has ended: say hello again.
    #[error("the manager does not know this session any more")]
    SessionEnded,
    /// This peer's certificate, or its join token, does not do.
    #[error("the manager refused this peer: {0}")]
    Refused(String),
    #[error("the manager is busy: {0}")]
    Busy(String),
    #[error("what was asked for is gone")]
    Gone,
    #[error("the manager answered {status}: {text}")]
    Answered { status: StatusCode, text: String },
}

impl ManagerClient {
    /// `base` is the manager's URL as configured; a path in it is kept.
    /// `http` shows the peer's certificate.
    pub fn new(http: Client, base: &str) -> Self {
        Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
        }
    }

    /// A new certificate for the key of the shown one.
    pub async fn renew(&self) -> Result<Joined, CallError> {
        read(accepted(self.request(Method::POST, paths::RENEW, CALL_LIMIT)).await?).await
    }

    pub async fn hello(&self, hello: &Hello) -> Result<Welcome, CallError> {
        self.post(paths::SESSIONS.to_owned(), hello, CALL_LIMIT).await
    }

    pub async fn take(&self, session: Uuid, request: &TakeRequest) -> Result<TakeResponse, CallError> {
        let limit = CALL_LIMIT + Duration::from_millis(request.wait_ms);
        self.post(of_session(paths::WORK, session), request, limit).await
    }

    pub async fn progress(
        &self,
        session: Uuid,
        report: &ProgressReport,
    ) -> Result<ProgressResponse, CallError> {
        self.post(of_session(paths::PROGRESS, session), report, CALL_LIMIT)
            .await
    }

    pub async fn settle(&self, session: Uuid, request: &SettleRequest) -> Result<SettleResponse, CallError> {
        self.post(of_session(paths::SETTLE, session), request, CALL_LIMIT)
            .await
    }

    pub async fn holdings(&self, session: Uuid, report: &HoldingsReport) -> Result<(), CallError> {
        let request = self
            .request(Method::POST, &of_session(paths::HOLDINGS, session), CALL_LIMIT)
            .json(report);
        accepted(request).await.map(drop)
    }

    pub async fn answer(&self, session: Uuid, question: Uuid, reply: &Reply) -> Result<(), CallError> {
        let path = of_session(paths::ANSWERS, session).replace("{question}", &question.to_string());
        let request = self.request(Method::POST, &path, CALL_LIMIT).json(reply);
        accepted(request).await.map(drop)
    }

    /// The `Authorization` value of a credential; [`CallError::Gone`] once its preheat has ended.
    pub async fn credential(&self, session: Uuid, credential: &str) -> Result<SecretText, CallError> {
        // A name may hold a repository, whose slashes would be another path.
        let name = utf8_percent_encode(credential, NON_ALPHANUMERIC).to_string();
        self.get(of_session(paths::CREDENTIAL, session).replace("{credential}", &name))
            .await
    }

    /// Peers of this cluster that hold the object whole, at most a few.
    pub async fn parents(&self, session: Uuid, digest: &str) -> Result<Vec<SeedAddress>, CallError> {
        self.get(of_session(paths::PARENTS, session).replace("{digest}", digest))
            .await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: String,
        body: &impl Serialize,
        limit: Duration,
    ) -> Result<T, CallError> {
        read(accepted(self.request(Method::POST, &path, limit).json(body)).await?).await
    }

    async fn get<T: DeserializeOwned>(&self, path: String) -> Result<T, CallError> {
        read(accepted(self.request(Method::GET, &path, CALL_LIMIT)).await?).await
    }

    fn request(&self, method: Method, path: &str, limit: Duration) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .timeout(limit);
        match TraceContext::current() {
            Some(context) => request.header("traceparent", context.as_str()),
            None => request,
        }
    }
}

/// Joins a manager, by a client that trusts the authority whose fingerprint the join token names.
pub async fn join(http: &Client, base: &str, request: &JoinRequest) -> Result<Joined, CallError> {
    let url = format!("{}{}", base.trim_end_matches('/'), paths::JOIN);
    read(accepted(http.post(url).json(request).timeout(CALL_LIMIT)).await?).await
}

fn of_session(path: &str, session: Uuid) -> String {
    path.replace("{session}", &session.to_string())
}

async fn accepted(request: RequestBuilder) -> Result<reqwest::Response, CallError> {
    let response = request.send().await.map_err(CallError::Unreachable)?;
    match response.status() {
        status if status.is_success() => Ok(response),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(CallError::Refused(words(response).await)),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Err(CallError::Busy(words(response).await))
        }
        StatusCode::GONE => Err(CallError::SessionEnded),
        StatusCode::NOT_FOUND => Err(CallError::Gone),
        status => Err(CallError::Answered {
            status,
            text: words(response).await,
        }),
    }
}

/// What the manager says to people: the `detail` of its problem, or its whole answer.
async fn words(response: reqwest::Response) -> String {
    #[derive(serde::Deserialize)]
    struct Problem {
        detail: String,
    }
    let text = response.text().await.unwrap_or_default();
    match serde_json::from_str(&text) {
        Ok(Problem { detail }) => detail,
        Err(_) => text,
    }
}

async fn read<T: DeserializeOwned>(response: reqwest::Response) -> Result<T, CallError> {
    response.json().await.map_err(CallError::Unreachable)
}
