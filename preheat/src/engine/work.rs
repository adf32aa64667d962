//! Lanes, groups and kinds of the work that preheats put into the queue.

use queue::NewWork;
use serde_json::json;
use uuid::Uuid;

use crate::model::state::PreheatId;
use crate::rows::preheats;

/// The lane of the manager's own work.
pub(crate) const MANAGER_LANE: &str = "manager";

/// The lane of notices.
pub(crate) const WEBHOOK_LANE: &str = "webhooks";

/// The kind of work that delivers one notice to one receiver.
pub(crate) const TELL: &str = "tell";

/// The kinds of the manager's work.
pub(crate) const RESOLVE: &str = "resolve";
pub(crate) const PLAN: &str = "plan";

/// The kind of work that a lot is.
pub(crate) const PLACE: &str = "place";

/// The lane that holds a peer's work.
pub(crate) fn lane_of(peer: Uuid) -> String {
    format!("peer:{peer}")
}

/// All work of a preheat that is not parked.
pub(crate) fn group_of(preheat: i64) -> String {
    format!("preheat:{preheat}")
}

/// The work of one cluster's stage 1, parked until stage 0 is done.
pub(crate) fn parked_group_of(preheat: i64, cluster: i64) -> String {
    format!("preheat:{preheat}/{cluster}")
}

/// The next step of a preheat, for the manager itself.
pub(crate) fn work_of_manager(kind: &str, preheat: &preheats::Model, run_at_ms: i64) -> NewWork {
    let work = NewWork {
        lane: MANAGER_LANE.to_owned(),
        kind: kind.to_owned(),
        run_at_ms,
        priority: preheat.priority,
        fair_key: preheat.fair_key.clone(),
        trace: preheat.trace.clone(),
        ..NewWork::default()
    };
    of_preheat(preheat.id, work)
}

pub(crate) fn of_preheat(id: PreheatId, work: NewWork) -> NewWork {
    NewWork {
        payload: json!({ "preheat": id }),
        group: Some(group_of(id)),
        ..work
    }
}
