//! Each way to sign in, with the client of the programs, against a real docker-registry.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use oci::{
    BuildError, Credential, CredentialHelper, Digest, KeptCredential, Registries, RegistryError,
    RegistryName, RegistrySettings, Secret, TlsOptions,
};
use world::registry::{BearerSpec, ForwardProxy, PASSWORD, SignIn, USER};
use world::{Image, ImageSpec, Registry};

const REPOSITORY: &str = "team/app";

async fn pushed(registry: &Registry) -> Image {
    let image = ImageSpec::small(1).build();
    registry.push(&image, REPOSITORY, "v1").await;
    image
}

/// Builds the client as the manager and the peers do.
fn client(tls: &TlsOptions) -> Result<reqwest::Client, BuildError> {
    let options = process::http::ClientOptions {
        fresh: tls.fresh,
        ca_pem: tls.ca_pem.clone(),
        insecure_skip_verify: tls.insecure_skip_verify,
        identity_pem: tls.client_identity.as_ref().map(|pem| pem.expose().to_owned()),
        proxy: tls.proxy.as_ref().map(|proxy| proxy.expose().to_owned()),
    };
    process::http::client(&options).map_err(BuildError::new)
}

fn name(registry: &Registry) -> RegistryName {
    registry.host().parse().unwrap()
}

fn settings(registry: &Registry) -> RegistrySettings {
    RegistrySettings {
        plain_http: registry.is_plain_http(),
        ca_pem: registry.ca_pem().map(str::to_owned),
        ..RegistrySettings::new(name(registry))
    }
}

/// Pulls the image with these settings, and compares every byte.
async fn pull(settings: RegistrySettings, image: &Image) -> Result<(), RegistryError> {
    let credential = settings.credential.clone();
    let name = settings.name.clone();
    let registries = Registries::new(Arc::new(client));
    registries.configure(vec![settings]);
    let registry = registries.registry(&oci::Origin::of(name.clone(), oci::Scheme::Https))?;
    let repository = REPOSITORY.parse().unwrap();
    let head = registry
        .manifest_head(&repository, &"v1".parse().unwrap(), &credential)
        .await?;
    assert_eq!(head.digest.as_str(), image.root().digest);
    let manifest = registry
        .manifest(&repository, &"v1".parse().unwrap(), &credential)
        .await?;
    assert_eq!(&*manifest.bytes, image.bytes(&image.root().digest));
    for layer in image.layers() {
        let digest: Digest = layer.digest.parse().unwrap();
        for from in [0, layer.size / 2] {
            let blob = registry.blob(&repository, &digest, from, &credential).await?;
            let pieces: Vec<_> = blob.stream.try_collect().await?;
            let from = usize::try_from(from).unwrap();
            assert!(pieces.concat() == image.bytes(&layer.digest)[from..]);
        }
    }
    Ok(())
}

fn alice() -> Credential {
    Credential::Basic {
        username: USER.to_owned(),
        password: Secret::new(PASSWORD),
    }
}

fn signed_in(registry: &Registry, credential: Credential) -> RegistrySettings {
    RegistrySettings {
        credential,
        ..settings(registry)
    }
}

