//! Registry sections: what is accepted, and the faults of what is not.

use oci::{Credential, Secret};

use super::OwnRegistry;
use crate::{FaultKind, Faults, Given, Reader, SettingsFile};

fn read(toml: &str) -> Result<OwnRegistry, Faults> {
    let file = SettingsFile::with("r.toml", format!("[registry.'r.lan']\n{toml}"));
    let reader = Reader::new(&file, Given::default())?;
    let registry = super::read(&reader.top()).pop();
    reader.finish(registry).map(|read| read.value)
}

fn faults(toml: &str) -> Faults {
    read(toml).map(|_| ()).expect_err(toml)
}

/// Kind and key of each fault, in the order of the keys.
fn kinds(faults: &Faults) -> Vec<(&str, FaultKind)> {
    let mut kinds: Vec<_> = faults
        .iter()
        .map(|fault| {
            let key = fault.key.strip_prefix("registry.\"r.lan\".");
            (key.expect("a key of the section"), fault.kind)
        })
        .collect();
    kinds.sort_by_key(|(key, _)| *key);
    kinds
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
fn an_empty_section_means_https_and_no_credential() {
    let registry = read("").expect("fine");
    assert_eq!(
        registry.settings,
        oci::RegistrySettings::new("r.lan".parse().expect("a name"))
    );
}

#[test]
fn a_registry_has_one_section_under_all_its_names() {
    for (one, other) in [("docker.io", "registry.hub.docker.com"), ("r.lan", "R.lan:443")] {
        let text = format!("[registry.'{one}']\n[registry.'{other}']\n");
        let file = SettingsFile::with("r.toml", text);
        let reader = Reader::new(&file, Given::default()).expect("sections");
        let registries = super::read(&reader.top());
        let faults = reader.finish(Some(registries)).map(|_| ()).expect_err(other);
        let kinds: Vec<FaultKind> = faults.iter().map(|fault| fault.kind).collect();
        assert_eq!(kinds, [FaultKind::BadValue], "{faults:?}");
    }
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
fn connections_can_use_a_proxy_and_a_certificate_and_be_limited() {
    let folder = Folder::new();
    let (certificate, key) = (folder.file("cert", "C"), folder.file("key", "K"));
    let password = folder.file("password", "s3cret\n");
    let settings = read(&format!(
        "client_cert_file = '{certificate}'\nclient_key_file = '{key}'\nmax_connections = 3\nheader_wait = '2m'\n\
         proxy = 'http://ann@proxy.lan:3128'\nproxy_password_file = '{password}'"
    ))
    .expect("fine")
    .settings;
    assert_eq!(settings.client_identity, Some(Secret::new("C\nK")));
    assert_eq!(settings.max_connections.map(std::num::NonZero::get), Some(3));
    assert_eq!(settings.header_wait, Some(std::time::Duration::from_secs(120)));
    let proxy = settings.proxy.clone().expect("a proxy");
    assert_eq!(proxy.expose(), "http://ann:s3cret@proxy.lan:3128/");
    assert!(!format!("{settings:?}").contains("s3cret"));
}

#[test]
fn a_ca_file_is_read_without_the_keys_in_it() {
    let folder = Folder::new();
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["r.lan".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    let bundle = format!("# ours\n{}{certificate}", key.serialize_pem()).replace('\n', "\r\n");
    let file = folder.file("ca.pem", &bundle);
    let read = read(&format!("ca_file = '{file}'")).expect("fine").settings;
    assert_eq!(read.ca_pem, Some(certificate.replace('\r', "")));
    let junk = folder.file("junk.pem", "junk");
    assert_eq!(
        kinds(&faults(&format!("ca_file = '{junk}'"))),
        [("ca_file", FaultKind::BadValue)]
    );
}

#[test]
fn every_fault_is_reported_with_its_key() {
    let faults = faults(
        "ca_file = '/no/such/ca'\nclient_cert_file = '/no/such/cert'\nproxy = 'socks5://s3cret@h'\n\
         max_connections = 0\nheader_wait = '1h'\naliases = ['no name']\nusername = 'ann'\nidentity_token_file = '/no/such/token'",
    );
    assert_eq!(
        kinds(&faults),
        [
            ("aliases", FaultKind::BadValue),
            ("ca_file", FaultKind::UnreadableFile),
            ("client_cert_file", FaultKind::UnreadableFile),
            ("client_key_file", FaultKind::Incomplete),
            ("header_wait", FaultKind::BadValue),
            ("identity_token_file", FaultKind::BadValue),
            ("identity_token_file", FaultKind::UnreadableFile),
            ("max_connections", FaultKind::BadValue),
            ("password", FaultKind::Incomplete),
            ("proxy", FaultKind::BadValue),
        ]
    );
    assert!(!faults.to_string().contains("s3cret"), "{faults}");
}

#[test]
fn half_of_a_pair_is_a_fault() {
    for (half, other) in [
        ("username = 'ann'", "password"),
        ("password = 'x'", "username"),
        ("client_key_file = '/dev/null'", "client_cert_file"),
        ("proxy_password_file = '/dev/null'", "proxy"),
    ] {
        assert_eq!(kinds(&faults(half)), [(other, FaultKind::Incomplete)], "{half}");
    }
}

#[test]
fn a_credential_that_cannot_be_looked_up_is_reported_at_start() {
    let folder = Folder::new();
    let junk = folder.file("config.json", "s3cret");
    let broken = faults(&format!("docker_config = '{junk}'"));
    assert_eq!(kinds(&broken), [("docker_config", FaultKind::UnreadableFile)]);
    assert!(!broken.to_string().contains("s3cret"), "{broken}");
    let missing = faults("docker_config = '/no/such/file'");
    assert_eq!(kinds(&missing), [("docker_config", FaultKind::UnreadableFile)]);
    let unnamed = faults("credential_helper = 'a b'");
    assert_eq!(kinds(&unnamed), [("credential_helper", FaultKind::BadValue)]);
}
