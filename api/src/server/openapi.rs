//! The description of the API, for people and generators. Built from the handlers, committed as
//! `openapi/stoker.json`, and proven fresh by a test. What peers call is not in it: that is `wire`'s.

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::server::routes::{
    clusters, explain, harbor::dragonfly_jobs, harbor::dragonfly_preheats, harbor::kraken, hooks, images,
    join_tokens, notifications, peers, preheats, tokens,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Stoker",
        description = "Preheats container images: a request names an image, and peers fetch its layers before the \
            first pull. Errors are problem documents as in RFC 9457 (`application/problem+json`).",
    ),
    paths(
        dragonfly_jobs::healthy::healthy,
        dragonfly_jobs::create::create,
        dragonfly_jobs::get::get,
        dragonfly_preheats::ping::ping,
        dragonfly_preheats::create::create,
        dragonfly_preheats::get::get,
        kraken::health::health,
        notifications::create::create,
        hooks::receive::receive,
        preheats::create::create,
        preheats::list::list,
        preheats::get::get,
        preheats::objects::objects,
        preheats::cancel::cancel,
        preheats::retry::retry,
        preheats::events::events,
        explain::get::get,
        images::whereabouts::whereabouts,
        images::rules::create_pin,
        images::rules::list_pins,
        images::rules::delete_pin,
        images::rules::create_removal,
        images::rules::list_blocks,
        images::rules::delete_block,
        peers::list::list,
        peers::remove::remove,
        join_tokens::create::create,
        join_tokens::list::list,
        join_tokens::revoke::revoke,
        clusters::list::list,
        clusters::limits::get,
        clusters::limits::set,
        clusters::limits::reset,
        tokens::create::create,
        tokens::list::list,
        tokens::revoke::revoke,
        serve,
    ),
    tags(
        (name = "preheats", description = "Create, list and follow preheats"),
        (name = "peers", description = "Peers, clusters, bandwidth limits and join tokens"),
        (name = "images", description = "Pin, remove and block images"),
        (name = "tokens", description = "Tokens of callers (scope `admin`)"),
        (name = "harbor", description = "The provider APIs that Harbor calls, and push notifications"),
    ),
    security(("bearer" = []), ("basic" = [])),
    modifiers(&TokenSchemes),
)]
struct Document;

struct TokenSchemes;

impl Modify for TokenSchemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let mut scheme = |name: &str, scheme, description: &str| {
            let mut http = Http::new(scheme);
            http.description = Some(description.to_owned());
            components.add_security_scheme(name, SecurityScheme::Http(http));
        };
        scheme(
            "bearer",
            HttpAuthScheme::Bearer,
            "A token from `stoker token create`. Harbor: auth mode OAUTH.",
        );
        scheme(
            "basic",
            HttpAuthScheme::Basic,
            "Any user name, and the token as password.",
        );
    }
}

/// The document as it is committed: indented, with a newline at its end.
pub fn document() -> String {
    let mut text = Document::openapi().to_pretty_json().unwrap_or_else(|fault| {
        // A document of our own types always has a JSON form; a test reads it back.
        format!("{{\"error\": \"{fault}\"}}")
    });
    text.push('\n');
    text
}

#[utoipa::path(
    get, path = "/openapi.json", tag = "preheats", operation_id = "openapi",
    summary = "This OpenAPI document",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")),
    security(()),
)]
pub(crate) async fn serve() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document())
}
