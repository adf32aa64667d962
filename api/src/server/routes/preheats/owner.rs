//! Only the token that created a preheat, or one with scope `admin`, may change it.

use preheat::PreheatView;

use crate::server::app::{App, Caller};
use crate::server::problem::Problem;
use crate::server::routes::owner;

/// Returns the preheat if this caller may change it. Others get the same response whether it exists or not.
pub(super) async fn changed_by(app: &App, caller: &Caller, id: i64) -> Result<PreheatView, Problem> {
    let view = preheat::get(app.preheater(), id).await?;
    let made_by = view.as_ref().and_then(|view| view.created_by.as_deref());
    owner::check(caller, made_by, "preheat")?;
    view.ok_or_else(super::get::unknown)
}

/// The caller's name in a preheat's reason.
pub(super) fn label_of(caller: &Caller) -> String {
    match &caller.token {
        Some(token) => format!("token {token}"),
        None => "a caller".to_owned(),
    }
}
