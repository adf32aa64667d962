//! Where the demo's traces go: a Jaeger that runs already.

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

/// Takes OTLP at one port and shows its pages at another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Jaeger {
    scheme: String,
    host: String,
    port: u16,
}

impl FromStr for Jaeger {
    type Err = String;

    /// `host`, `host:port` or a URL; OTLP over gRPC at 4317 unless told.
    fn from_str(text: &str) -> Result<Self, String> {
        let fault =
            || format!("`{text}` is no address of a Jaeger; write for example localhost or jaeger.lan:4317");
        let url = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        // The port that a scheme stands for is no port of OTLP, and Url leaves it out.
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
    /// Its pages, where its own defaults have them.
    pub(crate) fn pages(&self) -> String {
        format!("http://{}:{PAGES_PORT}", self.host)
    }

    pub(crate) fn take_traces_of(&self, options: &mut TelemetryOptions) {
        options.otlp_endpoint = Some(format!("{}://{}:{}", self.scheme, self.host, self.port));
        options.otlp_protocol = if self.port == HTTP_PORT {
            OtlpProtocol::HttpBinary
        } else {
            OtlpProtocol::Grpc
        };
    }

    /// Returns itself if the port accepts connections. If not, prints that, and the demo runs without traces.
    pub(crate) async fn if_it_answers(self) -> Option<Self> {
        let address = format!("{}:{}", self.host, self.port);
        let trouble = match timeout(REACH_LIMIT, TcpStream::connect(&address)).await {
            Ok(Ok(_)) => return Some(self),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", REACH_LIMIT.as_secs()),
        };
        output::remark(format!(
            "stoker: no Jaeger takes traces at {address} ({trouble}): the demo goes on without. Start one with its OTLP \
             port {GRPC_PORT} open, or give another address with --jaeger"
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
        jaeger.take_traces_of(&mut options);
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
    async fn a_jaeger_that_is_not_there_is_left_out() {
        let listener = process::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let jaeger: Jaeger = address.parse().expect("an address");
        assert_eq!(jaeger.clone().if_it_answers().await, Some(jaeger.clone()));
        drop(listener);
        assert_eq!(jaeger.if_it_answers().await, None);
    }
}