fn is_refused(pulled: &Result<(), RegistryError>) -> bool {
    matches!(
        pulled,
        Err(RegistryError::NoCredential { .. } | RegistryError::WrongCredential { .. })
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_registry_needs_no_credential() {
    let registry = Registry::plain().await;
    let image = pushed(&registry).await;
    pull(settings(&registry), &image).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn user_and_password_by_basic_with_and_without_tls() {
    for tls in [false, true] {
        let registry = Registry::with(SignIn::Basic, tls).await;
        let image = pushed(&registry).await;
        pull(signed_in(&registry, alice()), &image).await.unwrap();
        assert!(is_refused(&pull(settings(&registry), &image).await));
        let wrong = Credential::Basic {
            username: USER.to_owned(),
            password: Secret::new("wrong"),
        };
        assert!(is_refused(&pull(signed_in(&registry, wrong), &image).await));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn user_and_password_for_a_token() {
    let registry = Registry::bearer(BearerSpec::default()).await;
    let image = pushed(&registry).await;
    registry.token_server().forget_exchanges();
    pull(signed_in(&registry, alice()), &image).await.unwrap();
    let exchanges = registry.token_server().exchanges();
    assert_eq!(exchanges.len(), 1, "one token for the whole image: {exchanges:?}");
    assert!(is_refused(&pull(settings(&registry), &image).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_token_for_a_token() {
    let registry = Registry::bearer(BearerSpec::default()).await;
    let image = pushed(&registry).await;
    let token = Secret::new(registry.token_server().identity_token(USER));
    registry.token_server().forget_exchanges();
    pull(signed_in(&registry, Credential::IdentityToken(token)), &image)
        .await
        .unwrap();
    let exchanges = registry.token_server().exchanges();
    assert!(exchanges.iter().all(|one| one.method == "POST"), "{exchanges:?}");
    let wrong = Credential::IdentityToken(Secret::new("not-one"));
    assert!(is_refused(&pull(signed_in(&registry, wrong), &image).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_made_token_unchanged() {
    let registry = Registry::bearer(BearerSpec::default()).await;
    let image = pushed(&registry).await;
    let jwt = registry.token_server().jwt_for(USER, REPOSITORY);
    registry.token_server().forget_exchanges();
    let ready_made = Credential::from_authorization(&format!("Bearer {jwt}"));
    pull(signed_in(&registry, ready_made), &image).await.unwrap();
    assert_eq!(registry.token_server().exchanges(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anonymous_token_for_a_public_repository() {
    let registry = Registry::bearer(BearerSpec::default().public(REPOSITORY)).await;
    let image = pushed(&registry).await;
    pull(settings(&registry), &image).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate() {
    let registry = Registry::mutual_tls().await;
    let image = pushed(&registry).await;
    let identity = registry.client_identity();
    let identity = Secret::new(format!("{}\n{}", identity.certificate_pem, identity.key_pem));
    let with_it = RegistrySettings {
        client_identity: Some(identity),
        ..settings(&registry)
    };
    pull(with_it, &image).await.unwrap();
    assert!(advises_a_certificate(&registry, &image).await);
    let stranger = world::Authority::new("another authority").client_identity();
    let identity = Secret::new(format!("{}\n{}", stranger.certificate_pem, stranger.key_pem));
    let strange = RegistrySettings {
        client_identity: Some(identity),
        ..settings(&registry)
    };
    assert!(pull(strange, &image).await.is_err());
}

/// In TLS 1.3 the refusal comes after the handshake. Sometimes the connection closes before it is read, so this tries
/// several times.
async fn advises_a_certificate(registry: &Registry, image: &Image) -> bool {
    for _ in 0..20 {
        let without = pull(settings(registry), image).await;
        let error = without.expect_err("no certificate was shown");
        assert!(matches!(error, RegistryError::Unreachable { .. }), "{error}");
        if error.what_to_do().contains("client_cert_file") {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_that_docker_login_writes() {
    let registry = Registry::basic().await;
    let image = pushed(&registry).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let auth = alice().authorization().unwrap().expose().replace("Basic ", "");
    let text = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.host());
    std::fs::write(file.path(), text).unwrap();
    let kept = KeptCredential::in_docker_config(file.path(), name(&registry), oci::Scheme::Http);
    pull(signed_in(&registry, Credential::Kept(kept)), &image)
        .await
        .unwrap();
}

/// A helper that prints the file beside it, and records each call.
fn helper(folder: &std::path::Path) -> CredentialHelper {
    let path = folder.join("docker-credential-test");
    let lines = "#!/bin/sh\nread server\necho \"$1 $server\" >> \"$0.asked\"\ncat \"$0.answer\"\n";
    std::fs::write(&path, lines).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    CredentialHelper::named(path.to_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_helper_runs_again_after_a_refusal() {
    let registry = Registry::basic().await;
    let image = pushed(&registry).await;
    let folder = tempfile::tempdir().unwrap();
    let set_answer = |password: &str| {
        let answer = format!(r#"{{"ServerURL":"x","Username":"{USER}","Secret":"{password}"}}"#);
        std::fs::write(folder.path().join("docker-credential-test.answer"), answer).unwrap();
    };
    let calls = || std::fs::read_to_string(folder.path().join("docker-credential-test.asked")).unwrap();
    let kept = KeptCredential::by_helper(helper(folder.path()), name(&registry));
    let settings = signed_in(&registry, Credential::Kept(kept));
    set_answer("expired");
    assert!(is_refused(&pull(settings.clone(), &image).await));
    set_answer(PASSWORD);
    // A refusal runs the helper once in some seconds.
    let limit = std::time::Duration::from_secs(60);
    world::eventually("the new credential is used", limit, async || {
        pull(settings.clone(), &image).await.ok()
    })
    .await;
    let first_calls = calls();
    assert!(
        first_calls
            .lines()
            .all(|line| line == format!("get {}", registry.host()))
    );
    pull(settings, &image).await.unwrap();
    assert_eq!(calls(), first_calls, "a valid credential is not looked up again");
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_proxy_with_a_password() {
    for tls in [false, true] {
        let proxy = ForwardProxy::start().await;
        let registry = Registry::with(SignIn::Basic, tls).await;
        let image = pushed(&registry).await;
        let through = |url: String| RegistrySettings {
            proxy: Some(url.parse().unwrap()),
            ..signed_in(&registry, alice())
        };
        pull(through(proxy.url_with_account()), &image).await.unwrap();
        let heads = proxy.heads();
        assert!(!heads.is_empty() && heads.iter().all(|head| head.contains(&registry.host())));
        // The proxy sees the registry's credential only without TLS.
        let shows_credential = heads
            .iter()
            .any(|head| head.to_lowercase().contains("\r\nauthorization:"));
        assert_eq!(shows_credential, !tls);
        let refused = pull(through(proxy.url()), &image).await.unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains(PASSWORD));
        assert!(refused.what_to_do().contains("proxy"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_name_of_docker_hub_leads_to_its_api_host() {
    let proxy = ForwardProxy::start().await;
    for name in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
        let image: oci::ImageReference = format!("{name}/nginx:1.27").parse().unwrap();
        assert_eq!(image.repository.as_str(), "library/nginx");
        let registries = Registries::new(Arc::new(client));
        registries.configure(vec![RegistrySettings {
            // Without its password the proxy refuses, so nothing leaves this machine.
            proxy: Some(proxy.url().parse().unwrap()),
            ..RegistrySettings::new(name.parse().unwrap())
        }]);
        let registry = registries
            .registry(&oci::Origin::of(image.registry.clone(), oci::Scheme::Https))
            .unwrap();
        registry
            .manifest(&image.repository, &image.wanted, &Credential::Anonymous)
            .await
            .unwrap_err();
    }
    let heads = proxy.heads();
    assert_eq!(heads.len(), 3);
    assert!(
        heads
            .iter()
            .all(|head| head.starts_with("CONNECT registry-1.docker.io:443 ")),
        "{heads:?}"
    );
}
