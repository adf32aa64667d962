//! Parameters of the path and the query. An unreadable one is 404 in a path and 400 in a query.

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::{Uri, request};
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use crate::server::problem::{Kind, Problem};

const LABEL: &str = "label";

/// The named parts of the path.
pub(crate) struct Parts<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Parts<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, state: &S) -> Result<Self, Problem> {
        let Path(named) = Path::from_request_parts(parts, state).await.map_err(|_| {
            Problem::not_found("The last part of this path is no id that was ever given out.")
        })?;
        Ok(Self(named))
    }
}

/// The query, read into `T`.
pub(crate) struct QueryParams<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, state: &S) -> Result<Self, Problem> {
        let asked = Query::from_request_parts(parts, state).await;
        asked
            .map(|Query(asked)| Self(asked))
            .map_err(|fault| unreadable(&fault))
    }
}

/// The query, read into `T`, but for `label`, which may be given several times.
pub(crate) struct LabelledQuery<T> {
    pub(crate) asked: T,
    pub(crate) labels: Vec<String>,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for LabelledQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Problem> {
        let pairs = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let (labels, others): (Vec<_>, Vec<_>) = pairs.into_owned().partition(|(name, _)| name == LABEL);
        let others = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(others)
            .finish();
        let query: Uri = format!("/?{others}")
            .parse()
            .map_err(|_| Problem::new(Kind::Malformed, "The query is too long."))?;
        let Query(asked) = Query::try_from_uri(&query).map_err(|fault| unreadable(&fault))?;
        Ok(Self {
            asked,
            labels: labels.into_iter().map(|(_, label)| label).collect(),
        })
    }
}

fn unreadable(fault: &QueryRejection) -> Problem {
    Problem::new(
        Kind::Malformed,
        format!("The query cannot be read. {}", fault.body_text()),
    )
}
