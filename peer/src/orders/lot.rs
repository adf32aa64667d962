//! One lot: every object that this peer has to hold for one preheat, a few at a time.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use oci::{Credential, Digest, Location};
use tokio::sync::mpsc;
use tracing::{Instrument as _, Span, field, info_span, warn};
use uuid::Uuid;
use wire::{Lot, Outcome, PlacementOrder, PullResult, Role, Settled, Side};

use super::Orders;
use super::credentials::{First, LotCredential, configured};
use super::lot_records::LotRecords;
use super::taken_lots::Taken;
use crate::fetch::{Extent, FetchError, FetchReport, Following, Found, Wanted};
use crate::limits::Class;
use crate::spans::{mark_failed, signed};

/// Objects of one lot that are fetched at the same time.
const AT_ONCE: usize = 8;

pub(super) async fn work_on(
    orders: Orders,
    session: Uuid,
    lot: Lot,
    taken: Taken,
    outcomes: mpsc::Sender<Settled>,
) {
    let span = span_of_lot(&orders, &lot);
    let _counting = orders.metrics.lot_begins();
    let credential = LotCredential::default();
    let records = Arc::new(LotRecords::of(&orders.records, &lot));
    let lot = Arc::new(lot);
    let _hold = orders.store.hold(digests(&lot));
    let placing = stream::iter(0..lot.placements.len()).for_each_concurrent(AT_ONCE, |at| {
        let (orders, lot, taken) = (orders.clone(), lot.clone(), taken.clone());
        let (credential, outcomes) = (credential.clone(), outcomes.clone());
        let records = records.clone();
        async move {
            let Some(order) = lot.placements.get(at) else {
                return;
            };
            let outcome = place(&orders, session, &lot, order, &taken, &credential).await;
            if matches!(outcome, Outcome::Verified { .. }) {
                remember(&orders, &records, order);
            }
            let settled = Settled {
                work: lot.work,
                fence: lot.fence,
                digest: order.digest.clone(),
                outcome,
            };
            // Closed only when the session is over, and then the work is not ours any more.
            let _ = outcomes.send(settled).await;
        }
    });
    placing.instrument(span).await;
}

/// None of them is evicted while the lot is worked on.
fn digests(lot: &Lot) -> Vec<Digest> {
    let orders = lot.placements.iter();
    orders.filter_map(|order| order.digest.parse().ok()).collect()
}

async fn place(
    orders: &Orders,
    session: Uuid,
    lot: &Lot,
    order: &PlacementOrder,
    taken: &Taken,
    credential: &LotCredential,
) -> Outcome {
    let span = span_of_placement(order);
    let outcome = async {
        match parse(orders, order) {
            Ok(wanted) => fetch(orders, session, lot, order, wanted, taken, credential).await,
            Err(fault) => Err(Failed {
                reason: fault,
                side: Side::Manager,
                word: "bad_order",
            }),
        }
    }
    .instrument(span.clone())
    .await;
    span.in_scope(|| tell(lot, order, outcome))
}

/// Says on the span how the placement ended, logs a failure, and makes it what the manager is told.
fn tell(lot: &Lot, order: &PlacementOrder, ended: Result<FetchReport, Failed>) -> Outcome {
    let span = Span::current();
    match ended {
        Ok(report) => {
            span.record("stoker.outcome", "verified");
            Outcome::Verified {
                bytes_from_registry: report.bytes_from_registry,
                bytes_from_peers: report.bytes_from_peers,
            }
        }
        Err(Failed { reason, side, word }) => {
            span.record("stoker.outcome", "failed")
                .record("stoker.side", side.word());
            mark_failed(&span, word);
            warn!(
                stoker.preheat = lot.preheat,
                stoker.image = lot.image,
                stoker.digest = order.digest,
                stoker.side = side.word(),
                error.type = word,
                reason,
                "placement failed: {reason}"
            );
            Outcome::Failed { reason, side }
        }
    }
}

/// Why an object could not be had: for people, and in a word.
struct Failed {
    reason: String,
    side: Side,
    word: &'static str,
}

fn span_of_lot(orders: &Orders, lot: &Lot) -> Span {
    let span = info_span!(
        "lot",
        stoker.preheat = lot.preheat,
        stoker.image = lot.image,
        stoker.peer = orders.me.name,
        stoker.cluster = orders.me.cluster,
        stoker.placements = signed(lot.placements.len() as u64),
    );
    if let Some(trace) = &lot.trace {
        trace.adopt(&span);
    }
    span
}

fn span_of_placement(order: &PlacementOrder) -> Span {
    info_span!(
        "placement",
        otel.status_code = field::Empty,
        error.type = field::Empty,
        stoker.digest = order.digest,
        stoker.bytes = signed(order.size),
        stoker.outcome = field::Empty,
        stoker.result = field::Empty,
        stoker.side = field::Empty,
    )
}

async fn fetch(
    orders: &Orders,
    session: Uuid,
    lot: &Lot,
    order: &PlacementOrder,
    mut wanted: Wanted,
    taken: &Taken,
    credential: &LotCredential,
) -> Result<FetchReport, Failed> {
    if !orders.neighbours.may_preheat_from(wanted.location.registry()) {
        return Err(not_open(&orders.me.name, &wanted));
    }
    if let Some(reason) = orders.store.blocked(&wanted.digest) {
        return Err(Failed {
            reason,
            side: Side::Caller,
            word: "blocked",
        });
    }
    wanted.parents = parents(orders, order, &wanted.digest);
    let opened = credential.first(orders, session, lot, &wanted).await;
    let ended = matches!(opened, First::Ended);
    wanted.credential = opened.into();
    let mut fetched = follow(orders, lot.work, wanted.clone(), taken).await;
    if let Err(error) = &fetched
        && error.side() == Side::Caller
        && let Some(own) = configured(orders, session, lot, &wanted).await
    {
        wanted.credential = own;
        fetched = follow(orders, lot.work, wanted.clone(), taken).await;
    }
    match fetched {
        Ok(report) => {
            delivered(orders, &wanted).await?;
            Ok(report)
        }
        Err(error) if ended && error.side() == Side::Caller => {
            Err(credential_ended(&orders.me.name, &wanted, &error))
        }
        Err(error) => Err(failed(&orders.me.name, order, &wanted, &error)),
    }
}

