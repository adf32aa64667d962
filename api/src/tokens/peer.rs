//! Peers' tokens: JWT, `EdDSA`. Peers check them offline against the public key that they get at hello.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use process::files::private_file;
use queue::Clock;
use tracing::error;
use uuid::Uuid;
use wire::{PeerClaims, SHARE_AUDIENCE, SecretText};

use super::KeyError;

const GOOD_FOR: Duration = Duration::from_hours(24);

/// Signs the tokens that open other peers' `share`.
#[derive(Clone)]
pub struct PeerSigner {
    signs: EncodingKey,
    public_key: String,
    clock: Arc<dyn Clock>,
}

impl PeerSigner {
    /// Reads the key (PKCS#8) in `file`, or makes one there (mode 0600).
    pub fn at(file: &Path, clock: Arc<dyn Clock>) -> Result<Self, KeyError> {
        let name = file.display().to_string();
        let document = private_file(file, new_key).map_err(|error| KeyError::File {
            file: name.clone(),
            error,
        })?;
        Self::from_pkcs8(&document, clock).ok_or(KeyError::NotAKey { file: name })
    }

    fn from_pkcs8(document: &[u8], clock: Arc<dyn Clock>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(document).ok()?;
        Some(Self {
            signs: EncodingKey::from_ed_der(document),
            public_key: STANDARD.encode(pair.public_key().as_ref()),
            clock,
        })
    }
}

fn new_key() -> Vec<u8> {
    // Fails only if the operating system has no randomness; the empty document is then refused as no key.
    Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map(|document| document.as_ref().to_vec())
        .unwrap_or_default()
}

impl preheat::PeerTokens for PeerSigner {
    fn issue(&self, peer: Uuid, cluster: &str) -> (SecretText, i64) {
        let ends = self.clock.now_ms() / 1000 + i64::try_from(GOOD_FOR.as_secs()).unwrap_or(0);
        let claims = PeerClaims {
            sub: peer,
            aud: SHARE_AUDIENCE.to_owned(),
            exp: ends,
            cluster: cluster.to_owned(),
        };
        let token = encode(&Header::new(Algorithm::EdDSA), &claims, &self.signs).unwrap_or_else(|cause| {
            // The key was proven to be one when it was read, so this cannot come from outside.
            error!(error = %cause, "a peer token could not be signed: other peers will refuse this peer");
            String::new()
        });
        (SecretText::new(token), ends)
    }

    fn public_key(&self) -> String {
        self.public_key.clone()
    }
}
