//! Checks that Harbor answers, and prints what to enter there so that it reaches this manager.

use api::AuthMode;
use reqwest::{Client, StatusCode};
use url::Url;

use super::call::{LIMIT, cause};
use super::finding::Finding;
use crate::config::ManagerConfig;

const WHAT: &str = "Harbor";
const PROVIDER: &str = "provider in Harbor";

pub(super) async fn check(url: &Url, curious: &Client) -> Finding {
    let ping = format!("{}/api/v2.0/ping", url.as_str().trim_end_matches('/'));
    match curious.get(ping).timeout(LIMIT).send().await {
        Ok(answer) => answered(url, answer.status()),
        Err(error) => Finding::fail(
            WHAT,
            format!("{url} cannot be reached: {}", cause(&error)),
            "check the address, that Harbor runs, and the firewalls",
        ),
    }
}

fn answered(url: &Url, status: StatusCode) -> Finding {
    if status.is_success() {
        return Finding::ok(WHAT, format!("{url} answers"));
    }
    Finding::warn(
        WHAT,
        format!("{url} is not Harbor: /api/v2.0/ping answered {status}"),
        "give the address of Harbor's portal, for example https://harbor.example.com",
    )
}

/// Returns what to enter in Harbor. Only Harbor can test that it reaches the manager.
pub(super) fn provider_to_enter(config: &ManagerConfig, host: &str) -> Finding {
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
            PROVIDER,
            format!(
                "the manager listens only on {}, which no other machine reaches",
                config.listen
            ),
            "listen on 0.0.0.0 (--listen 0.0.0.0:8080), or set public_url to the proxy before it",
        );
    }
    Finding::ok(PROVIDER, found)
}

/// Returns the URL for other machines, and whether it is loopback.
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
    fn another_server_than_harbor_is_a_warning() {
        let url: Url = "https://harbor.lan".parse().expect("a URL");
        assert_eq!(answered(&url, StatusCode::OK).verdict, Verdict::Ok);
        assert_eq!(answered(&url, StatusCode::NOT_FOUND).verdict, Verdict::Warn);
    }

    #[tokio::test]
    async fn an_unreachable_harbor_is_a_failure() {
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
    fn the_endpoint_to_enter_is_reachable_for_others() {
        let provider = |text: &str| provider_to_enter(&config(text), "stoker.lan");
        let everywhere = provider("listen = \"0.0.0.0:8080\"");
        assert!(
            everywhere.found.contains("http://stoker.lan:8080 "),
            "{everywhere:?}"
        );
        let public = provider("listen = \"127.0.0.1:8080\"\npublic_url = \"https://s.example.com\"");
        assert!(public.found.contains("https://s.example.com "), "{public:?}");
        assert_eq!(provider("listen = \"127.0.0.1:8080\"").verdict, Verdict::Warn);
    }
}
