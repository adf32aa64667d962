//! Parses fields of a request for the native API and for Harbor's APIs alike.

use oci::{BadReference, Credential, ImageReference, Platform, Secret};
use preheat::{BadLabel, PreheatId, PreheatRequest, Scope, SubmitError, submit};
use wire::TraceContext;

use crate::server::app::{App, Caller};
use crate::server::problem::{Kind, Problem};

const MOST_PLATFORMS: usize = 64;
const LONGEST_SECRET: usize = 16 * 1024;

/// Parses an image reference. A text that may hold a password or a token is not repeated.
pub(super) fn image(
    field: &str,
    text: &str,
    read: impl Fn(&str) -> Result<ImageReference, BadReference>,
) -> Result<ImageReference, Problem> {
    read(text).map_err(|fault| match fault {
        BadReference::Forbidden { what, .. } => Problem::invalid(format!(
            "`{field}` has {what} in it: write only host, path and tag, for example \
             https://harbor.example.com/v2/library/nginx/manifests/1.27."
        )),
        fault => Problem::invalid(format!("`{field}`: {fault}.")),
    })
}

pub(super) fn scope(field: &str, text: &str) -> Result<Scope, Problem> {
    text.parse()
        .map_err(|fault| Problem::invalid(format!("`{field}`: {fault}.")))
}

pub(super) fn platforms<'a>(
    field: &str,
    texts: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<Platform>, Problem> {
    let read: Result<Vec<Platform>, _> = texts
        .into_iter()
        .take(MOST_PLATFORMS + 1)
        .map(str::parse)
        .collect();
    let platforms = read.map_err(|fault| Problem::invalid(format!("`{field}`: {fault}.")))?;
    if platforms.len() > MOST_PLATFORMS {
        return Err(Problem::invalid(format!(
            "`{field}` has more than {MOST_PLATFORMS} entries."
        )));
    }
    Ok(platforms)
}

/// Names the label, and never its value.
pub(super) fn bad_label(field: &str, fault: &BadLabel) -> Problem {
    Problem::new(Kind::Malformed, format!("`{field}`: {fault}."))
}

/// Stores the preheat; its work continues the trace of this request.
pub(super) async fn submitted(
    app: &App,
    caller: &Caller,
    request: PreheatRequest,
) -> Result<PreheatId, Problem> {
    let token = caller.token.as_deref();
    submit(app.preheater(), token, request, TraceContext::current())
        .await
        .map_err(not_taken)
}

fn not_taken(fault: SubmitError) -> Problem {
    match fault {
        SubmitError::UnknownCluster { .. } | SubmitError::RegistryNotOpen(_) | SubmitError::BadPeers(_) => {
            Problem::invalid(format!("{fault}."))
        }
        SubmitError::Blocked(_) => Problem::invalid(format!("{fault}.")),
        SubmitError::Storage(cause) => Problem::storage(&cause),
    }
}

/// A user of the registry. `field` names the user name; the password stands beside it.
pub(super) fn basic(field: &str, username: &str, password: &str) -> Result<Credential, Problem> {
    let refuse = |field: &str, what: &str| Err(Problem::invalid(format!("`{field}` {what}.")));
    if username.is_empty() || username.len() > LONGEST_SECRET {
        return refuse(field, "must have 1 to 16384 bytes");
    }
    if username.contains(':') || username.chars().any(char::is_control) {
        return refuse(field, "must have no `:`, line break or other control character");
    }
    let field = field.replace("username", "password");
    if password.len() > LONGEST_SECRET {
        return refuse(&field, "must have at most 16384 bytes");
    }
    // A key file as password (user `_json_key`) has many lines; base64 carries them.
    if password
        .chars()
        .any(|letter| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t'))
    {
        return refuse(
            &field,
            "must have no control characters other than line breaks and tabs",
        );
    }
    Ok(Credential::Basic {
        username: username.to_owned(),
        password: Secret::new(password),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(username: &str, password: &str) -> Option<String> {
        let refused = basic("args.username", username, password).err()?;
        let document = serde_json::to_value(refused).expect("a document");
        Some(document["detail"].as_str()?.to_owned())
    }

    #[test]
    fn a_key_file_of_many_lines_is_a_password() {
        let key = "{\r\n\t\"private_key\": \"-----BEGIN-----\\nabc\\n\",\n  \"x\": \"ü\"\n}\n";
        let Ok(Credential::Basic { username, password }) = basic("args.username", "_json_key", key) else {
            panic!("refused")
        };
        assert_eq!((username.as_str(), password.expose()), ("_json_key", key));
        assert_eq!(refused("ann", ""), None);
    }

    #[test]
    fn a_refusal_names_the_field_and_never_its_value() {
        let long = "s3cret".repeat(3_000);
        for (username, password, field) in [
            ("", "s3cret", "`args.username`"),
            ("s3cret:x", "pw", "`args.username`"),
            ("s3cret\n", "pw", "`args.username`"),
            ("s3cret\t", "pw", "`args.username`"),
            (&long, "pw", "`args.username`"),
            ("ann", "s3cret\0", "`args.password`"),
            ("ann", "s3cret\u{1b}[2J", "`args.password`"),
            ("ann", "s3cret\u{85}", "`args.password`"),
            ("ann", &long, "`args.password`"),
        ] {
            let text = refused(username, password).expect("refused");
            assert!(text.contains(field) && !text.contains("s3cret"), "{text}");
        }
    }
}
