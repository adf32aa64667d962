//! Who may change a preheat: whoever asked for it, and who administers.

use preheat::PreheatView;

use crate::app::{App, Caller};
use crate::problem::Problem;
use crate::tokens::Scope;

/// The preheat, if this caller may change it. Who may not is told the same whether it exists or not.
pub(super) async fn changed_by(app: &App, caller: &Caller, id: i64) -> Result<PreheatView, Problem> {
    let view = preheat::get(app.preheater(), id).await?;
    let is_own = |view: &PreheatView| caller.token.is_some() && view.created_by == caller.token;
    if !caller.may(Scope::Admin) && !view.as_ref().is_some_and(is_own) {
        return Err(Problem::scope(Scope::Admin));
    }
    view.ok_or_else(super::get::unknown)
}

/// As it is told in a preheat's reason.
pub(super) fn said(caller: &Caller) -> String {
    match &caller.token {
        Some(token) => format!("token {token}"),
        None => "a caller".to_owned(),
    }
}
