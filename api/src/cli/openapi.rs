//! `stoker openapi`: the document that describes the API.

use clap::Args;

use super::output;

/// Print the OpenAPI document of the REST API.
#[derive(Debug, Args)]
#[command(after_help = "\
A running manager serves it at /openapi.json.

Example:
  stoker openapi > stoker.json")]
pub(crate) struct OpenapiArguments {}

pub(crate) fn run() {
    output::say(api::openapi::document().trim_end());
}
