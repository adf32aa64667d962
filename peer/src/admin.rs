//! What the peer's admin port has beside probes and metrics: its store, for those who have the admin key.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use oci::Digest;
use serde::{Deserialize, Serialize};
use tracing::{error, info};

use store::{About, RemovalReason, Store};

pub(crate) const OBJECTS: &str = "/store/objects";

/// One object of a store, as people and programs are shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) digest: String,
    pub(crate) size: u64,
    pub(crate) kind: String,
}

impl Listed {
    pub(crate) fn new(digest: &Digest, about: &About) -> Self {
        Self {
            digest: digest.to_string(),
            size: about.size,
            kind: about.kind.word().to_owned(),
        }
    }
}

/// Routes that want the admin key.
pub(crate) fn routes(store: Store) -> Router {
    Router::new()
        .route(OBJECTS, get(list))
        .route("/store/objects/{digest}", delete(remove))
        .with_state(store)
}

async fn list(State(store): State<Store>) -> Json<Vec<Listed>> {
    Json(everything(&store))
}

pub(crate) fn everything(store: &Store) -> Vec<Listed> {
    let list = store.list();
    list.iter()
        .map(|(digest, about)| Listed::new(digest, about))
        .collect()
}

async fn remove(
    State(store): State<Store>,
    Path(digest): Path<String>,
) -> Result<Json<Listed>, (StatusCode, String)> {
    let digest: Digest = digest
        .parse()
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("{error}\n")))?;
    match take_out(&store, &digest).await {
        Ok(Some(gone)) => Ok(Json(gone)),
        Ok(None) => Err((StatusCode::NOT_FOUND, format!("{digest} is not in this store\n"))),
        Err(failure) => {
            error!(stoker.digest = %digest, stoker.side = "peer", error = %failure, "an object cannot be removed");
            Err((StatusCode::INTERNAL_SERVER_ERROR, format!("{failure}\n")))
        }
    }
}

/// Removes an object because somebody asked for it; what it was, if it was there.
pub(crate) async fn take_out(store: &Store, digest: &Digest) -> std::io::Result<Option<Listed>> {
    let Some(about) = store.about(digest) else {
        return Ok(None);
    };
    if !store.remove(digest, RemovalReason::Asked).await? {
        return Ok(None);
    }
    info!(
        stoker.digest = %digest,
        stoker.bytes = about.size,
        reason = RemovalReason::Asked.word(),
        "{digest} was removed from the store, as asked"
    );
    Ok(Some(Listed::new(digest, &about)))
}
