//! Sections as people write them.

use oci::{Credential, Secret};

use super::OwnRegistry;
use crate::{Faults, Given, Reader, SettingsFile};

fn read(toml: &str) -> Result<OwnRegistry, Faults> {
    let file = SettingsFile::with("r.toml", format!("[registry.'r.lan']\n{toml}"));
    let reader = Reader::new(&file, Given::default())?;
    let registry = super::read(&reader.top()).pop();
    reader.finish(registry).map(|read| read.value)
}

fn faults(toml: &str) -> String {
    read(toml).map(|_| ()).expect_err(toml).to_string()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path.display().to_string()
    }
}

#[test]
fn a_section_without_keys_is_https_and_nobody() {
    let registry = read("").expect("fine");
    assert_eq!(
        registry.settings,
        oci::RegistrySettings::new("r.lan".parse().expect("a name"))
    );
}

#[test]
fn every_way_of_signing_in_can_be_configured() {
    let folder = Folder::new();
    let password = folder.file("password", " s3cret\n");
    let token = folder.file("token", "t0ken\n");
    let docker = folder.file("config.json", r#"{"auths":{"r.lan":{"auth":"eDp5"}}}"#);
    let credential = |toml: &str| read(toml).expect("fine").settings.credential;
    let by_file = credential(&format!("username = 'ann'\npassword_file = '{password}'"));
    let expected = Credential::Basic {
        username: "ann".to_owned(),
        password: Secret::new("s3cret"),
    };
    assert_eq!(by_file, expected);
    assert_eq!(
        credential(&format!("identity_token_file = '{token}'")),
        Credential::IdentityToken(Secret::new("t0ken"))
    );
    for kept in [
        format!("docker_config = '{docker}'"),
        "credential_helper = 'ecr-login'".to_owned(),
    ] {
        assert!(matches!(credential(&kept), Credential::Kept(_)), "{kept}");
    }
}

#[test]
fn connections_can_be_led_and_limited() {
    let folder = Folder::new();
    let (certificate, key) = (folder.file("cert", "C"), folder.file("key", "K"));
    let password = folder.file("password", "s3cret\n");
    let settings = read(&format!(
        "client_cert_file = '{certificate}'\nclient_key_file = '{key}'\nmax_connections = 3\n\
         proxy = 'http://ann@proxy.lan:3128'\nproxy_password_file = '{password}'"
    ))
    .expect("fine")
    .settings;
    assert_eq!(settings.client_identity, Some(Secret::new("C\nK")));
    assert_eq!(settings.max_connections.map(std::num::NonZero::get), Some(3));
    let proxy = settings.proxy.clone().expect("a proxy");
    assert_eq!(proxy.expose(), "http://ann:s3cret@proxy.lan:3128/");
    assert!(!format!("{settings:?}").contains("s3cret"));
}

#[test]
fn every_fault_is_told_with_its_key() {
    let told = faults(
        "ca_file = '/no/such/ca'\nclient_cert_file = '/no/such/cert'\nproxy = 'socks5://s3cret@h'\n\
         max_connections = 0\naliases = ['no name']\nusername = 'ann'\nidentity_token_file = '/no/such/token'",
    );
    for key in [
        "ca_file: /no/such/ca",
        "client_key_file: is needed beside client_cert_file",
        "client_cert_file: /no/such/cert",
        "proxy: only http:// and https://",
        "max_connections: must be 1 or more",
        "aliases: ",
        "identity_token_file: does not go together with username",
    ] {
        assert!(
            told.contains(&format!("registry.\"r.lan\".{key}")),
            "{key} in\n{told}"
        );
    }
    assert!(!told.contains("s3cret"), "{told}");
}

#[test]
fn half_of_a_pair_is_a_fault() {
    for (half, other) in [
        ("username = 'ann'", "password"),
        ("password = 'x'", "username"),
        ("client_key_file = '/dev/null'", "client_cert_file"),
        ("proxy_password_file = '/dev/null'", "proxy"),
    ] {
        let told = faults(half);
        assert!(told.contains(&format!("\"r.lan\".{other}: is needed")), "{told}");
    }
}

#[test]
fn what_cannot_be_looked_up_later_is_told_at_once() {
    let folder = Folder::new();
    let junk = folder.file("config.json", "s3cret");
    let told = faults(&format!("docker_config = '{junk}'"));
    assert!(
        told.contains("docker_config") && !told.contains("s3cret"),
        "{told}"
    );
    assert!(faults("docker_config = '/no/such/file'").contains("docker_config"));
    assert!(faults("credential_helper = 'a b'").contains("credential_helper"));
}
