//! `GET /debug/pprof/profile?seconds=30`: a CPU profile of this process, for `go tool pprof` and similar tools.
//!
//! Off by default, and one at a time: sampling interrupts every thread a hundred times a second.

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
/// Not 100, so that sampling does not align with timers that fire a hundred times a second.
const SAMPLES_A_SECOND: i32 = 99;
/// Libraries without samples: unwinding there may wait for a lock that the interrupted code holds.
const NOT_SAMPLED: [&str; 4] = ["libc", "libgcc", "pthread", "vdso"];

/// Lets one profile run at a time.
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
