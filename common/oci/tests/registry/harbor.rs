//! Each response of Harbor's registry API, and how the client handles it.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use oci::{
    Credential, Digest, FetchedManifest, Registry, RegistryError, RegistrySettings, Repository, Secret,
};
use world::registry::{HarborEndpoint, HarborPull, HarborRequest};

use crate::server::{OCI_MANIFEST, reach, tag};

const LAYER: &[u8] = b"these are the bytes of a layer";

struct HarborFixture {
    harbor: HarborEndpoint,
    registry: Registry,
    layer: Digest,
}

fn app() -> Repository {
    "p/app".parse().unwrap()
}

impl HarborFixture {
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
        let fixture = Self::private();
        fixture.harbor.make_public("p");
        fixture
    }

    async fn manifest(&self, credential: &Credential) -> Result<FetchedManifest, RegistryError> {
        self.registry.manifest(&app(), &tag("v1"), credential).await
    }

    async fn blob(&self, from: u64, credential: &Credential) -> Result<Vec<u8>, RegistryError> {
        let blob = self.registry.blob(&app(), &self.layer, from, credential).await?;
        let pieces: Vec<_> = blob.stream.try_collect().await?;
        Ok(pieces.concat())
    }

    /// Returns `(path, status, authorization scheme)` of every request since the last call.
    fn request_log(&self) -> Vec<(String, u16, String)> {
        let scheme = |one: &HarborRequest| {
            let shown = one.authorization.clone().unwrap_or_default();
            shown.split(' ').next().unwrap_or_default().to_owned()
        };
        let short = |one: HarborRequest| (one.path.clone(), one.status, scheme(&one));
        let log = self.harbor.requests().into_iter().map(short).collect();
        self.harbor.forget_requests();
        log
    }

    fn preheat_token(&self) -> Credential {
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

fn logged(path: &str, status: u16, shown: &str) -> (String, u16, String) {
    (path.to_owned(), status, shown.to_owned())
}

const MANIFEST: &str = "/v2/p/app/manifests/v1";
const TOKEN: &str = "/service/token";

#[tokio::test]
async fn a_private_project_is_opened_by_the_bearer_challenge() {
    let fixture = HarborFixture::private();
    fixture.manifest(&alice()).await.unwrap();
    let expected = [
        logged(MANIFEST, 401, ""),
        logged(TOKEN, 200, "Basic"),
        logged(MANIFEST, 200, "Bearer"),
    ];
    assert_eq!(fixture.request_log(), expected);
    let anonymous = fixture.manifest(&Credential::Anonymous).await.unwrap_err();
    assert!(
        matches!(anonymous, RegistryError::NoCredential { .. }),
        "{anonymous}"
    );
}

#[tokio::test]
async fn a_public_project_needs_a_token_and_an_anonymous_one_is_enough() {
    let fixture = HarborFixture::public();
    fixture.manifest(&Credential::Anonymous).await.unwrap();
    let expected = [
        logged(MANIFEST, 401, ""),
        logged(TOKEN, 200, ""),
        logged(MANIFEST, 200, "Bearer"),
    ];
    assert_eq!(fixture.request_log(), expected);
}

#[tokio::test]
async fn an_expired_token_on_a_private_project_is_reported_as_expired() {
    let fixture = HarborFixture::private();
    let dead = Credential::from_authorization("Bearer eyJ.dead.s3cret");
    let error = fixture.manifest(&dead).await.unwrap_err();
    assert!(matches!(error, RegistryError::CredentialEnded { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("s3cret"));
    let log = fixture.request_log();
    assert_eq!(
        log[0],
        logged(MANIFEST, 401, "Bearer"),
        "Harbor answers this with a Basic challenge"
    );
    assert_eq!(log[1], logged(MANIFEST, 401, ""), "retried without a credential");
}

#[tokio::test]
async fn a_bad_token_on_a_public_project_counts_as_anonymous() {
    let fixture = HarborFixture::public();
    let dead = Credential::from_authorization("Bearer eyJ.dead.token");
    fixture.manifest(&dead).await.unwrap();
    assert_eq!(fixture.request_log(), [logged(MANIFEST, 200, "Bearer")]);
}

#[tokio::test]
async fn our_token_that_expires_early_is_replaced_after_the_bearer_challenge() {
    let fixture = HarborFixture::private();
    fixture.manifest(&alice()).await.unwrap();
    fixture.request_log();
    // As after a restart of Harbor with other keys, or a clock that jumps: our copy still looks good to us.
    fixture.harbor.time_passes(Duration::from_secs(1_861));
    fixture.manifest(&alice()).await.unwrap();
    let expected = [
        logged(MANIFEST, 401, "Bearer"),
        logged(MANIFEST, 401, ""),
        logged(TOKEN, 200, "Basic"),
        logged(MANIFEST, 200, "Bearer"),
    ];
    assert_eq!(fixture.request_log(), expected);
}

#[tokio::test]
async fn an_expired_anonymous_token_still_counts_as_anonymous() {
    let fixture = HarborFixture::public();
    fixture.manifest(&Credential::Anonymous).await.unwrap();
    fixture.request_log();
    fixture.harbor.time_passes(Duration::from_secs(1_861));
    fixture.manifest(&Credential::Anonymous).await.unwrap();
    assert_eq!(fixture.request_log(), [logged(MANIFEST, 200, "Bearer")]);
}

#[tokio::test]
async fn a_preheat_token_is_accepted_until_a_minute_after_its_expiry() {
    let fixture = HarborFixture::private();
    let token = fixture.preheat_token();
    fixture.manifest(&token).await.unwrap();
    fixture.harbor.time_passes(Duration::from_secs(1_800 + 55));
    fixture.manifest(&token).await.unwrap();
    fixture.harbor.time_passes(Duration::from_secs(11));
    let error = fixture.manifest(&token).await.unwrap_err();
    assert!(matches!(error, RegistryError::CredentialEnded { .. }), "{error}");
    // Callers then use the configured credential on the same registry.
    fixture.manifest(&alice()).await.unwrap();
}

#[tokio::test]
async fn a_preheat_token_reads_its_project_and_no_other() {
    let fixture = HarborFixture::private();
    let token = fixture.preheat_token();
    let other: Repository = "p/other".parse().unwrap();
    fixture
        .registry
        .manifest(&other, &tag("v1"), &token)
        .await
        .unwrap();
    fixture
        .harbor
        .put_manifest("q/app", "v1", OCI_MANIFEST, br#"{"schemaVersion":2}"#);
    let foreign: Repository = "q/app".parse().unwrap();
    let refused = fixture.registry.manifest(&foreign, &tag("v1"), &token).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn the_accept_header_names_every_type_of_manifest() {
    for media_type in oci::MANIFEST_ACCEPT {
        let fixture = HarborFixture::private();
        fixture
            .harbor
            .put_manifest("p/app", "v1", media_type, br#"{"schemaVersion":2}"#);
        let found = fixture.manifest(&alice()).await.unwrap();
        assert_eq!(found.media_type, media_type);
    }
    let fixture = HarborFixture::private();
    fixture
        .harbor
        .put_manifest("p/app", "v1", "application/of.another+json", b"{}");
    let error = fixture.manifest(&alice()).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn basic_is_accepted_without_a_challenge() {
    let fixture = HarborFixture::private();
    let shown = Credential::Header(alice().authorization().unwrap());
    fixture.manifest(&shown).await.unwrap();
    assert_eq!(fixture.request_log(), [logged(MANIFEST, 200, "Basic")]);
}

#[tokio::test]
async fn a_lost_blob_is_the_registrys_404() {
    let fixture = HarborFixture::private();
    fixture.harbor.lose("p/app", fixture.layer.as_str());
    let error = fixture.blob(0, &alice()).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    assert!(error.to_string().contains("BLOB_UNKNOWN"), "{error}");
}

#[tokio::test]
async fn the_cookie_of_a_response_is_not_sent_back() {
    let fixture = HarborFixture::private();
    fixture.manifest(&alice()).await.unwrap();
    fixture.blob(0, &alice()).await.unwrap();
    let requests = fixture.harbor.requests();
    assert!(requests.len() >= 4);
    assert!(requests.iter().all(|one| one.cookie.is_none()), "{requests:?}");
}

#[tokio::test]
async fn a_blob_resumes_after_its_token_expired_during_the_transfer() {
    let fixture = HarborFixture::private();
    let first = fixture.blob(0, &alice()).await.unwrap();
    fixture.harbor.time_passes(Duration::from_secs(1_861));
    fixture.request_log();
    let rest = fixture.blob(6, &alice()).await.unwrap();
    assert_eq!(rest, first[6..]);
    let ranges: Vec<_> = fixture
        .harbor
        .requests()
        .into_iter()
        .map(|one| one.range)
        .collect();
    let range = Some("bytes=6-".to_owned());
    assert_eq!(ranges, [range.clone(), range.clone(), None, range]);
}

#[tokio::test]
async fn a_manifest_get_counts_as_a_pull_and_a_head_does_not() {
    let fixture = HarborFixture::private();
    let token = fixture.preheat_token();
    fixture
        .registry
        .manifest_head(&app(), &tag("v1"), &token)
        .await
        .unwrap();
    assert_eq!(fixture.harbor.pulls(), []);
    fixture.manifest(&token).await.unwrap();
    let pull = HarborPull {
        user: "distributor".to_owned(),
        repository: "p/app".to_owned(),
    };
    assert_eq!(fixture.harbor.pulls(), [pull]);
}

#[tokio::test]
async fn an_image_that_violates_the_projects_policy_is_refused() {
    let fixture = HarborFixture::private();
    fixture.harbor.bar("p/app");
    let error = fixture.manifest(&alice()).await.unwrap_err();
    assert_eq!(error.status(), Some(412), "{error}");
    assert!(error.to_string().contains("PROJECTPOLICYVIOLATION"), "{error}");
    insta::assert_snapshot!(
        error.what_to_do(),
        @"fix the image's vulnerabilities, sign the image, or change the rules of the Harbor project"
    );
    assert!(!error.is_worth_retrying() && !error.is_outage());
}
