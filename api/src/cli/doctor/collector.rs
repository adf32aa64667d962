//! Where traces go: does anybody listen there.

use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::call::LIMIT;
use super::finding::Finding;

const WHAT: &str = "trace collector";

pub(super) async fn check(endpoint: Option<&str>) -> Finding {
    let Some(endpoint) = endpoint else {
        return Finding::ok(
            WHAT,
            "none is set: no traces are sent (otlp_endpoint in [telemetry])",
        );
    };
    let Some(address) = address_of(endpoint) else {
        return Finding::warn(
            WHAT,
            format!("`{endpoint}` is no URL with a host"),
            "write for example http://jaeger:4317",
        );
    };
    let trouble = match timeout(LIMIT, TcpStream::connect(&address)).await {
        Ok(Ok(_)) => return Finding::ok(WHAT, format!("somebody listens at {address}")),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", LIMIT.as_secs()),
    };
    Finding::warn(
        WHAT,
        format!("nobody takes traces at {address}: {trouble}"),
        "start it or mend otlp_endpoint; Stoker runs without it, traces are lost meanwhile",
    )
}

fn address_of(endpoint: &str) -> Option<String> {
    let url = Url::parse(endpoint).ok()?;
    let port = url.port_or_known_default().unwrap_or(4317);
    Some(format!("{}:{port}", url.host_str()?))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[tokio::test]
    async fn a_collector_is_there_or_not_or_not_wanted() {
        let listener = process::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        assert_eq!(check(Some(&endpoint)).await.verdict, Verdict::Ok);
        drop(listener);
        assert_eq!(check(Some(&endpoint)).await.verdict, Verdict::Warn);
        assert_eq!(check(None).await.verdict, Verdict::Ok);
        assert_eq!(check(Some("jaeger")).await.verdict, Verdict::Warn);
    }

    #[test]
    fn the_port_is_that_of_the_url() {
        assert_eq!(address_of("http://jaeger:4317").as_deref(), Some("jaeger:4317"));
        assert_eq!(
            address_of("https://otel.example.com/x").as_deref(),
            Some("otel.example.com:443")
        );
    }
}
