//! One lot: fetches every object that this peer must hold for one preheat, a few at a time.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use oci::{Credential, Digest, Location};
use tokio::sync::mpsc;
use tracing::{Instrument as _, Span, field, info_span, warn};
use uuid::Uuid;
use wire::{Lot, LotPlacement, PlacementOutcome, PullResult, Role, Settlement, Side};

use super::context::OrdersContext;
use super::credentials::{FirstCredential, LotCredential, configured};
use super::lot_records::LotRecords;
use super::taken_lots::TakenLots;
use crate::fetch::{Extent, FetchError, FetchReport, FetchSpec, FetchStart, Following};
use crate::limits::Class;
use crate::spans::{mark_failed, signed};

/// Objects of one lot that are fetched at the same time.
const AT_ONCE: usize = 8;

pub(super) async fn work_on(
    orders: OrdersContext,
    session: Uuid,
    lot: Lot,
    taken: TakenLots,
    outcomes: mpsc::Sender<Settlement>,
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
            let span = span_of_placement(order);
            let wanted = span.in_scope(|| parse(&orders, order));
            let object = wanted
                .as_ref()
                .map(|wanted| (wanted.location.clone(), wanted.digest.clone()));
            let object = object.ok();
            let placing = place(&orders, session, &lot, order, wanted, &taken, &credential);
            let ended = placing.instrument(span.clone()).await;
            let outcome = span.in_scope(|| outcome(&lot, order, ended));
            if let (PlacementOutcome::Verified { .. }, Some((location, digest))) = (&outcome, object) {
                records.keep(&orders.records, &location, &digest);
            }
            let settled = Settlement {
                work: lot.work,
                fence: lot.fence,
                digest: order.digest.clone(),
                outcome,
            };
            // The channel closes only at the end of the session, when the lot is no longer ours.
            let _ = outcomes.send(settled).await;
        }
    });
    placing.instrument(span).await;
}

/// Returns the lot's objects. They are not evicted while the lot runs.
fn digests(lot: &Lot) -> Vec<Digest> {
    let orders = lot.placements.iter();
    orders.filter_map(|order| order.digest.parse().ok()).collect()
}

async fn place(
    orders: &OrdersContext,
    session: Uuid,
    lot: &Lot,
    order: &LotPlacement,
    wanted: Result<FetchSpec, String>,
    taken: &TakenLots,
    credential: &LotCredential,
) -> Result<FetchReport, PlacementFailure> {
    match wanted {
        Ok(wanted) => fetch(orders, session, lot, order, wanted, taken, credential).await,
        Err(fault) => Err(PlacementFailure {
            reason: fault,
            side: Side::Manager,
            word: "bad_order",
        }),
    }
}

/// Returns the outcome for the manager. Records it on the span, and logs a failure.
fn outcome(
    lot: &Lot,
    order: &LotPlacement,
    ended: Result<FetchReport, PlacementFailure>,
) -> PlacementOutcome {
    let span = Span::current();
    match ended {
        Ok(report) => {
            span.record("stoker.outcome", "verified");
            PlacementOutcome::Verified {
                bytes_from_registry: report.bytes_from_registry,
                bytes_from_peers: report.bytes_from_peers,
            }
        }
        Err(PlacementFailure { reason, side, word }) => {
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
            PlacementOutcome::Failed { reason, side }
        }
    }
}

/// Why an object could not be placed: text, side, and the word for spans and logs.
struct PlacementFailure {
    reason: String,
    side: Side,
    word: &'static str,
}

