//! The remedy for each [`RegistryError`].

use crate::{ConnectFault, RegistryError};

impl RegistryError {
    /// Returns what an operator or caller can do about the error.
    pub fn what_to_do(&self) -> String {
        let advice = match self {
            Self::UnsafeRealm { realm, .. } => return realm.what_to_do(),
            Self::NotAllowed { refused, .. } => return refused.what_to_do(),
            Self::NotFound { .. } => {
                "check repository and tag, and that the credential can see the repository"
            }
            Self::NoCredential { .. } => {
                "send a credential with the request, or configure one for this registry"
            }
            Self::WrongCredential { .. } => "check the user name and password for this registry",
            Self::CredentialEnded { .. } => {
                "send a new credential, or configure one for this registry that does not expire"
            }
            Self::Forbidden { .. } => "give this account the right to pull from the repository",
            Self::TooManyRequests { .. } => "wait, or use an account with a higher rate limit",
            Self::TooManyAtOnce { .. } => {
                "wait, or raise the number of requests at once that the registry allows"
            }
            Self::Unexpected { response, .. } if response.status == 407 => {
                ConnectFault::ProxyCredential.what_to_do()
            }
            Self::Unexpected { response, .. } if response.status == 412 => {
                "fix the image's vulnerabilities, sign the image, or change the rules of the Harbor project"
            }
            Self::ServerError { .. } | Self::Unexpected { .. } => "check the registry's log",
            Self::SpeaksHttps { .. } => {
                "remove plain_http of this registry (or write https://), and set ca_file to the CA of its certificate"
            }
            Self::Unreachable { cause, .. } => cause.what_to_do(),
            Self::TimedOut { .. } | Self::CutShort { .. } => {
                "check the load of the registry and the network to it"
            }
            Self::WrongBytes { .. } => "check the registry's storage, or push the image again",
            Self::TooLarge { .. } | Self::BadAnswer { .. } => {
                "check that this address is a registry, and push the image again"
            }
            Self::UnknownAlgorithm { .. } => "push the image with sha256 or sha512 digests",
            Self::BadToken { .. } => {
                "check the token realm that the registry names, and the token server's log"
            }
            Self::StorageRefused { .. } => {
                "check the clocks of the registry and its storage, and the key with which the registry signs URLs"
            }
            Self::NoFreeConnection { .. } => {
                "raise max_connections of this registry, or run fewer preheats at a time"
            }
            Self::NoLookup { .. } => "check docker_config or credential_helper of this registry",
            Self::BadRedirect { .. } => "check the redirect settings of the registry's storage",
            Self::Setup { .. } => "fix the settings of this registry",
        };
        advice.to_owned()
    }
}
