use oci::Digest;
use process::Vitals;
use store::{RemovalReason, Store};
use tempfile::TempDir;
use wire::Role;

use super::{StoreCommand, StoreCommandError, run};
use crate::config::{FrontLimits, PeerConfig, StorePlace};
use crate::fetch::tests::support::{bytes, seal};
use crate::membership::tests::Authority;
use crate::peer::Peer;
use settings::OwnRegistry;

const ANY_PORT: &str = "127.0.0.1:0";

/// A data folder with a store, and the admin address of its peer.
struct StoreFixture {
    place: StorePlace,
    _folder: TempDir,
}

impl StoreFixture {
    fn new() -> Self {
        process::install_tls_provider();
        let folder = tempfile::tempdir().expect("a folder");
        let place = StorePlace {
            data_dir: folder.path().to_owned(),
            admin: world::Port::free().to_string(),
        };
        Self {
            place,
            _folder: folder,
        }
    }

    fn store(&self) -> Store {
        Store::open(&self.place.data_dir.join("store")).expect("a store")
    }

    async fn holding(body: &bytes::Bytes) -> Self {
        let here = Self::new();
        seal(&here.store(), body).await;
        here
    }

    async fn peer(&self) -> (Store, Vitals) {
        let vitals = Vitals::default();
        let peer = Peer::build(self.config(), vitals.clone()).await.expect("a peer");
        let store = peer.store().clone();
        peer.spawn().expect("serves");
        (store, vitals)
    }

    fn config(&self) -> PeerConfig {
        PeerConfig {
            data_dir: self.place.data_dir.clone(),
            manager: "https://127.0.0.1:1".to_owned(),
            joining: Authority::new().directly(Role::Node, "default"),
            role: None,
            cluster: None,
            zone: None,
            name: "node".to_owned(),
            front: ANY_PORT.to_owned(),
            share: ANY_PORT.to_owned(),
            advertise: None,
            admin: Some(self.place.admin.clone()),
            registries: vec![registry()],
            front_limits: FrontLimits::default(),
            dial: oci::DialRules::default(),
            store: store::StoreLimits::default(),
            telemetry: process::telemetry::TelemetryOptions::default(),
            limits: crate::limits::LimitSettings::default(),
        }
    }

    async fn run(&self, wanted: StoreCommand) -> Result<Vec<String>, StoreCommandError> {
        run(&self.place, wanted).await
    }
}

fn registry() -> OwnRegistry {
    OwnRegistry {
        settings: oci::RegistrySettings::new("127.0.0.1:1".parse().expect("a registry")),
        offline_access: wire::OfflineAccess::default(),
        authorize: None,
        bandwidth: None,
    }
}

fn remove(digest: &Digest) -> StoreCommand {
    StoreCommand::Remove {
        digest: digest.clone(),
    }
}

#[tokio::test]
async fn without_a_peer_the_store_is_opened_and_records_the_removal() {
    let body = bytes(9);
    let (here, digest) = (StoreFixture::holding(&body).await, Digest::of(&body));
    let listed = here.run(StoreCommand::List).await.expect("listed");
    assert_eq!(listed, [format!("{digest} 9 blob")]);
    let removed = here.run(remove(&digest)).await.expect("removed");
    assert!(matches!(removed.as_slice(), [line] if line.contains(digest.as_str())));
    assert!(here.run(StoreCommand::List).await.expect("listed").is_empty());
    let again = here.run(remove(&digest)).await.expect_err("it is gone");
    assert!(matches!(again, StoreCommandError::NotHeld(_)), "{again}");
    let removal = here.store().removal(&digest).expect("remembered");
    assert_eq!(removal.why, RemovalReason::Asked);
}

#[tokio::test]
async fn a_running_peer_runs_the_command_over_its_admin_port() {
    let body = bytes(9);
    let (here, digest) = (StoreFixture::holding(&body).await, Digest::of(&body));
    let (store, vitals) = here.peer().await;
    let listed = here.run(StoreCommand::List).await.expect("listed");
    assert_eq!(listed, [format!("{digest} 9 blob")]);
    here.run(remove(&digest)).await.expect("removed");
    assert!(store.sealed(&digest).is_none());
    let again = here.run(remove(&digest)).await.expect_err("it is gone");
    assert!(matches!(again, StoreCommandError::NotHeld(_)), "{again}");
    vitals.running.stopping().cancel();
}

#[tokio::test]
async fn the_admin_port_refuses_callers_without_the_key() {
    let body = bytes(9);
    let (here, digest) = (StoreFixture::holding(&body).await, Digest::of(&body));
    let (store, vitals) = here.peer().await;
    let http = process::http::client(&process::http::ClientOptions::default()).expect("a client");
    let url = format!("http://{}/store/objects/{digest}", here.place.admin);
    let refused = http.delete(&url).send().await.expect("an answer");
    assert_eq!(refused.status(), 401);
    let refused = http
        .delete(&url)
        .bearer_auth("guessed")
        .send()
        .await
        .expect("an answer");
    assert_eq!(refused.status(), 401);
    assert!(store.sealed(&digest).is_some());
    vitals.running.stopping().cancel();
}

#[tokio::test]
async fn a_store_in_use_by_a_peer_that_does_not_answer_is_reported() {
    let body = bytes(9);
    let here = StoreFixture::holding(&body).await;
    let _in_use = here.store();
    let error = here.run(StoreCommand::List).await.expect_err("no answer");
    // Without a key no peer can be asked.
    assert!(error.is_unreachable(), "{error}");
    process::admin::AdminKey::open(&here.place.data_dir).expect("a key");
    let error = here.run(StoreCommand::List).await.expect_err("no answer");
    assert!(matches!(error, StoreCommandError::NoAnswer { .. }), "{error}");
}

#[tokio::test]
async fn the_peer_of_another_folder_refuses_the_key() {
    let body = bytes(9);
    let (here, other) = (
        StoreFixture::holding(&body).await,
        StoreFixture::holding(&body).await,
    );
    let (store, vitals) = other.peer().await;
    let _in_use = here.store();
    process::admin::AdminKey::open(&here.place.data_dir).expect("a key");
    let place = StorePlace {
        data_dir: here.place.data_dir.clone(),
        admin: other.place.admin.clone(),
    };
    let error = run(&place, remove(&Digest::of(&body)))
        .await
        .expect_err("refused");
    assert!(matches!(error, StoreCommandError::AnotherPeer { .. }), "{error}");
    assert!(store.sealed(&Digest::of(&body)).is_some());
    vitals.running.stopping().cancel();
}

#[tokio::test]
async fn a_running_peer_shows_its_metrics_from_the_start() {
    let here = StoreFixture::new();
    let vitals = Vitals::default();
    let peer = Peer::build(here.config(), vitals.clone()).await.expect("a peer");
    let front = peer.front_address().expect("an address");
    peer.spawn().expect("serves");
    let http = process::http::client(&process::http::ClientOptions::default()).expect("a client");
    // Registries are counted from the moment they may be asked.
    let pull = format!("http://{front}/v2/a/manifests/v1?ns=127.0.0.1:1");
    http.get(&pull).send().await.expect("an answer");
    let url = format!("http://{}/metrics", here.place.admin);
    let response = http.get(&url).send().await.expect("an answer");
    let text = response.text().await.expect("text");
    for name in [
        "stoker_front_objects_total",
        "stoker_store_disk_free_bytes",
        "stoker_registry_bytes_total{server_address=",
    ] {
        assert!(text.contains(name), "{name} is missing in\n{text}");
    }
    vitals.running.stopping().cancel();
}
