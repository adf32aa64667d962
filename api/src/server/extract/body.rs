//! A JSON body. An error names the place and what is expected, but not the value that was sent: it may be a password
//! in the wrong field, and Harbor copies our responses into its log.

use axum::body::HttpBody as _;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;

use crate::server::problem::{Kind, Problem};

/// How `serde_path_to_error` writes the path of the whole body.
const ROOT: &str = ".";
/// Parts of a path are the caller's own words.
const LONGEST_PATH: usize = 100;

/// A JSON body, read into `T`.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = json_bytes(request, state).await?;
        from_json(&bytes).map(Self)
    }
}

/// The same, or the default where no body was sent at all.
pub(crate) struct BodyIfAny<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for BodyIfAny<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if request.body().is_end_stream() {
            return Ok(Self(T::default()));
        }
        let Body(body) = Body::from_request(request, state).await?;
        Ok(Self(body))
    }
}

/// The bytes of a body whose media type is JSON, before they are parsed: signatures are over the bytes.
pub(crate) async fn json_bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::new(
            Kind::MediaType,
            "Send the body with `Content-Type: application/json`.",
        ));
    }
    Bytes::from_request(request, state)
        .await
        .map_err(|fault| unread(fault.status()))
}

/// Parses the bytes of a body.
pub(crate) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut parser)
        .map_err(|fault| unreadable(&fault.path().to_string(), fault.inner()))?;
    parser.end().map_err(|fault| unreadable(ROOT, &fault))?;
    Ok(value)
}

/// Parses a part of a body; `place` is the path of that part.
pub(crate) fn from_part<T: DeserializeOwned>(place: &str, part: Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(part).map_err(|fault| {
        let path = match fault.path().to_string() {
            path if place.is_empty() => path,
            path if path == ROOT => place.to_owned(),
            path if path.starts_with('[') => format!("{place}{path}"),
            path => format!("{place}.{path}"),
        };
        unreadable(&path, fault.inner())
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = given
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim();
    media_type.eq_ignore_ascii_case("application/json")
        || media_type
            .rsplit_once('+')
            .is_some_and(|(_, suffix)| suffix.eq_ignore_ascii_case("json"))
}

fn unread(status: StatusCode) -> Problem {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new(Kind::TooLarge, "The body is larger than this call takes.")
    } else {
        Problem::new(Kind::Malformed, "The body did not arrive whole.")
    }
}

fn unreadable(path: &str, fault: &serde_json::Error) -> Problem {
    match fault.classify() {
        Category::Data if path == ROOT => Problem::new(
            Kind::Invalid,
            format!("The body does not fit: {}.", without_values(&fault.to_string())),
        ),
        Category::Data => {
            let message = fault.to_string();
            // The path says where it is better than the column does.
            let message = message.split(" at line ").next().unwrap_or(&message);
            Problem::new(
                Kind::Invalid,
                format!("`{}`: {}.", shown(path), without_values(message)),
            )
        }
        Category::Syntax | Category::Eof | Category::Io => {
            Problem::new(Kind::Malformed, format!("The body is not JSON: {fault}."))
        }
    }
}

/// The end of a long path names the field.
fn shown(path: &str) -> String {
    let letters: Vec<char> = path.chars().filter(|letter| !letter.is_control()).collect();
    let cut = letters.len().saturating_sub(LONGEST_PATH);
    letters.into_iter().skip(cut).collect()
}

/// serde repeats what it found: `invalid type: string "s3cret", expected a map at line 1 column 20`.
fn without_values(message: &str) -> String {
    const WITH_A_VALUE: [&str; 4] = [
        "invalid type",
        "invalid value",
        "invalid length",
        "unknown variant",
    ];
    let Some(what) = WITH_A_VALUE.into_iter().find(|what| message.starts_with(what)) else {
        return message.to_owned();
    };
    // The value stands in front: the last ", expected " is serde's own.
    let Some((_, expected)) = message.rsplit_once(", expected ") else {
        return what.to_owned();
    };
    match expected.split_once(" at line ") {
        Some((expected, place)) => format!("{what}, expected {} at line {place}", in_words(expected)),
        None => format!("{what}, expected {}", in_words(expected)),
    }
}

/// serde names the types of this program; a caller knows those of JSON.
fn in_words(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        named if named.starts_with("struct ") => "an object",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn fault_of(json: &str) -> String {
        let fault = from_json::<HashMap<String, u8>>(json.as_bytes()).expect_err("a fault");
        serde_json::to_string(&fault).expect("written")
    }

    fn detail_of(json: &str) -> String {
        let problem: Value = serde_json::from_str(&fault_of(json)).expect("JSON");
        problem["detail"].as_str().expect("a detail").to_owned()
    }

    #[test]
    fn a_fault_does_not_repeat_the_value() {
        for json in [r#""s3cret""#, r#"{"a":"s3cret, expected x"}"#, r#"["s3cret"]"#] {
            let fault = fault_of(json);
            assert!(!fault.contains("s3cret"), "{fault}");
        }
        insta::assert_snapshot!(detail_of(r#""s3cret""#), @"The body does not fit: invalid type, expected an object at line 1 column 8.");
    }

    #[test]
    fn a_fault_names_its_field_and_what_to_write() {
        insta::assert_snapshot!(detail_of(r#"{"percentage": 300}"#), @"`percentage`: invalid value, expected a whole number from 0 to 255.");
        insta::assert_snapshot!(detail_of(r#"{"percentage": "half"}"#), @"`percentage`: invalid type, expected a whole number from 0 to 255.");
        let long = format!(r#"{{"{}": null}}"#, "x\\u0007".repeat(5000));
        assert!(detail_of(&long).len() < 200);
    }

    #[test]
    fn a_fault_in_a_part_has_the_whole_path() {
        let fault =
            from_part::<Vec<u8>>("args.counts", serde_json::json!([1, "s3cret"])).expect_err("a fault");
        let problem = serde_json::to_value(&fault).expect("written");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(
            detail.starts_with("`args.counts[1]`: ") && !detail.contains("s3cret"),
            "{detail}"
        );
    }

    #[test]
    fn letters_behind_the_body_are_refused() {
        assert!(fault_of("{} x").contains("not JSON"));
    }

    #[test]
    fn only_json_media_types_are_accepted() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(value));
            is_json(&headers)
        };
        assert!(
            with("application/json") && with("Application/JSON; charset=utf-8") && with("application/x+json")
        );
        assert!(!with("text/plain") && !with("json") && !is_json(&HeaderMap::new()));
    }
}
