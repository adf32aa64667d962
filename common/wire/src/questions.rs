//! Questions about the current state of an image on a peer: asked on the peer's long poll, answered by a separate call.
//!
//! **Invariant:** a question changes nothing on the peer, and a late reply is ignored.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use uuid::Uuid;

use crate::{ObjectKind, TagRecord};

/// The limit of digests in one question; enough for an image with many platforms.
pub const QUESTION_DIGESTS: usize = 2_000;
/// The limit of pulls in one reply; the newest are sent.
pub const REPLY_PULLS: usize = 200;

/// The limit of bytes in one spot check: one chunk.
pub const SPOT_CHECK_BYTES: u64 = 1024 * 1024;

/// A question about an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub id: Uuid,
    /// The image's repository: `https://harbor.example.com/v2/library/nginx`.
    pub location: String,
    /// The tag whose meaning the peer shall return.
    pub tag: Option<String>,
    pub digests: Vec<String>,
    /// If present, the question is only this spot check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<SpotCheck>,
}

/// Asks the peer to read a range of an object from a seed and to compare it with its own copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpotCheck {
    pub digest: String,
    /// The seed's `share`.
    pub share_url: String,
    pub first: u64,
    /// [`SPOT_CHECK_BYTES`] at most.
    pub length: u64,
}

/// The outcome of a spot check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "compared")]
pub enum SpotCheckOutcome {
    Equal,
    /// The seed sent other bytes, and the own copy was verified again.
    Different,
    /// The own copy was damaged and was removed.
    OwnDamaged,
    /// The seed sent nothing, or there is no own copy.
    Nothing {
        why: String,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// One per digest of the question.
    pub objects: Vec<ObjectStatus>,
    pub tag: Option<TagRecord>,
    /// Pulls from the repository, newest first.
    pub pulls: Vec<Pull>,
    /// The outcome, if the question was a spot check.
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
    /// Held whole and verified.
    Sealed { size: u64 },
    /// Partly held: `bytes` bytes.
    Partial { bytes: u64 },
    /// Removed. `why`: `asked`, `evicted`, `damaged`, `unused`, `recalled`.
    Removed { at_unix_ms: i64, why: String },
    /// Not held, and no removal is recorded.
    Absent,
}

/// One request of a container runtime for an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    pub at_unix_ms: i64,
    pub registry: String,
    pub repository: String,
    /// The requested tag or digest.
    pub reference: String,
    pub digest: Option<String>,
    pub kind: ObjectKind,
    pub result: PullResult,
    /// The sources of the bytes; empty if the store had them.
    pub sources: Vec<PullSource>,
    /// Bytes sent to the runtime.
    pub bytes: u64,
    pub took_ms: u64,
    pub status: u16,
    /// The error, if any.
    pub trouble: Option<String>,
    pub trace_id: Option<String>,
}

/// How a pull was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PullResult {
    /// The store had it.
    Hit,
    /// It was already being fetched.
    Join,
    /// It was fetched for this pull.
    Miss,
    /// Only its headers were requested.
    Head,
    /// The caller may not read it, or it is unknown.
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
    /// The other peer's name, if known.
    pub peer: Option<String>,
    pub is_registry: bool,
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_without_spot_checks_are_parsed() {
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
    fn an_object_status_is_one_flat_object() {
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
