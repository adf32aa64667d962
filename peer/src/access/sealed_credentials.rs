//! Tokens that carry a caller's own user name and password, for clients that send nothing but the token that our
//! challenge at `/v2/` led them to (podman, skopeo, CRI-O), in front of registries that take only `Basic`.
//!
//! **Invariant:** nothing is kept here. A token is encrypted with a key of this peer, and opens only here, only for the
//! registry that it was made for, and for an hour. A caller gets it only in return for
//! the password.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oci::{Origin, Secret};

use super::caller_key::LOCAL_TOKEN_PREFIX;

/// Follows [`LOCAL_TOKEN_PREFIX`].
const KIND: &str = "basic.";
const LIFETIME_MS: i64 = 3_600_000;
/// The end of the token's life, in Unix milliseconds.
const END_LEN: usize = 8;

pub(super) struct SealedCredentials {
    /// None if the cryptography library refuses the key: no token is made then.
    key: Option<RandomizedNonceKey>,
}

impl SealedCredentials {
    /// `secret` is this peer's own; the key is derived from it.
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        let derived = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, secret),
            b"stoker sealed credentials 1",
        );
        Self {
            key: RandomizedNonceKey::new(&AES_256_GCM, derived.as_ref()).ok(),
        }
    }

    /// Returns a token that stands for this `Authorization` at this registry.
    pub(super) fn seal(&self, authorization: &Secret, origin: &Origin, now: i64) -> Option<String> {
        let end = now.saturating_add(LIFETIME_MS).to_be_bytes();
        let mut bytes = authorization.expose().as_bytes().to_vec();
        let bound = Aad::from(bound_to(origin, end));
        let nonce = self
            .key
            .as_ref()?
            .seal_in_place_append_tag(bound, &mut bytes)
            .ok()?;
        let sealed = [&end[..], nonce.as_ref(), &bytes].concat();
        Some(format!(
            "{LOCAL_TOKEN_PREFIX}{KIND}{}",
            URL_SAFE_NO_PAD.encode(sealed)
        ))
    }

    /// Returns the `Authorization` in a token of ours for this registry, until the token expires.
    pub(super) fn open(&self, token: &str, origin: &Origin, now: i64) -> Option<Secret> {
        let sealed = token.strip_prefix(LOCAL_TOKEN_PREFIX)?.strip_prefix(KIND)?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (end, rest) = sealed.split_first_chunk::<END_LEN>()?;
        let (nonce, bytes) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut bytes = bytes.to_vec();
        let bound = Aad::from(bound_to(origin, *end));
        let opened = self.key.as_ref()?.open_in_place(nonce, bound, &mut bytes).ok()?;
        let text = String::from_utf8(opened.to_vec()).ok()?;
        (now < i64::from_be_bytes(*end)).then(|| Secret::new(text))
    }
}

fn bound_to(origin: &Origin, end: [u8; END_LEN]) -> Vec<u8> {
    [&end[..], origin.to_string().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        text.parse().expect("an origin")
    }

    #[test]
    fn a_token_opens_only_here_for_its_registry_and_for_an_hour() {
        let (here, reg) = (SealedCredentials::new(&[7; 32]), origin("https://reg.lan"));
        let token = here
            .seal(&Secret::new("Basic YW5uOnB3"), &reg, 1_000)
            .expect("a token");
        let opened = |sealed: &SealedCredentials, token: &str, reg: &Origin, now| {
            let opened = sealed.open(token, reg, now);
            opened.map(|secret| secret.expose().to_owned())
        };
        assert_eq!(
            opened(&here, &token, &reg, LIFETIME_MS),
            Some("Basic YW5uOnB3".to_owned())
        );
        assert_eq!(opened(&here, &token, &reg, LIFETIME_MS + 1_000), None);
        for other in ["http://reg.lan", "https://evil.lan", "https://reg.lan/team"] {
            assert_eq!(opened(&here, &token, &origin(other), 1_000), None, "{other}");
        }
        let elsewhere = SealedCredentials::new(&[8; 32]);
        assert_eq!(opened(&elsewhere, &token, &reg, 1_000), None);
        for odd in [
            &token[..token.len() - 2],
            "stoker-local.basic.",
            "stoker-local.basic.!",
            "x",
        ] {
            assert_eq!(opened(&here, odd, &reg, 1_000), None, "{odd}");
        }
    }

    #[test]
    fn a_token_shows_no_password() {
        let here = SealedCredentials::new(&[7; 32]);
        let seal = || {
            here.seal(
                &Secret::new("Basic YW5uOnB3LWFubg=="),
                &origin("https://reg.lan"),
                0,
            )
        };
        let token = seal().expect("a token");
        assert!(!token.contains("YW5u"), "{token}");
        assert_ne!(seal(), Some(token));
    }
}
