//! Compares what seeds give with what others hold, a piece at a time.
//!
//! Chosen is a placement that a live seed has verified. Another holder in its cluster is asked, over its long poll, to read
//! a piece of the object from the seed and to compare it with its own copy. Two witnesses with different bytes remove the
//! seed, and the preheats are told whose objects it settled.
//!
//! **Invariant:** a check waits for nobody longer than [`ANSWER_WAIT`] for each witness, and reads one piece for each. A
//! seed is removed, its holdings forgotten and its preheats told in one transaction.
//!
//! Non-goals: a seed with a bad disk and one that lies are not told apart; what no other peer holds is not checked.

mod decide;
pub(crate) mod draw;
mod subject;

use std::time::Duration;

use queue::Urgency;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::json;
use tracing::{debug, error, warn};
use uuid::Uuid;
use wire::{Compared, Question, SpotCheck};

pub use self::draw::Draw;

use crate::checked::Checked;
use crate::effects::Effects;
use crate::fault::StorageError;
use crate::preheater::Inner;
use crate::questions::{NoAnswer, ask_within};
use crate::removals;
use crate::rows::placements::state::VERIFIED;
use crate::rows::{placements, preheats};
use crate::spot_checks::decide::{Said, Witness, checked, next, who_said};
use crate::spot_checks::subject::Subject;
use crate::tell::tell;
use crate::text::short;
use crate::webhook::WebhookEvent;

/// A witness reads one piece, and proves its own copy again if the piece differs.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// Preheats that are told of a removed seed, the newest.
const TOLD_AT_MOST: u64 = 200;
/// Notes of one preheat.
const NOTES: usize = 50;

/// One check. None: no live seed has verified anything.
pub(crate) async fn check_one(inner: &Inner, draw: Draw) -> Result<Option<Checked>, StorageError> {
    let Some(subject) = subject::drawn(inner, draw).await? else {
        return Ok(None);
    };
    let said = hear(inner, &subject).await?;
    let checked = checked(&said);
    inner.metrics.checked(checked);
    note_damage(inner, &subject, &said);
    match checked {
        Checked::Sound | Checked::NoWitness | Checked::Unanswered => {
            debug!(
                stoker.peer = subject.name,
                stoker.digest = subject.digest,
                outcome = checked.word(),
                "spot check"
            );
        }
        Checked::Suspected | Checked::Contradicted => suspect(inner, &subject, &said),
        Checked::Removed => shut_out(inner, &subject, &said).await?,
    }
    Ok(Some(checked))
}

/// Asks one witness after the other until it is clear what follows.
async fn hear(inner: &Inner, subject: &Subject) -> Result<Vec<Said>, StorageError> {
    let mut said = Vec::new();
    while let Some(witness) = next(&subject.witnesses, &said) {
        let compared = compared_by(inner, subject, witness).await?;
        said.push((witness.clone(), compared));
    }
    Ok(said)
}

async fn compared_by(
    inner: &Inner,
    subject: &Subject,
    witness: &Witness,
) -> Result<Option<Compared>, StorageError> {
    let question = Question {
        id: Uuid::new_v4(),
        location: subject.location.clone(),
        check: Some(SpotCheck {
            digest: subject.digest.clone(),
            share_url: subject.share_url.clone(),
            first: subject.first,
            length: subject.length,
        }),
        ..Question::default()
    };
    match ask_within(inner, witness.peer, question, ANSWER_WAIT).await {
        // A peer of an older version answers without it.
        Ok(reply) => Ok(reply.compared),
        Err(NoAnswer::Storage(error)) => Err(error),
        Err(silence) => {
            debug!(stoker.peer = witness.name, because = %silence, "a witness gave no answer");
            Ok(None)
        }
    }
}

/// The witness has removed its copy; its holdings follow by themselves.
fn note_damage(inner: &Inner, subject: &Subject, said: &[Said]) {
    for witness in who_said(said, &Compared::OwnDamaged) {
        let text = format!(
            "its copy of {} was damaged and was removed",
            short(&subject.digest)
        );
        warn!(
            stoker.peer = witness.name,
            stoker.digest = subject.digest,
            stoker.side = "peer",
            "a peer found its copy of an object damaged"
        );
        inner.findings.note(witness.peer, text, inner.now_ms());
    }
}

