//! Tokens in the path of an endpoint, for clients that cannot send a credential: Harbor up to 2.11, some registries.
//!
//! **Invariant:** only the sha256 of such a token is stored. It may create preheats and poll its own, and nothing
//! else.

use aws_lc_rs::rand::fill;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use preheat::Preheater;
use preheat::tokens::NewToken;
use sha2::{Digest as _, Sha256};
use wire::SecretText;

use super::caller::{Created, NotCreated, TokenWish, check_name, token_of};
use super::lifetime::Lifetime;
use crate::types::{Scope, Scopes};

const BYTES: usize = 32;
/// Length of a token in a path: 32 bytes in base64.
pub(crate) const LENGTH: usize = 43;
/// The longest text that is looked up at all.
const LONGEST: usize = 256;

/// What an endpoint's token may do.
pub(crate) fn scopes() -> Scopes {
    Scopes::new([Scope::Preheat])
}

/// Makes a token for a path, and writes its hash down.
pub async fn create_endpoint(
    preheater: &Preheater,
    name: String,
    lifetime: Lifetime,
    now_ms: i64,
) -> Result<Created, NotCreated> {
    check_name(&name)?;
    let text = random_text()?;
    let wish = TokenWish {
        name,
        scopes: scopes(),
        lifetime,
    };
    let token = token_of(wish, now_ms);
    let record = NewToken {
        id: token.id.clone(),
        name: token.name.clone(),
        scopes: token.scopes.iter().map(|scope| scope.to_string()).collect(),
        expires_ms: Some(token.expires_ms),
        path_hash: hash(&text),
    };
    preheat::tokens::create(preheater, record).await?;
    Ok(Created { token, text })
}

/// By which a token is looked up; none for what cannot be one.
pub(crate) fn hash(text: &SecretText) -> Option<String> {
    let text = text.expose();
    (text.len() <= LONGEST).then(|| hex::encode(Sha256::digest(text)))
}

fn random_text() -> Result<SecretText, NotCreated> {
    let mut bytes = [0; BYTES];
    fill(&mut bytes).map_err(|_| NotCreated::NoRandomness)?;
    Ok(SecretText::new(URL_SAFE_NO_PAD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_into_harbors_column_and_is_never_the_same() {
        let (one, other) = (random_text().expect("made"), random_text().expect("made"));
        assert_ne!(one, other);
        assert_eq!(one.expose().len(), LENGTH);
        assert_ne!(hash(&one), hash(&other));
    }

    #[test]
    fn the_hash_is_sha256_in_hex() {
        let expected = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
        assert_eq!(hash(&SecretText::new("foo")).as_deref(), Some(expected));
        assert_eq!(hash(&SecretText::new("x".repeat(LONGEST + 1))), None);
    }
}
