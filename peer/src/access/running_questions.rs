//! Questions about tags that the registry has not answered yet, after a kept meaning was given in place of the answer.
//!
//! **Invariant:** a caller gets a kept meaning once per question. While that question runs, the same caller waits for its
//! answer. Once it has ended, its answer is given to no further request.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, Shared};
use oci::{Digest, Location, Tag};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::answer::{ObjectInfo, RegistryAnswer};
use super::caller_key::CallerKey;

/// After this a kept meaning is given, where that is allowed.
const KEPT_MEANING_AFTER: Duration = Duration::from_secs(3);
/// Questions that run without their callers.
const AT_ONCE: usize = 256;
/// Running questions whose callers were given a kept meaning.
const KEPT: usize = 1_000;

/// What a tag leads to, with the manifest's bytes if the registry sent them.
#[derive(Clone)]
pub(super) struct ResolvedTag {
    pub(super) digest: Digest,
    pub(super) info: ObjectInfo,
    pub(super) bytes: Option<Bytes>,
}

pub(super) type TagAnswer = Result<ResolvedTag, RegistryAnswer>;

/// Two requests with the same key share one question.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct TagQuestionKey {
    pub(super) caller: CallerKey,
    pub(super) shown_to_registry: CallerKey,
    pub(super) location: Location,
    pub(super) tag: Tag,
    pub(super) accept: Vec<String>,
    pub(super) by_get: bool,
}

pub(super) type SharedAnswer = Shared<BoxFuture<'static, TagAnswer>>;

pub(super) struct RunningQuestions {
    room: Arc<Semaphore>,
    /// Those whose callers were given a kept meaning.
    running: Mutex<HashMap<TagQuestionKey, SharedAnswer>>,
}

/// A question that the registry is being asked.
pub(super) struct RunningQuestion {
    pub(super) key: TagQuestionKey,
    pub(super) answer: SharedAnswer,
    /// The caller was given a kept meaning before.
    pub(super) is_joined: bool,
    /// It ends with its caller, or has ended.
    pub(super) has_ended: Arc<AtomicBool>,
}

impl Default for RunningQuestions {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(AT_ONCE)),
            running: Mutex::default(),
        }
    }
}

impl RunningQuestions {
    /// Returns the question that this key can join.
    pub(super) fn join(&self, key: &TagQuestionKey) -> Option<SharedAnswer> {
        self.running.lock().get(key).cloned()
    }

    /// Returns a permit to run without a caller, unless too many questions do.
    pub(super) fn room(&self) -> Option<OwnedSemaphorePermit> {
        self.room.clone().try_acquire_owned().ok()
    }

    /// Lets later requests join the question, unless it has ended.
    pub(super) fn keep(&self, question: &RunningQuestion) {
        let mut running = self.running.lock();
        // `end` sets the flag before it removes the question.
        if running.len() < KEPT && !question.has_ended.load(Ordering::SeqCst) {
            running.insert(question.key.clone(), question.answer.clone());
        }
    }

    pub(super) fn end(&self, key: &TagQuestionKey, has_ended: &AtomicBool) {
        has_ended.store(true, Ordering::SeqCst);
        self.running.lock().remove(key);
    }
}

impl RunningQuestion {
    pub(super) async fn answer(&self) -> TagAnswer {
        self.answer.clone().await
    }

    /// Returns the answer, or none when it takes so long that a kept meaning may be given.
    pub(super) async fn answer_soon(&self) -> Option<TagAnswer> {
        if self.is_joined {
            return Some(self.answer().await);
        }
        timeout(KEPT_MEANING_AFTER, self.answer()).await.ok()
    }
}
