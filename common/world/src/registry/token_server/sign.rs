//! Tokens as docker-registry checks them: ES256, the certificate in the header.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

use super::TokenServer;
use crate::{clock, tls};

/// docker-registry accepts a token for this long after its end.
const LEEWAY: u64 = 60;

#[derive(Serialize)]
struct Claims {
    iss: &'static str,
    sub: String,
    aud: &'static str,
    exp: u64,
    nbf: u64,
    iat: u64,
    jti: String,
    access: Vec<Access>,
}

/// What a token opens.
#[derive(Serialize)]
pub(super) struct Access {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    actions: Vec<String>,
}

impl Access {
    pub(super) fn new(repository: &str, actions: Vec<String>) -> Self {
        Self {
            kind: "repository",
            name: repository.to_owned(),
            actions,
        }
    }
}

pub(super) struct Signer {
    key: EncodingKey,
    header: Header,
    certificate_pem: String,
}

impl Signer {
    pub(super) fn new() -> Self {
        let (certificate, key) = tls::self_signed(TokenServer::ISSUER);
        let mut header = Header::new(Algorithm::ES256);
        header.x5c = Some(vec![STANDARD.encode(certificate.der())]);
        Self {
            key: EncodingKey::from_ec_der(&key.serialize_der()),
            header,
            certificate_pem: certificate.pem(),
        }
    }

    pub(super) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// No two tokens are the same.
    pub(super) fn sign(&self, user: &str, access: Vec<Access>, lifetime: Duration) -> String {
        let now = clock::now();
        // Ends a minute early, so that the registry's leeway makes it the wanted lifetime.
        let exp = now + lifetime.as_secs() - LEEWAY;
        let claims = Claims {
            iss: TokenServer::ISSUER,
            sub: user.to_owned(),
            aud: TokenServer::SERVICE,
            exp,
            nbf: exp.min(now) - LEEWAY,
            iat: now,
            jti: uuid::Uuid::new_v4().to_string(),
            access,
        };
        encode(&self.header, &claims, &self.key).expect("a token can be signed")
    }
}
