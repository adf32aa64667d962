//! The keys that say how we sign in at a registry: one way at most.

use std::path::Path;

use oci::{Credential, CredentialHelper, KeptCredential, RegistryName, Secret};

use super::Reading;

/// The part of a registry's section that is about signing in.
pub(super) struct CredentialKeys<'section> {
    pub(super) username: Option<&'section str>,
    pub(super) password: Option<&'section str>,
    pub(super) password_file: Option<&'section Path>,
    pub(super) identity_token_file: Option<&'section Path>,
    pub(super) docker_config: Option<&'section Path>,
    pub(super) credential_helper: Option<&'section str>,
}

impl CredentialKeys<'_> {
    pub(super) fn read(&self, registry: Option<&RegistryName>, reading: &mut Reading<'_>) -> Credential {
        self.only_one_way(reading);
        let from_file = reading.content("password_file", self.password_file);
        let identity_token = reading.content("identity_token_file", self.identity_token_file);
        if let Some(token) = identity_token {
            return Credential::IdentityToken(Secret::new(token.trim()));
        }
        let kept = registry.and_then(|registry| self.kept(registry, reading));
        if let Some(kept) = kept {
            return Credential::Kept(kept);
        }
        match (self.username, self.password.map(str::to_owned).or(from_file)) {
            (Some(username), Some(password)) => {
                return Credential::Basic {
                    username: username.to_owned(),
                    password: Secret::new(password.trim()),
                };
            }
            (None, None) => {}
            (Some(_), None) => reading.fault("password", "is needed beside username (or password_file)"),
            (None, Some(_)) => reading.fault("username", "is needed beside password"),
        }
        Credential::Anonymous
    }

    /// What is looked up when it is needed. That it can be is seen now: a file that is not there is told at the start.
    fn kept(&self, registry: &RegistryName, reading: &mut Reading<'_>) -> Option<KeptCredential> {
        if let Some(path) = self.docker_config {
            let kept = KeptCredential::in_docker_config(path, registry.clone());
            if let Err(fault) = kept.check() {
                reading.fault("docker_config", &fault);
            }
            return Some(kept);
        }
        let helper = self.credential_helper?;
        match CredentialHelper::named(helper) {
            Ok(helper) => Some(KeptCredential::by_helper(helper, registry.clone())),
            Err(fault) => {
                reading.fault("credential_helper", &fault);
                None
            }
        }
    }

    fn only_one_way(&self, reading: &mut Reading<'_>) {
        let has_user = self.username.is_some() || self.password.is_some() || self.password_file.is_some();
        let ways = [
            ("username", has_user),
            ("identity_token_file", self.identity_token_file.is_some()),
            ("docker_config", self.docker_config.is_some()),
            ("credential_helper", self.credential_helper.is_some()),
        ];
        let given: Vec<&str> = ways
            .iter()
            .filter(|(_, given)| *given)
            .map(|(key, _)| *key)
            .collect();
        if let [first, second, ..] = given.as_slice() {
            reading.fault(second, &format!("does not go together with {first}: choose one"));
        }
    }
}
