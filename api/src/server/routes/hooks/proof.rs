//! The product's own proof that it sent a message.
//!
//! **Invariant:** secrets are compared in constant time.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use axum::http::HeaderMap;
use wire::SecretText;

use crate::server::problem::{Kind, Problem};
use crate::server::triggers::{HookHash, HookKind, HookProof};

/// Checks the signature or the token of a message.
pub(super) fn check(
    kind: HookKind,
    secret: &SecretText,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), Problem> {
    let is_proven = match kind.proof() {
        Some(HookProof::Hmac {
            headers: names,
            prefix,
            hash,
        }) => {
            let expected = signature(secret, hash, body);
            let given = names.iter().find_map(|name| header(headers, name));
            given
                .and_then(|given| given.strip_prefix(prefix))
                .is_some_and(|given| are_equal(&given.to_ascii_lowercase(), &expected))
        }
        Some(HookProof::Token { header: name }) => {
            header(headers, name).is_some_and(|given| are_equal(given, secret.expose()))
        }
        None => false,
    };
    if is_proven { Ok(()) } else { Err(unproven(kind)) }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The HMAC as lower-case hexadecimal digits.
pub(super) fn signature(secret: &SecretText, hash: HookHash, body: &[u8]) -> String {
    let algorithm = match hash {
        HookHash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        HookHash::Sha256 => hmac::HMAC_SHA256,
    };
    let key = hmac::Key::new(algorithm, secret.expose().as_bytes());
    hex::encode(hmac::sign(&key, body))
}

/// Compares hashes, so that the time does not depend on the length of the secret.
fn are_equal(given: &str, expected: &str) -> bool {
    let hash = |text: &str| digest::digest(&digest::SHA256, text.as_bytes());
    verify_slices_are_equal(hash(given).as_ref(), hash(expected).as_ref()).is_ok()
}

/// The same text for a missing and a wrong proof.
fn unproven(kind: HookKind) -> Problem {
    Problem::new(
        Kind::SignIn,
        format!(
            "The webhook's signature or secret token is missing or wrong: enter the secret of `[hooks.{kind}] secret_file` in \
             the webhook's settings."
        ),
    )
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn is_proven(kind: HookKind, name: &'static str, value: &str, body: &[u8]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).expect("a value"));
        check(
            kind,
            &SecretText::new("It's a Secret to Everybody"),
            &headers,
            body,
        )
        .is_ok()
    }

    /// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation>
    #[test]
    fn github_s_documented_signature_is_accepted() {
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let name = "x-hub-signature-256";
        assert!(is_proven(HookKind::GitHub, name, signature, b"Hello, World!"));
        assert!(!is_proven(HookKind::GitHub, name, signature, b"Hello, World"));
        let bare = signature.trim_start_matches("sha256=");
        assert!(!is_proven(HookKind::GitHub, name, bare, b"Hello, World!"));
        assert!(is_proven(
            HookKind::Gitea,
            "x-gitea-signature",
            bare,
            b"Hello, World!"
        ));
        assert!(is_proven(
            HookKind::Forgejo,
            "x-forgejo-signature",
            bare,
            b"Hello, World!"
        ));
        assert!(!is_proven(HookKind::Forgejo, name, signature, b"Hello, World!"));
    }

    #[test]
    fn a_token_must_be_the_whole_secret() {
        for (kind, name) in [
            (HookKind::GitLab, "x-gitlab-token"),
            (HookKind::Artifactory, "x-jfrog-event-auth"),
        ] {
            assert!(is_proven(kind, name, "It's a Secret to Everybody", b""));
            for wrong in ["", "It's a Secret to Everybod", "It's a Secret to Everybody!"] {
                assert!(!is_proven(kind, name, wrong, b""), "{wrong}");
            }
        }
    }

    #[test]
    fn a_product_without_a_proof_proves_nothing() {
        assert!(!is_proven(
            HookKind::Quay,
            "x-gitlab-token",
            "It's a Secret to Everybody",
            b""
        ));
    }
}
