//! Migrations of the database schema, one small file per step.
//!
//! A migration runs while the older version may still serve: a change first adds (expand), and a later release removes
//! (contract). Released files never change: a new step is a new file, listed last.

mod m20261121_000001_queue;
mod m20261121_000002_clusters_and_peers;
mod m20261121_000003_preheats;
mod m20261121_000004_placing;
mod m20261121_000005_tokens;
mod m20261121_000006_requests;
mod m20261121_000007_lives;
mod m20261121_000008_image_rules;
mod m20261121_000009_limits;
mod m20261130_000010_rule_owners;
mod m20261130_000011_joining;
mod m20261130_000012_seen_registries;
mod m20261130_000013_removal_reasons;
mod m20261130_000014_peers_without_certificate;
mod m20261130_000015_labels;
mod m20261130_000016_longer_digests;
mod m20261130_000017_object_bytes;
mod schema;

/// What runs a [`Migrator`]: `Migrator::up(connection, None)`.
pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

/// Every step, in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_queue::Migration),
            Box::new(m20261121_000002_clusters_and_peers::Migration),
            Box::new(m20261121_000003_preheats::Migration),
            Box::new(m20261121_000004_placing::Migration),
            Box::new(m20261121_000005_tokens::Migration),
            Box::new(m20261121_000006_requests::Migration),
            Box::new(m20261121_000007_lives::Migration),
            Box::new(m20261121_000008_image_rules::Migration),
            Box::new(m20261121_000009_limits::Migration),
            Box::new(m20261130_000010_rule_owners::Migration),
            Box::new(m20261130_000011_joining::Migration),
            Box::new(m20261130_000012_seen_registries::Migration),
            Box::new(m20261130_000013_removal_reasons::Migration),
            Box::new(m20261130_000014_peers_without_certificate::Migration),
            Box::new(m20261130_000015_labels::Migration),
            Box::new(m20261130_000016_longer_digests::Migration),
            Box::new(m20261130_000017_object_bytes::Migration),
        ]
    }
}
