//! The store's routes of the peer's admin port. They need the admin key.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use oci::Digest;
use serde::{Deserialize, Serialize};
use tracing::{error, info};

use store::{About, RemovalReason, Store};

pub(crate) const OBJECTS: &str = "/store/objects";

/// One object of a store, as people and programs see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListedObject {
    pub(crate) digest: String,
    pub(crate) size: u64,
    pub(crate) kind: String,
}

impl ListedObject {
    pub(crate) fn new(digest: &Digest, about: &About) -> Self {
        Self {
            digest: digest.to_string(),
            size: about.size,
            kind: about.kind.word().to_owned(),
        }
    }
}

/// The routes that need the admin key.
pub(crate) fn routes(store: Store) -> Router {
    Router::new()
        .route(OBJECTS, get(list))
        .route("/store/objects/{digest}", delete(remove))
        .with_state(store)
}

async fn list(State(store): State<Store>) -> Json<Vec<ListedObject>> {
    Json(list_objects(&store))
}

pub(crate) fn list_objects(store: &Store) -> Vec<ListedObject> {
    let list = store.list();
    list.iter()
        .map(|(digest, about)| ListedObject::new(digest, about))
        .collect()
}

async fn remove(
    State(store): State<Store>,
    Path(digest): Path<String>,
) -> Result<Json<ListedObject>, (StatusCode, String)> {
    let digest: Digest = digest
        .parse()
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("{error}\n")))?;
    match remove_object(&store, &digest).await {
        Ok(Some(gone)) => Ok(Json(gone)),
        Ok(None) => Err((StatusCode::NOT_FOUND, format!("{digest} is not in the store\n"))),
        Err(failure) => {
            error!(stoker.digest = %digest, stoker.side = "peer", error = %failure, "object not removed");
            Err((StatusCode::INTERNAL_SERVER_ERROR, format!("{failure}\n")))
        }
    }
}

/// Removes an object on request. Returns what it was, if it was held.
pub(crate) async fn remove_object(store: &Store, digest: &Digest) -> std::io::Result<Option<ListedObject>> {
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
        "object removed on request"
    );
    Ok(Some(ListedObject::new(digest, &about)))
}
