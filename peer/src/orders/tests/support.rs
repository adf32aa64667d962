//! A scripted manager that records what peers send.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::{Mutex, MutexGuard};
use process::http::{ClientOptions, client};
use process::{Running, readiness};
use store::testing::Signer;
use tokio::sync::Notify;
use uuid::Uuid;
use wire::{
    Hello, HoldingsReport, Lot, LotPlacement, ManagerClient, Neighbourhood, ObjectKind, ProgressReport,
    ProgressResponse, Question, RegistryDescription, Reply, Role, SecretText, SeedAddress, SettleRequest,
    SettleResponse, Settlement, TakeRequest, TakeResponse, TraceContext, Welcome, paths,
};

use crate::delivery::Delivery;
use crate::fetch::tests::support::FetchFixture;
use crate::membership::Membership;
use crate::membership::tests::Authority;
use crate::metrics::PeerMetrics;
use crate::neighbours::Neighbours;
use crate::orders::{OrdersContext, OwnDescription, follow_orders};
use crate::pulls::RecentPulls;
use crate::records::Records;

#[derive(Clone, Default)]
pub(super) struct FakeManager(Arc<FakeManagerInner>);

#[derive(Default)]
struct FakeManagerInner {
    state: Mutex<ManagerState>,
    news: Notify,
}

#[derive(Default)]
struct ManagerState {
    lots: VecDeque<Lot>,
    questions: VecDeque<Question>,
    around: Option<Neighbourhood>,
    registries: Vec<RegistryDescription>,
    replies: Vec<(Uuid, Reply)>,
    settled: Vec<Settlement>,
    holdings: Vec<HoldingsReport>,
    sessions: usize,
    authority: Authority,
    ended: bool,
    withdrawn: Vec<i64>,
    credentials: HashMap<String, SecretText>,
}

impl FakeManager {
    fn lock(&self) -> MutexGuard<'_, ManagerState> {
        self.0.state.lock()
    }

    /// A seed that has joined.
    fn member(&self) -> Membership {
        self.lock().authority.member(Role::Seed, "edge").membership
    }

    /// Signs for the peer's cluster.
    pub(super) fn signer(&self) -> Signer {
        self.lock().authority.signer.for_cluster("edge")
    }

    /// Known to the peer from its next hello on.
    pub(super) fn knows_registry(&self, registry: RegistryDescription) {
        self.lock().registries.push(registry);
    }

    pub(super) fn hands_out(&self, lot: Lot) {
        self.lock().lots.push_back(lot);
        self.0.news.notify_one();
    }

    pub(super) fn asks(&self, question: Question) {
        self.lock().questions.push_back(question);
        self.0.news.notify_one();
    }

    /// From now on the peer knows this seed.
    pub(super) fn tells_of_seed(&self, share_url: &str) {
        self.lock().around = Some(Neighbourhood {
            version: share_url.to_owned(),
            seeds: vec![SeedAddress {
                peer: Uuid::new_v4(),
                name: "seed-b".to_owned(),
                share_url: share_url.to_owned(),
            }],
            ..Neighbourhood::default()
        });
        self.0.news.notify_one();
    }

    /// Withdraws the lot from the peer.
    pub(super) fn takes_back(&self, work: i64) {
        self.lock().withdrawn.push(work);
        self.0.news.notify_one();
    }

    /// An `Authorization` value, by the name that lots give it.
    pub(super) fn keeps_credential(&self, name: &str, authorization: &str) {
        let text = SecretText::new(authorization);
        self.lock().credentials.insert(name.to_owned(), text);
    }

    /// Ends the running session; the peer has to say hello again.
    pub(super) fn ends_session(&self) {
        self.lock().ended = true;
        self.0.news.notify_one();
    }

    pub(super) fn replies(&self) -> Vec<(Uuid, Reply)> {
        self.lock().replies.clone()
    }

    pub(super) fn settled(&self) -> Vec<Settlement> {
        self.lock().settled.clone()
    }

    pub(super) fn sessions(&self) -> usize {
        self.lock().sessions
    }

    pub(super) fn lost(&self) -> Vec<String> {
        let state = self.lock();
        state
            .holdings
            .iter()
            .flat_map(|report| report.lost.clone())
            .collect()
    }

    pub(super) async fn serve(&self) -> String {
        let router = Router::new()
            .route(paths::SESSIONS, post(hello))
            .route(paths::WORK, post(take))
            .route(paths::PROGRESS, post(progress))
            .route(paths::SETTLE, post(settle))
            .route(paths::HOLDINGS, post(holdings))
            .route(paths::ANSWERS, post(answer))
            .route(paths::CREDENTIAL, get(credential))
            .with_state(self.clone());
        format!("http://{}", crate::fetch::tests::support::serve(router).await)
    }
}

async fn hello(State(manager): State<FakeManager>, Json(_): Json<Hello>) -> Json<Welcome> {
    let mut state = manager.lock();
    state.sessions += 1;
    state.ended = false;
    Json(Welcome {
        wire_version: wire::VERSION,
        session: Uuid::new_v4(),
        cluster_id: 1,
        lease_ms: 60_000,
        neighbourhood: Neighbourhood {
            version: "one".to_owned(),
            registries: state.registries.clone(),
            ..Neighbourhood::default()
        },
        send_full_holdings: false,
        removals: state.authority.removals(0, &[]),
    })
}

