use oci::{Dial, RegistryMetrics};
use wire::DialDescription;

use super::*;
use clients::guarded_registries;

const NAMED: &str = "127.0.0.1:5000";
const CONFIGURED: &str = "127.0.0.1:5001";

fn name(text: &str) -> RegistryName {
    text.parse().expect("a registry")
}

fn described(name: &str, configured: bool) -> RegistryDescription {
    RegistryDescription {
        name: name.to_owned(),
        plain_http: true,
        configured,
        ..RegistryDescription::default()
    }
}

/// A peer with these rules. It knows one registry from a preheat and one from the manager's configuration.
fn neighbours_with(rules: DialRules, dial: DialDescription) -> Neighbours {
    process::install_tls_provider();
    let folder = tempfile::tempdir().expect("a folder");
    let registries = guarded_registries(Dial::guarded(Vec::new()), RegistryMetrics::default());
    let neighbours = Neighbours::open(
        Uuid::nil(),
        "default",
        folder.path(),
        Vec::new(),
        rules,
        registries,
    );
    neighbours.learn(Neighbourhood {
        registries: vec![described(NAMED, false), described(CONFIGURED, true)],
        dial,
        ..Neighbourhood::default()
    });
    neighbours
}

async fn is_dialled(neighbours: &Neighbours, host: &str) -> bool {
    let url = format!("http://{host}/v2/").parse().expect("a URL");
    neighbours.registries().dial().check(&url).await.is_ok()
}

#[tokio::test]
async fn a_preheat_opens_a_registry_and_lists_no_address() {
    let neighbours = neighbours_with(DialRules::default(), DialDescription::default());
    assert!(neighbours.may_dial(&name(NAMED)) && neighbours.may_dial(&name(CONFIGURED)));
    assert!(!is_dialled(&neighbours, NAMED).await);
    assert!(is_dialled(&neighbours, CONFIGURED).await);
}

#[tokio::test]
async fn a_node_can_keep_preheats_from_opening_registries() {
    let closed = DialRules {
        open_by_preheat: false,
        ..DialRules::default()
    };
    let neighbours = neighbours_with(closed, DialDescription::default());
    assert!(!neighbours.may_dial(&name(NAMED)));
    assert!(!neighbours.may_preheat_from(&name(NAMED)));
    assert!(neighbours.may_preheat_from(&name(CONFIGURED)));
}

#[tokio::test]
async fn the_managers_lists_add_to_the_nodes_lists() {
    let own = DialRules {
        addresses: vec!["127.0.0.2".parse().expect("a range")],
        allow: vec!["own.lan".to_owned()],
        ..DialRules::default()
    };
    let managers = DialDescription {
        addresses: vec!["127.0.0.3".to_owned(), "junk".to_owned()],
        allow: vec!["*.managers.lan".to_owned()],
    };
    let neighbours = neighbours_with(own, managers);
    for host in ["127.0.0.2", "127.0.0.3:77"] {
        assert!(is_dialled(&neighbours, host).await, "{host}");
    }
    assert!(!is_dialled(&neighbours, "127.0.0.4").await);
    for host in ["own.lan", "a.managers.lan"] {
        assert!(neighbours.may_dial(&name(host)), "{host}");
    }
    assert!(!neighbours.may_dial(&name("other.lan")));
}

#[tokio::test]
async fn a_harbor_gets_each_get_unless_configured_otherwise() {
    let neighbours = neighbours_with(DialRules::default(), DialDescription::default());
    let registry = name(CONFIGURED);
    assert_eq!(neighbours.authorize(&registry, || false), Authorize::Head);
    assert_eq!(neighbours.authorize(&registry, || true), Authorize::ManifestGet);
    let mut seen = described(CONFIGURED, true);
    seen.harbor = true;
    let learn = |description: RegistryDescription| {
        neighbours.learn(Neighbourhood {
            registries: vec![description],
            ..Neighbourhood::default()
        });
    };
    learn(seen.clone());
    assert_eq!(neighbours.authorize(&registry, || false), Authorize::ManifestGet);
    seen.authorize = Some(Authorize::Head);
    learn(seen);
    assert_eq!(neighbours.authorize(&registry, || true), Authorize::Head);
}
