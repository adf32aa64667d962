//! What Harbor's registry side answers, row by row: each is met as it has to be.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use oci::{
    Credential, Digest, FetchedManifest, Registry, RegistryError, RegistrySettings, Repository, Secret,
};
use world::registry::{HarborEndpoint, HarborPull, HarborRequest};

use crate::server::{OCI_MANIFEST, reach, tag};

const LAYER: &[u8] = b"these are the bytes of a layer";

struct World {
    harbor: HarborEndpoint,
    registry: Registry,
    layer: Digest,
}

fn app() -> Repository {
    "p/app".parse().unwrap()
}

impl World {
    fn private() -> Self {
        let harbor = HarborEndpoint::start();
        let mut layer = String::new();
        for repository in ["p/app", "p/other"] {
            harbor.put_manifest(repository, "v1", OCI_MANIFEST, br#"{"schemaVersion":2}"#);
            layer = harbor.put_blob(repository, LAYER);
        }
        let settings = RegistrySettings {
            plain_http: true,
            ..RegistrySettings::new(harbor.host().parse().unwrap())
        };
        Self {
            registry: reach(settings),
            layer: layer.parse().unwrap(),
            harbor,
        }
    }

    fn public() -> Self {
        let world = Self::private();
        world.harbor.make_public("p");
        world
    }

    async fn manifest(&self, credential: &Credential) -> Result<FetchedManifest, RegistryError> {
        self.registry.manifest(&app(), &tag("v1"), credential).await
    }

    async fn blob(&self, from: u64, credential: &Credential) -> Result<Vec<u8>, RegistryError> {
        let blob = self.registry.blob(&app(), &self.layer, from, credential).await?;
        let pieces: Vec<_> = blob.stream.try_collect().await?;
        Ok(pieces.concat())
    }

    /// `(path, status, scheme of what was shown)` of every request since the last time.
    fn story(&self) -> Vec<(String, u16, String)> {
        let scheme = |one: &HarborRequest| {
            let shown = one.authorization.clone().unwrap_or_default();
            shown.split(' ').next().unwrap_or_default().to_owned()
        };
        let short = |one: HarborRequest| (one.path.clone(), one.status, scheme(&one));
        let story = self.harbor.requests().into_iter().map(short).collect();
        self.harbor.forget_requests();
        story
    }

    fn preheats_token(&self) -> Credential {
        Credential::from_authorization(&self.harbor.preheat_authorization("p/app"))
    }
}

fn alice() -> Credential {
    let (username, password) = HarborEndpoint::account();
    Credential::Basic {
        username: username.to_owned(),
        password: Secret::new(password),
    }
}

fn step(path: &str, status: u16, shown: &str) -> (String, u16, String) {
    (path.to_owned(), status, shown.to_owned())
}

const MANIFEST: &str = "/v2/p/app/manifests/v1";
const TOKEN: &str = "/service/token";

#[tokio::test]
async fn a_private_project_is_opened_by_the_bearer_challenge() {
    let world = World::private();
    world.manifest(&alice()).await.unwrap();
    let expected = [
        step(MANIFEST, 401, ""),
        step(TOKEN, 200, "Basic"),
        step(MANIFEST, 200, "Bearer"),
    ];
    assert_eq!(world.story(), expected);
    let nobody = world.manifest(&Credential::Anonymous).await.unwrap_err();
    assert!(matches!(nobody, RegistryError::NoCredential { .. }), "{nobody}");
}

#[tokio::test]
async fn a_public_project_wants_a_token_too_and_nobodys_does() {
    let world = World::public();
    world.manifest(&Credential::Anonymous).await.unwrap();
    let expected = [
        step(MANIFEST, 401, ""),
        step(TOKEN, 200, ""),
        step(MANIFEST, 200, "Bearer"),
    ];
    assert_eq!(world.story(), expected);
}

#[tokio::test]
async fn a_dead_token_on_a_private_project_is_told_to_have_ended() {
    let world = World::private();
    let dead = Credential::from_authorization("Bearer eyJ.dead.s3cret");
    let error = world.manifest(&dead).await.unwrap_err();
    assert!(matches!(error, RegistryError::CredentialEnded { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("s3cret"));
    let story = world.story();
    assert_eq!(
        story[0],
        step(MANIFEST, 401, "Bearer"),
        "Harbor says Basic to this"
    );
    assert_eq!(story[1], step(MANIFEST, 401, ""), "asked again as nobody");
}

#[tokio::test]
async fn a_bad_token_on_a_public_project_is_nobodys() {
    let world = World::public();
    let dead = Credential::from_authorization("Bearer eyJ.dead.token");
    world.manifest(&dead).await.unwrap();
    assert_eq!(world.story(), [step(MANIFEST, 200, "Bearer")]);
}

#[tokio::test]
async fn our_own_token_that_ends_early_is_replaced_by_way_of_the_bearer_challenge() {
    let world = World::private();
    world.manifest(&alice()).await.unwrap();
    world.story();
    // As after a restart of Harbor with other keys, or a clock that jumps: our copy still looks good to us.
    world.harbor.time_passes(Duration::from_secs(1_861));
    world.manifest(&alice()).await.unwrap();
    let expected = [
        step(MANIFEST, 401, "Bearer"),
        step(MANIFEST, 401, ""),
        step(TOKEN, 200, "Basic"),
        step(MANIFEST, 200, "Bearer"),
    ];
    assert_eq!(world.story(), expected);
}

#[tokio::test]
async fn nobodys_token_that_has_ended_is_nobodys_still() {
    let world = World::public();
    world.manifest(&Credential::Anonymous).await.unwrap();
    world.story();
    world.harbor.time_passes(Duration::from_secs(1_861));
    world.manifest(&Credential::Anonymous).await.unwrap();
    assert_eq!(world.story(), [step(MANIFEST, 200, "Bearer")]);
}

#[tokio::test]
async fn a_preheats_token_is_taken_until_a_minute_after_its_end() {
    let world = World::private();
    let token = world.preheats_token();
    world.manifest(&token).await.unwrap();
    world.harbor.time_passes(Duration::from_secs(1_800 + 55));
    world.manifest(&token).await.unwrap();
    world.harbor.time_passes(Duration::from_secs(11));
    let error = world.manifest(&token).await.unwrap_err();
    assert!(matches!(error, RegistryError::CredentialEnded { .. }), "{error}");
    // What callers do then: the configured credential, on the same registry.
    world.manifest(&alice()).await.unwrap();
}

#[tokio::test]
async fn a_preheats_token_reads_its_whole_project_and_no_other() {
    let world = World::private();
    let token = world.preheats_token();
    let other: Repository = "p/other".parse().unwrap();
    world.registry.manifest(&other, &tag("v1"), &token).await.unwrap();
    world
        .harbor
        .put_manifest("q/app", "v1", OCI_MANIFEST, br#"{"schemaVersion":2}"#);
    let foreign: Repository = "q/app".parse().unwrap();
    let refused = world.registry.manifest(&foreign, &tag("v1"), &token).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn every_type_of_manifest_is_asked_for_so_none_is_missing_for_want_of_an_accept() {
    for media_type in oci::MANIFEST_ACCEPT {
        let world = World::private();
        world
            .harbor
            .put_manifest("p/app", "v1", media_type, br#"{"schemaVersion":2}"#);
        let found = world.manifest(&alice()).await.unwrap();
        assert_eq!(found.media_type, media_type);
    }
    let world = World::private();
    world
        .harbor
        .put_manifest("p/app", "v1", "application/of.another+json", b"{}");
    let error = world.manifest(&alice()).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    assert!(error.to_string().contains("accept header"), "{error}");
}

#[tokio::test]
async fn an_account_is_served_directly_when_it_is_shown_unasked() {
    let world = World::private();
    let shown = Credential::Header(alice().authorization().unwrap());
    world.manifest(&shown).await.unwrap();
    assert_eq!(world.story(), [step(MANIFEST, 200, "Basic")]);
}

#[tokio::test]
async fn a_lost_blob_is_the_registrys_404() {
    let world = World::private();
    world.harbor.lose("p/app", world.layer.as_str());
    let error = world.blob(0, &alice()).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    assert!(error.to_string().contains("BLOB_UNKNOWN"), "{error}");
}

#[tokio::test]
async fn the_cookie_that_every_answer_sets_is_not_sent_back() {
    let world = World::private();
    world.manifest(&alice()).await.unwrap();
    world.blob(0, &alice()).await.unwrap();
    let requests = world.harbor.requests();
    assert!(requests.len() >= 4);
    assert!(requests.iter().all(|one| one.cookie.is_none()), "{requests:?}");
}

#[tokio::test]
async fn a_blob_goes_on_at_its_byte_after_the_token_ended_in_mid_transfer() {
    let world = World::private();
    let first = world.blob(0, &alice()).await.unwrap();
    world.harbor.time_passes(Duration::from_secs(1_861));
    world.story();
    let rest = world.blob(6, &alice()).await.unwrap();
    assert_eq!(rest, first[6..]);
    let ranges: Vec<_> = world.harbor.requests().into_iter().map(|one| one.range).collect();
    let range = Some("bytes=6-".to_owned());
    assert_eq!(ranges, [range.clone(), range.clone(), None, range]);
}

#[tokio::test]
async fn a_manifest_get_is_a_pull_and_a_head_is_none() {
    let world = World::private();
    let token = world.preheats_token();
    world
        .registry
        .manifest_head(&app(), &tag("v1"), &token)
        .await
        .unwrap();
    assert_eq!(world.harbor.pulls(), []);
    world.manifest(&token).await.unwrap();
    let pull = HarborPull {
        user: "distributor".to_owned(),
        repository: "p/app".to_owned(),
    };
    assert_eq!(world.harbor.pulls(), [pull]);
}

#[tokio::test]
async fn an_image_below_the_projects_bar_is_refused_in_harbors_words() {
    let world = World::private();
    world.harbor.bar("p/app");
    let error = world.manifest(&alice()).await.unwrap_err();
    assert_eq!(error.status(), Some(412), "{error}");
    assert!(error.to_string().contains("PROJECTPOLICYVIOLATION"), "{error}");
    assert!(
        error.what_to_do().contains("Harbor project"),
        "{}",
        error.what_to_do()
    );
    assert!(!error.is_worth_retrying() && !error.is_outage());
}
