//! Webhooks that registries call: `POST /hooks/{kind}`. Each kind has a module that turns a body into image references.
//!
//! **Invariant:** a message creates a preheat only if it carries a valid token of ours, or the product's signature with
//! the configured secret, and if a rule matches. A message never causes a request to a URL that it names.

mod artifactory;
mod azure;
mod call;
mod docker_hub;
mod ecr;
mod field;
mod gitea;
mod github;
mod gitlab;
mod harbor;
mod message;
mod nexus;
mod proof;
mod quay;
pub(crate) mod receive;
#[cfg(test)]
mod tests;
mod zot;
