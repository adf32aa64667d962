//! Reads everything that an explanation needs: rows, then the registry, then the node.

use std::collections::{BTreeSet, HashMap};

use oci::{ImageReference, Location};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use tokio::time::Instant;
use uuid::Uuid;
use wire::{Question, Reply};

use super::error::ExplainError;
use super::facts::{ExplainedFacts, Meaning, NodeFacts, Preheated};
use super::{meaning, node, preheats};
use crate::engine::preheater::{Inner, Preheater};
use crate::image::contents;
use crate::image::contents::{ImageObject, asked_within, location_of};
use crate::model::errors::StorageError;
use crate::peers::questions::{NoAnswer, ask};
use crate::rows::{VALUES_AT_ONCE, holdings, peers, preheats as rows};

pub(super) async fn gather(
    preheater: &Preheater,
    image: &ImageReference,
    wanted: &str,
) -> Result<ExplainedFacts, ExplainError> {
    let inner = &preheater.inner;
    let node = node::find(inner, wanted).await?;
    let (meaning, preheat, needed) = image_facts(inner, image, &node).await?;
    let digests = preheats::digests(&needed);
    let held = held(inner, &node, &digests).await?;
    let reply = reply(preheater, image, &node, digests).await?;
    Ok(ExplainedFacts {
        now_ms: inner.now_ms(),
        image: image.to_string(),
        registry: inner.registries.canonical(&image.registry).to_string(),
        reference: image.wanted.to_string(),
        tag: image.wanted.tag().map(ToString::to_string),
        trace_pages: inner.trace_pages.clone(),
        node,
        meaning,
        preheat,
        needed,
        reply,
        held,
    })
}

/// Returns the current digest of the reference, the preheat that the explanation is about, and the needed objects.
async fn image_facts(
    inner: &Inner,
    image: &ImageReference,
    node: &NodeFacts,
) -> Result<(Meaning, Option<Preheated>, Vec<ImageObject>), ExplainError> {
    let end = Instant::now() + inner.limits.answer_wait;
    let mut rows = contents::of_image(inner, image, None).await?;
    let location = location_of(inner, image, rows.first()).await?;
    let meaning = meaning::of(inner, location.as_ref(), &image.wanted, end).await;
    if let Some(digest) = meaning.digest() {
        rows = contents::of_image(inner, image, Some(digest)).await?;
    }
    let preheat = preheats::judged(inner, &rows, meaning.digest(), node).await?;
    let mut needed = needed(inner, (location.as_ref(), &meaning, end), preheat.as_ref(), &rows).await?;
    let preheated = preheat.as_ref().and_then(|preheat| preheat.digest.as_deref());
    let root = meaning.digest().or(preheated);
    // People look for the manifest of the tag first.
    needed.sort_by_key(|object| Some(object.digest.as_str()) != root);
    Ok((meaning, preheat, needed))
}

/// Returns the objects of the current image if the registry names them, else those of the preheated image.
async fn needed(
    inner: &Inner,
    (location, meaning, end): (Option<&Location>, &Meaning, Instant),
    preheat: Option<&Preheated>,
    rows: &[rows::Model],
) -> Result<Vec<ImageObject>, StorageError> {
    let preheated = preheat.and_then(|preheat| preheat.digest.as_deref());
    let now = meaning.digest().filter(|now| preheated != Some(now));
    if let (Some(location), Some(Ok(now))) = (location, now.map(str::parse)) {
        let platforms = preheats::platforms(rows, preheat.map(|preheat| preheat.id))?;
        match asked_within(inner, location, &now, &platforms, end).await {
            Ok((_, objects)) => return Ok(objects),
            Err(trouble) => {
                tracing::debug!(reason = trouble.text, "objects of the current image are unknown");
            }
        }
    }
    match preheat {
        Some(preheat) => contents::of_preheat(inner, preheat.id).await,
        None => Ok(Vec::new()),
    }
}

/// Returns which of these objects the node last reported.
async fn held(
    inner: &Inner,
    node: &NodeFacts,
    digests: &BTreeSet<String>,
) -> Result<BTreeSet<String>, StorageError> {
    let digests: Vec<&String> = digests.iter().collect();
    let mut held = BTreeSet::new();
    for digests in digests.chunks(VALUES_AT_ONCE) {
        let found: Vec<String> = holdings::Entity::find()
            .select_only()
            .column(holdings::Column::Digest)
            .filter(holdings::Column::PeerId.eq(node.id.to_string()))
            .filter(holdings::Column::Digest.is_in(digests.iter().copied()))
            .into_tuple()
            .all(inner.reads())
            .await?;
        held.extend(found);
    }
    Ok(held)
}

/// Returns the node's reply, or why there is none.
async fn reply(
    preheater: &Preheater,
    image: &ImageReference,
    node: &NodeFacts,
    digests: BTreeSet<String>,
) -> Result<Result<Reply, String>, StorageError> {
    let inner = &preheater.inner;
    let question = Question {
        id: Uuid::new_v4(),
        location: location_text(inner, image).await?,
        tag: image.wanted.tag().map(ToString::to_string),
        digests: digests.into_iter().collect(),
        check: None,
    };
    match ask(preheater, node.id, question).await {
        Ok(reply) => Ok(Ok(with_names(inner, reply).await?)),
        Err(NoAnswer::Storage(error)) => Err(error),
        Err(silence) => Ok(Err(silence.to_string())),
    }
}

/// Where the image's newest preheat found it, or else as its reference says.
pub(crate) async fn location_text(inner: &Inner, image: &ImageReference) -> Result<String, StorageError> {
    let rows = contents::of_image(inner, image, None).await?;
    let location = location_of(inner, image, rows.first()).await?;
    let location = location.or_else(|| crate::image::location::of_image(inner, image).ok());
    Ok(location.map_or_else(String::new, |location| location.to_string()))
}

/// A source that the node knows by its address only has a name here.
async fn with_names(inner: &Inner, mut reply: Reply) -> Result<Reply, StorageError> {
    let urls: Vec<(String, String)> = peers::Entity::find()
        .select_only()
        .columns([peers::Column::ShareUrl, peers::Column::Name])
        .into_tuple()
        .all(inner.reads())
        .await?;
    let names: HashMap<&str, &String> = urls.iter().map(|(url, name)| (host_of(url), name)).collect();
    let sources = reply.pulls.iter_mut().flat_map(|pulled| &mut pulled.sources);
    for source in sources.filter(|source| !source.is_registry && source.peer.is_none()) {
        source.peer = names.get(host_of(&source.source)).map(|name| (*name).clone());
    }
    Ok(reply)
}

fn host_of(url: &str) -> &str {
    url.split_once("://")
        .map_or(url, |(_, host)| host)
        .trim_end_matches('/')
}
