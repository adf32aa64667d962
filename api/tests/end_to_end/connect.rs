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
        let endpoint = self.manager.url();
        self.connect_at(&endpoint, password, more).await
    }

    async fn connect_at(&self, endpoint: &str, password: &str, more: &[&str]) -> Output {
        let own = ["--project", "library", "--endpoint", endpoint, "--pace-ms", "100"];
        self.harbor_command("connect", password, &[&own, more].concat())
            .await
    }

    async fn asked_to(&self, command: &str, more: &[&str]) -> Output {
        self.harbor_command(command, PASSWORD, more).await
    }

    async fn harbor_command(&self, command: &str, password: &str, more: &[&str]) -> Output {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        std::fs::write(&file, format!("{password}\n")).expect("written");
        let file = file.to_string_lossy().into_owned();
        let mut arguments = vec![
            "harbor",
            command,
            "--harbor",
            self.harbor.url(),
            "--password-file",
            &file,
        ];
        arguments.extend(more);
        self.manager.stoker(&arguments).await
    }

    fn instance_of_policy(&self, policy: &str) -> i64 {
        let policy = self.harbor.policy(policy).expect("a policy");
        policy["provider_id"].as_i64().expect("an id")
    }

    fn id(&self, instance: &str) -> i64 {
        let instance = self.harbor.instance(instance).expect("an instance");
        instance["id"].as_i64().expect("an id")
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

#[tokio::test(flavor = "multi_thread")]
async fn a_further_connect_changes_endpoint_token_and_policy() {
    let site = site("v2.15.2").await;
    assert!(site.connect(PASSWORD, &[]).await.status.success());
    let (first, id) = (site.harbor.credential("stoker"), site.id("stoker"));
    let moved = format!("{}/", site.manager.url().replace("127.0.0.1", "localhost"));
    let dry = site
        .connect_at(&moved, PASSWORD, &["--tag", "v*", "--dry-run"])
        .await;
    assert!(dry.status.success(), "{}", transcript(&dry));
    assert_eq!(site.harbor.credential("stoker"), first, "a dry run changed it");
    let again = site
        .connect_at(&moved, PASSWORD, &["--tag", "v*", "--on", "0 0 2 * * *"])
        .await;
    assert!(again.status.success(), "{}", transcript(&again));
    let instance = site.harbor.instance("stoker").expect("an instance");
    assert_eq!(instance["endpoint"], moved.trim_end_matches('/'));
    assert_eq!((site.id("stoker"), site.tokens().await), (id, 1));
    assert_ne!(site.harbor.credential("stoker"), first);
    let policy = site.harbor.policy("stoker").expect("a policy").to_string();
    assert!(policy.contains("v*") && policy.contains("0 0 2"), "{policy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_that_fails_leaves_the_working_connection() {
    let site = site("v2.15.2").await;
    assert!(site.connect(PASSWORD, &[]).await.status.success());
    let before = (site.harbor.instance("stoker"), site.harbor.credential("stoker"));
    let nowhere = site.connect_at("http://127.0.0.1:9", PASSWORD, &[]).await;
    assert_eq!(nowhere.status.code(), Some(1), "{}", transcript(&nowhere));
    let bad_name = site.connect(PASSWORD, &["--name", "a b"]).await;
    assert_eq!(bad_name.status.code(), Some(64), "{}", transcript(&bad_name));
    let after = (site.harbor.instance("stoker"), site.harbor.credential("stoker"));
    assert_eq!((after, site.tokens().await), (before, 1));
    let status = site.asked_to("status", &[]).await;
    assert!(status.status.success(), "{}", transcript(&status));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnect_removes_what_connect_made_and_can_be_repeated() {
    let site = site("v2.15.2").await;
    let none = site.asked_to("status", &[]).await;
    assert_eq!(none.status.code(), Some(1), "{}", transcript(&none));
    assert!(site.connect(PASSWORD, &[]).await.status.success());
    let status = site.asked_to("status", &[]).await;
    assert!(status.status.success(), "{}", transcript(&status));
    assert!(
        transcript(&status).contains("library/stoker"),
        "{}",
        transcript(&status)
    );
    let other = site.connect(PASSWORD, &["--policy", "nightly"]).await;
    assert!(other.status.success(), "{}", transcript(&other));
    let refused = site.asked_to("disconnect", &[]).await;
    assert_eq!(refused.status.code(), Some(1), "{}", transcript(&refused));
    let dry = site
        .asked_to("disconnect", &["--all-policies", "--dry-run"])
        .await;
    assert!(dry.status.success(), "{}", transcript(&dry));
    let stays = site.harbor.policy("stoker").is_some() && site.harbor.instance("stoker").is_some();
    assert!(stays && site.tokens().await == 1, "something was deleted");
    for _ in 0..2 {
        let gone = site.asked_to("disconnect", &["--all-policies"]).await;
        assert!(gone.status.success(), "{}", transcript(&gone));
        assert!(site.harbor.instance("stoker").is_none() && site.harbor.policy("nightly").is_none());
        assert_eq!(site.tokens().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_of_dragonfly_are_imported_and_restored() {
    let site = site("v2.15.2").await;
    site.harbor.add_dragonfly("df", "nightly");
    let (dragonfly, before) = (site.id("df"), site.harbor.policy("nightly"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("before.json").to_string_lossy().into_owned();
    let shown = site.asked_to("import", &[]).await;
    assert!(shown.status.success(), "{}", transcript(&shown));
    for policy in ["library/nightly", "team/nightly"] {
        assert!(transcript(&shown).contains(policy), "{}", transcript(&shown));
    }
    assert_eq!(
        site.harbor.policy("nightly"),
        before,
        "nothing changes without --apply"
    );
    let endpoint = site.manager.url();
    let apply = ["--apply", "--save", &file, "--endpoint", &endpoint];
    let applied = site.asked_to("import", &apply).await;
    assert!(applied.status.success(), "{}", transcript(&applied));
    assert_eq!(site.instance_of_policy("nightly"), site.id("stoker"));
    assert_eq!(site.harbor.credential("df").as_deref(), Some("Bearer their-own"));
    let again = site.asked_to("import", &apply).await;
    assert!(again.status.success(), "nothing is left: {}", transcript(&again));

    let dry = site.asked_to("import", &["--undo", &file, "--dry-run"]).await;
    assert!(dry.status.success(), "{}", transcript(&dry));
    assert_eq!(site.instance_of_policy("nightly"), site.id("stoker"));
    for _ in 0..2 {
        let undone = site.asked_to("import", &["--undo", &file]).await;
        assert!(undone.status.success(), "{}", transcript(&undone));
        assert_eq!(site.instance_of_policy("nightly"), dragonfly);
    }
    let taken = site.asked_to("import", &apply).await;
    assert_eq!(
        taken.status.code(),
        Some(64),
        "the file exists: {}",
        transcript(&taken)
    );
    assert_eq!(site.instance_of_policy("nightly"), dragonfly);
}
