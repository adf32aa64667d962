//! `GET` and `PUT /log`: the filter of the log lines, as `RUST_LOG` has it.

use axum::extract::State;
use axum::http::StatusCode;
use tracing::info;

use crate::telemetry::{BadFilter, Levels};

pub(super) async fn get(State(levels): State<Levels>) -> String {
    format!("{}\n", levels.get())
}

/// The body is the filter; an empty one brings back the usual.
pub(super) async fn put(
    State(levels): State<Levels>,
    wanted: String,
) -> Result<String, (StatusCode, String)> {
    levels.set(&wanted).map_err(|error| refused(&error))?;
    let now = levels.get();
    info!(filter = now, "log levels changed to {now}");
    Ok(format!("{now}\n"))
}

fn refused(error: &BadFilter) -> (StatusCode, String) {
    let status = match error {
        BadFilter::Unreadable(_) | BadFilter::TooLong => StatusCode::BAD_REQUEST,
        BadFilter::Gone => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{error}\n"))
}
