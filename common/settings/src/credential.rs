//! The keys of a registry's section that say how we sign in: one way at most.

use oci::{Credential, CredentialHelper, KeptCredential, RegistryName, Secret};

use crate::section::Section;

const WAYS: [(&str, &[&str]); 4] = [
    ("username", &["username", "password", "password_file"]),
    ("identity_token_file", &["identity_token_file"]),
    ("docker_config", &["docker_config"]),
    ("credential_helper", &["credential_helper"]),
];

/// Reads how we sign in at `registry`; without any of the keys it is anonymous.
pub(crate) fn read(registry: Option<&RegistryName>, section: &Section<'_>) -> Credential {
    only_one_way(section);
    let basic = basic(section);
    let identity_token = section.file_content("identity_token_file");
    let kept = kept(registry, section);
    if let Some(token) = identity_token {
        return Credential::IdentityToken(Secret::new(token.trim()));
    }
    kept.map(Credential::Kept)
        .or(basic)
        .unwrap_or(Credential::Anonymous)
}

fn basic(section: &Section<'_>) -> Option<Credential> {
    let username = section.text("username");
    let from_file = section.file_content("password_file");
    let password = section.secret("password").or(from_file);
    let has_password = section.has("password") || section.has("password_file");
    match (section.has("username"), has_password) {
        (true, false) => section.incomplete("password", "is needed beside username (or password_file)"),
        (false, true) => section.incomplete("username", "is needed beside password"),
        _ => {}
    }
    Some(Credential::Basic {
        username: username?,
        password: Secret::new(password?.trim()),
    })
}

/// What is looked up when it is needed. That it can be is checked now.
fn kept(registry: Option<&RegistryName>, section: &Section<'_>) -> Option<KeptCredential> {
    let config = section.path("docker_config");
    let helper = section.text("credential_helper");
    let helper =
        helper.and_then(|helper| section.check("credential_helper", CredentialHelper::named(&helper)));
    let registry = registry?.clone();
    if let Some(path) = config {
        let kept = KeptCredential::in_docker_config(&path, registry);
        if let Err(fault) = kept.check() {
            section.unreadable("docker_config", fault);
        }
        return Some(kept);
    }
    Some(KeptCredential::by_helper(helper?, registry))
}

fn only_one_way(section: &Section<'_>) {
    let is_given = |keys: &[&str]| keys.iter().any(|key| section.has(key));
    let mut given = WAYS.iter().filter(|(_, keys)| is_given(keys));
    if let (Some((first, _)), Some((second, _))) = (given.next(), given.next()) {
        section.fault(
            second,
            format_args!("does not go together with {first}: choose one"),
        );
    }
}
