//! Harbor's tokens: user, repository and end. A token for a repository is valid for its whole project.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

const LIFETIME: u64 = 1_800;
/// docker-registry accepts a token for this long after its end.
const LEEWAY: u64 = 60;
const SERVICE: &str = "harbor-registry";

#[derive(Serialize, Deserialize)]
struct HarborClaims {
    iss: String,
    sub: String,
    aud: String,
    exp: u64,
    nbf: u64,
    iat: u64,
    jti: String,
    access: Vec<HarborAccess>,
}

#[derive(Serialize, Deserialize)]
struct HarborAccess {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    actions: Vec<String>,
}

/// Who a token is for, and which project it opens.
pub(super) struct Bearer {
    pub(super) user: String,
    pub(super) project: Option<String>,
}

pub(super) struct HarborSigner {
    key: [u8; 16],
}

impl HarborSigner {
    pub(super) fn new() -> Self {
        Self {
            key: *uuid::Uuid::new_v4().as_bytes(),
        }
    }

    pub(super) fn sign(&self, user: &str, repository: &str, now: u64) -> String {
        self.sign_all(user, &[repository.to_owned()], now)
    }

    pub(super) fn sign_all(&self, user: &str, repositories: &[String], now: u64) -> String {
        let access = |name: &String| HarborAccess {
            kind: "repository".to_owned(),
            name: name.clone(),
            actions: vec!["pull".to_owned()],
        };
        let claims = HarborClaims {
            iss: "harbor-token-issuer".to_owned(),
            sub: user.to_owned(),
            aud: SERVICE.to_owned(),
            exp: now + LIFETIME,
            nbf: now,
            iat: now,
            jti: uuid::Uuid::new_v4().to_string(),
            access: repositories.iter().map(access).collect(),
        };
        let key = EncodingKey::from_secret(&self.key);
        encode(&Header::new(Algorithm::HS256), &claims, &key).expect("a token can be signed")
    }

    /// None: not ours, or ended more than a minute ago.
    pub(super) fn read(&self, token: &str, now: u64) -> Option<Bearer> {
        let mut how = Validation::new(Algorithm::HS256);
        how.set_audience(&[SERVICE]);
        // By the endpoint's own clock, below.
        how.validate_exp = false;
        let claims = decode::<HarborClaims>(token, &DecodingKey::from_secret(&self.key), &how)
            .ok()?
            .claims;
        if now > claims.exp + LEEWAY {
            return None;
        }
        let project = claims
            .access
            .first()
            .and_then(|access| access.name.split('/').next().map(str::to_owned));
        Some(Bearer {
            user: claims.sub,
            project,
        })
    }
}
