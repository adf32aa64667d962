//! The neighbourhood that a peer is sent: the live seeds of its cluster, and how each registry is reached.

use std::sync::Arc;

use sea_orm::DbErr;
use wire::{DialDescription, Neighbourhood, RegistryDescription};

use super::seeds::live_seeds;
use super::{bandwidth, seen};
use crate::engine::preheater::Inner;

/// Changes of another manager take effect here after this time.
const KNOWN_FOR_MS: i64 = 1_000;

pub(crate) async fn current(inner: &Inner, cluster: i64) -> Result<Arc<Neighbourhood>, DbErr> {
    let now = inner.now_ms();
    let known = inner
        .neighbourhoods
        .lock()
        .get(&cluster)
        .filter(|(at, _)| now - at < KNOWN_FOR_MS)
        .cloned();
    if let Some((_, known)) = known {
        return Ok(known);
    }
    let seeds = live_seeds(inner.reads(), cluster).await?;
    let limits = bandwidth::for_peers(inner, cluster, seeds.len()).await?;
    let read = Arc::new(with_version(Neighbourhood {
        version: String::new(),
        seeds,
        registries: registries(inner).await?,
        dial: dial(inner),
        limits,
    }));
    inner
        .neighbourhoods
        .lock()
        .insert(cluster, (now, Arc::clone(&read)));
    Ok(read)
}

fn dial(inner: &Inner) -> DialDescription {
    DialDescription {
        addresses: inner.dial.addresses.iter().map(ToString::to_string).collect(),
        allow: inner.dial.allow.clone(),
    }
}

fn with_version(neighbourhood: Neighbourhood) -> Neighbourhood {
    let all = serde_json::json!(&neighbourhood).to_string();
    let version = oci::Digest::of(all.as_bytes()).hex().chars().take(16).collect();
    Neighbourhood {
        version,
        ..neighbourhood
    }
}

async fn registries(inner: &Inner) -> Result<Vec<RegistryDescription>, DbErr> {
    let seen = seen::list(inner.reads()).await?;
    let is_configured = |name: &str| {
        let is_it =
            |one: &RegistryDescription| one.name == name || one.aliases.iter().any(|alias| alias == name);
        inner.descriptions.iter().any(is_it)
    };
    let seen = seen
        .into_iter()
        .filter(|row| !is_configured(&row.name) && is_open(inner, &row.name))
        .map(|row| RegistryDescription {
            name: row.name,
            plain_http: row.plain_http,
            ..RegistryDescription::default()
        });
    let all = inner.descriptions.iter().cloned().chain(seen);
    Ok(all.map(|description| with_harbor(inner, description)).collect())
}

/// Every peer learns what a preheat found out about a registry.
fn with_harbor(inner: &Inner, mut description: RegistryDescription) -> RegistryDescription {
    let name = description.name.parse();
    description.harbor = name.is_ok_and(|name| inner.registries.is_harbor(&name));
    description
}

/// A registry that the configuration has closed since is not open any more.
fn is_open(inner: &Inner, name: &str) -> bool {
    inner.dial.open_by_preheat || name.parse().is_ok_and(|name| inner.dial.allow(&name))
}
