//! The registry's token, which Harbor passes in `headers`.

use std::collections::HashMap;

use oci::{Credential, Secret};
use wire::SecretText;

use crate::server::problem::Problem;

/// A registry's token is a kilobyte or two; this is far beyond.
const LONGEST: usize = 64 * 1024;

/// Of all headers only `Authorization` is used; `field` is where they stood.
pub(super) fn among(
    field: &str,
    headers: Option<&HashMap<String, SecretText>>,
) -> Result<Option<Credential>, Problem> {
    let authorization = headers
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        .map(|(_, value)| value.expose().trim())
        .find(|value| !value.is_empty());
    authorization.map(|value| header(field, value)).transpose()
}

fn header(field: &str, value: &str) -> Result<Credential, Problem> {
    let is_sendable = value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if is_sendable && value.len() <= LONGEST {
        return Ok(Credential::Header(Secret::new(value)));
    }
    Err(Problem::invalid(format!(
        "`{field}.Authorization` is too long or has characters that no header can carry."
    )))
}
