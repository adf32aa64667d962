//! Whom a registry may send us to, and whom nobody may: decided on addresses.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;

use axum::response::Response;
use oci::{Dial, Registries, Registry, RegistryError, RegistryMetrics, RegistrySettings, Side, TlsOptions};
use world::Net;

use crate::server::{ANN, Heard, Server, ann, answer, manifest, repository, tag};

/// As our programs do it: names are resolved by the rule, as the client's options say, and only configured hosts are
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

async fn asked(registry: &Registry) -> RegistryError {
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
async fn a_registry_inside_is_not_dialled_unless_it_is_listed() {
    let server = Server::start(|_| answer(404, &[], "")).await;
    for host in ["127.0.0.1", "localhost"] {
        let name = format!("{host}:{}", server.address.port());
        let error = asked(&reach(&Dial::guarded(Vec::new()), &name, false)).await;
        is_not_allowed(&error, Side::Caller);
        assert!(error.to_string().contains(&name), "{error}");
        assert!(server.heard().is_empty(), "nobody knocked");
    }
    let name = format!("localhost:{}", server.address.port());
    let error = asked(&reach(&Dial::guarded(Vec::new()), &name, true)).await;
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_redirect_inside_is_not_followed() {
    let other = Server::start(|_| answer(200, &[], "")).await;
    for place in [
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        format!("http://localhost:{}/x", other.address.port()),
        "http://[::ffff:169.254.169.254]/".to_owned(),
    ] {
        let location = place.clone();
        let server = Server::start(move |_| answer(307, &[("location", &location)], "")).await;
        let name = server.address.to_string();
        let error = asked(&reach(&Dial::guarded(Vec::new()), &name, true)).await;
        is_not_allowed(&error, Side::Registry);
    }
    assert!(other.heard().is_empty(), "nobody knocked");
}

#[tokio::test]
async fn a_token_realm_on_another_port_of_a_listed_host_is_not_asked() {
    let other = Server::start(|_| answer(200, &[], "{\"token\":\"t\"}")).await;
    let realm = format!("http://localhost:{}/token", other.address.port());
    let challenge = format!("Bearer realm=\"{realm}\",service=\"s\"");
    let server = Server::start(move |_| answer(401, &[("www-authenticate", &challenge)], "")).await;
    let name = format!("localhost:{}", server.address.port());
    let error = asked(&reach(&Dial::guarded(Vec::new()), &name, true)).await;
    is_not_allowed(&error, Side::Registry);
    assert!(other.heard().is_empty(), "nobody knocked");
}

/// A wire on which this machine has a private address and one of the internet's.
struct Wire {
    net: Net,
    outside: Ipv4Addr,
}

impl Wire {
    /// Needs root.
    fn new() -> Self {
        let net = Net::new();
        let [.., number, _] = net.own_address().octets();
        // Of TEST-NET-3: nobody's, and gone with the wire.
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

    async fn inside(&self, answer: impl Fn(&Heard) -> Response + Clone + Send + Sync + 'static) -> Server {
        serve(self.net.own_address(), answer).await
    }

    async fn outside(&self, answer: impl Fn(&Heard) -> Response + Clone + Send + Sync + 'static) -> Server {
        serve(self.outside, answer).await
    }
}

async fn serve(
    address: Ipv4Addr,
    answer: impl Fn(&Heard) -> Response + Clone + Send + Sync + 'static,
) -> Server {
    let listener = tokio::net::TcpListener::bind((address, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    Server::on(listener, address, answer)
}

fn leading_to(place: &Server) -> impl Fn(&Heard) -> Response + Clone + Send + Sync + 'static {
    let location = format!("http://{}/x", place.address);
    move |_| answer(307, &[("location", &location)], "")
}

async fn pull(registry: &Registry) -> Result<(), RegistryError> {
    let wanted = registry.manifest(&repository(), &tag("v1"), &ann()).await;
    wanted.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_inside_that_nobody_configured_signs_in_and_leads_inside() {
    let wire = Wire::new();
    let storage = wire.inside(|_| manifest()).await;
    let tokens = wire.inside(|_| answer(200, &[], r#"{"token":"good"}"#)).await;
    let realm = format!(
        "Bearer realm=\"http://{}/service/token\",service=\"harbor-registry\"",
        tokens.address
    );
    let on = leading_to(&storage);
    let harbor = wire
        .inside(move |heard| match heard.authorization.as_deref() {
            Some("Bearer good") => on(heard),
            _ => answer(401, &[("www-authenticate", &realm)], ""),
        })
        .await;
    let dial = Dial::guarded(Vec::new());
    pull(&reach(&dial, &harbor.address.to_string(), false))
        .await
        .unwrap();
    assert_eq!(tokens.heard()[0].authorization.as_deref(), Some(ANN));
    assert_eq!(storage.heard().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_outside_leads_inside_only_if_it_or_its_target_is_listed() {
    let wire = Wire::new();
    let secret = wire.inside(|_| manifest()).await;
    let bounce = wire.outside(leading_to(&secret)).await;
    let evil = [
        wire.outside(leading_to(&secret)).await,
        wire.outside(leading_to(&bounce)).await,
    ];
    for evil in &evil {
        let name = evil.address.to_string();
        let error = asked(&reach(&Dial::guarded(Vec::new()), &name, false)).await;
        is_not_allowed(&error, Side::Registry);
        let line = format!("addresses = [\"{}\"]", secret.address.ip());
        assert!(error.what_to_do().contains(&line), "{}", error.what_to_do());
    }
    assert!(secret.heard().is_empty(), "nobody knocked");
    let name = evil[0].address.to_string();
    pull(&reach(&Dial::guarded(Vec::new()), &name, true))
        .await
        .unwrap();
    let listed = Dial::guarded(vec!["10.231.0.0/16".parse().unwrap()]);
    pull(&reach(&listed, &name, false)).await.unwrap();
    assert_eq!(secret.heard().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_inside_is_not_led_back_in_by_storage_outside() {
    let wire = Wire::new();
    let secret = wire.inside(|_| manifest()).await;
    let storage = wire.outside(leading_to(&secret)).await;
    let harbor = wire.inside(leading_to(&storage)).await;
    let error = asked(&reach(
        &Dial::guarded(Vec::new()),
        &harbor.address.to_string(),
        false,
    ))
    .await;
    is_not_allowed(&error, Side::Registry);
    assert!(secret.heard().is_empty(), "nobody knocked");
}
