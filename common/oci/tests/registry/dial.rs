//! Which addresses may be dialled, and where a registry may redirect to.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;

use axum::response::Response;
use oci::{Dial, Registries, Registry, RegistryError, RegistryMetrics, RegistrySettings, Side, TlsOptions};
use world::Net;

use crate::server::{ANN, RecordedRequest, Server, ann, answer, manifest, repository, tag};

/// Builds a registry as the programs do: the dial rule resolves names for the client, and only configured hosts are
/// listed.
fn reach(dial: &Dial, name: &str, listed: bool) -> Registry {
    let rule = dial.clone();
    let client = move |options: &TlsOptions| {
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let names = Arc::new(rule.for_client(options));
        Ok(builder.no_proxy().dns_resolver(names).build().unwrap())
    };
    let registries = Registries::behind(dial.clone(), RegistryMetrics::default(), Arc::new(client));
    let settings = RegistrySettings {
        plain_http: true,
        ..RegistrySettings::new(name.parse().unwrap())
    };
    if listed {
        dial.list_hosts([&settings]);
    }
    let name = settings.name.clone();
    registries.configure(vec![settings]);
    registries
        .registry(&oci::Origin::of(name, oci::Scheme::Http))
        .unwrap()
}

async fn refusal(registry: &Registry) -> RegistryError {
    let wanted = registry.manifest(&repository(), &tag("v1"), &ann()).await;
    wanted.expect_err("not allowed")
}

fn is_not_allowed(error: &RegistryError, side: Side) {
    assert!(matches!(error, RegistryError::NotAllowed { .. }), "{error}");
    assert_eq!(error.side(), side, "{error}");
    assert!(error.what_to_do().contains("[dial]"), "{}", error.what_to_do());
    assert!(!error.is_worth_retrying());
}