async fn take(
    State(manager): State<FakeManager>,
    Json(request): Json<TakeRequest>,
) -> Result<Json<TakeResponse>, StatusCode> {
    let end = tokio::time::Instant::now() + Duration::from_millis(request.wait_ms);
    loop {
        if let Some(answer) = manager.something_for(&request)? {
            return Ok(Json(answer));
        }
        if tokio::time::timeout_at(end, manager.0.news.notified())
            .await
            .is_err()
        {
            return Ok(Json(TakeResponse::default()));
        }
    }
}

impl FakeManager {
    fn something_for(&self, request: &TakeRequest) -> Result<Option<TakeResponse>, StatusCode> {
        let mut state = self.lock();
        if state.ended {
            return Err(StatusCode::GONE);
        }
        let lots = state.lots.len().min(request.at_most as usize);
        let gone = |work: &i64| request.working_on.contains(work);
        let withdrawn: Vec<i64> = state.withdrawn.extract_if(.., |work| gone(work)).collect();
        let answer = TakeResponse {
            lots: state.lots.drain(..lots).collect(),
            neighbourhood: state.around.take(),
            questions: state.questions.drain(..).collect(),
            withdrawn,
            images: None,
            removals: None,
        };
        let is_empty = answer.lots.is_empty()
            && answer.questions.is_empty()
            && answer.withdrawn.is_empty()
            && answer.neighbourhood.is_none();
        Ok((!is_empty).then_some(answer))
    }
}

async fn progress(Json(_): Json<ProgressReport>) -> Json<ProgressResponse> {
    Json(ProgressResponse::default())
}

async fn settle(
    State(manager): State<FakeManager>,
    Json(request): Json<SettleRequest>,
) -> Json<SettleResponse> {
    manager.lock().settled.extend(request.settled);
    Json(SettleResponse::default())
}

async fn holdings(State(manager): State<FakeManager>, Json(report): Json<HoldingsReport>) -> StatusCode {
    manager.lock().holdings.push(report);
    StatusCode::NO_CONTENT
}

async fn credential(
    State(manager): State<FakeManager>,
    Path((_, name)): Path<(Uuid, String)>,
) -> Result<Json<SecretText>, StatusCode> {
    let state = manager.lock();
    let known = state.credentials.get(&name).cloned();
    known.map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn answer(
    State(manager): State<FakeManager>,
    Path((_, question)): Path<(Uuid, Uuid)>,
    Json(reply): Json<Reply>,
) -> StatusCode {
    manager.lock().replies.push((question, reply));
    StatusCode::NO_CONTENT
}

/// A peer that works for a fake manager.
pub(super) struct WorkingPeer {
    pub(super) world: FetchFixture,
    pub(super) manager: FakeManager,
    pub(super) pulls: RecentPulls,
    pub(super) metrics: PeerMetrics,
    running: Running,
}

impl WorkingPeer {
    pub(super) async fn of(manager: FakeManager) -> Self {
        let world = FetchFixture::new().await;
        let base = manager.serve().await;
        let http = client(&ClientOptions::default()).expect("a client");
        let around = oci::Registries::new(clients::client_factory());
        let membership = manager.member();
        let records = Records::new(membership.clone(), world.store.clone(), around.clone());
        let orders = OrdersContext {
            records,
            membership,
            manager: ManagerClient::new(http, &base),
            me: me(),
            store: world.store.clone(),
            fetches: world.fetches.clone(),
            delivery: Delivery::new(world.store.clone(), world.fetches.sources().clone(), &[7; 32]),
            neighbours: Neighbours::open(
                Uuid::nil(),
                "edge",
                world.dir.path(),
                Vec::new(),
                oci::DialRules::default(),
                around,
            ),
            pulls: RecentPulls::default(),
            metrics: PeerMetrics::default(),
        };
        let (pulls, metrics) = (orders.pulls.clone(), orders.metrics.clone());
        let (_, latch) = readiness();
        let running = Running::new();
        running.spawn(follow_orders(orders, running.clone(), latch));
        Self {
            world,
            manager,
            pulls,
            metrics,
            running,
        }
    }

    /// A lot of one object of the world's registry.
    pub(super) fn lot(&self, work: i64, digest: &oci::Digest, size: u64, trace: Option<TraceContext>) -> Lot {
        let wanted = self.world.wanted(digest);
        let order = LotPlacement {
            digest: digest.to_string(),
            size,
            kind: ObjectKind::Blob,
            media_type: "application/x".to_owned(),
            location: wanted.location.to_string(),
            parents: Vec::new(),
            bytes: None,
        };
        Lot {
            work,
            fence: 1,
            preheat: 7,
            image: "registry.lan/library/sample:1".to_owned(),
            trace,
            placements: vec![order],
            tag: None,
            public: None,
            credential: None,
        }
    }
}

impl Drop for WorkingPeer {
    fn drop(&mut self) {
        self.running.stopping().cancel();
    }
}

fn me() -> OwnDescription {
    OwnDescription {
        name: "seed-a".to_owned(),
        cluster: "edge".to_owned(),
        role: Role::Seed,
        advertise: None,
        share_port: 1,
    }
}
