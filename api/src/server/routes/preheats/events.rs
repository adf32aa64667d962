//! `GET /api/v1/preheats/{id}/events`: the progress of a preheat as server-sent events (WHATWG HTML, section 9.2).
//!
//! **Invariant:** the number of streams is bounded ([`Watchers`](crate::server::watchers)), and none lives longer than
//! [`LONGEST_WATCH`].

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt, stream};
use preheat::PreheatView;

use crate::server::app::App;
use crate::server::extract::{Parts, Poller};
use crate::server::problem::Problem;
use crate::server::responses::{Refusals, Trouble, Unknown};
use crate::types::PreheatBody;

/// Longer than a preheat lasts as a rule; a client connects again by itself.
const LONGEST_WATCH: Duration = Duration::from_secs(3600);
/// Proxies close connections that are idle for a minute.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

#[utoipa::path(
    get, path = "/api/v1/preheats/{id}/events", tag = "preheats", operation_id = "watch_preheat",
    summary = "Watch a preheat",
    description = "Server-sent events. The event `preheat` carries the preheat as JSON: at once, and after each \
        change, at most once a second. The event `end` carries it when it has ended, and closes the stream.",
    params(("id" = i64, Path, description = "The preheat's id")),
    responses(
        (status = 200, description = "Events", body = PreheatBody, content_type = "text/event-stream"),
        Unknown, Refusals, Trouble,
    ),
)]
pub(crate) async fn events(
    State(app): State<App>,
    poller: Poller,
    Parts(id): Parts<i64>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    super::get::seen_by(&app, &poller, id).await?;
    let watcher = app.watchers().one_more()?;
    let news = preheat::watch(app.preheater(), id)
        .map(move |view| {
            let _held = &watcher;
            event(view)
        })
        .take_until(tokio::time::sleep(LONGEST_WATCH));
    Ok(Sse::new(news.flat_map(stream::iter)).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE)))
}

/// The end is an event of its own, so that a client need not know the states.
fn event(view: PreheatView) -> Vec<Result<Event, Infallible>> {
    let has_ended = view.state.has_ended();
    let id = view.updated_ms.to_string();
    let body = PreheatBody::from(view);
    let made = |name: &str| {
        let event = Event::default().event(name).id(&id).json_data(&body);
        event
            .map_err(|error| tracing::error!(%error, "a preheat has no JSON form"))
            .ok()
    };
    let names: &[&str] = if has_ended {
        &["preheat", "end"]
    } else {
        &["preheat"]
    };
    names.iter().filter_map(|name| made(name)).map(Ok).collect()
}
