//! Endpoints with a token in their path: `/t/<token>/preheats` is `/preheats`, called with that token.
//!
//! **Invariant:** this layer is outside of everything that records paths. The part behind `/t/` is removed before a
//! span, a log line, a metric or a route sees the path, even if it is not one of our tokens. A path that may hold a
//! token in another spelling (`/%74/…`, `/T/…`, `/t%2F…`) is neither served nor recorded.

mod spelling;

use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::http::header;
use axum::http::uri::{PathAndQuery, Uri};
use tower::util::MapRequest;
use wire::SecretText;

/// A token from the path, treated like one in the `Authorization` header.
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
    "/hooks",
];
/// Replaces any other path below an endpoint, which may hold a token. No route has this path.
const NOT_SERVED: &str = "/t/_";

/// Wraps the router and all of its layers, so that tokens are removed first.
pub(crate) fn outside(router: Router) -> Router {
    Router::new().fallback_service(MapRequest::new(router, take_out as fn(Request) -> Request))
}

fn take_out(mut request: Request) -> Request {
    let path = request.uri().path();
    let Some((token, rest)) = split(path) else {
        return if spelling::may_hold_a_token(path) {
            hidden(request)
        } else {
            request
        };
    };
    let token = InPath(SecretText::new(token));
    let wanted = match request.uri().query() {
        _ if !is_served(&rest) => NOT_SERVED.to_owned(),
        Some(query) => format!("{rest}?{query}"),
        None => rest,
    };
    // The token speaks for the caller; what may stand beside it does not.
    request.headers_mut().remove(header::AUTHORIZATION);
    request.extensions_mut().insert(token);
    with_path(request, &wanted)
}

/// Replaces a path that must not be recorded. No route answers it.
fn hidden(request: Request) -> Request {
    with_path(request, NOT_SERVED)
}

fn with_path(mut request: Request, path: &str) -> Request {
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(
        path.parse()
            .unwrap_or_else(|_| PathAndQuery::from_static(NOT_SERVED)),
    );
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_else(|_| Uri::from_static(NOT_SERVED));
    // The router around has kept the path as it came.
    request.extensions_mut().remove::<OriginalUri>();
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
        let found = is_in_front || spelling::looks_like_ours(token);
        found.then(|| (token, format!("/{}", rest.trim_start_matches('/'))))
    })
}

fn is_served(rest: &str) -> bool {
    let below = |served: &str| {
        rest.strip_prefix(served)
            .is_some_and(|more| more.is_empty() || more.starts_with('/'))
    };
    SERVED.iter().any(|served| below(served)) && split(rest).is_none() && !spelling::may_hold_a_token(rest)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use std::sync::{Arc, Mutex};

    use axum::http::HeaderValue;
    use process::metrics::{Format, Metrics};
    use process::telemetry::edge;
    use proptest::prelude::{Just, Strategy, prop_assert, prop_oneof, proptest};
    use tower::ServiceExt as _;
    use tracing_subscriber::fmt::format::FmtSpan;

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
            "/api/v1/clusters/t/limits",
            "/api/v1/clusters/a-cluster-whose-name-has-as-many-letters-as-1/limits",
            "/peer/v1/objects/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855/parents",
            "/caf%C3%A9/100%",
        ] {
            assert_eq!(asked(path), (path.to_owned(), None));
        }
    }

    /// How one segment, or one slash, can be written so that some program in between reads the same.
    fn spelled() -> impl Strategy<Value = String> {
        let letter = prop_oneof![Just("t"), Just("T"), Just("%74"), Just("%54"), Just("%2574")];
        let slash = prop_oneof![
            Just("/"),
            Just("//"),
            Just("%2F"),
            Just("%2f"),
            Just("%252F"),
            Just("/./"),
            Just("/x/../"),
            Just("/%2e/"),
            Just("/x/%2E%2e/"),
            Just("%5C"),
        ];
        let front = prop_oneof![
            Just(""),
            Just("/stoker"),
            Just("/a/b"),
            Just("/api/v1"),
            Just("/peer/v1")
        ];
        let behind = prop_oneof![
            Just(""),
            Just("/"),
            Just("/_ping"),
            Just("/../_ping"),
            Just("?a=b"),
            Just(".json"),
            Just("%00")
        ];
        let token = prop_oneof![
            Just(OURS.to_owned()),
            Just(OURS.replace('A', "%41")),
            Just(OURS.replace('-', "%2D")),
        ];
        (front, slash.clone(), letter, slash, token, behind).prop_map(
            |(front, one, letter, other, token, behind)| {
                let path = format!("{front}{one}{letter}{other}{token}{behind}");
                if path.starts_with('/') {
                    path
                } else {
                    format!("/{path}")
                }
            },
        )
    }

    /// Spans with all their fields, log lines, metrics and the answer of one request.
    fn written_down(path: &str) -> String {
        let written = Arc::new(Mutex::new(Vec::new()));
        let writer = Mutex::new(Written(Arc::clone(&written)));
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_writer(writer)
            .finish();
        let metrics = Metrics::new();
        let routes = Router::new().fallback(|request: Request| async move {
            tracing::info!("asked for {}", request.uri());
            format!(
                "no {}, {:?}",
                request.uri(),
                request.extensions().get::<OriginalUri>()
            )
        });
        let door = outside(edge(routes, "manager", &metrics));
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let answer = tracing::subscriber::with_default(subscriber, || {
            runtime.block_on(async {
                let response = door.oneshot(request).await.expect("infallible");
                axum::body::to_bytes(response.into_body(), 1 << 20)
                    .await
                    .expect("a body")
            })
        });
        let logged = written.lock().expect("not poisoned");
        format!(
            "{}{}{}",
            String::from_utf8_lossy(&logged),
            String::from_utf8_lossy(&answer),
            metrics.text(Format::OpenMetrics)
        )
    }

    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_no_token_is_written_down() {
        let written = written_down("/api/v1/anything");
        for part in [
            "url.path",
            "asked for /api/v1/anything",
            "no /api/v1/anything",
            "unmatched",
        ] {
            assert!(written.contains(part), "{part} is not in\n{written}");
        }
    }

    proptest! {
        #[test]
        fn no_span_log_metric_or_answer_holds_a_token_however_it_is_spelled(path in spelled()) {
            let written = written_down(&path);
            prop_assert!(!written.contains(&OURS[5..15]), "{}\n{}", path, written);
        }

        #[test]
        fn no_spelling_of_a_token_gets_past(path in spelled()) {
            let (seen, _) = asked(&path);
            prop_assert!(
                SERVED.iter().any(|served| seen.starts_with(served)) || seen.ends_with("/t/_"),
                "{} became {}", path, seen
            );
            prop_assert!(!seen.contains(&OURS[5..15]), "{} became {}", path, seen);
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
