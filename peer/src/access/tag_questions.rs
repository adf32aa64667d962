//! Asks the registry what a tag means. The question outlives its caller, so that a slow registry's answer is recorded
//! even if the caller has left.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use oci::Tag;
use tokio::sync::OwnedSemaphorePermit;

use super::answer::RegistryAnswer;
use super::caller::Caller;
use super::failure::Failure;
use super::running_questions::{RunningQuestion, TagAnswer, TagQuestionKey};
use super::state::Access;

#[derive(Clone)]
pub(super) struct TagQuestion {
    pub(super) caller: Caller,
    pub(super) tag: Tag,
    pub(super) accept: Vec<String>,
    pub(super) by_get: bool,
    /// A kept meaning can be given while the host is unreachable.
    pub(super) has_kept_meaning: bool,
}

impl TagQuestion {
    fn key(&self) -> TagQuestionKey {
        TagQuestionKey {
            caller: self.caller.key,
            shown_to_registry: self.caller.shown_to_registry,
            location: self.caller.location().clone(),
            tag: self.tag.clone(),
            accept: self.accept.clone(),
            by_get: self.by_get,
        }
    }
}

impl Access {
    /// Joins a running question whose caller was given a kept meaning, or asks anew.
    pub(super) fn ask_about_tag(&self, question: TagQuestion) -> RunningQuestion {
        let key = question.key();
        if let Some(answer) = self.running_questions.join(&key) {
            return RunningQuestion {
                key,
                answer,
                is_joined: true,
                has_ended: Arc::default(),
            };
        }
        let room = self.running_questions.room();
        let has_ended = Arc::new(AtomicBool::new(room.is_none()));
        let answer = if let Some(room) = room {
            self.run_detached(question, key.clone(), has_ended.clone(), room)
        } else {
            // This one ends with its caller.
            let access = self.clone();
            async move { access.resolve_tag(&question).await }.boxed()
        };
        RunningQuestion {
            key,
            answer: answer.shared(),
            is_joined: false,
            has_ended,
        }
    }

    /// Runs the question in a task of its own.
    fn run_detached(
        &self,
        question: TagQuestion,
        key: TagQuestionKey,
        has_ended: Arc<AtomicBool>,
        room: OwnedSemaphorePermit,
    ) -> BoxFuture<'static, TagAnswer> {
        let access = self.clone();
        let running = self.running.spawn(async move {
            let answer = access.resolve_tag(&question).await;
            access.running_questions.end(&key, &has_ended);
            drop(room);
            answer
        });
        running
            .map(|ended| ended.ok().flatten().unwrap_or_else(shutting_down))
            .boxed()
    }
}

fn shutting_down() -> TagAnswer {
    Err(RegistryAnswer::Failed(Failure::of_network(
        "this peer is shutting down: pull again",
    )))
}
