//! What the checks that send requests share.

use std::time::Duration;

use oci::ConnectFault;
use reqwest::Response;

use crate::cli::client::innermost;

/// The limit of each wait.
pub(super) const LIMIT: Duration = Duration::from_secs(5);

/// Returns why a request failed.
pub(super) fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", LIMIT.as_secs());
    }
    innermost(error)
}

/// Returns the typed cause of a failed request to a registry.
pub(super) fn fault(error: &reqwest::Error) -> ConnectFault {
    if error.is_timeout() {
        return ConnectFault::Other(cause(error));
    }
    ConnectFault::of(error)
}

pub(super) fn date_of(answer: &Response) -> Option<String> {
    let date = answer.headers().get(http::header::DATE)?;
    date.to_str().ok().map(str::to_owned)
}
