//! Endpoints with a token in their path: `/t/<token>/preheats` is `/preheats`, asked with that token.
//!
//! **Invariant:** this stands outside of everything that writes down what was asked. Whatever follows `/t/` is taken
//! out of the path before a span, a log line, a measurement or a route sees it, also when it is no token of ours.

use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::http::header;
use axum::http::uri::{PathAndQuery, Uri};
use tower::util::MapRequest;
use wire::SecretText;

use crate::tokens::ENDPOINT_TOKEN_LENGTH;

/// What stood in the path: shown as if it had been sent in the `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InPath(pub(crate) SecretText);

/// All that is served below an endpoint: what Harbor and registries call.
const SERVED: [&str; 7] = [
    "/_ping",
    "/preheats",
    "/healthy",
    "/oapi/v1/jobs",
    "/health",
    "/registry/notifications",
    "/hooks/harbor",
];
/// Anything else below an endpoint; no route is called so, and what was really asked may hold a token.
const NOT_SERVED: &str = "/t/_";

/// Puts the taking out of tokens around all of the router's layers.
pub(crate) fn outside(router: Router) -> Router {
    Router::new().fallback_service(MapRequest::new(router, take_out as fn(Request) -> Request))
}

fn take_out(mut request: Request) -> Request {
    let path = request.uri().path();
    let Some((token, rest)) = split(path) else {
        return request;
    };
    let token = InPath(SecretText::new(token));
    let wanted = if is_served(&rest) {
        rest
    } else {
        NOT_SERVED.to_owned()
    };
    let wanted = match request.uri().query() {
        Some(query) => format!("{wanted}?{query}"),
        None => wanted,
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(
        wanted
            .parse()
            .unwrap_or_else(|_| PathAndQuery::from_static(NOT_SERVED)),
    );
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_else(|_| Uri::from_static(NOT_SERVED));
    // The token speaks for the caller; what may stand beside it does not.
    request.headers_mut().remove(header::AUTHORIZATION);
    // The router around has kept the path as it came.
    request.extensions_mut().remove::<OriginalUri>();
    request.extensions_mut().insert(token);
    request
}

/// `/t/<token>/rest` into token and `/rest`. What looks like a token of ours is found behind any folder, for a proxy
/// may have put one in front.
fn split(path: &str) -> Option<(&str, String)> {
    path.match_indices("/t/").find_map(|(at, marker)| {
        let (before, behind) = (&path[..at], &path[at + marker.len()..]);
        let behind = behind.trim_start_matches('/');
        let (token, rest) = behind.split_once('/').unwrap_or((behind, ""));
        let is_in_front = before.chars().all(|letter| letter == '/');
        let found = is_in_front || looks_like_ours(token);
        found.then(|| (token, format!("/{}", rest.trim_start_matches('/'))))
    })
}

fn looks_like_ours(token: &str) -> bool {
    token.len() == ENDPOINT_TOKEN_LENGTH
        && token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn is_served(rest: &str) -> bool {
    let below = |served: &str| {
        rest.strip_prefix(served)
            .is_some_and(|more| more.is_empty() || more.starts_with('/'))
    };
    SERVED.iter().any(|served| below(served)) && split(rest).is_none()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::HeaderValue;

    use super::*;

    const OURS: &str = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE";

    fn asked(path: &str) -> (String, Option<String>) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let seen = take_out(request);
        let token = seen.extensions().get::<InPath>();
        (
            seen.uri().to_string(),
            token.map(|token| token.0.expose().to_owned()),
        )
    }

    #[test]
    fn a_token_is_taken_out_of_the_path() {
        let below = |path: &str| asked(path);
        let with = |rest: &str, token: &str| (rest.to_owned(), Some(token.to_owned()));
        assert_eq!(below("/t/abc/_ping"), with("/_ping", "abc"));
        assert_eq!(below("/t/abc/preheats/7?x=y"), with("/preheats/7?x=y", "abc"));
        assert_eq!(below("/t/abc//oapi/v1/jobs"), with("/oapi/v1/jobs", "abc"));
        assert_eq!(below("//t//abc/healthy"), with("/healthy", "abc"));
        let behind_a_proxy = format!("/stoker/t/{OURS}/hooks/harbor");
        assert_eq!(below(&behind_a_proxy), with("/hooks/harbor", OURS));
    }

    #[test]
    fn nothing_of_a_token_is_left_where_nothing_is_served() {
        for path in [
            format!("/t/{OURS}"),
            format!("/t/{OURS}/"),
            format!("/t/{OURS}/api/v1/tokens"),
            format!("/t/{OURS}/../_ping"),
            format!("/t/x/preheats/t/{OURS}"),
            format!("/t/x/t/{OURS}/_ping"),
            format!("/a/b/t/{OURS}/healthyish"),
            format!("http://host:1/t/{OURS}/peer/v1/sessions"),
        ] {
            let (seen, token) = asked(&path);
            assert!(seen.ends_with("/t/_"), "{path}: {seen}");
            assert!(!seen.contains(OURS) && token.is_some(), "{path}: {seen}");
        }
    }

    #[test]
    fn other_paths_stay_as_they_are() {
        for path in [
            "/",
            "/t",
            "/healthy",
            "/api/v1/preheats?limit=1",
            "/a/t/b/c",
            "/preheats/t",
        ] {
            assert_eq!(asked(path), (path.to_owned(), None));
        }
    }

    #[test]
    fn what_stands_beside_the_token_is_dropped() {
        let mut request = Request::get("/t/abc/_ping")
            .body(Body::empty())
            .expect("a request");
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer other"));
        request
            .extensions_mut()
            .insert(OriginalUri(Uri::from_static("/t/abc/_ping")));
        let seen = take_out(request);
        assert!(!seen.headers().contains_key(header::AUTHORIZATION));
        assert!(seen.extensions().get::<OriginalUri>().is_none());
        assert!(!format!("{seen:?}").contains("abc"), "{seen:?}");
    }
}
