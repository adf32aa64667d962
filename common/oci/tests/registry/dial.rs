//! Whom a registry may send us to, and whom nobody may: decided on addresses.

use std::sync::Arc;

use oci::{Dial, Registries, Registry, RegistryError, RegistryMetrics, RegistrySettings, Side, TlsOptions};

use crate::server::{Server, ann, answer, repository, tag};

/// As our programs do it: names are resolved by the rule, and only configured hosts are listed.
fn reach(dial: &Dial, name: &str, listed: bool) -> Registry {
    let names = Arc::new(dial.clone());
    let client = move |_: &TlsOptions| {
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        Ok(builder.no_proxy().dns_resolver(names.clone()).build().unwrap())
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
    registries.registry(&name, "", true).unwrap()
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
