//! Projects, their policies, and the executions of these.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::driver;
use super::state::{CoreHandle, Page, Policy, refusal};

pub(super) const PROJECTS: [(&str, i64); 2] = [("library", 1), ("team", 2)];

type OfPolicy = (String, String);

fn project_id(name: &str) -> Option<i64> {
    let found = PROJECTS.iter().find(|(project, _)| *project == name);
    found.map(|(_, id)| *id)
}

pub(super) async fn projects(Query(page): Query<Page>) -> Json<Value> {
    let all = PROJECTS
        .iter()
        .map(|(name, id)| json!({"project_id": id, "name": name}));
    Json(page.of(all.collect()))
}

pub(super) async fn project(Path(project): Path<String>) -> Response {
    match project_id(&project) {
        Some(id) => Json(json!({"project_id": id, "name": project})).into_response(),
        None => refusal(StatusCode::NOT_FOUND, &format!("project {project} not found")),
    }
}

pub(super) async fn list(
    State(core): State<CoreHandle>,
    Path(project): Path<String>,
    Query(page): Query<Page>,
) -> Json<Value> {
    let held = core.held();
    let all = held.policies.iter().filter(|((of, _), _)| *of == project);
    Json(page.of(all.map(|(_, policy)| policy.0.clone()).collect()))
}

pub(super) async fn create(
    State(core): State<CoreHandle>,
    Path(project): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    let name = body["name"].as_str().unwrap_or_default().to_owned();
    if let Some(fault) = fault(&body, &project) {
        return refusal(StatusCode::BAD_REQUEST, fault);
    }
    let mut held = core.held();
    let key = (project, name);
    if held.policies.contains_key(&key) {
        return refusal(StatusCode::CONFLICT, "policy exists");
    }
    let mut kept = core.kept(body);
    kept["id"] = held.next_id().into();
    held.policies.insert(key, Policy(kept));
    StatusCode::CREATED.into_response()
}

/// Finds the policy by the id in the body.
pub(super) async fn update(
    State(core): State<CoreHandle>,
    Path((project, _)): Path<OfPolicy>,
    Json(body): Json<Value>,
) -> Response {
    if let Some(fault) = fault(&body, &project) {
        return refusal(StatusCode::BAD_REQUEST, fault);
    }
    let kept = core.kept(body);
    let id = kept["id"].as_i64().unwrap_or_default();
    match core.held().policies.values_mut().find(|policy| policy.id() == id) {
        Some(policy) => {
            *policy = Policy(kept);
            StatusCode::OK.into_response()
        }
        None => refusal(StatusCode::NOT_FOUND, &format!("policy {id} not found")),
    }
}

pub(super) async fn delete(State(core): State<CoreHandle>, Path(key): Path<OfPolicy>) -> Response {
    match core.held().policies.remove(&key) {
        Some(_) => StatusCode::OK.into_response(),
        None => refusal(StatusCode::NOT_FOUND, "policy not found"),
    }
}

pub(super) async fn one(State(core): State<CoreHandle>, Path(key): Path<OfPolicy>) -> Response {
    match core.held().policies.get(&key) {
        Some(policy) => Json(policy.0.clone()).into_response(),
        None => refusal(StatusCode::NOT_FOUND, &format!("policy {} not found", key.1)),
    }
}

/// Checks the fields that Harbor requires as JSON in a string.
fn fault(body: &Value, project: &str) -> Option<&'static str> {
    let in_text = |key: &str| {
        let text = body[key].as_str()?;
        serde_json::from_str::<Value>(text).ok()
    };
    if in_text("filters").is_none() {
        return Some("filters: not a JSON text");
    }
    if in_text("trigger").is_none() {
        return Some("trigger: not a JSON text");
    }
    (body["project_id"].as_i64() != project_id(project)).then_some("project_id: not this project's")
}

/// Checks the provider's health first, as Harbor does; an unhealthy one gets 500 and no execution.
pub(super) async fn run(State(core): State<CoreHandle>, Path(key): Path<OfPolicy>) -> Response {
    let (policy, instance) = {
        let held = core.held();
        let Some(Policy(policy)) = held.policies.get(&key).cloned() else {
            return refusal(StatusCode::NOT_FOUND, "policy not found");
        };
        let instance = held
            .instances
            .values()
            .find(|instance| policy["provider_id"].as_i64() == Some(instance.id()))
            .cloned();
        (policy, instance)
    };
    let Some(instance) = instance else {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "no such provider");
    };
    if let Err(hidden) = driver::health(&instance, core.generation).await {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, &hidden);
    }
    let execution = driver::begin(&core, instance, &policy);
    let (project, name) = key;
    let location = format!("/projects/{project}/preheat/policies/{name}/executions/{execution}");
    (StatusCode::CREATED, [("location", location)]).into_response()
}

type OfExecution = (String, String, usize);

/// No execution is listed: they are not kept by policy.
pub(super) async fn executions() -> Json<Value> {
    Json(json!([]))
}

/// In Harbor its status lags up to half a minute behind its tasks; here it always stays "Running".
pub(super) async fn execution(
    State(core): State<CoreHandle>,
    Path((_, _, id)): Path<OfExecution>,
) -> Response {
    match core.held().executions.get(id) {
        Some(tasks) if tasks.is_empty() => {
            Json(json!({"id": id, "status": "Success", "status_message": ""})).into_response()
        }
        Some(_) => Json(json!({"id": id, "status": "Running", "status_message": ""})).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "execution not found"),
    }
}

pub(super) async fn tasks(State(core): State<CoreHandle>, Path((_, _, id)): Path<OfExecution>) -> Response {
    let held = core.held();
    let Some(tasks) = held.executions.get(id) else {
        return refusal(StatusCode::NOT_FOUND, "execution not found");
    };
    let shown: Vec<Value> = tasks
        .iter()
        .enumerate()
        .map(|(id, task)| json!({"id": id, "status": task.status}))
        .collect();
    Json(json!(shown)).into_response()
}

pub(super) async fn log(
    State(core): State<CoreHandle>,
    Path((_, _, execution, task)): Path<(String, String, usize, usize)>,
) -> Response {
    let held = core.held();
    let task = held.executions.get(execution).and_then(|tasks| tasks.get(task));
    match task {
        Some(task) => task.log.clone().into_response(),
        None => refusal(StatusCode::NOT_FOUND, "task not found"),
    }
}
