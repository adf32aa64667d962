//! Checks that a program listens at the address of the trace collector.

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
            "none is configured (otlp_endpoint in [telemetry]): no traces are sent",
        );
    };
    let Some(address) = address_of(endpoint) else {
        return Finding::warn(
            WHAT,
            format!("`{endpoint}` is not a URL with a host"),
            "write for example http://jaeger:4317",
        );
    };
    let cause = match timeout(LIMIT, TcpStream::connect(&address)).await {
        Ok(Ok(_)) => return Finding::ok(WHAT, format!("{address} accepts connections")),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", LIMIT.as_secs()),
    };
    Finding::warn(
        WHAT,
        format!("{address} cannot be reached: {cause}"),
        "start it or correct otlp_endpoint; Stoker runs without it, but traces are lost",
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
    async fn an_unreachable_collector_is_a_warning_and_none_is_fine() {
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
