//! Which preheats may share their work, and what earlier preheats found about an image.
//!
//! **Invariant:** only equal preheats share: the same bytes, under the same tag, for the same peers. A registry's
//! answer to one caller is no grant for another, so each preheat asks for its own reference.
//!
//! A share key has two halves: what is preheated, and where to. Preheats with the same first half have the same
//! objects; with the same key, one can do the work of the other.

use oci::Digest;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use serde_json::json;

use crate::image::find::{FoundImage, WantedParts};
use crate::model::errors::DamagedRow;
use crate::model::scope::Scope;
use crate::model::state::PreheatState;
use crate::plan::decide::{LiveCluster, wanted_clusters};
use crate::rows::{objects, preheats};

/// Letters of each half.
const HALF: usize = 32;

/// The first half of a share key: the image and its wanted parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SharedContent(String);

impl SharedContent {
    /// Of an image whose objects follow from its digest.
    pub(super) fn of(preheat: &preheats::Model, digest: &Digest, wants: &WantedParts) -> Self {
        Self::hashed(preheat, digest, wants, &[])
    }

    /// Of one with referrers, which come and go: their digests take part.
    pub(super) fn of_found(preheat: &preheats::Model, found: &FoundImage, wants: &WantedParts) -> Self {
        let all: Vec<&Digest> = found.objects.objects().keys().collect();
        let listed = if wants.referrers { all.as_slice() } else { &[] };
        Self::hashed(preheat, &found.digest, wants, listed)
    }

    fn hashed(preheat: &preheats::Model, digest: &Digest, wants: &WantedParts, objects: &[&Digest]) -> Self {
        let preheats::Model {
            registry,
            base_path,
            plain_http,
            repository,
            ..
        } = preheat;
        let mut platforms = wants.platforms.platforms.clone();
        platforms.sort();
        platforms.dedup();
        Self(half(&json!([
            registry,
            base_path,
            plain_http,
            repository,
            digest,
            platforms,
            wants.platforms.named,
            wants.referrers,
            objects,
        ])))
    }

    /// Of a preheat that was resolved before.
    pub(super) fn known(preheat: &preheats::Model) -> Option<Self> {
        let key = preheat.share_key.as_deref()?;
        key.get(..HALF).map(|half| Self(half.to_owned()))
    }

    /// The whole key, with what the request says of places and the peers that are there now: those of `clusters`.
    pub(super) fn and_place(
        &self,
        preheat: &preheats::Model,
        clusters: &[LiveCluster],
    ) -> Result<String, DamagedRow> {
        let peers = peers_meant(preheat, clusters)?;
        let (scope, clusters, peer_choice) = preheat.placing_key();
        let place = half(&json!([preheat.tag, scope, clusters, peer_choice, peers]));
        Ok(format!("{}{place}", self.0))
    }
}

fn half(value: &serde_json::Value) -> String {
    let hash = Digest::of(value.to_string().as_bytes());
    hash.hex().chars().take(HALF).collect()
}

/// Returns the peers that a plan would include now, as text. A leader's plan lacks peers that registered later.
fn peers_meant(preheat: &preheats::Model, clusters: &[LiveCluster]) -> Result<Vec<String>, DamagedRow> {
    let scope = preheat.scope()?;
    let choice = preheat.clusters()?;
    let mut meant = Vec::new();
    for cluster in wanted_clusters(&choice, clusters).unwrap_or_default() {
        meant.push(cluster.id.to_string());
        let all = cluster.seeds.iter().chain(&cluster.nodes);
        let peers = all.filter(|_| scope != Scope::SingleSeedPeer);
        meant.extend(peers.map(ToString::to_string));
    }
    meant.sort();
    Ok(meant)
}

/// The open preheat that this one can follow.
pub(super) async fn leader(
    db: &impl ConnectionTrait,
    preheat: &preheats::Model,
    key: &str,
) -> Result<Option<preheats::Model>, DbErr> {
    use preheats::Column;
    preheats::Entity::find()
        .filter(Column::ShareKey.eq(key))
        .filter(Column::FinishedMs.is_null())
        .filter(Column::State.eq(PreheatState::Placing.word()))
        .filter(Column::Follows.is_null())
        .filter(Column::Id.ne(preheat.id))
        .order_by_asc(Column::Id)
        .one(db)
        .await
}

/// A preheat that has the objects of this content in the database.
pub(super) async fn source(
    db: &impl ConnectionTrait,
    preheat: &preheats::Model,
    SharedContent(content): &SharedContent,
) -> Result<Option<preheats::Model>, DbErr> {
    use preheats::Column;
    let known = [PreheatState::Placing, PreheatState::Succeeded].map(PreheatState::word);
    let found = preheats::Entity::find()
        .filter(Column::ShareKey.gte(content.as_str()))
        // No letter of a hash comes after f.
        .filter(Column::ShareKey.lt(format!("{content}g")))
        .filter(Column::State.is_in(known))
        .filter(Column::Follows.is_null())
        .filter(Column::ObjectsTotal.gt(0))
        .filter(Column::Id.ne(preheat.id))
        .order_by_desc(Column::Id)
        .one(db)
        .await?;
    let Some(found) = found else { return Ok(None) };
    let there = objects::Entity::find()
        .filter(objects::Column::PreheatId.eq(found.id))
        .count(db)
        .await?;
    Ok((i64::try_from(there) == Ok(found.objects_total)).then_some(found))
}

/// How many preheats back it is looked: it is only a hint, repositories have no index, and each resolve pays for it.
const LOOKED_BACK: i64 = 500;

/// Returns whether the reference was public at its last preheat. If so, no credential is needed to ask for its digest.
pub(super) async fn was_public(db: &impl ConnectionTrait, preheat: &preheats::Model) -> Result<bool, DbErr> {
    use preheats::Column;
    let newest = preheats::Entity::find()
        .filter(Column::Registry.eq(&preheat.registry))
        .filter(Column::Id.gt(preheat.id - LOOKED_BACK))
        .filter(Column::Repository.eq(&preheat.repository))
        .filter(Column::Reference.eq(&preheat.reference))
        .filter(Column::BasePath.eq(&preheat.base_path))
        .filter(Column::PlainHttp.eq(preheat.plain_http))
        .filter(Column::State.eq(PreheatState::Succeeded.word()))
        .order_by_desc(Column::Id)
        .one(db)
        .await?;
    Ok(newest.is_some_and(|row| row.public))
}
