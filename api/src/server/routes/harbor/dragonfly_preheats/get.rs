//! `GET /preheats/{id}`: Harbor polls every ten seconds, and one poll that fails ends its task for good.

use axum::Json;
use axum::extract::State;
use preheat::{PreheatState, PreheatView};

use super::{Polled, Status};
use crate::server::app::App;
use crate::server::extract::{Parts, Poller};
use crate::server::problem::Problem;
use crate::server::responses::{Refusals, Trouble, Unknown};
use crate::server::routes::harbor::words::why_it_failed;
use crate::server::routes::preheats;
use crate::types::Timestamp;

#[utoipa::path(
    get, path = "/preheats/{id}", tag = "harbor", operation_id = "get_preheat_for_harbor",
    summary = "Poll a preheat (Harbor 2.1 to 2.11)",
    description = "`SUCCESS` means that every peer of the scope has every object on disk and verified.",
    params(("id" = i64, Path, description = "Id from the response to the POST")),
    responses((status = 200, description = "The preheat", body = Polled), Unknown, Refusals, Trouble),
)]
pub(crate) async fn get(
    State(app): State<App>,
    poller: Poller,
    Parts(id): Parts<i64>,
) -> Result<Json<Polled>, Problem> {
    let view = preheats::get::seen_by(&app, &poller, id).await?;
    Ok(Json(polled(&view)))
}

fn polled(view: &PreheatView) -> Polled {
    let status = status_of(view.state);
    let reason = || without_the_marker(&why_it_failed(view));
    Polled {
        id: view.id.to_string(),
        start_time: Timestamp::from_ms(view.created_ms),
        finish_time: Timestamp::from_ms(view.finished_ms.unwrap_or(view.updated_ms)),
        status,
        error_msg: if status == Status::Fail {
            reason()
        } else {
            String::new()
        },
    }
}

fn status_of(state: PreheatState) -> Status {
    match state {
        PreheatState::Waiting => Status::Waiting,
        PreheatState::Resolving | PreheatState::Placing => Status::Running,
        PreheatState::Succeeded => Status::Success,
        PreheatState::Failed | PreheatState::Cancelled => Status::Fail,
    }
}

/// Harbor 2.8 and newer take what follows `preheat task already exists, id:` for another id, and poll that one. A
/// registry's words stand in a reason, so they could say it.
fn without_the_marker(reason: &str) -> String {
    reason.replace("already exists, id:", "already exists, id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_never_leads_harbor_to_another_preheat() {
        const MARKER: &str = "preheat task already exists, id:";
        let reason = without_the_marker(&format!(r#"403: {{"m":"{MARKER}12"}}"#));
        assert!(!reason.contains(MARKER), "{reason}");
        assert!(reason.contains("403") && reason.contains("12"), "{reason}");
    }

    #[test]
    fn every_state_is_one_of_harbors_four_words() {
        let words = [
            PreheatState::Waiting,
            PreheatState::Resolving,
            PreheatState::Placing,
            PreheatState::Succeeded,
            PreheatState::Failed,
            PreheatState::Cancelled,
        ]
        .map(|state| serde_json::to_value(status_of(state)).expect("a word"));
        assert_eq!(
            words,
            ["WAITING", "RUNNING", "RUNNING", "SUCCESS", "FAIL", "FAIL"]
        );
    }
}
