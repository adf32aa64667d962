//! The addresses that a manager listens on: free, or answered by a Stoker already.

use std::io::ErrorKind;

use reqwest::Client;
use tokio::net::TcpListener;

use super::call::LIMIT;
use super::finding::Finding;

/// One listening address, and how to know ours there.
pub(super) struct Port<'a> {
    pub(super) what: &'static str,
    /// Its key in the file, and its flag.
    pub(super) key: &'static str,
    pub(super) address: &'a str,
    /// A path that a Stoker answers with `says` in it.
    pub(super) path: &'static str,
    pub(super) says: &'static str,
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
            return Finding::ok(self.what, format!("a Stoker answers at {address}"));
        }
        Finding::fail(
            self.what,
            format!("another program listens at {address}"),
            format!(
                "stop it (ss -ltnp shows who it is), or choose another address with --{}",
                self.key
            ),
        )
    }

    fn unbound(&self, error: &std::io::Error) -> Finding {
        let to_do = match error.kind() {
            ErrorKind::PermissionDenied => "ports below 1024 are for root: choose a higher one",
            ErrorKind::AddrNotAvailable => {
                "this machine has no such address: write 0.0.0.0 for all that it has"
            }
            _ => "write an address of this machine, for example 0.0.0.0:8080",
        };
        let found = format!("{} cannot be listened on: {error}", self.address);
        Finding::fail(self.what, found, format!("{to_do} (--{})", self.key))
    }

    async fn is_ours(&self, curious: &Client) -> bool {
        let address = reachable(self.address);
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{address}{}", self.path);
            let Ok(answer) = curious.get(url).timeout(LIMIT).send().await else {
                continue;
            };
            if answer.text().await.is_ok_and(|text| text.contains(self.says)) {
                return true;
            }
        }
        false
    }
}

/// Address on this machine of a listener on all addresses.
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
            says: "pong",
        }
    }

    #[tokio::test]
    async fn a_port_is_free_ours_or_somebody_elses() {
        process::install_tls_provider();
        let curious = process::http::curious_client().expect("a client");
        let running = process::Running::new();
        let serve = async |says: &'static str| {
            let listener = process::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address").to_string();
            let router = Router::new().route("/server/ping", get(move || async move { says }));
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
    async fn an_address_of_another_machine_is_told_from_a_taken_one() {
        process::install_tls_provider();
        let curious = process::http::curious_client().expect("a client");
        let finding = port("192.0.2.1:8080").check(&curious).await;
        assert_eq!(finding.verdict, Verdict::Fail);
        assert!(finding.line().contains("no such address"), "{finding:?}");
    }

    #[test]
    fn whoever_listens_everywhere_is_asked_on_loopback() {
        let asked = ["0.0.0.0:8080", "[::]:8080", "10.0.0.7:80"].map(reachable);
        assert_eq!(asked, ["127.0.0.1:8080", "[::1]:8080", "10.0.0.7:80"]);
    }
}
