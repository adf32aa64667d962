//! The state of the stand-in: its version, provider instances, policies and executions.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};

/// Its administrator, version, and images of its projects `library` and `team`.
#[derive(Debug, Clone)]
pub struct HarborCoreSpec {
    /// `v2.15.2`
    pub version: &'static str,
    /// The administrator's password.
    pub password: &'static str,
    /// Manifest URLs: what every policy matches.
    pub images: Vec<String>,
}

pub(super) type CoreHandle = Arc<Core>;

pub(super) struct Core {
    pub(super) spec: HarborCoreSpec,
    pub(super) generation: Generation,
    pub(super) state: Mutex<CoreState>,
}

#[derive(Default)]
pub(super) struct CoreState {
    pub(super) instances: BTreeMap<String, Instance>,
    /// By project and name.
    pub(super) policies: BTreeMap<(String, String), Policy>,
    pub(super) executions: Vec<Vec<ExecutedTask>>,
    ids: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    /// Up to 2.11.
    Old,
    /// 2.12
    ScopeInColumn,
    /// 2.13 and newer.
    ScopesInAttributes,
}

impl Generation {
    /// Of `v2.12.4`.
    pub(super) fn of(version: &str) -> Self {
        let minor = version
            .split('.')
            .nth(1)
            .and_then(|minor| minor.parse::<u32>().ok());
        match minor.unwrap_or_default() {
            ..12 => Self::Old,
            12 => Self::ScopeInColumn,
            13.. => Self::ScopesInAttributes,
        }
    }

    pub(super) fn health_path(self) -> &'static str {
        match self {
            Self::Old => "/_ping",
            _ => "/healthy",
        }
    }

    pub(super) fn jobs_path(self) -> &'static str {
        match self {
            Self::Old => "/preheats",
            _ => "/oapi/v1/jobs",
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct ExecutedTask {
    pub(super) status: &'static str,
    pub(super) log: String,
}

#[derive(Clone)]
pub(super) struct Instance(pub(super) Value);

impl Instance {
    pub(super) fn id(&self) -> i64 {
        self.0["id"].as_i64().unwrap_or_default()
    }

    pub(super) fn endpoint(&self) -> &str {
        self.0["endpoint"].as_str().unwrap_or_default()
    }

    /// Up to 2.12 a credential is returned in clear text.
    pub(super) fn shown(&self, generation: Generation) -> Value {
        let mut shown = self.0.clone();
        if generation == Generation::ScopesInAttributes {
            shown["auth_info"] = Value::Null;
        }
        shown["status"] = "Unknown".into();
        shown
    }

    /// Up to 2.11 a stored credential is never loaded, so that every call fails inside Harbor.
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

#[derive(Clone)]
pub(super) struct Policy(pub(super) Value);

impl Policy {
    pub(super) fn id(&self) -> i64 {
        self.0["id"].as_i64().unwrap_or_default()
    }

    pub(super) fn provider(&self) -> i64 {
        self.0["provider_id"].as_i64().unwrap_or_default()
    }
}

/// The page of a list: ten items unless the caller names another size, as in Harbor.
#[derive(serde::Deserialize)]
pub(super) struct Page {
    page: Option<usize>,
    page_size: Option<usize>,
}

impl Page {
    pub(super) fn of(&self, all: Vec<Value>) -> Value {
        let size = self.page_size.unwrap_or(10).min(100);
        let before = self.page.unwrap_or(1).saturating_sub(1) * size;
        all.into_iter().skip(before).take(size).collect()
    }
}

impl Core {
    pub(super) fn held(&self) -> MutexGuard<'_, CoreState> {
        self.state.lock()
    }
}

impl CoreState {
    pub(super) fn next_id(&mut self) -> i64 {
        self.ids += 1;
        self.ids
    }
}

impl Core {
    pub(super) fn lets_in(&self, headers: &HeaderMap) -> bool {
        let pair = STANDARD.encode(format!("admin:{}", self.spec.password));
        headers
            .get(header::AUTHORIZATION)
            .is_some_and(|value| value.as_bytes() == format!("Basic {pair}").as_bytes())
    }
}

impl Core {
    /// Each generation drops unknown fields.
    pub(super) fn kept(&self, mut body: Value) -> Value {
        let unknown: &[&str] = match self.generation {
            Generation::Old => &["scope", "extra_attrs"],
            Generation::ScopeInColumn => &["extra_attrs"],
            Generation::ScopesInAttributes => &["scope"],
        };
        for key in unknown {
            if let Some(fields) = body.as_object_mut() {
                fields.remove(*key);
            }
        }
        body
    }
}

/// Returns a refusal in Harbor's form; from 500 up without the message.
pub(super) fn refusal(status: StatusCode, message: &str) -> Response {
    let message = if status.is_server_error() {
        "internal server error"
    } else {
        message
    };
    let errors = json!({"errors": [{"code": "UNKNOWN", "message": message}]});
    (status, Json(errors)).into_response()
}
