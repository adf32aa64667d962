//! How an image stands with a peer at this moment: asked over the peer's long poll, answered by a call of its own.
//!
//! **Invariant:** asking changes nothing on the peer, and an answer that comes late is for nobody.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use uuid::Uuid;

use crate::{ObjectKind, TagRecord};

/// Digests in one question: those of an image with many platforms fit.
pub const QUESTION_DIGESTS: usize = 2_000;
/// Pulls in one reply, the newest.
pub const REPLY_PULLS: usize = 200;

/// Bytes that one spot check compares at most: what peers read from each other in one piece.
pub const SPOT_CHECK_BYTES: u64 = 1024 * 1024;

/// How does this image stand with you?
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub id: Uuid,
    /// The image's repository: `https://harbor.example.com/v2/library/nginx`.
    pub location: String,
    /// What does the peer take this tag for?
    pub tag: Option<String>,
    pub digests: Vec<String>,
    /// Instead of all that: does this seed give the bytes that you hold?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<SpotCheck>,
}

/// Reads a range of an object from a seed of the cluster, for the question's location, and compares it with the own copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpotCheck {
    pub digest: String,
    /// The seed's `share`.
    pub share_url: String,
    pub first: u64,
    /// [`SPOT_CHECK_BYTES`] at most.
    pub length: u64,
}

/// What came of a spot check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "compared")]
pub enum SpotCheckOutcome {
    Equal,
    /// The seed gave other bytes. The sha256 of the own copy was proven again after that.
    Different,
    /// The own copy was damaged. It was removed.
    OwnDamaged,
    /// The seed gave nothing, or there is no own copy.
    Nothing {
        why: String,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// One for each digest of the question.
    pub objects: Vec<ObjectStatus>,
    pub tag: Option<TagRecord>,
    /// Of that repository, newest first.
    pub pulls: Vec<Pull>,
    /// To a question with a check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<SpotCheckOutcome>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectStatus {
    pub digest: String,
    #[serde(flatten)]
    pub state: StandingState,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum StandingState {
    /// There, whole and proven.
    Sealed { size: u64 },
    /// Begun; `bytes` are there.
    Partial { bytes: u64 },
    /// It was there. `why`: `asked`, `evicted`, `damaged`, `unused`, `recalled`.
    Removed { at_unix_ms: i64, why: String },
    /// Not there, and nobody remembers that it was.
    Absent,
}

/// One object that a container runtime asked a peer for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    pub at_unix_ms: i64,
    pub registry: String,
    pub repository: String,
    /// Tag or digest, as it was asked for.
    pub reference: String,
    pub digest: Option<String>,
    pub kind: ObjectKind,
    pub result: PullResult,
    /// Who gave the bytes; empty when the store had them.
    pub sources: Vec<PullSource>,
    /// Sent to the runtime.
    pub bytes: u64,
    pub took_ms: u64,
    pub status: u16,
    /// What went wrong, for people.
    pub trouble: Option<String>,
    pub trace_id: Option<String>,
}

/// Where a pulled object came from, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PullResult {
    /// The store had it.
    Hit,
    /// It was on its way already.
    Join,
    /// It had to be fetched for this pull.
    Miss,
    /// Only its headers were asked for.
    Head,
    /// The caller may not have it, or nobody knows it.
    Refused,
    Failed,
}

impl PullResult {
    pub const ALL: [Self; 6] = [
        Self::Hit,
        Self::Join,
        Self::Miss,
        Self::Head,
        Self::Refused,
        Self::Failed,
    ];

    pub fn word(self) -> &'static str {
        self.into()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullSource {
    /// The registry's name, or host and port of the other peer's `share`.
    pub source: String,
    /// The other peer's name, where it is known.
    pub peer: Option<String>,
    pub is_registry: bool,
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_and_a_reply_of_before_spot_checks_are_read() {
        let text = r#"{"id":"00000000-0000-0000-0000-000000000000","location":"","tag":null,"digests":[]}"#;
        assert_eq!(
            serde_json::from_str::<Question>(text).expect("read"),
            Question::default()
        );
        assert_eq!(serde_json::to_string(&Question::default()).expect("JSON"), text);
        let text = r#"{"objects":[],"tag":null,"pulls":[]}"#;
        assert_eq!(
            serde_json::from_str::<Reply>(text).expect("read"),
            Reply::default()
        );
    }

    #[test]
    fn a_standing_is_one_flat_object() {
        let standing = ObjectStatus {
            digest: "sha256:ab".to_owned(),
            state: StandingState::Sealed { size: 7 },
        };
        let text = serde_json::to_string(&standing).expect("JSON");
        assert_eq!(text, r#"{"digest":"sha256:ab","state":"sealed","size":7}"#);
        assert_eq!(
            serde_json::from_str::<ObjectStatus>(&text).expect("read"),
            standing
        );
    }
}
