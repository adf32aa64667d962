//! Provider instances as Harbor keeps them: one endpoint once, a credential that is not always given back.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::driver::{self, Generation};
use super::{Shared, refusal};

#[derive(Clone)]
pub(super) struct Instance(Value);

impl Instance {
    pub(super) fn id(&self) -> i64 {
        self.0["id"].as_i64().unwrap_or_default()
    }

    pub(super) fn endpoint(&self) -> &str {
        self.0["endpoint"].as_str().unwrap_or_default()
    }

    /// Up to 2.12 a credential is given back in clear.
    pub(super) fn shown(&self, generation: Generation) -> Value {
        let mut shown = self.0.clone();
        if generation == Generation::ScopesInAttributes {
            shown["auth_info"] = Value::Null;
        }
        shown["status"] = "Unknown".into();
        shown
    }

    /// Up to 2.11 a stored credential is never read back, and every call ends in an error of Harbor's own.
    pub(super) fn authorization(&self, generation: Generation) -> Result<Option<String>, String> {
        let mode = self.0["auth_mode"].as_str().unwrap_or_default();
        match (mode, generation) {
            ("NONE", _) => Ok(None),
            (_, Generation::Old) => Err("no credential data provided".to_owned()),
            ("OAUTH", _) => match self.0["auth_info"]["token"].as_str() {
                Some(token) => Ok(Some(format!("Bearer {token}"))),
                None => Err("missing OAuth token".to_owned()),
            },
            (other, _) => Err(format!("no auth handler registered for mode: {other}")),
        }
    }
}

pub(super) async fn list(State(core): State<Shared>) -> Json<Value> {
    let held = core.held();
    let all: Vec<Value> = held
        .instances
        .values()
        .map(|instance| instance.shown(core.generation))
        .collect();
    Json(json!(all))
}

pub(super) async fn one(State(core): State<Shared>, Path(name): Path<String>) -> Response {
    match core.held().instances.get(&name) {
        Some(instance) => Json(instance.shown(core.generation)).into_response(),
        None => refusal(StatusCode::NOT_FOUND, &format!("instance {name} not found")),
    }
}

pub(super) async fn create(State(core): State<Shared>, Json(mut body): Json<Value>) -> Response {
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

/// Without `auth_info` the one that is there stays.
pub(super) async fn update(
    State(core): State<Shared>,
    Path(name): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    let mut held = core.held();
    let Some(Instance(before)) = held.instances.get_mut(&name) else {
        return refusal(StatusCode::NOT_FOUND, &format!("instance {name} not found"));
    };
    for (key, value) in body.as_object().into_iter().flatten() {
        if key != "vendor" && key != "id" {
            before[key] = value.clone();
        }
    }
    StatusCode::OK.into_response()
}

pub(super) async fn ping(State(core): State<Shared>, Json(body): Json<Value>) -> Response {
    let id = body["id"].as_i64().unwrap_or_default();
    let found = {
        let held = core.held();
        held.instances
            .values()
            .find(|instance| instance.id() == id)
            .cloned()
    };
    let Some(instance) = found else {
        return refusal(StatusCode::NOT_FOUND, "instance not found");
    };
    match driver::health(&instance, core.generation).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(hidden) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &hidden),
    }
}
