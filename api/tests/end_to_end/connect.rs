//! `stoker harbor connect` against a stand-in for Harbor's own API, which then really drives the manager: health, jobs
//! and polls, with images on a real registry.

use std::process::Output;

use serde_json::json;
use world::{HarborCore, HarborCoreSpec, Image, ImageSpec, LayerSpec, Manager, Registry};

use crate::{transcript, up};

const PASSWORD: &str = "Harbor12345";

struct Site {
    registry: Registry,
    manager: Manager,
    harbor: HarborCore,
}

fn image(seed: u64) -> Image {
    ImageSpec::new(seed).layers([LayerSpec::of(100_000)]).build()
}

async fn site(version: &'static str) -> Site {
    let registry = Registry::plain().await;
    registry.push(&image(81), "library/app", "v1").await;
    let manager = up(&registry).await;
    let harbor = HarborCore::start(HarborCoreSpec {
        version,
        password: PASSWORD,
        images: vec![registry.manifest_url("library/app", "v1")],
    })
    .await;
    Site {
        registry,
        manager,
        harbor,
    }
}

impl Site {
    async fn connect(&self, password: &str, more: &[&str]) -> Output {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        std::fs::write(&file, format!("{password}\n")).expect("written");
        let file = file.to_string_lossy().into_owned();
        let endpoint = self.manager.url();
        let mut arguments = vec![
            "harbor",
            "connect",
            "--harbor",
            self.harbor.url(),
            "--project",
            "library",
            "--password-file",
            &file,
            "--endpoint",
            &endpoint,
            "--pace-ms",
            "100",
        ];
        arguments.extend(more);
        self.manager.stoker(&arguments).await
    }

    async fn tokens(&self) -> usize {
        let tokens = self.manager.get("/api/v1/tokens").await;
        let all = tokens["tokens"].as_array().expect("a list").clone();
        all.iter()
            .filter(|token| token["name"] == "stoker of 127.0.0.1" && token["revoked_at"].is_null())
            .count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_harbor_is_connected_and_its_policy_preheats() {
    let site = site("v2.15.2-1f3ac0d").await;
    let output = site
        .connect(
            PASSWORD,
            &["--run", "--scope", "all_seed_peers", "--on", "manual"],
        )
        .await;
    assert!(output.status.success(), "{}", transcript(&output));
    for line in ["2.15", "ping ", "1 of 1"] {
        assert!(transcript(&output).contains(line), "{}", transcript(&output));
    }
    let credential = site.harbor.credential("stoker").expect("a credential");
    assert!(credential.starts_with("Bearer "), "{credential}");
    assert!(
        !transcript(&output).contains(&credential[7..]),
        "the output has the token"
    );
    let policy = site.harbor.policy("stoker").expect("a policy");
    assert_eq!(
        policy["extra_attrs"],
        json!({"scope": "all_seed_peers"}).to_string()
    );
    let listed = site.manager.stoker(&["preheats", "--state", "succeeded"]).await;
    assert!(
        transcript(&listed).contains("library/app:v1"),
        "{}",
        transcript(&listed)
    );

    let again = site.connect(PASSWORD, &["--tag", "v*"]).await;
    assert!(again.status.success(), "{}", transcript(&again));
    assert_eq!(
        site.tokens().await,
        1,
        "the token of the first run is not revoked"
    );
    assert_ne!(site.harbor.credential("stoker"), Some(credential));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_harbor_that_sends_no_credential_gets_an_endpoint_with_a_token_in_it() {
    let site = site("v2.11.2-5a3b0c2").await;
    let output = site.connect(PASSWORD, &["--run"]).await;
    assert!(output.status.success(), "{}", transcript(&output));
    let instance = site.harbor.instance("stoker").expect("an instance");
    let endpoint = instance["endpoint"].as_str().expect("an endpoint");
    let token = endpoint.rsplit_once("/t/").expect("a token in the path").1;
    assert_eq!(instance["auth_mode"], "NONE");
    assert!(!transcript(&output).contains(token), "the output has the token");
    assert!(!site.manager.log().contains(token), "the log has the token");
    let refused = site.connect(PASSWORD, &["--scope", "all_peers"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(transcript(&refused).contains("scope"), "{}", transcript(&refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_connect_names_the_remedy_and_revokes_its_token() {
    let site = site("v2.12.4").await;
    let password = site.connect("wrong", &[]).await;
    assert_eq!(password.status.code(), Some(1), "{}", transcript(&password));
    assert!(
        transcript(&password).contains("STOKER_HARBOR_PASSWORD"),
        "{}",
        transcript(&password)
    );

    let nobody = site
        .connect(PASSWORD, &["--endpoint", "http://127.0.0.1:9"])
        .await;
    assert_eq!(
        nobody.status.code(),
        Some(64),
        "given twice: {}",
        transcript(&nobody)
    );

    let project = site.connect(PASSWORD, &["--project", "nope"]).await;
    assert_eq!(
        project.status.code(),
        Some(64),
        "given twice: {}",
        transcript(&project)
    );
    assert_eq!(site.tokens().await, 0, "no token was left behind");

    let first = site.connect(PASSWORD, &[]).await;
    assert!(first.status.success(), "{}", transcript(&first));
    let same = site.connect(PASSWORD, &["--name", "other"]).await;
    assert_eq!(same.status.code(), Some(1), "{}", transcript(&same));
    assert!(
        transcript(&same).contains("--name stoker"),
        "{}",
        transcript(&same)
    );
    let vendor = site.connect(PASSWORD, &["--provider", "kraken"]).await;
    assert!(
        transcript(&vendor).contains("dragonfly"),
        "{}",
        transcript(&vendor)
    );
    assert_eq!(site.tokens().await, 1, "only the first one's token is left");
    drop(site.registry);
}
