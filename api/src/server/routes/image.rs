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

/// A user of the registry.
pub(super) fn basic(field: &str, username: &str, password: &str) -> Result<Credential, Problem> {
    let is_plain = |text: &str| text.len() <= LONGEST_SECRET && !text.chars().any(char::is_control);
    if username.is_empty() || username.contains(':') || !is_plain(username) || !is_plain(password) {
        return Err(Problem::invalid(format!(
            "`{field}` and its password cannot be sent to a registry: a name without `:`, and no control characters."
        )));
    }
    Ok(Credential::Basic {
        username: username.to_owned(),
        password: Secret::new(password),
    })
}
