//! The peer's client for the manager. Every call has a time limit and is sent once: the caller decides about retries.

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
    /// Retry later.
    #[error("manager unreachable")]
    Unreachable(#[source] reqwest::Error),
    /// Register again.
    #[error("the session has ended")]
    SessionEnded,
    /// The peer's certificate or join token is not accepted.
    #[error("the manager refused this peer: {0}")]
    Refused(String),
    #[error("the manager is busy: {0}")]
    Busy(String),
    #[error("the requested record no longer exists")]
    Gone,
    #[error("unexpected response of the manager (HTTP {status}): {text}")]
    Answered { status: StatusCode, text: String },
}

impl ManagerClient {
    /// Takes the configured URL of the manager, whose path is kept, and a client with the peer's certificate.
    pub fn new(http: Client, base: &str) -> Self {
        Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
        }
    }

    /// Requests a new certificate for the same key.
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

    /// Fetches the `Authorization` value of a credential; [`CallError::Gone`] after the end of its preheat.
    pub async fn credential(&self, session: Uuid, credential: &str) -> Result<SecretText, CallError> {
        // The name may contain a repository, whose slashes would change the path.
        let name = utf8_percent_encode(credential, NON_ALPHANUMERIC).to_string();
        self.get(of_session(paths::CREDENTIAL, session).replace("{credential}", &name))
            .await
    }

    /// Returns a few peers of this cluster that hold the whole object.
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

/// Joins the cluster with a client that trusts the CA in the join token.
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

/// Returns the `detail` of the manager's problem, or the whole body.
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
