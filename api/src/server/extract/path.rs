//! Names in the path and the query. What cannot be read there names nothing: 404 for a path, 400 for a query.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request;
use serde::de::DeserializeOwned;

use crate::server::problem::{Kind, Problem};

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
pub(crate) struct Question<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Question<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, state: &S) -> Result<Self, Problem> {
        let Query(asked) = Query::from_request_parts(parts, state).await.map_err(|fault| {
            Problem::new(
                Kind::Malformed,
                format!("The query cannot be read. {}", fault.body_text()),
            )
        })?;
        Ok(Self(asked))
    }
}