fn suspect(inner: &Inner, subject: &Subject, said: &[Said]) {
    let (accusers, clearers) = (names(said, &Compared::Different), names(said, &Compared::Equal));
    let mut text = format!(
        "{accusers} read other bytes of {} from it than it holds",
        short(&subject.digest)
    );
    if !clearers.is_empty() {
        text = format!("{text}; {clearers} read the right ones");
    }
    warn!(
        stoker.peer = subject.name,
        stoker.peer_id = %subject.seed,
        stoker.digest = subject.digest,
        stoker.side = "peer",
        accusers,
        clearers,
        "a spot check of a seed failed and was not confirmed"
    );
    inner.findings.note(subject.seed, text, inner.now_ms());
}

async fn shut_out(inner: &Inner, subject: &Subject, said: &[Said]) -> Result<(), StorageError> {
    let accusers = names(said, &Compared::Different);
    let reason = format!(
        "spot check: {accusers} read other bytes of {} from it than they hold",
        short(&subject.digest)
    );
    let (seed, now, why) = (subject.seed, inner.now_ms(), reason.clone());
    let note = format!(
        "seed {} settled objects of this preheat and was removed ({reason}): preheat it again",
        subject.name
    );
    let done = inner
        .write(Urgency::Urgent, move |txn| {
            Box::pin(async move {
                let removed = removals::remove(txn, seed, false, Some(why), now).await?;
                let effects = tell_preheats(txn, seed, &note, now).await?;
                Ok((removed, effects))
            })
        })
        .await?;
    let (removed, effects) = done;
    error!(
        stoker.peer = subject.name,
        stoker.peer_id = %seed,
        stoker.digest = subject.digest,
        stoker.side = "peer",
        accusers,
        "a seed gave wrong bytes and was removed"
    );
    match removed {
        Ok((_, session)) => removals::follow(inner, session),
        Err(refused) => {
            error!(stoker.peer_id = %seed, %refused, "a seed with wrong bytes could not be removed");
        }
    }
    inner.follow(&effects);
    Ok(())
}

/// Writes a note on the preheats that the seed settled objects of, and tells who wants to hear of them.
async fn tell_preheats(
    txn: &DatabaseTransaction,
    seed: Uuid,
    note: &str,
    now: i64,
) -> Result<Effects, DbErr> {
    let mut effects = Effects::default();
    let settled: Vec<i64> = placements::Entity::find()
        .select_only()
        .column(placements::Column::PreheatId)
        .distinct()
        .filter(placements::Column::PeerId.eq(seed.to_string()))
        .filter(placements::Column::State.eq(VERIFIED))
        .order_by_desc(placements::Column::PreheatId)
        .limit(TOLD_AT_MOST)
        .into_tuple()
        .all(txn)
        .await?;
    for id in settled {
        let Some(preheat) = preheats::Entity::find_by_id(id).one(txn).await? else {
            continue;
        };
        preheats::Entity::update_many()
            .col_expr(
                preheats::Column::Notes,
                Expr::value(with_note(preheat.notes.as_deref(), note)),
            )
            .col_expr(preheats::Column::UpdatedMs, Expr::value(now))
            .filter(preheats::Column::Id.eq(id))
            .exec(txn)
            .await?;
        tell(txn, &preheat, WebhookEvent::Doubted, now, &mut effects).await?;
    }
    Ok(effects)
}

/// The notes with one more; the newest are kept.
fn with_note(notes: Option<&str>, note: &str) -> String {
    let mut notes: Vec<String> = notes
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    notes.push(note.to_owned());
    let left_out = notes.len().saturating_sub(NOTES);
    notes.drain(..left_out);
    json!(notes).to_string()
}

fn names(said: &[Said], what: &Compared) -> String {
    let names: Vec<&str> = who_said(said, what)
        .map(|witness| witness.name.as_str())
        .collect();
    names.join(" and ")
}
