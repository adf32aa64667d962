//! What a person can do about a registry that does not give what it was asked for.

use crate::error::{RegistryError, is_about_certificates, wants_our_certificate};

const OPEN_PROXY: &str =
    "write the proxy's user name and password into proxy (or proxy_password_file) of this registry";

impl RegistryError {
    /// What a person can do about it.
    pub fn what_to_do(&self) -> String {
        let advice = match self {
            Self::UnsafeRealm { realm, .. } => return realm.what_to_do(),
            Self::NotAllowed { refused, .. } => return refused.what_to_do(),
            Self::NotFound { .. } => {
                "check the name and the tag, and that the credential may see the repository"
            }
            Self::NoCredential { .. } => {
                "give a credential with the request, or configure one for this registry"
            }
            Self::WrongCredential { .. } => {
                "check the user name and password that are used for this registry"
            }
            Self::CredentialEnded { .. } => {
                "ask again with a fresh credential, or configure a lasting one for this registry"
            }
            Self::Forbidden { .. } => "give this account the right to pull from the repository",
            Self::TooManyRequests { .. } => "wait, or sign in with an account that has a higher limit",
            Self::Unexpected { said, .. } if said.status == 407 => OPEN_PROXY,
            Self::Unreachable { cause, .. } if cause.contains("proxy auth") => OPEN_PROXY,
            Self::Unexpected { said, .. } if said.status == 412 => {
                "the project's rules in Harbor bar this image: mend its vulnerabilities or sign it, or change the rules"
            }
            Self::ServerError { .. } | Self::Unexpected { .. } => "look at the registry's own log",
            Self::Unreachable { cause, .. } if wants_our_certificate(cause) => {
                "the registry asks for a certificate: set client_cert_file and client_key_file for it"
            }
            Self::Unreachable { cause, .. } if is_about_certificates(cause) => {
                "set ca_file for this registry to the authority that signed its certificate"
            }
            Self::Unreachable { cause, .. } if cause.contains("corrupt message") => {
                "the registry seems to speak plain HTTP: set plain_http for it, or write http:// in front"
            }
            Self::Unreachable { .. } => "check the registry's address, and that it can be reached from here",
            Self::TimedOut { .. } | Self::CutShort { .. } => {
                "check the load of the registry and the network on the way to it"
            }
            Self::WrongBytes { .. } => "check the registry's storage, or push the image again",
            Self::TooLarge { .. } | Self::BadAnswer { .. } => {
                "check that this address is a registry's, and push the image again"
            }
            Self::StorageRefused { .. } => {
                "check the clocks of the registry and its storage, and the key that the registry signs addresses with"
            }
            Self::NoFreeConnection { .. } => {
                "raise max_connections of this registry, or preheat less at one time"
            }
            Self::NoLookup { .. } => "check docker_config or credential_helper of this registry",
            Self::BadRedirect { .. } => "check the redirects that the registry's storage is configured for",
            Self::Setup { .. } => "correct the settings of this registry",
        };
        advice.to_owned()
    }
}
