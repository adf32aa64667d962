//! Maps the peers that a request chose to connected peers.

use std::collections::BTreeSet;
use std::net::IpAddr;

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::decide::{Chosen, LiveCluster, WantedHolders, named_by};
use crate::model::peer_choice::PeerChoice;
use crate::model::scope::Scope;
use crate::model::text::cut;
use crate::rows::damaged::or_skip;
use crate::rows::{VALUES_AT_ONCE, peers, preheats};

/// No live peer of the scope has registered from these addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{scope} has no live peer at {}; see `stoker peers`, or name other addresses",
    listed(missing)
)]
pub(crate) struct NoPeerAtAddress {
    pub(crate) missing: Vec<IpAddr>,
    pub(crate) scope: Scope,
}

fn listed(missing: &[IpAddr]) -> String {
    let words: Vec<String> = missing.iter().map(ToString::to_string).collect();
    words.join(", ")
}

/// Returns the peers that have to hold the image of this preheat.
pub(crate) async fn holders(
    txn: &impl ConnectionTrait,
    preheat: &preheats::Model,
    clusters: &[&LiveCluster],
) -> Result<Result<WantedHolders, NoPeerAtAddress>, DbErr> {
    let scope = preheat.scope()?;
    let chosen = match preheat.peer_choice()? {
        PeerChoice::All => Chosen::All,
        PeerChoice::Count(count) => Chosen::Count(count),
        PeerChoice::Percent(percent) => Chosen::Percent(percent),
        PeerChoice::Addresses(addresses) => {
            let meant = clusters.iter().flat_map(|cluster| named_by(scope, cluster));
            match at(&rows(txn, &meant.collect::<Vec<_>>()).await?, addresses) {
                Ok(named) => Chosen::Named(named),
                Err(missing) => return Ok(Err(NoPeerAtAddress { missing, scope })),
            }
        }
    };
    let root = preheat.digest.clone().unwrap_or_default();
    Ok(Ok(WantedHolders { scope, chosen, root }))
}

async fn rows(txn: &impl ConnectionTrait, meant: &[Uuid]) -> Result<Vec<peers::Model>, DbErr> {
    let mut rows = Vec::with_capacity(meant.len());
    for some in meant.chunks(VALUES_AT_ONCE) {
        let ids = some.iter().map(Uuid::to_string);
        let found = peers::Entity::find().filter(peers::Column::Id.is_in(ids));
        rows.extend(found.all(txn).await?);
    }
    Ok(rows)
}

/// The peers at these addresses, or the addresses where none is.
fn at(rows: &[peers::Model], addresses: Vec<IpAddr>) -> Result<BTreeSet<Uuid>, Vec<IpAddr>> {
    let mut named = BTreeSet::new();
    let mut missing = Vec::new();
    for address in addresses {
        let wanted = address.to_canonical();
        let there: Vec<Uuid> = rows
            .iter()
            .filter(|peer| address_of(peer) == Some(wanted))
            .filter_map(|peer| or_skip(peer.uuid()))
            .collect();
        if there.is_empty() {
            missing.push(address);
        }
        named.extend(there);
    }
    if missing.is_empty() {
        Ok(named)
    } else {
        Err(missing)
    }
}

/// Returns the advertised address if it is an IP address, else the address that the last hello came from.
fn address_of(peer: &peers::Model) -> Option<IpAddr> {
    let own: Option<IpAddr> = peer.address.parse().ok();
    let seen = || peer.seen_ip.as_deref()?.parse().ok();
    own.or_else(seen).map(|address: IpAddr| address.to_canonical())
}

impl NoPeerAtAddress {
    pub(crate) fn reason(&self) -> String {
        cut(&self.to_string())
    }
}
