//! Why `share` and `relay` send no object.

use axum::http::StatusCode;
use axum::http::header::CONTENT_RANGE;
use axum::response::{IntoResponse, Response};
use wire::between_peers::LOCATION_HEADER;

pub(crate) enum ShareRefusal {
    NotADigest,
    NoLocation,
    NotHeld,
    /// With the object's size.
    BadRange(u64),
    Disk,
}

impl IntoResponse for ShareRefusal {
    fn into_response(self) -> Response {
        match self {
            Self::NotADigest => (
                StatusCode::BAD_REQUEST,
                "the digest is invalid: write sha256: and 64, or sha512: and 128 hexadecimal digits",
            )
                .into_response(),
            Self::NoLocation => {
                let text = format!(
                    "the location is missing: send {LOCATION_HEADER}: https://<registry>/v2/<repository>"
                );
                (StatusCode::BAD_REQUEST, text).into_response()
            }
            Self::NotHeld => (StatusCode::NOT_FOUND, "not delivered here").into_response(),
            Self::BadRange(size) => (
                StatusCode::RANGE_NOT_SATISFIABLE,
                [(CONTENT_RANGE, format!("bytes */{size}"))],
            )
                .into_response(),
            Self::Disk => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the disk of this peer failed to read the object",
            )
                .into_response(),
        }
    }
}
