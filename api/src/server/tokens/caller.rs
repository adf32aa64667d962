//! Callers' tokens: JWT, HS256, with an id by which they are revoked.

use std::path::Path;

use aws_lc_rs::rand::fill;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use preheat::tokens::NewToken;
use preheat::{Preheater, StorageError};
use process::files::private_file;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wire::SecretText;

use super::key_error::KeyError;
use super::lifetime::Lifetime;
use crate::types::Scopes;

const AUDIENCE: &str = "stoker-manager";
const KEY_BYTES: usize = 32;
/// The longest text that is taken for a token at all; ours are a quarter of it.
const LONGEST_TOKEN: usize = 4096;
const LONGEST_NAME: usize = 200;

/// What a caller's token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerClaims {
    /// Id of the token: it is recorded with preheats, and a revocation names it.
    pub jti: String,
    /// Name of the token, for people.
    pub name: String,
    pub scopes: Scopes,
    /// Unix seconds.
    pub iat: i64,
    /// Unix seconds.
    pub exp: i64,
    aud: String,
}

/// Signs and checks callers' tokens.
#[derive(Clone)]
pub struct CallerKey {
    signs: EncodingKey,
    checks: DecodingKey,
}

/// A text that is not signed with our key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token of this manager")]
pub(crate) struct Refused;

impl CallerKey {
    /// Reads the key in `file`, or makes one there (mode 0600).
    pub fn at(file: &Path) -> Result<Self, KeyError> {
        let name = file.display().to_string();
        let bytes = private_file(file, new_key).map_err(|error| KeyError::File {
            file: name.clone(),
            error,
        })?;
        Self::from_bytes(&bytes).ok_or(KeyError::NotAKey { file: name })
    }

    /// `None` unless these are as many bytes as a key has.
    pub fn from_bytes(key: &[u8]) -> Option<Self> {
        (key.len() == KEY_BYTES).then(|| Self {
            signs: EncodingKey::from_secret(key),
            checks: DecodingKey::from_secret(key),
        })
    }

    fn sign(&self, claims: &CallerClaims) -> Result<SecretText, jsonwebtoken::errors::Error> {
        encode(&Header::new(Algorithm::HS256), claims, &self.signs).map(SecretText::new)
    }

    /// Returns the claims of a token that this key has signed. The caller checks expiry and revocation: such a token
    /// may still poll the jobs that it created.
    pub(crate) fn check(&self, token: &str) -> Result<CallerClaims, Refused> {
        if token.len() > LONGEST_TOKEN {
            return Err(Refused);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "aud"]);
        validation.validate_exp = false;
        decode::<CallerClaims>(token, &self.checks, &validation)
            .map(|read| read.claims)
            .map_err(|_| Refused)
    }
}

fn new_key() -> Vec<u8> {
    let mut key = vec![0; KEY_BYTES];
    // Fails only if the operating system has no randomness; the short key is then refused by `from_bytes`.
    if fill(&mut key).is_err() {
        key.clear();
    }
    key
}

/// The request for a token of a caller.
#[derive(Debug, Clone)]
pub struct TokenWish {
    pub name: String,
    pub scopes: Scopes,
    pub lifetime: Lifetime,
}

/// A new token's record.
#[derive(Debug, Clone)]
pub struct Token {
    pub id: String,
    pub name: String,
    pub scopes: Scopes,
    pub created_ms: i64,
    pub expires_ms: i64,
}

/// A new token, and the only copy of its text.
#[derive(Debug, Clone)]
pub struct Created {
    pub token: Token,
    pub text: SecretText,
}

