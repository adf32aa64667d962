//! Client of the native API. Every call has a time limit, and every error says what to do.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wire::SecretText;

const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Which manager to call, and with which token.
#[derive(Debug, Args)]
pub(crate) struct ServerFlags {
    /// URL of the manager's API.
    #[arg(
        long,
        env = "STOKER_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) server: String,
    /// File with a token. [default: the token in `STOKER_TOKEN`]
    #[arg(long, env = "STOKER_TOKEN_FILE", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// Client of one manager.
#[derive(Clone)]
pub(crate) struct Api {
    http: Client,
    base: String,
    token: Option<SecretText>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("--server {0} is not an http or https URL; write for example http://127.0.0.1:8080")]
    BadServer(String),
    #[error("the token file {file} cannot be read: {error}")]
    TokenFile { file: String, error: std::io::Error },
    #[error("an HTTP client cannot be built: {0}")]
    Client(#[from] process::http::ClientError),
    #[error("the manager cannot be reached at {base}: {reason}; start it, or give another URL with --server")]
    Unreachable { base: String, reason: String },
    #[error(
        "the manager at {base} requires a token: give --token-file FILE or STOKER_TOKEN. The first start of the \
         manager wrote one with every scope to admin.token in its data folder"
    )]
    NoToken { base: String },
    #[error(
        "the manager refused the token: {reason}. The first start wrote one with every scope to admin.token"
    )]
    Token { reason: String },
    #[error("{reason}")]
    Refused { status: StatusCode, reason: String },
    #[error("{base} does not answer as a Stoker manager does: {reason}; check --server")]
    NotAManager { base: String, reason: String },
}

impl AskError {
    /// Whether the same request may succeed later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }
}

/// The fields of a problem document (RFC 9457) that are shown. A proxy may have written it.
#[derive(Deserialize)]
struct AnyProblem {
    title: Option<String>,
    detail: Option<String>,
}

impl Api {
    pub(crate) fn new(flags: &ServerFlags) -> Result<Self, AskError> {
        let token = match &flags.token_file {
            Some(path) => Some(read_token(path)?),
            None => token_from_environment(),
        };
        Self::at(&flags.server, token)
    }

    pub(crate) fn at(server: &str, token: Option<SecretText>) -> Result<Self, AskError> {
        let web = url::Url::parse(server).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !web {
            return Err(AskError::BadServer(server.to_owned()));
        }
        let http = process::http::client(&process::http::ClientOptions::default())?;
        Ok(Self {
            http,
            base: server.trim_end_matches('/').to_owned(),
            token,
        })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AskError> {
        self.read(self.send(self.request(Method::GET, path)).await?).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, AskError> {
        self.read(self.send(self.request(Method::POST, path).json(body)).await?)
            .await
    }

    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, AskError> {
        self.read(self.send(self.request(Method::PUT, path).json(body)).await?)
            .await
    }

    /// Deletes, and returns the state after it.
    pub(crate) async fn delete_for<T: DeserializeOwned>(&self, path: &str) -> Result<T, AskError> {
        self.read(self.send(self.request(Method::DELETE, path)).await?)
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<(), AskError> {
        self.send(self.request(Method::DELETE, path)).await.map(drop)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .timeout(CALL_LIMIT);
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, AskError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::UNAUTHORIZED if self.token.is_none() => Err(AskError::NoToken {
                base: self.base.clone(),
            }),
            status => Err(self.refusal(status, response).await),
        }
    }

    async fn refusal(&self, status: StatusCode, response: Response) -> AskError {
        let Ok(problem) = response.json::<AnyProblem>().await else {
            return AskError::NotAManager {
                base: self.base.clone(),
                reason: format!("status {status}"),
            };
        };
        let reason = match (problem.title, problem.detail) {
            (Some(title), Some(detail)) => format!("{title}: {detail}"),
            (Some(text), None) | (None, Some(text)) => text,
            (None, None) => format!("the manager answered {status}"),
        };
        match status {
            StatusCode::UNAUTHORIZED => AskError::Token { reason },
            _ => AskError::Refused { status, reason },
        }
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, AskError> {
        response.json().await.map_err(|error| {
            if error.is_decode() {
                AskError::NotAManager {
                    base: self.base.clone(),
                    reason: innermost(&error),
                }
            } else {
                self.unreachable(&error)
            }
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> AskError {
        AskError::Unreachable {
            base: self.base.clone(),
            reason: innermost(error),
        }
    }
}

/// A path with its query.
pub(crate) fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    format!("{path}?{}", query.finish())
}

/// Parses a response that was read as JSON.
pub(crate) fn understood<T: DeserializeOwned>(answer: serde_json::Value) -> Result<T, AskError> {
    serde_json::from_value(answer).map_err(|error| AskError::NotAManager {
        base: "the manager".to_owned(),
        reason: error.to_string(),
    })
}

/// Returns the innermost cause; the outer ones only repeat the URL.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn read_token(path: &std::path::Path) -> Result<SecretText, AskError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(SecretText::new(text.trim())),
        Err(error) => Err(AskError::TokenFile {
            file: path.display().to_string(),
            error,
        }),
    }
}

/// `STOKER_TOKEN` has no flag: a flag would show in the list of processes.
#[expect(
    clippy::disallowed_methods,
    reason = "read once, by the command line, which clap cannot do without a flag"
)]
fn token_from_environment() -> Option<SecretText> {
    let token = std::env::var("STOKER_TOKEN").ok()?;
    Some(SecretText::new(token.trim())).filter(|token| !token.expose().is_empty())
}

#[cfg(test)]
mod tests {
    use axum::http::header::CONTENT_TYPE;
    use axum::routing::get;
    use axum::{Json, Router};
    use serde_json::{Value, json};

