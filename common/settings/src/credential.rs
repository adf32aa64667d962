//! The keys of a registry's section for the sign-in. At most one way to sign in may be set.

use oci::{Credential, CredentialHelper, KeptCredential, RegistryName, Scheme, Secret};

use crate::section::Section;

/// The ways to sign in: the name of each, and its keys.
const WAYS: [(&str, &[&str]); 4] = [
    ("username", &["username", "password", "password_file"]),
    ("identity_token_file", &["identity_token_file"]),
    ("docker_config", &["docker_config"]),
    ("credential_helper", &["credential_helper"]),
];

/// Reads the credential for `registry`; anonymous if no key is set.
pub(crate) fn read(registry: Option<&RegistryName>, scheme: Scheme, section: &Section<'_>) -> Credential {
    only_one_way(section);
    let basic = basic(section);
    let identity_token = section.file_content("identity_token_file");
    let kept = kept(registry, scheme, section);
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
        (true, false) => section.incomplete("password", "missing: username needs it (or password_file)"),
        (false, true) => section.incomplete("username", "missing: password needs it"),
        _ => {}
    }
    Some(Credential::Basic {
        username: username?,
        password: Secret::new(password?.trim()),
    })
}

/// Returns a credential that is looked up at each use. A broken file is reported now.
fn kept(registry: Option<&RegistryName>, scheme: Scheme, section: &Section<'_>) -> Option<KeptCredential> {
    let config = section.path("docker_config");
    let helper = section.text("credential_helper");
    let helper =
        helper.and_then(|helper| section.check("credential_helper", CredentialHelper::named(&helper)));
    let registry = registry?.clone();
    if let Some(path) = config {
        let kept = KeptCredential::in_docker_config(&path, registry, scheme);
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
            format_args!("conflicts with {first}: set only one of them"),
        );
    }
}
