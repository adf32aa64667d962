//! `GET` and `PUT /log`: reads and sets the log filter, in the syntax of `RUST_LOG`.

use axum::extract::State;
use axum::http::StatusCode;
use tracing::info;

use crate::telemetry::{BadFilter, Levels};

pub(super) async fn get(State(levels): State<Levels>) -> String {
    format!("{}\n", levels.get())
}

/// Sets the filter from the body; an empty body restores the default.
pub(super) async fn put(
    State(levels): State<Levels>,
    wanted: String,
) -> Result<String, (StatusCode, String)> {
    levels.set(&wanted).map_err(|error| refused(&error))?;
    let now = levels.get();
    info!(filter = now, "log levels changed");
    Ok(format!("{now}\n"))
}

fn refused(error: &BadFilter) -> (StatusCode, String) {
    let status = match error {
        BadFilter::Unreadable(_) | BadFilter::TooLong => StatusCode::BAD_REQUEST,
        BadFilter::Gone => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{error}\n"))
}
