//! Parses the token of a request, from the path of an endpoint or from the `Authorization` header. Other modules
//! decide whether it is valid.

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wire::SecretText;

use crate::server::endpoint::InPath;

/// What a request holds as a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    Token(SecretText),
    /// It stood in the path.
    Endpoint(SecretText),
    /// What Harbor's portal makes of mode BASIC: the name of one of its form's fields as the user.
    FieldName,
    /// Something that cannot be a token: refused even where nothing is needed.
    Unusable,
}

pub(super) fn shown(parts: &Parts) -> Shown {
    match parts.extensions.get::<InPath>() {
        Some(InPath(token)) => Shown::Endpoint(token.clone()),
        None => in_header(&parts.headers),
    }
}

/// `Bearer <token>`, or `Basic` with any user name and the token as password.
fn in_header(headers: &HeaderMap) -> Shown {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(header::AUTHORIZATION) {
            Shown::Unusable
        } else {
            Shown::Nothing
        };
    };
    value.to_str().ok().and_then(in_value).unwrap_or(Shown::Unusable)
}

fn in_value(value: &str) -> Option<Shown> {
    let (scheme, rest) = value.trim().split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return (!rest.is_empty()).then(|| Shown::Token(SecretText::new(rest)));
    }
    scheme.eq_ignore_ascii_case("basic").then(|| in_pair(rest))?
}

/// The field's name is refused whatever follows it: the portal's choice between the two changes from call to call,
/// so that the right one of them would work now and end a running job a moment later.
fn in_pair(pair: &str) -> Option<Shown> {
    let decoded = String::from_utf8(STANDARD.decode(pair).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    if matches!(user, "username" | "password") {
        return Some(Shown::FieldName);
    }
    (!password.is_empty()).then(|| Shown::Token(SecretText::new(password)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(values: &[&str]) -> Shown {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                header::AUTHORIZATION,
                HeaderValue::from_str(value).expect("a value"),
            );
        }
        in_header(&headers)
    }

    fn token(text: &str) -> Shown {
        Shown::Token(SecretText::new(text))
    }

    #[test]
    fn bearer_and_the_password_of_basic_are_tokens() {
        assert_eq!(of(&["Bearer a.b.c"]), token("a.b.c"));
        assert_eq!(of(&["bearer  a.b.c "]), token("a.b.c"));
        let basic = format!("Basic {}", STANDARD.encode("anyone:a.b.c"));
        assert_eq!(of(&[&basic]), token("a.b.c"));
    }

    #[test]
    fn what_harbors_portal_makes_of_basic_is_known_for_what_it_is() {
        for pair in ["username:alice", "password:a.b.c", "password:", "username:"] {
            let basic = format!("Basic {}", STANDARD.encode(pair));
            assert_eq!(of(&[&basic]), Shown::FieldName, "{pair}");
        }
    }

    #[test]
    fn a_missing_header_differs_from_an_unusable_one() {
        assert_eq!(of(&[]), Shown::Nothing);
        let no_password = format!("Basic {}", STANDARD.encode("alice:"));
        let no_pair = format!("Basic {}", STANDARD.encode("alice"));
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Basic !!!",
            "Digest x",
            &no_password,
            &no_pair,
        ] {
            assert_eq!(of(&[value]), Shown::Unusable, "{value}");
        }
        assert_eq!(of(&["Bearer a", "Bearer b"]), Shown::Unusable);
    }
}
