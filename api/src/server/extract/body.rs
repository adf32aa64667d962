//! A JSON body. An error names the place and what is expected, but not the value that was sent: it may be a password
//! in the wrong field, and Harbor copies our responses into its log.

use axum::body::HttpBody as _;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::server::problem::{Kind, Problem};

/// A JSON body, read into `T`.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                Kind::MediaType,
                "Send the body with `Content-Type: application/json`.",
            ));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|fault| unread(fault.status()))?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|fault| unreadable(&fault))
    }
}

/// The same, or the default where no body was sent at all.
pub(crate) struct BodyIfAny<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for BodyIfAny<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if request.body().is_end_stream() {
            return Ok(Self(T::default()));
        }
        let Body(body) = Body::from_request(request, state).await?;
        Ok(Self(body))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = given
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim();
    media_type.eq_ignore_ascii_case("application/json")
        || media_type
            .rsplit_once('+')
            .is_some_and(|(_, suffix)| suffix.eq_ignore_ascii_case("json"))
}

fn unread(status: StatusCode) -> Problem {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new(Kind::TooLarge, "The body is larger than this call takes.")
    } else {
        Problem::new(Kind::Malformed, "The body did not arrive whole.")
    }
}

fn unreadable(fault: &serde_json::Error) -> Problem {
    match fault.classify() {
        Category::Data => Problem::new(
            Kind::Invalid,
            format!("The body does not fit: {}.", without_values(&fault.to_string())),
        ),
        Category::Syntax | Category::Eof | Category::Io => {
            Problem::new(Kind::Malformed, format!("The body is not JSON: {fault}."))
        }
    }
}

/// serde repeats what it found: `invalid type: string "s3cret", expected a map at line 1 column 20`.
fn without_values(message: &str) -> String {
    const WITH_A_VALUE: [&str; 4] = [
        "invalid type",
        "invalid value",
        "invalid length",
        "unknown variant",
    ];
    let Some(what) = WITH_A_VALUE.into_iter().find(|what| message.starts_with(what)) else {
        return message.to_owned();
    };
    // The value stands in front: the last ", expected " is serde's own.
    message.rsplit_once(", expected ").map_or_else(
        || what.to_owned(),
        |(_, expected)| format!("{what}, expected {expected}"),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn fault_of(json: &str) -> String {
        let fault = serde_json::from_str::<HashMap<String, u8>>(json).expect_err("a fault");
        serde_json::to_string(&unreadable(&fault)).expect("written")
    }

    #[test]
    fn a_fault_does_not_repeat_the_value() {
        for json in [r#""s3cret""#, r#"{"a":"s3cret, expected x"}"#, r#"["s3cret"]"#] {
            let fault = fault_of(json);
            assert!(!fault.contains("s3cret"), "{fault}");
        }
        let detail = serde_json::from_str::<serde_json::Value>(&fault_of(r#""s3cret""#)).expect("JSON");
        insta::assert_snapshot!(detail["detail"].as_str().unwrap_or_default(), @"The body does not fit: invalid type, expected a map at line 1 column 8.");
    }

    #[test]
    fn only_json_media_types_are_accepted() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(value));
            is_json(&headers)
        };
        assert!(
            with("application/json") && with("Application/JSON; charset=utf-8") && with("application/x+json")
        );
        assert!(!with("text/plain") && !with("json") && !is_json(&HeaderMap::new()));
    }
}