/// Held because of another location, it is compared with what this one sends: pulls of this image have to get it.
async fn delivered(orders: &Orders, wanted: &Wanted) -> Result<(), Failed> {
    let Some(held) = orders.store.sealed(&wanted.digest) else {
        return Ok(());
    };
    let wanted = Wanted {
        relays: orders.neighbours.relays(&wanted.digest),
        ..wanted.clone()
    };
    let ensured = orders.delivery.ensure(&held, &wanted).await;
    ensured.map_err(|why| Failed {
        reason: format!("peer {}: {why}", orders.me.name),
        side: why.side(),
        word: why.word(),
    })
}

/// The manager has seen the manifest that lists this object: what its registry does not know then, it has lost.
fn failed(peer: &str, order: &PlacementOrder, wanted: &Wanted, error: &FetchError) -> Failed {
    let word = error.word();
    let (reason, side) = if word == "not_found" {
        let lost = format!(
            "peer {peer}: {} does not have {} any more, which the image's manifest lists: push the image again ({error})",
            wanted.location.registry(),
            order.digest
        );
        (lost, Side::Registry)
    } else {
        (format!("peer {peer}: {error}"), error.side())
    };
    Failed { reason, side, word }
}

/// This node's own file keeps preheats from opening registries.
fn not_open(peer: &str, wanted: &Wanted) -> Failed {
    let registry = wanted.location.registry();
    let reason = format!(
        "peer {peer}: its configuration keeps preheats from opening registries (open_by_preheat = false): write [registry.\"{registry}\"] into the manager's or the peer's file, or name it in allow below [dial]"
    );
    Failed {
        reason,
        side: Side::Peer,
        word: "not_open",
    }
}

/// The request's own credential is gone, and nothing that is configured opens the registry.
fn credential_ended(peer: &str, wanted: &Wanted, error: &FetchError) -> Failed {
    let registry = wanted.location.registry();
    let reason = format!(
        "peer {peer}: credential ended: the one that came with the request is gone and none is configured for {registry}; preheat again, or write username and password_file into [registry.\"{registry}\"] of the manager or of the seeds ({error})"
    );
    Failed {
        reason,
        side: Side::Caller,
        word: "credential_ended",
    }
}

async fn follow(
    orders: &Orders,
    work: i64,
    wanted: Wanted,
    taken: &Taken,
) -> Result<FetchReport, FetchError> {
    let digest = wanted.digest.to_string();
    let following = orders.fetches.join_or_start(wanted);
    taken.moving(work, &digest, following.clone());
    let sealed = following.sealed().await;
    taken.stopped(work, &digest);
    note_how_it_was_found(&following);
    sealed
}

/// A fetch of one's own is a child of the placement's span; one that somebody else had begun is linked.
fn note_how_it_was_found(following: &Following) {
    let span = Span::current();
    let result = match following.found() {
        Found::Here => PullResult::Hit,
        Found::Joined => PullResult::Join,
        Found::Started => PullResult::Miss,
    };
    span.record("stoker.result", result.word());
    if let Some(trace) = following.joined() {
        trace.link_to(&span);
    }
}

/// Keeps, with the object, what the manager signed about it.
fn remember(orders: &Orders, records: &LotRecords, order: &PlacementOrder) {
    if let Ok(wanted) = parse(orders, order) {
        records.keep(&orders.records, &wanted.location, &wanted.digest);
    }
}

/// Parents that the manager named, then the seeds where the object belongs.
fn parents(orders: &Orders, order: &PlacementOrder, digest: &Digest) -> Vec<String> {
    let mut parents = order.parents.clone();
    if orders.me.role == Role::Node {
        for seed in orders.neighbours.seeds_in_order(digest) {
            if !parents.contains(&seed.share_url) {
                parents.push(seed.share_url);
            }
        }
    }
    parents
}

/// This peer's own file may know the registry better than the manager does.
fn canonical(orders: &Orders, location: Location) -> Location {
    let origin = orders.neighbours.registries().canonical_origin(&location.origin);
    origin.at(location.repository)
}

fn parse(orders: &Orders, order: &PlacementOrder) -> Result<Wanted, String> {
    let fault = |what: &str, error: &dyn std::fmt::Display| {
        format!("the manager named a {what} that cannot be one: {error}")
    };
    let location: Location = order
        .location
        .parse()
        .map_err(|error| fault("location", &error))?;
    Ok(Wanted {
        digest: order.digest.parse().map_err(|error| fault("digest", &error))?,
        kind: order.kind,
        size: Some(order.size),
        size_hint: None,
        media_type: Some(order.media_type.clone()),
        location: canonical(orders, location),
        credential: Credential::Anonymous,
        parents: Vec::new(),
        relays: Vec::new(),
        origin_allowed: true,
        extent: Extent::Whole,
        class: Class::Preheat,
        trace: wire::TraceContext::of(&Span::current()),
    })
}