fn span_of_lot(orders: &OrdersContext, lot: &Lot) -> Span {
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

fn span_of_placement(order: &LotPlacement) -> Span {
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
    orders: &OrdersContext,
    session: Uuid,
    lot: &Lot,
    order: &LotPlacement,
    mut wanted: FetchSpec,
    taken: &TakenLots,
    credential: &LotCredential,
) -> Result<FetchReport, PlacementFailure> {
    if !orders.neighbours.may_preheat_from(wanted.location.registry()) {
        return Err(not_open(&orders.me.name, &wanted));
    }
    if let Some(reason) = orders.store.blocked(&wanted.digest) {
        return Err(PlacementFailure {
            reason,
            side: Side::Caller,
            word: "blocked",
        });
    }
    wanted.parents = parents(orders, order, &wanted.digest);
    let opened = credential.first(orders, session, lot, &wanted).await;
    let ended = matches!(opened, FirstCredential::Ended);
    wanted.credential = opened.into();
    let mut fetched = take_in(orders, lot.work, order, &wanted, taken).await;
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

/// Proves that this location delivers an object that was fetched from another one, so that pulls of the image get it.
async fn delivered(orders: &OrdersContext, wanted: &FetchSpec) -> Result<(), PlacementFailure> {
    let Some(held) = orders.store.sealed(&wanted.digest) else {
        return Ok(());
    };
    let wanted = FetchSpec {
        relays: orders.neighbours.relays(&wanted.digest),
        ..wanted.clone()
    };
    let ensured = orders.delivery.ensure(&held, &wanted).await;
    ensured.map_err(|why| PlacementFailure {
        reason: format!("peer {}: {why}", orders.me.name),
        side: why.side(),
        word: why.word(),
    })
}

/// Returns the failure. The manager has read the manifest that lists this object, so a 404 means that the registry lost
/// it.
fn failed(peer: &str, order: &LotPlacement, wanted: &FetchSpec, error: &FetchError) -> PlacementFailure {
    let word = error.word();
    let (reason, side) = if word == "not_found" {
        let lost = format!(
            "peer {peer}: {} no longer has {}, which the image's manifest lists: push the image again ({error})",
            wanted.location.registry(),
            order.digest
        );
        (lost, Side::Registry)
    } else {
        (format!("peer {peer}: {error}"), error.side())
    };
    PlacementFailure { reason, side, word }
}

/// The peer's own configuration does not let preheats use other registries.
fn not_open(peer: &str, wanted: &FetchSpec) -> PlacementFailure {
    let registry = wanted.location.registry();
    let reason = format!(
        "peer {peer}: registry {registry} is not open to preheats here (open_by_preheat = false): write [registry.\"{registry}\"] into the manager's or the peer's file, or add it to allow in [dial]"
    );
    PlacementFailure {
        reason,
        side: Side::Peer,
        word: "not_open",
    }
}

/// The request's credential has ended, and the registry accepts no configured one.
fn credential_ended(peer: &str, wanted: &FetchSpec, error: &FetchError) -> PlacementFailure {
    let registry = wanted.location.registry();
    let reason = format!(
        "peer {peer}: the credential of the request has ended, and none is configured for {registry}: preheat again, or write username and password_file into [registry.\"{registry}\"] of the manager or of the seeds ({error})"
    );
    PlacementFailure {
        reason,
        side: Side::Caller,
        word: "credential_ended",
    }
}

/// Stores the bytes that came with the lot, else follows a fetch.
async fn take_in(
    orders: &OrdersContext,
    work: i64,
    order: &LotPlacement,
    wanted: &FetchSpec,
    taken: &TakenLots,
) -> Result<FetchReport, FetchError> {
    let keep = || {
        if let Some(embedded) = &order.bytes {
            let bytes = embedded.bytes().to_vec().into();
            orders.fetches.keep(wanted.clone(), bytes);
        }
    };
    keep();
    let fetched = follow(orders, work, wanted.clone(), taken).await;
    if fetched.is_ok() || order.bytes.is_none() {
        return fetched;
    }
    // It joined a fetch of a caller, which asked the registry by digest.
    keep();
    follow(orders, work, wanted.clone(), taken).await
}

/// Fetches the object, or joins its fetch. A fetch that a runtime began does not wait where the registry refuses by
/// count: after it, this peer fetches on its own.
async fn follow(
    orders: &OrdersContext,
    work: i64,
    wanted: FetchSpec,
    taken: &TakenLots,
) -> Result<FetchReport, FetchError> {
    match follow_once(orders, work, wanted.clone(), taken).await {
        (Err(error), FetchStart::Joined) if error.is_refused_for_now() => {
            follow_once(orders, work, wanted, taken).await.0
        }
        (fetched, _) => fetched,
    }
}

async fn follow_once(
    orders: &OrdersContext,
    work: i64,
    wanted: FetchSpec,
    taken: &TakenLots,
) -> (Result<FetchReport, FetchError>, FetchStart) {
    let digest = wanted.digest.to_string();
    let following = orders.fetches.join_or_start(wanted);
    taken.moving(work, &digest, following.clone());
    let sealed = following.sealed().await;
    taken.stopped(work, &digest);
    record_how_it_was_found(&following);
    (sealed, following.found())
}

/// Records whether the object was held, joined or fetched, and links the placement's span to a fetch that it joined.
fn record_how_it_was_found(following: &Following) {
    let span = Span::current();
    let result = match following.found() {
        FetchStart::Held => PullResult::Hit,
        FetchStart::Joined => PullResult::Join,
        FetchStart::Started => PullResult::Miss,
    };
    span.record("stoker.result", result.word());
    if let Some(trace) = following.joined() {
        trace.link_to(&span);
    }
}

/// Returns the parents that the manager named, then the object's seeds in order.
fn parents(orders: &OrdersContext, order: &LotPlacement, digest: &Digest) -> Vec<String> {
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

/// Returns the location under the canonical names of this peer's own configuration.
fn canonical(orders: &OrdersContext, location: Location) -> Location {
    let origin = orders.neighbours.registries().canonical_origin(&location.origin);
    origin.at(location.repository)
}

fn parse(orders: &OrdersContext, order: &LotPlacement) -> Result<FetchSpec, String> {
    let fault =
        |what: &str, error: &dyn std::fmt::Display| format!("the manager sent an invalid {what}: {error}");
    let location: Location = order
        .location
        .parse()
        .map_err(|error| fault("location", &error))?;
    Ok(FetchSpec {
        digest: order.digest.parse().map_err(|error| fault("digest", &error))?,
        kind: order.kind,
        size: Some(order.size),
        size_hint: None,
        media_type: Some(order.media_type.clone()),
        location: canonical(orders, location),
        credential: Credential::Anonymous,
        parents: Vec::new(),
        relays: Vec::new(),
        registry_allowed: true,
        extent: Extent::Whole,
        class: Class::Preheat,
        trace: wire::TraceContext::of(&Span::current()),
    })
}
