//! A stand-in for Harbor's own API (version 2.0), for preheating: instances, their ping, policies,
//! executions and tasks. A real Harbor is a dozen containers; this one behaves as real ones were observed to.
//!
//! Its calls to a provider are real: health, a job for each image, and polls (faster than Harbor's 10 s).

#![expect(
    clippy::disallowed_methods,
    reason = "tests have no `Running`: what is spawned ends with the stand-in"
)]

mod driver;
mod instances;
mod policies;
mod state;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use state::HarborCoreSpec;
use state::{Core, CoreHandle, Generation, Instance, Policy, refusal};

/// A running stand-in; it stops on drop.
pub struct HarborCore {
    url: String,
    shared: CoreHandle,
    serving: JoinHandle<()>,
}

impl HarborCore {
    pub async fn start(spec: HarborCoreSpec) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Core {
            generation: Generation::of(spec.version),
            spec,
            state: Mutex::default(),
        });
        let router = router(&shared);
        let serving = tokio::spawn(async move {
            // Ends only with the task.
            let _ = axum::serve(listener, router).await;
        });
        Self { url, shared, serving }
    }

    /// The portal's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The instance as an administrator reads it.
    pub fn instance(&self, name: &str) -> Option<Value> {
        let held = self.shared.held();
        held.instances
            .get(name)
            .map(|instance| instance.shown(self.shared.generation))
    }

    /// Adds what an administrator set up before: an instance of Dragonfly, and a policy in each project that uses it.
    pub fn add_dragonfly(&self, name: &str, policy: &str) {
        let mut held = self.shared.held();
        let id = held.next_id();
        let instance = json!({"id": id, "name": name, "description": "", "vendor": "dragonfly",
            "endpoint": format!("http://{name}.test:4001"), "auth_mode": "OAUTH",
            "auth_info": {"token": "their-own"}, "enabled": true, "insecure": false});
        held.instances.insert(name.to_owned(), Instance(instance));
        for (project, project_id) in policies::PROJECTS {
            let policy_id = held.next_id();
            let stored = json!({"id": policy_id, "name": policy, "project_id": project_id, "provider_id": id,
                "provider_name": name, "filters": r#"[{"type":"repository","value":"**"}]"#,
                "trigger": r#"{"type":"manual"}"#, "enabled": true,
                "extra_attrs": r#"{"scope":"single_seed_peer"}"#});
            let key = (project.to_owned(), policy.to_owned());
            held.policies.insert(key, Policy(stored));
        }
    }

    /// Returns a policy of the project `library`.
    pub fn policy(&self, name: &str) -> Option<Value> {
        self.shared
            .held()
            .policies
            .get(&("library".to_owned(), name.to_owned()))
            .map(|policy| policy.0.clone())
    }

    /// Returns the credential that it sends to this provider, if any.
    pub fn credential(&self, instance: &str) -> Option<String> {
        let held = self.shared.held();
        let instance = held.instances.get(instance)?;
        instance.authorization(self.shared.generation).ok().flatten()
    }
}

impl Drop for HarborCore {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn router(shared: &CoreHandle) -> Router {
    let api = Router::new()
        .route("/projects", get(policies::projects))
        .route("/projects/{project}", get(policies::project))
        .route(
            "/p2p/preheat/instances",
            get(instances::list).post(instances::create),
        )
        .route("/p2p/preheat/instances/ping", post(instances::ping))
        .route(
            "/p2p/preheat/instances/{name}",
            get(instances::one)
                .put(instances::update)
                .delete(instances::delete),
        )
        .route(
            "/projects/{project}/preheat/policies",
            get(policies::list).post(policies::create),
        )
        .route(
            "/projects/{project}/preheat/policies/{name}",
            get(policies::one)
                .put(policies::update)
                .post(policies::run)
                .delete(policies::delete),
        )
        .route(
            "/projects/{project}/preheat/policies/{name}/executions",
            get(policies::executions),
        )
        .route(
            "/projects/{project}/preheat/policies/{name}/executions/{id}",
            get(policies::execution),
        )
        .route(
            "/projects/{project}/preheat/policies/{name}/executions/{id}/tasks",
            get(policies::tasks),
        )
        .route(
            "/projects/{project}/preheat/policies/{name}/executions/{id}/tasks/{task}/logs",
            get(policies::log),
        )
        .layer(from_fn_with_state(shared.clone(), signed_in))
        .route("/systeminfo", get(systeminfo));
    Router::new().nest("/api/v2.0", api).with_state(shared.clone())
}

/// Returns the version to signed-in callers only.
async fn systeminfo(State(core): State<CoreHandle>, headers: HeaderMap) -> Response {
    match (
        headers.contains_key(header::AUTHORIZATION),
        core.lets_in(&headers),
    ) {
        (true, false) => refusal(StatusCode::UNAUTHORIZED, "unauthorized"),
        (true, true) => {
            Json(json!({"auth_mode": "db_auth", "harbor_version": core.spec.version})).into_response()
        }
        (false, _) => Json(json!({"auth_mode": "db_auth"})).into_response(),
    }
}

async fn signed_in(State(core): State<CoreHandle>, request: Request, next: Next) -> Response {
    if core.lets_in(request.headers()) {
        return next.run(request).await;
    }
    refusal(StatusCode::UNAUTHORIZED, "unauthorized")
}
