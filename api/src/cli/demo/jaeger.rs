//! The Jaeger that receives the demo's traces. It must already run.

use std::str::FromStr;
use std::time::Duration;

use process::telemetry::{OtlpProtocol, TelemetryOptions};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::super::output;

const REACH_LIMIT: Duration = Duration::from_secs(2);
const GRPC_PORT: u16 = 4317;
const HTTP_PORT: u16 = 4318;
const PAGES_PORT: u16 = 16686;

/// The address of a Jaeger: it receives OTLP on `port` and serves its pages on [`PAGES_PORT`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Jaeger {
    scheme: String,
    host: String,
    port: u16,
}

impl FromStr for Jaeger {
    type Err = String;

    /// `host`, `host:port` or a URL; without a port OTLP over gRPC at 4317.
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("`{text}` is not an address; write for example localhost or jaeger.lan:4317");
        let url = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        // `Url` omits the default port of the scheme. That port is never the port of OTLP.
        let url = Url::parse(&url).map_err(|_| fault())?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(fault)?;
        if !matches!(url.scheme(), "http" | "https") || !matches!(url.path(), "" | "/") {
            return Err(fault());
        }
        Ok(Self {
            scheme: url.scheme().to_owned(),
            host: host.to_owned(),
            port: url.port().unwrap_or(GRPC_PORT),
        })
    }
}

impl Jaeger {
    /// The URL of its pages, at Jaeger's default port.
    pub(crate) fn pages(&self) -> String {
        format!("http://{}:{PAGES_PORT}", self.host)
    }

    pub(crate) fn receive_traces(&self, options: &mut TelemetryOptions) {
        options.otlp_endpoint = Some(format!("{}://{}:{}", self.scheme, self.host, self.port));
        options.otlp_protocol = if self.port == HTTP_PORT {
            OtlpProtocol::HttpBinary
        } else {
            OtlpProtocol::Grpc
        };
    }

    /// Returns itself if the port accepts connections. Otherwise prints a remark, and the demo runs without traces.
    pub(crate) async fn if_reachable(self) -> Option<Self> {
        let address = format!("{}:{}", self.host, self.port);
        let cause = match timeout(REACH_LIMIT, TcpStream::connect(&address)).await {
            Ok(Ok(_)) => return Some(self),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", REACH_LIMIT.as_secs()),
        };
        output::remark(format!(
            "stoker: Jaeger cannot be reached at {address}: {cause}. The demo continues without traces. Start Jaeger with \
             its OTLP port {GRPC_PORT} open, or give another address with --jaeger"
        ));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> (String, OtlpProtocol) {
        let mut options = TelemetryOptions::default();
        let jaeger: Jaeger = text.parse().expect(text);
        jaeger.receive_traces(&mut options);
        (options.otlp_endpoint.expect("an endpoint"), options.otlp_protocol)
    }

    #[test]
    fn an_address_is_a_host_with_a_port_or_without_or_a_url() {
        let grpc = |text: &str| (text.to_owned(), OtlpProtocol::Grpc);
        assert_eq!(endpoint("jaeger.lan"), grpc("http://jaeger.lan:4317"));
        assert_eq!(endpoint("10.0.0.7:14317"), grpc("http://10.0.0.7:14317"));
        assert_eq!(endpoint("https://jaeger.lan/"), grpc("https://jaeger.lan:4317"));
        assert_eq!(endpoint("[::1]:4317"), grpc("http://[::1]:4317"));
        let http = ("http://jaeger.lan:4318".to_owned(), OtlpProtocol::HttpBinary);
        assert_eq!(endpoint("jaeger.lan:4318"), http);
        let pages = "jaeger.lan:4318".parse::<Jaeger>().map(|jaeger| jaeger.pages());
        assert_eq!(pages.as_deref(), Ok("http://jaeger.lan:16686"));
        for wrong in ["", "a b", "ftp://jaeger", "jaeger:port", "http://jaeger/api"] {
            assert!(wrong.parse::<Jaeger>().is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn an_unreachable_jaeger_is_not_used() {
        let listener = process::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let jaeger: Jaeger = address.parse().expect("an address");
        assert_eq!(jaeger.clone().if_reachable().await, Some(jaeger.clone()));
        drop(listener);
        assert_eq!(jaeger.if_reachable().await, None);
    }
}
