//! `GET /debug/pprof/profile?seconds=30`: where this process spends its CPU time, for `go tool pprof` and its like.
//!
//! Behind a switch: sampling interrupts every thread a hundred times a second while it lasts. One at a time.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use pprof::ProfilerGuardBuilder;
use pprof::protos::Message as _;
use serde::Deserialize;
use tokio::sync::Mutex;

const LONGEST: u64 = 300;
/// Not a round number, so that it does not beat in time with what runs a hundred times a second.
const SAMPLES_A_SECOND: i32 = 99;
/// Where a sample must not be taken: unwinding there may wait for a lock that the interrupted code holds.
const NOT_SAMPLED: [&str; 4] = ["libc", "libgcc", "pthread", "vdso"];

/// The one profile that may run.
#[derive(Clone, Default)]
pub(super) struct Profiling(Arc<Mutex<()>>);

#[derive(Deserialize)]
pub(super) struct ProfileQuery {
    #[serde(default = "half_a_minute")]
    seconds: u64,
}

fn half_a_minute() -> u64 {
    30
}

pub(super) async fn get(
    State(profiling): State<Profiling>,
    Query(wanted): Query<ProfileQuery>,
) -> Result<impl IntoResponse, (StatusCode, String)> {
    if !(1..=LONGEST).contains(&wanted.seconds) {
        let text = format!("seconds must be 1 to {LONGEST}\n");
        return Err((StatusCode::BAD_REQUEST, text));
    }
    let Ok(_alone) = profiling.0.try_lock() else {
        return Err((
            StatusCode::CONFLICT,
            "another profile is being taken\n".to_owned(),
        ));
    };
    let guard = ProfilerGuardBuilder::default()
        .frequency(SAMPLES_A_SECOND)
        .blocklist(&NOT_SAMPLED)
        .build()
        .map_err(|error| trouble(&error))?;
    tokio::time::sleep(Duration::from_secs(wanted.seconds)).await;
    let profile = guard
        .report()
        .build()
        .and_then(|report| report.pprof())
        .map_err(|error| trouble(&error))?;
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, profile.encode_to_vec()))
}

fn trouble(error: &pprof::Error) -> (StatusCode, String) {
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        format!("no profile: {error}\n"),
    )
}
