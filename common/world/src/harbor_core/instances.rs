//! Provider instances as Harbor stores them: unique endpoints, and credentials that are not always returned.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::driver;
use super::state::{CoreHandle, Instance, Page, refusal};

pub(super) async fn list(State(core): State<CoreHandle>, Query(page): Query<Page>) -> Json<Value> {
    let held = core.held();
    let all: Vec<Value> = held
        .instances
        .values()
        .map(|instance| instance.shown(core.generation))
        .collect();
    Json(page.of(all))
}

pub(super) async fn one(State(core): State<CoreHandle>, Path(name): Path<String>) -> Response {
    match core.held().instances.get(&name) {
        Some(instance) => Json(instance.shown(core.generation)).into_response(),
        None => refusal(StatusCode::NOT_FOUND, &format!("instance {name} not found")),
    }
}

pub(super) async fn create(State(core): State<CoreHandle>, Json(mut body): Json<Value>) -> Response {
    let name = body["name"].as_str().unwrap_or_default().to_owned();
    let mut held = core.held();
    if held.instances.contains_key(&name) {
        return refusal(StatusCode::CONFLICT, &format!("instance {name} already exists"));
    }
    let endpoint = body["endpoint"].as_str().unwrap_or_default().to_owned();
    if held.instances.values().any(|other| other.endpoint() == endpoint) {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "");
    }
    let id = held.next_id();
    body["id"] = id.into();
    held.instances.insert(name, Instance(body));
    (
        StatusCode::CREATED,
        [("location", format!("/api/v2.0/p2p/preheat/instances/{id}"))],
    )
        .into_response()
}

/// Finds the instance by the id in the body: the name in the path only routes. Without `auth_info` the stored one is
/// kept.
pub(super) async fn update(
    State(core): State<CoreHandle>,
    Path(_): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    let id = body["id"].as_i64().unwrap_or_default();
    let mut held = core.held();
    let used = held.policies.values().any(|policy| policy.provider() == id);
    let Some(Instance(before)) = held.instances.values_mut().find(|instance| instance.id() == id) else {
        return refusal(StatusCode::NOT_FOUND, &format!("instance {id} not found"));
    };
    if used && body["enabled"] != true {
        return refusal(
            StatusCode::PRECONDITION_FAILED,
            "cannot be disabled: policies are using it",
        );
    }
    if before["vendor"] != body["vendor"] {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "vendor cannot be changed");
    }
    for (key, value) in body.as_object().into_iter().flatten() {
        before[key] = value.clone();
    }
    StatusCode::OK.into_response()
}

pub(super) async fn delete(State(core): State<CoreHandle>, Path(name): Path<String>) -> Response {
    let mut held = core.held();
    let Some(id) = held.instances.get(&name).map(Instance::id) else {
        return refusal(StatusCode::NOT_FOUND, &format!("instance {name} not found"));
    };
    if held.policies.values().any(|policy| policy.provider() == id) {
        return refusal(
            StatusCode::PRECONDITION_FAILED,
            "cannot be deleted: policies are using it",
        );
    }
    held.instances.remove(&name);
    StatusCode::OK.into_response()
}

/// Pings a stored instance by its id, or one that the body describes.
pub(super) async fn ping(State(core): State<CoreHandle>, Json(body): Json<Value>) -> Response {
    let id = body["id"].as_i64().unwrap_or_default();
    let found = if id > 0 {
        let held = core.held();
        let mut all = held.instances.values();
        all.find(|instance| instance.id() == id).cloned()
    } else {
        Some(Instance(body))
    };
    let Some(instance) = found else {
        return refusal(StatusCode::NOT_FOUND, "instance not found");
    };
    match driver::health(&instance, core.generation).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(hidden) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &hidden),
    }
}
