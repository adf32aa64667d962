//! A client of Harbor's API, version 2.0, with the calls that the commands need.
//!
//! For every status of 500 and above, Harbor's text is only "internal server error". The caller adds what it means.

use std::time::Duration;

use process::http::{ClientOptions, client};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use wire::SecretText;

use crate::cli::client::innermost;

/// Harbor itself waits 30 s for a provider that does not answer.
const CALL_LIMIT: Duration = Duration::from_secs(45);
/// The longest page that Harbor sends.
const PAGE_SIZE: usize = 100;
const PAGES: usize = 1_000;
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

pub(super) struct TheirApi {
    http: Client,
    /// The URL, including `/api/v2.0`.
    base: String,
    user: String,
    password: SecretText,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum HarborError {
    #[error("--harbor {0} is not an http or https URL; write for example https://harbor.example.com")]
    BadAddress(String),
    #[error("an HTTP client cannot be built: {0}")]
    Client(#[from] process::http::ClientError),
    #[error(
        "Harbor cannot be reached at {base}: {reason}; check the address, or give --harbor-ca-file for a private CA"
    )]
    Unreachable { base: String, reason: String },
    #[error(
        "Harbor refused the password of user {user}: check --user and STOKER_HARBOR_PASSWORD; a robot account works too"
    )]
    SignIn { user: String },
    #[error(
        "user {user} may not do this in Harbor: {reason}. Use a system administrator, or a robot account with \
         the system permission for preheat instances and the project's permission for preheat policies"
    )]
    Forbidden { user: String, reason: String },
    #[error("{what} failed in Harbor: {status}: {reason}")]
    Refused {
        status: StatusCode,
        what: String,
        reason: String,
    },
    #[error("{base} does not answer {what} as Harbor does: {reason}; check --harbor")]
    NotHarbor {
        base: String,
        what: String,
        reason: String,
    },
}

impl HarborError {
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// The body of Harbor's errors.
#[derive(Deserialize)]
struct Errors {
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
struct OneError {
    message: String,
}

impl TheirApi {
    pub(super) fn new(
        harbor: &str,
        user: String,
        password: SecretText,
        trust: &ClientOptions,
    ) -> Result<Self, HarborError> {
        let is_web = url::Url::parse(harbor).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !is_web {
            return Err(HarborError::BadAddress(harbor.to_owned()));
        }
        Ok(Self {
            http: client(trust)?,
            base: format!("{}/api/v2.0", harbor.trim_end_matches('/')),
            user,
            password,
        })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, HarborError> {
        let answer = self.send(Method::GET, path, None).await?;
        self.read(path, answer).await
    }

    /// Returns `None` for 404.
    pub(super) async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, HarborError> {
        match self.get(path).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn text(&self, path: &str) -> Result<String, HarborError> {
        let answer = self.send(Method::GET, path, None).await?;
        let bytes = self.bytes(path, answer).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Returns the `Location` header of the response, if there is one.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Option<String>, HarborError> {
        let answer = self.send(Method::POST, path, Some(body)).await?;
        let location = answer.headers().get(header::LOCATION);
        Ok(location.and_then(|value| value.to_str().ok()).map(str::to_owned))
    }

    /// Returns all items of a list, page by page.
    pub(super) async fn pages<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, HarborError> {
        let mut all = Vec::new();
        for page in 1..=PAGES {
            let page: Option<Vec<T>> = self
                .get(&format!("{path}?page={page}&page_size={PAGE_SIZE}"))
                .await?;
            let page = page.unwrap_or_default();
            let is_last = page.len() < PAGE_SIZE;
            all.extend(page);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    pub(super) async fn delete(&self, path: &str) -> Result<(), HarborError> {
        self.send(Method::DELETE, path, None).await.map(drop)
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Result<(), HarborError> {
        self.send(Method::PUT, path, Some(body)).await.map(drop)
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response, HarborError> {
        let what = format!("{method} {path}");
        let request = self.request(method, path);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send().await.map_err(|error| HarborError::Unreachable {
            base: self.base.clone(),
            reason: oci::ConnectFault::of(&error).to_string(),
        })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(self.refusal(what, answer).await)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .timeout(CALL_LIMIT)
            .basic_auth(&self.user, Some(self.password.expose()))
            .header(header::ACCEPT, "application/json")
            // Without this, Harbor reads a name of digits as an id.
            .header("X-Is-Resource-Name", "true")
    }

    async fn refusal(&self, what: String, answer: Response) -> HarborError {
        let status = answer.status();
        let bytes = self.bytes(&what, answer).await.unwrap_or_default();
        let reason = error_text(&bytes);
        let user = self.user.clone();
        match status {
            StatusCode::UNAUTHORIZED => HarborError::SignIn { user },
            StatusCode::FORBIDDEN => HarborError::Forbidden { user, reason },
            status => HarborError::Refused { status, what, reason },
        }
    }

    async fn read<T: DeserializeOwned>(&self, what: &str, answer: Response) -> Result<T, HarborError> {
        let bytes = self.bytes(what, answer).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.not_harbor(what, &error.to_string()))
    }

    async fn bytes(&self, what: &str, mut answer: Response) -> Result<Vec<u8>, HarborError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| self.not_harbor(what, &innermost(&error)))?
        {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LONGEST_ANSWER {
                return Err(self.not_harbor(what, "the response is longer than 4 MiB"));
            }
        }
        Ok(bytes)
    }

    fn not_harbor(&self, what: &str, reason: &str) -> HarborError {
        HarborError::NotHarbor {
            base: self.base.clone(),
            what: what.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

/// Returns the messages of Harbor's errors, or the start of the body.
fn error_text(body: &[u8]) -> String {
    match serde_json::from_slice::<Errors>(body) {
        Ok(Errors { errors }) => {
            let messages: Vec<String> = errors.into_iter().map(|error| error.message).collect();
            messages.join("; ")
        }
        Err(_) => String::from_utf8_lossy(body).chars().take(200).collect(),
    }
}

/// Encodes a name as one segment of a path.
pub(super) fn part(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harbors_error_messages_are_read() {
        let body = br#"{"errors":[{"code":"NOT_FOUND","message":"project nope not found"}]}"#;
        assert_eq!(error_text(body), "project nope not found");
        assert_eq!(error_text(b"<html>"), "<html>");
    }

    #[test]
    fn a_name_stays_one_segment_of_the_path() {
        assert_eq!(part("a/b c"), "a%2Fb%20c");
    }
}
