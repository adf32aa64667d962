//! The body of a token server's response.
//!
//! **Invariant:** a token is usable whatever stands beside it: a lifetime that cannot be read counts as none. No error
//! repeats the body, because it may hold a token.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::Secret;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Longer lifetimes are cut, in seconds: no clock runs that far ahead.
const LONGEST: f64 = 365.0 * 24.0 * 3_600.0;

/// The tokens that a token server issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenAnswer {
    /// `token` and `access_token`, as far as they are given. The first one is used.
    pub tokens: Vec<Secret>,
    pub refresh_token: Option<Secret>,
    /// `None` if it is absent or unreadable.
    pub lifetime: Option<Duration>,
}

/// Why a response has no usable token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTokenAnswer {
    #[error("its body is empty")]
    Empty,
    #[error("its body is a web page")]
    WebPage,
    #[error("its body is not a JSON object")]
    NotJson,
    #[error("its body has no token")]
    NoToken,
    #[error("its token has invalid characters")]
    BadCharacters,
}

impl TokenAnswer {
    pub fn parse(body: &[u8]) -> Result<Self, BadTokenAnswer> {
        let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body).trim_ascii();
        match body.first() {
            None => return Err(BadTokenAnswer::Empty),
            Some(b'<') => return Err(BadTokenAnswer::WebPage),
            Some(_) => {}
        }
        let fields: TokenFields = serde_json::from_slice(body).map_err(|_| BadTokenAnswer::NotJson)?;
        let tokens: Vec<Secret> = [fields.token, fields.access_token]
            .into_iter()
            .flatten()
            .collect();
        if tokens.is_empty() {
            return Err(BadTokenAnswer::NoToken);
        }
        if !tokens.iter().all(|token| token.expose().bytes().all(is_visible)) {
            return Err(BadTokenAnswer::BadCharacters);
        }
        Ok(Self {
            tokens,
            refresh_token: fields.refresh_token,
            lifetime: lifetime(body),
        })
    }
}

fn is_visible(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte)
}

/// Reads `expires_in` on its own, so that a number out of range does not make the body unreadable.
fn lifetime(body: &[u8]) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Lifetime {
        expires_in: Value,
    }
    let Lifetime { expires_in } = serde_json::from_slice(body).ok()?;
    let seconds = match &expires_in {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    let seconds = seconds.filter(|seconds| *seconds > 0.0)?;
    Some(Duration::from_secs_f64(seconds.min(LONGEST)))
}

/// The fields with tokens; absent if empty or not a text. If a field is given twice, the last one counts.
#[derive(Default)]
struct TokenFields {
    token: Option<Secret>,
    access_token: Option<Secret>,
    refresh_token: Option<Secret>,
}

impl<'de> Deserialize<'de> for TokenFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TokenFieldsVisitor)
    }
}

struct TokenFieldsVisitor;

impl<'de> Visitor<'de> for TokenFieldsVisitor {
    type Value = TokenFields;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TokenFields, A::Error> {
        let mut fields = TokenFields::default();
        while let Some(name) = map.next_key::<String>()? {
            let field = match name.as_str() {
                "token" => &mut fields.token,
                "access_token" => &mut fields.access_token,
                "refresh_token" => &mut fields.refresh_token,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *field = match map.next_value::<Value>()? {
                Value::String(text) if !text.is_empty() => Some(Secret::new(text)),
                _ => None,
            };
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(body: &str) -> Result<(String, Option<f64>), BadTokenAnswer> {
        let answer = TokenAnswer::parse(body.as_bytes())?;
        let first = answer.tokens[0].expose().to_owned();
        Ok((first, answer.lifetime.map(|lifetime| lifetime.as_secs_f64())))
    }

    #[test]
    fn a_token_is_a_token_whatever_its_lifetime_says() {
        for (expires_in, lifetime) in [
            ("300", Some(300.0)),
            (r#""300""#, Some(300.0)),
            (r#"" 300 ""#, Some(300.0)),
            ("300.0", Some(300.0)),
            ("299.5", Some(299.5)),
            (r#""299.5""#, Some(299.5)),
            ("1e3", Some(1_000.0)),
            ("99999999999999999999999", Some(LONGEST)),
            (r#""1e999""#, Some(LONGEST)),
            ("1e999", None),
            ("-1e999", None),
            ("0", None),
            ("-1", None),
            (r#""-1""#, None),
            (r#""nan""#, None),
            (r#""soon""#, None),
            (r#""""#, None),
            ("null", None),
            ("true", None),
            ("[300]", None),
            (r#"{"s":300}"#, None),
        ] {
            let body = format!(r#"{{"token":"t","expires_in":{expires_in},"issued_at":17}}"#);
            assert_eq!(parse(&body), Ok(("t".to_owned(), lifetime)), "{expires_in}");
        }
        assert_eq!(parse(r#"{"token":"t"}"#), Ok(("t".to_owned(), None)));
    }

    #[test]
    fn each_field_that_holds_a_token_is_read() {
        for body in [
            r#"{"token":"t"}"#,
            r#"{"access_token":"t"}"#,
            r#"{"token":"","access_token":"t"}"#,
            r#"{"token":null,"access_token":"t"}"#,
            r#"{"token":7,"access_token":"t"}"#,
            r#"{"token":"t","access_token":"other"}"#,
            r#"{"token":"old","token":"t","expires_in":1,"expires_in":2}"#,
            r#"{"issued_at":"yesterday","token":"t","scope":[],"more":{"token":"x"}}"#,
            "\u{feff}{\"token\":\"t\"}",
            "\r\n {\"token\":\"t\"}\n",
        ] {
            assert_eq!(parse(body).map(|(token, _)| token).as_deref(), Ok("t"), "{body}");
        }
        let both = TokenAnswer::parse(br#"{"token":"a","access_token":"b","refresh_token":"c"}"#).unwrap();
        assert_eq!(both.tokens, [Secret::new("a"), Secret::new("b")]);
        assert_eq!(both.refresh_token, Some(Secret::new("c")));
    }

    #[test]
    fn a_response_without_a_token_says_why() {
        for (body, why) in [
            ("", BadTokenAnswer::Empty),
            (" \n", BadTokenAnswer::Empty),
            ("<html>sign in</html>", BadTokenAnswer::WebPage),
            ("s3cret", BadTokenAnswer::NotJson),
            (r#"["s3cret"]"#, BadTokenAnswer::NotJson),
            (r#"{"token":"s3cret"#, BadTokenAnswer::NotJson),
            ("{}", BadTokenAnswer::NoToken),
            (r#"{"token":""}"#, BadTokenAnswer::NoToken),
            (r#"{"token":["s3cret"]}"#, BadTokenAnswer::NoToken),
            (r#"{"refresh_token":"s3cret"}"#, BadTokenAnswer::NoToken),
            (r#"{"token":"s3cret\r\nx: y"}"#, BadTokenAnswer::BadCharacters),
            (r#"{"token":"s3cretü"}"#, BadTokenAnswer::BadCharacters),
        ] {
            assert_eq!(TokenAnswer::parse(body.as_bytes()), Err(why), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = TokenAnswer::parse(&body);
        }

        #[test]
        fn no_lifetime_makes_the_reader_panic(expires_in in "-?[0-9]{1,40}(\\.[0-9]{1,20})?([eE]-?[0-9]{1,4})?") {
            let body = format!(r#"{{"token":"t","expires_in":{expires_in}}}"#);
            let _ = TokenAnswer::parse(body.as_bytes());
        }
    }
}
