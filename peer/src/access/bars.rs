//! Images that a registry's own rules bar: Harbor answers 412 for one with too many vulnerabilities, or unsigned.
//!
//! **Invariant:** what was barred last is given to nobody while the registry is silent, whatever yeses are kept. Only
//! the registry's own yes to a GET lifts a bar.

use std::time::Duration;

use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use oci::{Digest, Location};
use store::Store;
use tokio::time::timeout;

use super::response::{error_response, json_response};

const BAR_NOTES: &str = "front-barred";
/// What is kept and passed on of the registry's words.
const WORDS: usize = 8 * 1024;
const WORDS_WAIT: Duration = Duration::from_secs(3);
/// Letters of it in our own sentence.
const LONGEST_TOLD: usize = 300;
const CODE: &str = "PROJECTPOLICYVIOLATION";

/// A registry's 412.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bar {
    /// Empty unless it was JSON.
    body: Bytes,
    /// For people.
    pub(crate) text: String,
}

impl Bar {
    pub(crate) async fn read(mut response: reqwest::Response, registry: &str) -> Self {
        let mut body = BytesMut::new();
        let reading = async {
            while let Ok(Some(piece)) = response.chunk().await {
                let room = WORDS.saturating_sub(body.len());
                body.extend_from_slice(piece.get(..room).unwrap_or(&piece));
                if room == 0 {
                    break;
                }
            }
        };
        // What came until then is what it said.
        let _ = timeout(WORDS_WAIT, reading).await;
        Self::new(&body, registry)
    }

    fn new(body: &[u8], registry: &str) -> Self {
        let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let message = json
            .pointer("/errors/0/message")
            .and_then(serde_json::Value::as_str);
        let said = message.map_or_else(String::new, |message| format!(": {}", tamed(message)));
        let text =
            format!("{registry} bars this image by a rule of its own (412){said}; no cache overrides that");
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

/// Outside text in a log line: short, and it moves no cursor.
fn tamed(text: &str) -> String {
    let letters = text.chars().take(LONGEST_TOLD);
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
    fn what_the_registry_said_is_told_and_tamed() {
        let bar = Bar::new(
            br#"{"errors":[{"code":"PROJECTPOLICYVIOLATION","message":"5 \u001b[2Jvulnerabilities"}]}"#,
            "harbor.lan",
        );
        assert!(bar.text.contains("harbor.lan bars this image") && bar.text.contains("vulnerabilities"));
        assert!(!bar.text.contains(char::is_control));
        assert!(Bar::new(b"<html>", "harbor.lan").body.is_empty());
    }
}