    use super::*;

    /// A manager that gives the same response to every request.
    async fn answering(status: u16, content_type: &'static str, body: String) -> (process::Running, String) {
        process::install_tls_provider();
        let listener = process::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let status = axum::http::StatusCode::from_u16(status).expect("a status");
        let answer = get(move || async move { (status, [(CONTENT_TYPE, content_type)], body) });
        let running = process::Running::new();
        process::serve(listener, Router::new().fallback_service(answer), &running, None).expect("served");
        (running, base)
    }

    async fn refusal(base: &str, token: Option<&str>) -> AskError {
        let api = Api::at(base, token.map(SecretText::new)).expect("a client");
        api.get::<Value>("/api/v1/preheats/7")
            .await
            .expect_err("a refusal")
    }

    #[tokio::test]
    async fn a_problem_becomes_its_title_and_detail() {
        let problem = json!({"type": "about:blank", "title": "Not found", "status": 404, "detail": "there is no preheat 7"});
        let (_running, base) = answering(404, "application/problem+json", problem.to_string()).await;
        let error = refusal(&base, None).await;
        assert!(!error.may_pass());
        let AskError::Refused { status, reason } = error else {
            panic!("{error:?}")
        };
        assert_eq!(status, StatusCode::NOT_FOUND);
        insta::assert_snapshot!(reason, @"Not found: there is no preheat 7");
    }

    #[tokio::test]
    async fn a_missing_token_is_another_error_than_a_refused_one() {
        let (_running, base) = answering(401, "application/problem+json", "{}".to_owned()).await;
        let missing = refusal(&base, None).await;
        assert!(matches!(missing, AskError::NoToken { .. }), "{missing:?}");
        let remedy = missing.to_string();
        assert!(
            remedy.contains("admin.token") && remedy.contains("STOKER_TOKEN"),
            "{remedy}"
        );
        let refused = refusal(&base, Some("wr0ng")).await;
        assert!(matches!(refused, AskError::Token { .. }), "{refused:?}");
        assert!(!refused.to_string().contains("wr0ng"), "{refused}");
    }

    #[tokio::test]
    async fn another_server_is_not_taken_for_a_manager() {
        let (_running, base) = answering(200, "text/html", "<html>".to_owned()).await;
        let error = refusal(&base, None).await;
        assert!(matches!(error, AskError::NotAManager { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn an_unreachable_manager_may_answer_later() {
        process::install_tls_provider();
        let listener = process::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        drop(listener);
        let error = refusal(&base, None).await;
        assert!(error.may_pass());
        assert!(matches!(error, AskError::Unreachable { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_response_is_read() {
        let (_running, base) = answering(200, "application/json", Json(json!([1])).0.to_string()).await;
        let api = Api::at(&base, None).expect("a client");
        assert_eq!(api.get::<Vec<i64>>("/").await.expect("a response"), vec![1]);
    }

    #[test]
    fn a_query_keeps_its_values_unchanged() {
        let path = query("/x", &[("image", "h:5000/a@sha256:1&b=c d")]);
        let url = url::Url::parse(&format!("http://h{path}")).expect("a URL");
        let pairs: Vec<_> = url.query_pairs().into_owned().collect();
        assert_eq!(
            pairs,
            [("image".to_owned(), "h:5000/a@sha256:1&b=c d".to_owned())]
        );
    }

    #[test]
    fn a_server_must_be_a_url() {
        assert!(matches!(
            Api::at("localhost:8080", None),
            Err(AskError::BadServer(_))
        ));
    }
}
