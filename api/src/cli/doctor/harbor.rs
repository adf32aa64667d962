//! Harbor: does it answer, and what has to be entered there so that it finds this manager.

use api::AuthMode;
use reqwest::{Client, StatusCode};
use url::Url;

use super::call::{LIMIT, cause};
use super::finding::Finding;
use crate::config::ManagerConfig;

const WHAT: &str = "Harbor";
const WAY: &str = "Harbor's way to us";

pub(super) async fn check(url: &Url, curious: &Client) -> Finding {
    let ping = format!("{}/api/v2.0/ping", url.as_str().trim_end_matches('/'));
    match curious.get(ping).timeout(LIMIT).send().await {
        Ok(answer) => answered(url, answer.status()),
        Err(error) => Finding::fail(
            WHAT,
            format!("{url} does not answer: {}", cause(&error)),
            "check the address, that Harbor runs, and the firewalls between",
        ),
    }
}

fn answered(url: &Url, status: StatusCode) -> Finding {
    if status.is_success() {
        return Finding::ok(WHAT, format!("{url} answers"));
    }
    Finding::warn(
        WHAT,
        format!("{url} answers, but not as Harbor does ({status} at /api/v2.0/ping)"),
        "give the address of Harbor's portal, for example https://harbor.example.com",
    )
}

/// We cannot try this way ourselves: it is said what to enter.
pub(super) fn way_to_us(config: &ManagerConfig, host: &str) -> Finding {
    let token = match config.auth {
        AuthMode::Tokens => {
            "auth mode OAUTH with what `stoker token create --name harbor --scope preheat` prints"
        }
        AuthMode::None => "auth mode NONE",
    };
    let (endpoint, is_loopback) = endpoint(config, host);
    let found = format!("add a provider \"Dragonfly\" with endpoint {endpoint} and {token}");
    if is_loopback {
        return Finding::warn(
            WAY,
            format!(
                "the manager listens on {} only, where no other machine reaches it",
                config.listen
            ),
            "listen on 0.0.0.0 (--listen 0.0.0.0:8080), or set public_url to the proxy before it",
        );
    }
    Finding::ok(WAY, found)
}

/// The URL for others, and whether none of them can reach it.
fn endpoint(config: &ManagerConfig, own_name: &str) -> (String, bool) {
    if let Some(url) = &config.public_url {
        return (url.as_str().trim_end_matches('/').to_owned(), false);
    }
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let (host, port) = config
        .listen
        .rsplit_once(':')
        .unwrap_or((config.listen.as_str(), "8080"));
    let is_loopback = matches!(host, "localhost" | "[::1]") || host.starts_with("127.");
    let host = if matches!(host, "0.0.0.0" | "[::]") {
        own_name
    } else {
        host
    };
    (format!("{scheme}://{host}:{port}"), is_loopback)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn config(text: &str) -> ManagerConfig {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("stoker.toml");
        std::fs::write(&file, format!("data_dir = \"d\"\n{text}")).expect("written");
        super::super::read(Some(&file))
            .expect("a good configuration")
            .value
    }

    #[test]
    fn harbor_is_told_from_another_server() {
        let url: Url = "https://harbor.lan".parse().expect("a URL");
        assert_eq!(answered(&url, StatusCode::OK).verdict, Verdict::Ok);
        assert_eq!(answered(&url, StatusCode::NOT_FOUND).verdict, Verdict::Warn);
    }

    #[tokio::test]
    async fn a_harbor_is_there_or_not() {
        process::install_tls_provider();
        let curious = process::http::curious_client().expect("a client");
        let listener = process::bind("127.0.0.1:0").await.expect("a port");
        let url: Url = format!("http://{}", listener.local_addr().expect("an address"))
            .parse()
            .expect("a URL");
        let ping = axum::Router::new().route("/api/v2.0/ping", axum::routing::get(|| async { "Pong" }));
        let running = process::Running::new();
        process::serve(listener, ping, &running, None).expect("served");
        assert_eq!(check(&url, &curious).await.verdict, Verdict::Ok);
        running.drain(std::time::Duration::from_millis(10)).await;
        assert_eq!(check(&url, &curious).await.verdict, Verdict::Fail);
    }

    #[test]
    fn the_endpoint_to_enter_is_one_that_others_reach() {
        let way = |text: &str| way_to_us(&config(text), "stoker.lan");
        let everywhere = way("listen = \"0.0.0.0:8080\"");
        assert!(
            everywhere.found.contains("endpoint http://stoker.lan:8080 and"),
            "{everywhere:?}"
        );
        let public = way("listen = \"127.0.0.1:8080\"\npublic_url = \"https://s.example.com\"");
        assert!(
            public.found.contains("endpoint https://s.example.com and"),
            "{public:?}"
        );
        assert_eq!(way("listen = \"127.0.0.1:8080\"").verdict, Verdict::Warn);
    }
}
