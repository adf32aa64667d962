//! Bars: a registry's own rules refuse an image to everybody. Harbor answers 412 for one that is unsigned, or that has too
//! many vulnerabilities.
//!
//! **Invariant:** while the registry does not answer, a barred image is served to nobody, whatever grants are kept. Only the
//! registry's answer to a GET lifts a bar.

use std::time::Duration;

use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use oci::{Digest, Location};
use store::Store;
use tokio::time::timeout;

use super::response::{error_response, json_response};

const BAR_NOTES: &str = "front-barred";
/// How much of the registry's body is kept and passed on.
const BODY_LIMIT: usize = 8 * 1024;
const BODY_WAIT: Duration = Duration::from_secs(3);
/// How many letters of its message are in our own text.
const MESSAGE_LIMIT: usize = 300;
const CODE: &str = "PROJECTPOLICYVIOLATION";

/// A registry's 412.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bar {
    /// Empty unless it was JSON.
    body: Bytes,
    pub(crate) text: String,
}

impl Bar {
    pub(crate) async fn read(mut response: reqwest::Response, registry: &str) -> Self {
        let mut body = BytesMut::new();
        let reading = async {
            while let Ok(Some(piece)) = response.chunk().await {
                let room = BODY_LIMIT.saturating_sub(body.len());
                body.extend_from_slice(piece.get(..room).unwrap_or(&piece));
                if room == 0 {
                    break;
                }
            }
        };
        // The bytes so far count, also after an error.
        let _ = timeout(BODY_WAIT, reading).await;
        Self::new(&body, registry)
    }

    fn new(body: &[u8], registry: &str) -> Self {
        let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let message = json
            .pointer("/errors/0/message")
            .and_then(serde_json::Value::as_str);
        let reason = message.map_or_else(String::new, |message| format!(" ({})", printable(message)));
        let text = format!(
            "registry {registry} bars this image (412){reason}: meet its rule, or change the rule there"
        );
        let body = if json.is_null() {
            Bytes::new()
        } else {
            Bytes::copy_from_slice(body)
        };
        Self { body, text }
    }

    pub(super) fn into_response(self) -> Response {
        if self.body.is_empty() {
            return error_response(StatusCode::PRECONDITION_FAILED, CODE, &self.text);
        }
        let body = String::from_utf8_lossy(&self.body).into_owned();
        json_response(StatusCode::PRECONDITION_FAILED, body)
    }
}

/// Returns the text without control characters, cut to a length that fits a log line.
fn printable(text: &str) -> String {
    let letters = text.chars().take(MESSAGE_LIMIT);
    letters
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// The bars of this peer, by location and digest. They outlive the process.
pub(super) struct Bars {
    store: Store,
}

impl Bars {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    pub(super) fn set(&self, location: &Location, digest: &Digest, bar: &Bar) {
        self.store.put_note(BAR_NOTES, &name(location, digest), &bar.body);
    }

    pub(super) fn lift(&self, location: &Location, digest: &Digest) {
        let name = name(location, digest);
        if self.store.get_note(BAR_NOTES, &name).is_some() {
            self.store.remove_note(BAR_NOTES, &name);
        }
    }

    pub(super) fn get(&self, location: &Location, digest: &Digest) -> Option<Bar> {
        let body = self.store.get_note(BAR_NOTES, &name(location, digest))?;
        Some(Bar::new(&body, location.registry().as_str()))
    }
}

/// Begins with the digest, so that names of notes are spread evenly.
fn name(location: &Location, digest: &Digest) -> String {
    format!("{} {location}", digest.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registrys_message_is_kept_without_control_characters() {
        let bar = Bar::new(
            br#"{"errors":[{"code":"PROJECTPOLICYVIOLATION","message":"5 \u001b[2Jvulnerabilities"}]}"#,
            "harbor.lan",
        );
        insta::assert_snapshot!(bar.text, @"registry harbor.lan bars this image (412) (5  [2Jvulnerabilities): meet its rule, or change the rule there");
        assert!(Bar::new(b"<html>", "harbor.lan").body.is_empty());
    }
}
