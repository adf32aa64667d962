//! The peers that hold an image, and how much of it: by their holdings, and for partial objects by a question to each.
//!
//! What the image is made of is read from its newest preheat that found it, else asked of the registry. Of nodes only
//! the objects of preheated images are written down, so an image that was never preheated is found on seeds only.

use std::collections::HashMap;

use futures_util::future::join_all;
use oci::ImageReference;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::Serialize;
use uuid::Uuid;
use wire::{Question, Reply, StandingState};

use super::peer_list::peers;
use super::views::PeerView;
use crate::engine::preheater::{Inner, Preheater};
use crate::image::contents::{ImageObject, WhereError, made_of};
use crate::image::location;
use crate::model::errors::StorageError;
use crate::peers::questions::ask;
use crate::rows::{VALUES_AT_ONCE, holdings};

/// The number of live peers that are asked about partial objects, in the order of the list.
const PEERS_ASKED: usize = 64;

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Whereabouts {
    pub image: String,
    pub digest: String,
    /// The preheat that listed its objects; none: the registry was asked.
    pub preheat: Option<i64>,
    pub objects: u64,
    pub bytes: u64,
    /// Those that hold any of it: the largest share first.
    pub peers: Vec<PeerShare>,
    /// Live peers that hold nothing of it.
    pub without: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeerShare {
    pub peer: PeerView,
    pub objects: u64,
    pub bytes: u64,
    pub whole: bool,
    /// Partial objects and their bytes; 0 for peers that were not asked or did not answer.
    pub begun: u64,
    pub begun_bytes: u64,
}

pub async fn where_is(preheater: &Preheater, image: &ImageReference) -> Result<Whereabouts, WhereError> {
    let inner = &preheater.inner;
    let made_of = made_of(inner, image).await?;
    let held = held(inner, &made_of.objects).await?;
    let peers = peers(preheater).await?;
    let all = made_of.objects.len() as u64;
    let is_whole = |peer: &PeerView| held.get(&peer.id.to_string()).is_some_and(|held| held.0 == all);
    let asked: Vec<&PeerView> = peers
        .iter()
        .filter(|peer| peer.alive && !is_whole(peer))
        .collect();
    let begun = begun(preheater, image, &made_of.objects, &asked).await;
    let (mut shares, mut without) = (Vec::new(), 0);
    for peer in peers {
        let (objects, bytes) = held.get(&peer.id.to_string()).copied().unwrap_or_default();
        let (begun, begun_bytes) = begun.get(&peer.id).copied().unwrap_or_default();
        if objects + begun == 0 {
            without += u64::from(peer.alive);
            continue;
        }
        shares.push(PeerShare {
            whole: objects == all,
            objects,
            bytes,
            begun,
            begun_bytes,
            peer,
        });
    }
    shares.sort_by(|one, other| (other.bytes, &one.peer.name).cmp(&(one.bytes, &other.peer.name)));
    Ok(Whereabouts {
        image: image.to_string(),
        digest: made_of.digest,
        preheat: made_of.preheat,
        objects: made_of.objects.len() as u64,
        bytes: made_of.objects.iter().map(|object| object.size).sum(),
        peers: shares,
        without,
    })
}

/// Returns the partial objects of each peer and their bytes. A peer without a reply in time is left out.
async fn begun(
    preheater: &Preheater,
    image: &ImageReference,
    objects: &[ImageObject],
    asked: &[&PeerView],
) -> HashMap<Uuid, (u64, u64)> {
    let location = location::of_image(&preheater.inner, image);
    let location = location.map_or_else(|_| String::new(), |location| location.to_string());
    let question = || Question {
        id: Uuid::new_v4(),
        location: location.clone(),
        tag: None,
        digests: objects.iter().map(|object| object.digest.clone()).collect(),
        check: None,
    };
    let replies = asked.iter().take(PEERS_ASKED).map(|peer| async {
        let reply = ask(preheater, peer.id, question()).await.ok()?;
        Some((peer.id, parts(&reply)))
    });
    let replies = join_all(replies).await;
    replies.into_iter().flatten().collect()
}

fn parts(reply: &Reply) -> (u64, u64) {
    let parts = reply.objects.iter().filter_map(|standing| match standing.state {
        StandingState::Partial { bytes } => Some(bytes),
        _ => None,
    });
    parts.fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes))
}

/// Objects and bytes of these, by peer.
async fn held(inner: &Inner, objects: &[ImageObject]) -> Result<HashMap<String, (u64, u64)>, StorageError> {
    let sizes: HashMap<&str, u64> = objects
        .iter()
        .map(|object| (object.digest.as_str(), object.size))
        .collect();
    let mut held: HashMap<String, (u64, u64)> = HashMap::new();
    for objects in objects.chunks(VALUES_AT_ONCE) {
        let rows: Vec<(String, String)> = holdings::Entity::find()
            .select_only()
            .columns([holdings::Column::PeerId, holdings::Column::Digest])
            .filter(holdings::Column::Digest.is_in(objects.iter().map(|object| &object.digest)))
            .into_tuple()
            .all(inner.reads())
            .await?;
        for (peer, digest) in rows {
            let share = held.entry(peer).or_default();
            share.0 += 1;
            share.1 += sizes.get(digest.as_str()).copied().unwrap_or_default();
        }
    }
    Ok(held)
}