#[tokio::test]
async fn a_registry_on_loopback_is_not_dialled_unless_it_is_listed() {
    let server = Server::start(|_| answer(404, &[], "")).await;
    for host in ["127.0.0.1", "localhost"] {
        let name = format!("{host}:{}", server.address.port());
        let error = refusal(&reach(&Dial::guarded(Vec::new()), &name, false)).await;
        is_not_allowed(&error, Side::Caller);
        assert!(error.to_string().contains(&name), "{error}");
        assert!(server.requests().is_empty(), "the server got a request");
    }
    let name = format!("localhost:{}", server.address.port());
    let error = refusal(&reach(&Dial::guarded(Vec::new()), &name, true)).await;
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_redirect_to_a_special_address_is_not_followed() {
    let other = Server::start(|_| answer(200, &[], "")).await;
    for target in [
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        format!("http://localhost:{}/x", other.address.port()),
        "http://[::ffff:169.254.169.254]/".to_owned(),
    ] {
        let location = target.clone();
        let server = Server::start(move |_| answer(307, &[("location", &location)], "")).await;
        let name = server.address.to_string();
        let error = refusal(&reach(&Dial::guarded(Vec::new()), &name, true)).await;
        is_not_allowed(&error, Side::Registry);
    }
    assert!(other.requests().is_empty(), "the server got a request");
}

#[tokio::test]
async fn a_token_realm_on_another_port_of_a_listed_host_is_not_dialled() {
    let other = Server::start(|_| answer(200, &[], "{\"token\":\"t\"}")).await;
    let realm = format!("http://localhost:{}/token", other.address.port());
    let challenge = format!("Bearer realm=\"{realm}\",service=\"s\"");
    let server = Server::start(move |_| answer(401, &[("www-authenticate", &challenge)], "")).await;
    let name = format!("localhost:{}", server.address.port());
    let error = refusal(&reach(&Dial::guarded(Vec::new()), &name, true)).await;
    is_not_allowed(&error, Side::Registry);
    assert!(other.requests().is_empty(), "the server got a request");
}

/// A network in which this machine has a private and a public address.
struct DialNet {
    net: Net,
    outside: Ipv4Addr,
}

impl DialNet {
    /// Needs root.
    fn new() -> Self {
        let net = Net::new();
        let [.., number, _] = net.own_address().octets();
        // Of TEST-NET-3: removed with the network.
        let outside = Ipv4Addr::new(203, 0, 113, number);
        let ip = |arguments: &[&str]| Command::new("ip").args(arguments).output().unwrap();
        let links = String::from_utf8(ip(&["-br", "addr"]).stdout).unwrap();
        let own = net.own_address().to_string();
        let link = links.lines().find(|line| line.contains(&own)).unwrap();
        let link = link.split_whitespace().next().unwrap();
        let added = ip(&["addr", "add", &format!("{outside}/32"), "dev", link]);
        assert!(added.status.success(), "{added:?}");
        Self { net, outside }
    }

    async fn inside(
        &self,
        answer: impl Fn(&RecordedRequest) -> Response + Clone + Send + Sync + 'static,
    ) -> Server {
        serve(self.net.own_address(), answer).await
    }

    async fn outside(
        &self,
        answer: impl Fn(&RecordedRequest) -> Response + Clone + Send + Sync + 'static,
    ) -> Server {
        serve(self.outside, answer).await
    }
}

async fn serve(
    address: Ipv4Addr,
    answer: impl Fn(&RecordedRequest) -> Response + Clone + Send + Sync + 'static,
) -> Server {
    let listener = tokio::net::TcpListener::bind((address, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    Server::on(listener, address, answer)
}

fn leading_to(target: &Server) -> impl Fn(&RecordedRequest) -> Response + Clone + Send + Sync + 'static {
    let location = format!("http://{}/x", target.address);
    move |_| answer(307, &[("location", &location)], "")
}

async fn pull(registry: &Registry) -> Result<(), RegistryError> {
    let wanted = registry.manifest(&repository(), &tag("v1"), &ann()).await;
    wanted.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unconfigured_private_registry_may_use_private_targets() {
    let net = DialNet::new();
    let storage = net.inside(|_| manifest()).await;
    let tokens = net.inside(|_| answer(200, &[], r#"{"token":"good"}"#)).await;
    let realm = format!(
        "Bearer realm=\"http://{}/service/token\",service=\"harbor-registry\"",
        tokens.address
    );
    let on = leading_to(&storage);
    let harbor = net
        .inside(move |request| match request.authorization.as_deref() {
            Some("Bearer good") => on(request),
            _ => answer(401, &[("www-authenticate", &realm)], ""),
        })
        .await;
    let dial = Dial::guarded(Vec::new());
    pull(&reach(&dial, &harbor.address.to_string(), false))
        .await
        .unwrap();
    assert_eq!(tokens.requests()[0].authorization.as_deref(), Some(ANN));
    assert_eq!(storage.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_registry_leads_to_a_private_target_only_if_one_is_listed() {
    let net = DialNet::new();
    let secret = net.inside(|_| manifest()).await;
    let bounce = net.outside(leading_to(&secret)).await;
    let evil = [
        net.outside(leading_to(&secret)).await,
        net.outside(leading_to(&bounce)).await,
    ];
    for evil in &evil {
        let name = evil.address.to_string();
        let error = refusal(&reach(&Dial::guarded(Vec::new()), &name, false)).await;
        is_not_allowed(&error, Side::Registry);
        let address = secret.address.ip().to_string();
        assert!(error.what_to_do().contains(&address), "{}", error.what_to_do());
    }
    assert!(secret.requests().is_empty(), "the server got a request");
    let name = evil[0].address.to_string();
    pull(&reach(&Dial::guarded(Vec::new()), &name, true))
        .await
        .unwrap();
    let listed = Dial::guarded(vec!["10.231.0.0/16".parse().unwrap()]);
    pull(&reach(&listed, &name, false)).await.unwrap();
    assert_eq!(secret.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn public_storage_of_a_private_registry_leads_to_no_private_target() {
    let net = DialNet::new();
    let secret = net.inside(|_| manifest()).await;
    let storage = net.outside(leading_to(&secret)).await;
    let harbor = net.inside(leading_to(&storage)).await;
    let error = refusal(&reach(
        &Dial::guarded(Vec::new()),
        &harbor.address.to_string(),
        false,
    ))
    .await;
    is_not_allowed(&error, Side::Registry);
    assert!(secret.requests().is_empty(), "the server got a request");
}