#[derive(Debug, thiserror::Error)]
pub enum NotCreated {
    #[error("a token's name has 1 to {LONGEST_NAME} characters, none of them a control character")]
    Name,
    #[error("a token needs a scope: choose of preheat, read, admin")]
    NoScope,
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the operating system gave no randomness")]
    NoRandomness,
    #[error("the token could not be signed")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// Stores a token's record and signs the token. A token without a record is refused, because it could not be
/// revoked.
pub async fn create(
    preheater: &Preheater,
    key: &CallerKey,
    wish: TokenWish,
    now_ms: i64,
) -> Result<Created, NotCreated> {
    check_name(&wish.name)?;
    if wish.scopes.is_empty() {
        return Err(NotCreated::NoScope);
    }
    let token = token_of(wish, now_ms);
    let text = key.sign(&claims_of(&token))?;
    let record = NewToken {
        id: token.id.clone(),
        name: token.name.clone(),
        scopes: token.scopes.iter().map(|scope| scope.to_string()).collect(),
        expires_ms: Some(token.expires_ms),
        path_hash: None,
    };
    preheat::tokens::create(preheater, record).await?;
    Ok(Created { token, text })
}

pub(super) fn check_name(name: &str) -> Result<(), NotCreated> {
    let is_good = (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.contains(char::is_control);
    if is_good { Ok(()) } else { Err(NotCreated::Name) }
}

pub(super) fn token_of(wish: TokenWish, now_ms: i64) -> Token {
    // Half a uuid is enough to tell tokens apart, and short enough for people to type.
    let id: String = Uuid::new_v4().simple().to_string().chars().take(16).collect();
    let lifetime_ms = i64::try_from(wish.lifetime.duration().as_millis()).unwrap_or(i64::MAX);
    Token {
        id,
        name: wish.name,
        scopes: wish.scopes,
        created_ms: now_ms,
        expires_ms: now_ms.saturating_add(lifetime_ms),
    }
}

fn claims_of(token: &Token) -> CallerClaims {
    CallerClaims {
        jti: token.id.clone(),
        name: token.name.clone(),
        scopes: token.scopes.clone(),
        iat: token.created_ms / 1000,
        exp: token.expires_ms / 1000,
        aud: AUDIENCE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> CallerKey {
        CallerKey::from_bytes(&[7; KEY_BYTES]).expect("a key")
    }

    fn claims() -> CallerClaims {
        let wish = TokenWish {
            name: "harbor".to_owned(),
            scopes: Scopes::new([crate::server::tokens::Scope::Preheat]),
            lifetime: Lifetime::default(),
        };
        claims_of(&token_of(wish, 1_000_000))
    }

    #[test]
    fn what_was_signed_is_read_back() {
        let token = key().sign(&claims()).expect("signed");
        let read = key().check(token.expose()).expect("ours");
        assert_eq!((read.name.as_str(), read.exp), ("harbor", 1000 + 365 * 24 * 3600));
    }

    #[test]
    fn what_another_key_signed_is_refused() {
        let other = CallerKey::from_bytes(&[8; KEY_BYTES]).expect("a key");
        let token = other.sign(&claims()).expect("signed");
        assert_eq!(key().check(token.expose()), Err(Refused));
    }

    #[test]
    fn another_audience_or_algorithm_is_refused() {
        let for_others = CallerClaims {
            aud: "stoker-share".to_owned(),
            ..claims()
        };
        let token = key().sign(&for_others).expect("signed");
        assert_eq!(key().check(token.expose()), Err(Refused));
        let header = Header::new(Algorithm::HS512);
        let token = encode(&header, &claims(), &EncodingKey::from_secret(&[7; KEY_BYTES])).expect("signed");
        assert_eq!(key().check(&token), Err(Refused));
        // {"alg":"none"} with our claims and no signature
        let unsigned = key().sign(&claims()).expect("signed");
        let payload = unsigned.expose().split('.').nth(1).expect("a payload").to_owned();
        assert_eq!(
            key().check(&format!("eyJhbGciOiJub25lIn0.{payload}.")),
            Err(Refused)
        );
    }

    #[test]
    fn junk_is_refused() {
        for junk in ["", "a", "a.b.c", "....", &"x".repeat(LONGEST_TOKEN + 1)] {
            assert_eq!(key().check(junk), Err(Refused));
        }
    }

    #[test]
    fn the_key_is_created_once_and_a_wrong_file_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("callers.key");
        let token = CallerKey::at(&file)
            .expect("made")
            .sign(&claims())
            .expect("signed");
        assert!(CallerKey::at(&file).expect("read").check(token.expose()).is_ok());
        let wrong = folder.path().join("wrong.key");
        private_file(&wrong, || b"short".to_vec()).expect("written");
        let Err(error) = CallerKey::at(&wrong) else {
            panic!("a wrong key was taken");
        };
        assert!(matches!(error, KeyError::NotAKey { .. }), "{error}");
    }
}
