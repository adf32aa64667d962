//! What stands in the `Authorization` header. Parsing only: whether it is worth anything is decided elsewhere.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wire::SecretText;

/// What a caller showed at the door.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    Token(SecretText),
    /// Something that cannot be a token: refused even where nothing is needed.
    Unusable,
}

/// `Bearer <token>`, or `Basic` with any user name and the token as password.
pub(super) fn shown(headers: &HeaderMap) -> Shown {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(header::AUTHORIZATION) {
            Shown::Unusable
        } else {
            Shown::Nothing
        };
    };
    value
        .to_str()
        .ok()
        .and_then(token_in)
        .map_or(Shown::Unusable, Shown::Token)
}

fn token_in(value: &str) -> Option<SecretText> {
    let (scheme, rest) = value.trim().split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return (!rest.is_empty()).then(|| SecretText::new(rest));
    }
    scheme.eq_ignore_ascii_case("basic").then(|| password_in(rest))?
}

fn password_in(pair: &str) -> Option<SecretText> {
    let decoded = String::from_utf8(STANDARD.decode(pair).ok()?).ok()?;
    let (_any_user, password) = decoded.split_once(':')?;
    (!password.is_empty()).then(|| SecretText::new(password))
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
        shown(&headers)
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
    fn nothing_is_told_apart_from_something_unusable() {
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
