//! Questions about tags that outlast their callers: a slow registry's answer is recorded even if nobody waits for it
//! any more.
//!
//! **Invariant:** a caller gets a tag's last meaning once per question. While the question that it stood in for runs, the
//! same caller waits for that one's answer; once it has ended, nobody gets its answer any more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use oci::{Digest, Location, Tag};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::caller_key::CallerKey;
use super::failure::Failure;
use super::{Access, Answer, Told, Who};

/// After this a tag's last meaning stands in, where it may.
const STANDS_IN_AFTER: Duration = Duration::from_secs(3);
/// Questions that go on without their callers.
const AT_ONCE: usize = 256;
/// Questions that something stood in for.
const KEPT: usize = 1_000;

/// What a tag means, what was told of it, and its bytes if the registry sent them.
pub(super) type Meaning = (Digest, Told, Option<Bytes>);

/// What became of the question what a tag means.
pub(super) type TagAnswer = Result<Meaning, Answer>;

/// The question, whole: who asks what, and how.
#[derive(Clone)]
pub(super) struct TagQuestion {
    pub(super) who: Who,
    pub(super) tag: Tag,
    pub(super) accept: Vec<String>,
    pub(super) by_get: bool,
    /// Something may stand in for an unreachable host.
    pub(super) has_something_kept: bool,
}

type Key = (CallerKey, CallerKey, Location, Tag, Vec<String>, bool);
type Asking = Shared<BoxFuture<'static, TagAnswer>>;

pub(super) struct TagQuestions {
    room: Arc<Semaphore>,
    stood_in: Mutex<HashMap<Key, Asking>>,
}

/// A question that is being asked.
pub(super) struct RunningQuestion {
    key: Key,
    asking: Asking,
    has_stood_in: bool,
    /// It does not run on without its caller, or not any more.
    has_ended: Arc<AtomicBool>,
}

impl Default for TagQuestions {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(AT_ONCE)),
            stood_in: Mutex::default(),
        }
    }
}

impl TagQuestion {
    fn key(&self) -> Key {
        (
            self.who.key,
            self.who.shown_to_registry,
            self.who.location().clone(),
            self.tag.clone(),
            self.accept.clone(),
            self.by_get,
        )
    }
}

impl TagQuestions {
    fn running(&self, key: &Key) -> Option<Asking> {
        self.stood_in().get(key).cloned()
    }

    fn remember(&self, question: &RunningQuestion) {
        let mut stood_in = self.stood_in();
        // The question says that it has ended before it takes itself out.
        if stood_in.len() < KEPT && !question.has_ended.load(Ordering::SeqCst) {
            stood_in.insert(question.key.clone(), question.asking.clone());
        }
    }

    fn end(&self, key: &Key, has_ended: &AtomicBool) {
        has_ended.store(true, Ordering::SeqCst);
        self.stood_in().remove(key);
    }

    fn stood_in(&self) -> MutexGuard<'_, HashMap<Key, Asking>> {
        self.stood_in.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunningQuestion {
    /// The answer.
    pub(super) async fn answer(&self) -> TagAnswer {
        self.asking.clone().await
    }

    /// The answer, unless it takes so long that the last meaning may stand in.
    pub(super) async fn answer_soon(&self) -> Option<TagAnswer> {
        if self.has_stood_in {
            return Some(self.answer().await);
        }
        timeout(STANDS_IN_AFTER, self.answer()).await.ok()
    }
}

impl Access {
    /// Joins the question that the last meaning stood in for, or asks anew.
    pub(super) fn ask_about_tag(&self, question: TagQuestion) -> RunningQuestion {
        let key = question.key();
        if let Some(asking) = self.tag_questions.running(&key) {
            return RunningQuestion {
                key,
                asking,
                has_stood_in: true,
                has_ended: Arc::default(),
            };
        }
        let room = self.tag_questions.room.clone().try_acquire_owned().ok();
        let has_ended = Arc::new(AtomicBool::new(room.is_none()));
        let asking = if let Some(room) = room {
            self.run_on(question, key.clone(), has_ended.clone(), room)
        } else {
            // It ends with its caller.
            let access = self.clone();
            async move { access.find_meaning(&question).await }.boxed()
        };
        RunningQuestion {
            key,
            asking: asking.shared(),
            has_stood_in: false,
            has_ended,
        }
    }

    /// The question in a task of its own.
    fn run_on(
        &self,
        question: TagQuestion,
        key: Key,
        has_ended: Arc<AtomicBool>,
        room: OwnedSemaphorePermit,
    ) -> BoxFuture<'static, TagAnswer> {
        let access = self.clone();
        let running = self.running.spawn(async move {
            let answer = access.find_meaning(&question).await;
            access.tag_questions.end(&key, &has_ended);
            drop(room);
            answer
        });
        running
            .map(|ended| ended.ok().flatten().unwrap_or_else(cut))
            .boxed()
    }

    /// The last meaning is given out now.
    pub(super) fn stood_in(&self, question: &RunningQuestion) {
        self.tag_questions.remember(question);
    }
}

fn cut() -> TagAnswer {
    Err(Answer::Failed(Failure::of_network("this peer is shutting down")))
}
