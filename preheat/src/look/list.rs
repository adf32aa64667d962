//! Preheats in pages, newest first, as they stand in the database.

use oci::RegistryName;
use sea_orm::sea_query::{Expr, ExprTrait, Func, LikeExpr, SelectStatement, SimpleExpr};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select};

use super::get::view;
use super::views::PreheatView;
use crate::engine::preheater::{Inner, Preheater};
use crate::model::errors::StorageError;
use crate::model::labels::Label;
use crate::model::state::PreheatState;
use crate::rows::damaged::or_skip;
use crate::rows::{labels, preheats};

const LISTED_AT_MOST: u64 = 1_000;
/// Marks letters in a pattern that mean themselves; no database gives it another meaning.
const ESCAPE: char = '!';

/// A filter for preheats. An empty field filters nothing out.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    pub limit: u64,
    /// Only preheats with a smaller id: for the next page.
    pub before: Option<i64>,
    /// Any of these.
    pub states: Vec<PreheatState>,
    /// A part of the image as people write it; capitals do not matter.
    pub image: Option<String>,
    pub registry: Option<String>,
    pub repository: Option<String>,
    /// The door that it came in by, in [`crate::Requester`]'s words.
    pub asked_by: Option<String>,
    /// The id of the token that asked.
    pub created_by: Option<String>,
    /// Asked for at this time or later.
    pub since_ms: Option<i64>,
    /// Only those that have each of these.
    pub labels: Vec<Label>,
}

/// Bytes here are those of finished placements; [`crate::get()`] counts what moves as well, and shows those of its
/// leader for one that follows.
pub async fn list(preheater: &Preheater, query: ListQuery) -> Result<Vec<PreheatView>, StorageError> {
    let inner = &preheater.inner;
    let limit = Ord::min(query.limit, LISTED_AT_MOST);
    let rows = filtered(inner, query)
        .order_by_desc(preheats::Column::Id)
        .limit(limit)
        .all(inner.reads())
        .await?;
    let pages = &inner.trace_pages;
    let read = |row| or_skip(view(row, pages));
    Ok(rows.into_iter().filter_map(read).collect())
}

fn filtered(inner: &Inner, query: ListQuery) -> Select<preheats::Entity> {
    use preheats::Column;
    let mut rows = preheats::Entity::find();
    if !query.states.is_empty() {
        let states = query.states.into_iter().map(PreheatState::word);
        rows = rows.filter(Column::State.is_in(states));
    }
    let registry = query.registry.map(|registry| canonical(inner, registry));
    let equal = [
        (Column::Registry, registry),
        (Column::Repository, query.repository),
        (Column::AskedBy, query.asked_by),
        (Column::CreatedBy, query.created_by),
    ];
    for (column, wanted) in equal {
        rows = rows.filter(wanted.map_or_else(anything, |wanted| column.eq(wanted)));
    }
    for label in &query.labels {
        rows = rows.filter(Column::Id.in_subquery(labelled(label)));
    }
    let image = query.image.as_deref().map(has_in_its_name);
    let before = query.before.map(|before| Column::Id.lt(before));
    let since = query.since_ms.map(|since| Column::CreatedMs.gte(since));
    [image, before, since]
        .into_iter()
        .flatten()
        .fold(rows, QueryFilter::filter)
}

/// The ids of the preheats that have this label.
fn labelled(label: &Label) -> SelectStatement {
    labels::Entity::find()
        .select_only()
        .column(labels::Column::PreheatId)
        .filter(labels::Column::Label.eq(label.digest()))
        .into_query()
}

fn anything() -> SimpleExpr {
    Expr::value(1).eq(1)
}

/// As preheats are stored: an alias is not.
fn canonical(inner: &Inner, registry: String) -> String {
    match registry.parse::<RegistryName>() {
        Ok(name) => inner.registries.canonical(&name).to_string(),
        Err(_) => registry,
    }
}

fn has_in_its_name(part: &str) -> SimpleExpr {
    let mut pattern = String::from("%");
    for letter in part.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | ESCAPE) {
            pattern.push(ESCAPE);
        }
        pattern.push(letter);
    }
    pattern.push('%');
    let lower = Func::lower(Expr::col(preheats::Column::Image));
    Expr::expr(lower).like(LikeExpr::new(pattern).escape(ESCAPE))
}
