//! Checks that each listening address of a manager is free, or that a Stoker already listens there.

use std::io::ErrorKind;

use reqwest::Client;
use tokio::net::TcpListener;

use super::call::LIMIT;
use super::finding::Finding;

/// One listening address, and how to recognise a Stoker there.
pub(super) struct Port<'a> {
    pub(super) what: &'static str,
    /// Its key in the file, which is also its flag.
    pub(super) key: &'static str,
    pub(super) address: &'a str,
    /// A Stoker's response to this path has `contains` in it.
    pub(super) path: &'static str,
    pub(super) contains: &'static str,
}

impl Port<'_> {
    pub(super) async fn check(&self, curious: &Client) -> Finding {
        match TcpListener::bind(self.address).await {
            Ok(_) => Finding::ok(self.what, format!("{} is free", self.address)),
            Err(error) if error.kind() == ErrorKind::AddrInUse => self.taken(curious).await,
            Err(error) => self.unbound(&error),
        }
    }

    async fn taken(&self, curious: &Client) -> Finding {
        let address = self.address;
        if self.is_ours(curious).await {
            return Finding::ok(self.what, format!("a Stoker already listens at {address}"));
        }
        Finding::fail(
            self.what,
            format!("another program listens at {address}"),
            format!(
                "stop it (ss -ltnp names it), or choose another address with --{}",
                self.key
            ),
        )
    }

    fn unbound(&self, error: &std::io::Error) -> Finding {
        let to_do = match error.kind() {
            ErrorKind::PermissionDenied => "ports below 1024 need root: choose a higher one",
            ErrorKind::AddrNotAvailable => {
                "this machine does not have this address: write 0.0.0.0 for all of its addresses"
            }
            _ => "write an address of this machine, for example 0.0.0.0:8080",
        };
        let found = format!("cannot listen at {}: {error}", self.address);
        Finding::fail(self.what, found, format!("{to_do} (--{})", self.key))
    }

    async fn is_ours(&self, curious: &Client) -> bool {
        let address = reachable(self.address);
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{address}{}", self.path);
            let Ok(answer) = curious.get(url).timeout(LIMIT).send().await else {
                continue;
            };
            if answer.text().await.is_ok_and(|text| text.contains(self.contains)) {
                return true;
            }
        }
        false
    }
}

/// Replaces the unspecified address by loopback.
fn reachable(address: &str) -> String {
    match address.rsplit_once(':') {
        Some(("0.0.0.0", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;

    use super::super::finding::Verdict;
    use super::*;

    fn port(address: &str) -> Port<'_> {
        Port {
            what: "admin port",
            key: "admin",
            address,
            path: "/server/ping",
            contains: "pong",
        }
    }

    #[tokio::test]
    async fn a_port_may_be_free_or_ours_but_not_of_another_program() {
        process::install_tls_provider();
        let curious = process::http::curious_client().expect("a client");
        let running = process::Running::new();
        let serve = async |body: &'static str| {
            let listener = process::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address").to_string();
            let router = Router::new().route("/server/ping", get(move || async move { body }));
            process::serve(listener, router, &running, None).expect("served");
            address
        };
        let ours = serve("pong\n").await;
        assert_eq!(port(&ours).check(&curious).await.verdict, Verdict::Ok);
        let other = serve("hello").await;
        let finding = port(&other).check(&curious).await;
        assert_eq!(finding.verdict, Verdict::Fail);
        assert!(finding.line().contains("--admin"), "{finding:?}");
        let free = process::bind("127.0.0.1:0")
            .await
            .expect("a port")
            .local_addr()
            .expect("an address");
        assert_eq!(port(&free.to_string()).check(&curious).await.verdict, Verdict::Ok);
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_a_failure() {
        process::install_tls_provider();
        let curious = process::http::curious_client().expect("a client");
        let finding = port("192.0.2.1:8080").check(&curious).await;
        assert_eq!(finding.verdict, Verdict::Fail);
        assert!(
            finding.to_do.is_some_and(|to_do| to_do.contains("0.0.0.0")),
            "{}",
            finding.found
        );
    }

    #[test]
    fn a_listener_on_all_addresses_is_probed_on_loopback() {
        let probed = ["0.0.0.0:8080", "[::]:8080", "10.0.0.7:80"].map(reachable);
        assert_eq!(probed, ["127.0.0.1:8080", "[::1]:8080", "10.0.0.7:80"]);
    }
}
