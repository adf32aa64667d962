//! `GET /oapi/v1/jobs/{id}`: Harbor polls every ten seconds, and a failed poll ends its task. So this only reads
//! rows, and accepts an expired or revoked token for the jobs that it created.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use preheat::{HarborRow, HarborRows, PreheatState, PreheatView, harbor_rows};

use super::{GroupState, HarborClusterResult, HarborJob, HarborJobResult, HarborJobState, HarborTask};
use crate::server::app::App;
use crate::server::extract::{Parts, Poller};
use crate::server::problem::Problem;
use crate::server::responses::{Refusals, Trouble, Unknown};
use crate::server::routes::harbor::words::why_it_failed;
use crate::server::routes::preheats;
use crate::types::Timestamp;

/// Harbor renders a table of them into its log.
const MOST_ROWS: u64 = 1000;

#[utoipa::path(
    get, path = "/oapi/v1/jobs/{id}", tag = "harbor", operation_id = "get_job",
    summary = "Poll a job (Harbor 2.12 and newer)",
    description = "`SUCCESS` means that every peer of the scope has every object on disk and verified. The token \
        that created the job may poll it until 30 minutes after the token expired or was revoked.",
    params(("id" = i64, Path, description = "The job's id")),
    responses((status = 200, description = "The job", body = HarborJob), Unknown, Refusals, Trouble),
)]
pub(crate) async fn get(
    State(app): State<App>,
    poller: Poller,
    Parts(id): Parts<i64>,
) -> Result<Json<HarborJob>, Problem> {
    let view = preheats::get::seen_by(&app, &poller, id).await?;
    let rows = match state_of(view.state) {
        HarborJobState::Pending => None,
        HarborJobState::Success | HarborJobState::Failure => {
            Some(harbor_rows(app.preheater(), view.id, MOST_ROWS).await?)
        }
    };
    Ok(Json(job(&view, rows)))
}

fn job(view: &PreheatView, rows: Option<HarborRows>) -> HarborJob {
    HarborJob {
        id: view.id,
        kind: "preheat",
        created_at: Timestamp::from_ms(view.created_ms),
        updated_at: Timestamp::from_ms(view.finished_ms.unwrap_or(view.updated_ms)),
        state: state_of(view.state),
        result: rows.map(|rows| HarborJobResult {
            job_states: vec![GroupState {
                error: error_of(view),
                results: by_cluster(rows),
            }],
        }),
    }
}

fn state_of(state: PreheatState) -> HarborJobState {
    match state {
        PreheatState::Waiting | PreheatState::Resolving | PreheatState::Placing => HarborJobState::Pending,
        PreheatState::Succeeded => HarborJobState::Success,
        PreheatState::Failed | PreheatState::Cancelled => HarborJobState::Failure,
    }
}

/// Never empty for a failure: it is all that Harbor shows of one.
fn error_of(view: &PreheatView) -> String {
    if state_of(view.state) != HarborJobState::Failure {
        return String::new();
    }
    why_it_failed(view)
}

fn by_cluster(rows: HarborRows) -> Vec<HarborClusterResult> {
    let left_out = rows.left_out;
    let mut clusters: BTreeMap<i64, HarborClusterResult> = BTreeMap::new();
    for row in rows.rows {
        let cluster = clusters
            .entry(row.cluster_id)
            .or_insert_with(|| of_cluster(row.cluster_id));
        let tasks = if row.ok {
            &mut cluster.success_tasks
        } else {
            &mut cluster.failure_tasks
        };
        tasks.push(task(row));
    }
    if left_out > 0 {
        let id = clusters.keys().next_back().copied().unwrap_or_default();
        clusters
            .entry(id)
            .or_insert_with(|| of_cluster(id))
            .success_tasks
            .push(more(left_out));
    }
    clusters.into_values().collect()
}

fn of_cluster(id: i64) -> HarborClusterResult {
    HarborClusterResult {
        scheduler_cluster_id: id,
        success_tasks: Vec::new(),
        failure_tasks: Vec::new(),
    }
}

fn task(row: HarborRow) -> HarborTask {
    HarborTask {
        url: row.url,
        hostname: row.hostname,
        ip: row.ip,
        description: row.description,
    }
}

/// The last line of Harbor's table, where there are more rows than it should print.
fn more(left_out: u64) -> HarborTask {
    HarborTask {
        url: format!("... and {left_out} more: GET /api/v1/preheats/ID/objects lists all"),
        hostname: String::new(),
        ip: String::new(),
        description: String::new(),
    }
}
