//! `stoker-peer store …`: lists the store of this machine's peer, or removes an object.
//!
//! One program at a time can open a store. While the peer runs, the command goes through its admin port, with
//! the key in its data folder. Otherwise the store is opened here.

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oci::Digest;
use process::admin::AdminKey;
use process::http::{ClientOptions, client};
use reqwest::{Method, Response, StatusCode};
use store::Store;

use crate::admin::{ListedObject, OBJECTS, list_objects, remove_object};
use crate::arguments::StoreCommand;
use crate::config::StorePlace;

const CALL_LIMIT: Duration = Duration::from_secs(30);
const KEY_FILE: &str = "admin.key";

#[derive(Debug, thiserror::Error)]
pub enum StoreCommandError {
    #[error("no store in {}: set --data-dir to the peer's data folder", .0.display())]
    NoStore(PathBuf),
    #[error("{0} is not in the store")]
    NotHeld(Digest),
    #[error(
        "the peer that uses the store does not answer at {admin} ({cause}): set --admin to that peer's admin address, or stop the peer"
    )]
    NoAnswer { admin: String, cause: String },
    #[error(
        "the peer at {admin} refused the key of this data folder: set --admin to the admin address of this folder's peer"
    )]
    AnotherPeer { admin: String },
    #[error("the peer at {admin} answered {status}: {text}")]
    Answered {
        admin: String,
        status: StatusCode,
        text: String,
    },
    #[error("{}: {cause}", .path.display())]
    Disk { path: PathBuf, cause: io::Error },
}

impl StoreCommandError {
    /// Returns whether the peer that has the store open was not reached.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::AnotherPeer { .. })
    }
}

/// Runs the command. Returns lines for people and scripts.
pub async fn run(place: &StorePlace, wanted: StoreCommand) -> Result<Vec<String>, StoreCommandError> {
    let objects = match open(&place.data_dir)? {
        Some(store) => run_here(&store, &place.data_dir, wanted).await?,
        None => run_at_peer(place, wanted).await?,
    };
    Ok(objects)
}

/// Returns `None` when a peer has the store open.
fn open(data_dir: &Path) -> Result<Option<Store>, StoreCommandError> {
    let folder = data_dir.join("store");
    if !folder.join("index.redb").exists() {
        return Err(StoreCommandError::NoStore(data_dir.to_owned()));
    }
    match Store::open(&folder) {
        Ok(store) => Ok(Some(store)),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(None),
        Err(cause) => Err(StoreCommandError::Disk { path: folder, cause }),
    }
}

async fn run_here(
    store: &Store,
    data_dir: &Path,
    wanted: StoreCommand,
) -> Result<Vec<String>, StoreCommandError> {
    let disk = |cause| StoreCommandError::Disk {
        path: data_dir.to_owned(),
        cause,
    };
    match wanted {
        StoreCommand::List => Ok(list_objects(store).iter().map(line).collect()),
        StoreCommand::Remove { digest } => {
            let gone = remove_object(store, &digest).await.map_err(disk)?;
            store.flush().await.map_err(disk)?;
            let gone = gone.ok_or(StoreCommandError::NotHeld(digest))?;
            Ok(vec![removed(&gone)])
        }
    }
}

async fn run_at_peer(place: &StorePlace, wanted: StoreCommand) -> Result<Vec<String>, StoreCommandError> {
    match wanted {
        StoreCommand::List => {
            let response = call(place, Method::GET, OBJECTS).await?;
            let list: Vec<ListedObject> = read(place, response).await?;
            Ok(list.iter().map(line).collect())
        }
        StoreCommand::Remove { digest } => {
            let response = call(place, Method::DELETE, &format!("{OBJECTS}/{digest}")).await?;
            if response.status() == StatusCode::NOT_FOUND {
                return Err(StoreCommandError::NotHeld(digest));
            }
            Ok(vec![removed(&read(place, response).await?)])
        }
    }
}

/// Sends the request with each possible key until one is accepted.
async fn call(place: &StorePlace, method: Method, path: &str) -> Result<Response, StoreCommandError> {
    let no_answer = |cause: String| StoreCommandError::NoAnswer {
        admin: place.admin.clone(),
        cause,
    };
    let http = client(&ClientOptions::default()).map_err(|error| no_answer(error.to_string()))?;
    for key in keys(&place.data_dir) {
        let request = http
            .request(method.clone(), format!("http://{}{path}", place.admin))
            .header("authorization", key.authorization())
            .timeout(CALL_LIMIT);
        let response = request
            .send()
            .await
            .map_err(|error| no_answer(innermost(&error)))?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
    }
    Err(StoreCommandError::AnotherPeer {
        admin: place.admin.clone(),
    })
}

/// The key in the peer's folder, then the one in the folder around it: there the peer runs inside `stoker up`.
fn keys(data_dir: &Path) -> impl Iterator<Item = AdminKey> {
    let around = data_dir.parent().map(Path::to_owned);
    let folders = std::iter::once(data_dir.to_owned()).chain(around);
    // Existing keys only: a new one would open nothing.
    folders
        .filter(|folder| folder.join(KEY_FILE).exists())
        .filter_map(|folder| AdminKey::open(&folder).ok())
}

async fn read<T: serde::de::DeserializeOwned>(
    place: &StorePlace,
    response: Response,
) -> Result<T, StoreCommandError> {
    let status = response.status();
    let answered = |text: String| StoreCommandError::Answered {
        admin: place.admin.clone(),
        status,
        text: text.trim().to_owned(),
    };
    if !status.is_success() {
        return Err(answered(response.text().await.unwrap_or_default()));
    }
    response.json().await.map_err(|error| answered(innermost(&error)))
}

fn line(listed: &ListedObject) -> String {
    format!("{} {} {}", listed.digest, listed.size, listed.kind)
}

fn removed(listed: &ListedObject) -> String {
    format!(
        "removed {} ({} bytes, {})",
        listed.digest, listed.size, listed.kind
    )
}

fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
