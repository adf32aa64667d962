//! Each way of signing in at a real registry, from the configuration to the held image: manager and seed are two
//! programs with the same keys in their files, or the manager alone has the credential.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use world::harbor::Wish;
use world::registry::{BearerSpec, ForwardProxy, HarborEndpoint, PASSWORD, SignIn, USER};
use world::{Image, ImageSpec, ManagerSpec, PeerSpec, Registry};

use crate::{assert_lists, described, preheat_well};

const REPOSITORY: &str = "team/app";

async fn pushed(registry: &Registry) -> Image {
    let image = ImageSpec::small(61).build();
    registry.push(&image, REPOSITORY, "v1").await;
    image
}

/// A folder for the files that a section names.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path
    }

    fn program(&self, name: &str, lines: &str) -> PathBuf {
        let path = self.write(name, &format!("#!/bin/sh\n{lines}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("a program");
        path
    }

    /// The section that reaches the registry, and `keys` in it.
    fn section(&self, registry: &Registry, keys: &str) -> String {
        let ca = registry.ca_pem().map(|pem| self.write("ca.pem", pem));
        described(registry, ca.as_deref()) + keys + "\n"
    }
}

fn key(name: &str, path: &Path) -> String {
    format!("{name} = \"{}\"\n", path.display())
}

/// The preheat brings no credential; what is in the files has to do.
async fn is_preheated(url: &str, image: &Image, of_manager: &str, of_seed: &str) {
    let manager = ManagerSpec::new().config(of_manager).start().await;
    let seed = PeerSpec::seed("seed").config(of_seed).start(&manager).await;
    let poll = preheat_well(&manager, &Wish::new(url)).await;
    assert_lists(&poll, image);
    drop(seed);
}

async fn is_preheated_from(registry: &Registry, of_manager: &str, of_seed: &str) {
    let image = pushed(registry).await;
    let url = registry.manifest_url(REPOSITORY, "v1");
    is_preheated(&url, &image, of_manager, of_seed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_file_over_tls_of_an_own_authority() {
    let (registry, files) = (Registry::with(SignIn::Basic, true).await, Files::new());
    let password = key(
        "password_file",
        &files.write("password", &format!("{PASSWORD}\n")),
    );
    let section = files.section(&registry, &format!("username = \"{USER}\"\n{password}"));
    is_preheated_from(&registry, &section, &section).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_token_that_only_the_manager_has() {
    let (registry, files) = (Registry::bearer(BearerSpec::default()).await, Files::new());
    let token = registry.token_server().identity_token(USER);
    let section = files.section(
        &registry,
        &key("identity_token_file", &files.write("token", &token)),
    );
    is_preheated_from(&registry, &section, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_docker_login_wrote() {
    use base64::Engine as _;
    let (registry, files) = (Registry::basic().await, Files::new());
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let text = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.host());
    let section = files.section(
        &registry,
        &key("docker_config", &files.write("config.json", &text)),
    );
    is_preheated_from(&registry, &section, &section).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_helper_that_only_the_manager_can_run() {
    let (registry, files) = (Registry::basic().await, Files::new());
    let answer = format!(r#"{{"ServerURL":"x","Username":"{USER}","Secret":"{PASSWORD}"}}"#);
    let helper = files.program("helper", &format!("read server; echo '{answer}'"));
    let section = files.section(&registry, &key("credential_helper", &helper));
    is_preheated_from(&registry, &section, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate() {
    let (registry, files) = (Registry::mutual_tls().await, Files::new());
    let identity = registry.client_identity();
    let keys = key(
        "client_cert_file",
        &files.write("cert.pem", &identity.certificate_pem),
    ) + &key("client_key_file", &files.write("key.pem", &identity.key_pem));
    let section = files.section(&registry, &keys);
    is_preheated_from(&registry, &section, &section).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_with_a_password_and_one_connection_at_a_time() {
    let (registry, files) = (Registry::with(SignIn::Basic, true).await, Files::new());
    let proxy = ForwardProxy::start().await;
    let url = proxy.url().replace("http://", &format!("http://{USER}@"));
    let keys = format!(
        "max_connections = 1\nproxy = \"{url}\"\n{}username = \"{USER}\"\npassword = \"{PASSWORD}\"\n",
        key("proxy_password_file", &files.write("proxy-password", PASSWORD))
    );
    let section = files.section(&registry, &keys);
    is_preheated_from(&registry, &section, &section).await;
    let heads = proxy.heads();
    let wanted = format!("CONNECT {}", registry.host());
    assert!(
        !heads.is_empty() && heads.iter().all(|head| head.starts_with(&wanted)),
        "{heads:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_a_peer_knows_from_its_manager() {
    let registry = Registry::plain().await;
    let image = pushed(&registry).await;
    let proxy = ForwardProxy::open().await;
    // Nobody but the proxy can tell where that is.
    let name = registry.host().replace("127.0.0.1", "registry.invalid");
    let section = format!(
        "[registry.\"{name}\"]\nplain_http = true\nmax_connections = 2\nproxy = \"{}\"\n",
        proxy.url()
    );
    let url = format!("http://{name}/v2/{REPOSITORY}/manifests/v1");
    is_preheated(&url, &image, &section, "").await;
    let blob = format!("/v2/{REPOSITORY}/blobs/{}", image.layers()[0].digest);
    assert!(
        proxy.heads().iter().any(|head| head.contains(&blob)),
        "by the seed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn harbors_own_answers_with_a_configured_account() {
    let harbor = HarborEndpoint::start();
    let image = ImageSpec::small(62).build();
    harbor.put(&image, REPOSITORY, "v1");
    let section = format!(
        "[registry.\"{}\"]\nplain_http = true\nusername = \"{USER}\"\npassword = \"{PASSWORD}\"\n",
        harbor.host()
    );
    let url = harbor.manifest_url(REPOSITORY, "v1");
    is_preheated(&url, &image, &section, &section).await;
    assert!(harbor.requests().iter().all(|one| one.cookie.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preheats_own_token_that_has_ended_gives_way_to_the_configured_account() {
    let harbor = HarborEndpoint::start();
    let image = ImageSpec::small(63).build();
    harbor.put(&image, REPOSITORY, "v1");
    let authorization = harbor.preheat_authorization(REPOSITORY);
    let jwt = authorization.trim_start_matches("Bearer ");
    harbor.time_passes(std::time::Duration::from_secs(1_861));
    let section = format!(
        "[registry.\"{}\"]\nplain_http = true\nusername = \"{USER}\"\npassword = \"{PASSWORD}\"\n",
        harbor.host()
    );
    let manager = ManagerSpec::new().config(&section).start().await;
    let _seed = PeerSpec::seed("seed").start(&manager).await;
    let wish = Wish::new(harbor.manifest_url(REPOSITORY, "v1")).jwt(jwt);
    assert_lists(&preheat_well(&manager, &wish).await, &image);
}
