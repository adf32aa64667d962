//! The errors of this crate.

use std::sync::Arc;

use queue::WriteError;
use sea_orm::DbErr;

use super::peer_choice::BadPeers;
use super::state::PreheatState;

/// The database refused or failed an operation.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    #[error("the manager's write queue is full; retry in a moment")]
    Busy,
    #[error("the database failed: {0}")]
    Database(Arc<DbErr>),
    #[error(transparent)]
    Damaged(#[from] DamagedRow),
    #[error("the manager could not write: {0}")]
    Broken(String),
}

/// A column holds a value that no version of the manager writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "row {id} of table {table} is damaged: column {column} holds {value:?}; correct the value, or restore a backup"
)]
pub struct DamagedRow {
    pub table: &'static str,
    pub id: String,
    pub column: &'static str,
    pub value: String,
}

/// Longer values are cut.
const SHOWN_LETTERS: usize = 100;

impl DamagedRow {
    pub(crate) fn new(table: &'static str, id: String, column: &'static str, value: &str) -> Self {
        Self {
            table,
            id,
            column,
            value: value.chars().take(SHOWN_LETTERS).collect(),
        }
    }
}

/// Carries the damage through code that returns the database's errors.
impl From<DamagedRow> for DbErr {
    fn from(damaged: DamagedRow) -> Self {
        Self::TryIntoErr {
            from: "row",
            into: "value",
            source: Arc::new(damaged),
        }
    }
}

fn damage_in(error: &DbErr) -> Option<DamagedRow> {
    match error {
        DbErr::TryIntoErr { source, .. } => source.downcast_ref().cloned(),
        _ => None,
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    #[error("there is no cluster {wanted}; there are: {}", known.join(", "))]
    UnknownCluster { wanted: String, known: Vec<String> },
    #[error(
        "{0} is not a registry that this manager asks: write [registry.\"{0}\"] into its configuration, or name it in allow below [dial], or set open_by_preheat = true there"
    )]
    RegistryNotOpen(oci::RegistryName),
    /// Who blocked it, when and why.
    #[error("{0}; remove the block with `stoker image unblock`")]
    Blocked(String),
    #[error(transparent)]
    BadPeers(#[from] BadPeers),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    #[error("there is no preheat {0}")]
    Unknown(i64),
    #[error("preheat {id} is {} already; there is nothing to cancel", state.word())]
    AlreadyEnded { id: i64, state: PreheatState },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    #[error("there is no preheat {0}")]
    Unknown(i64),
    #[error(
        "preheat {id} is {}; only a failed or cancelled preheat can be retried: submit the image again instead",
        state.word()
    )]
    NotFailed { id: i64, state: PreheatState },
    #[error(
        "the credential that came with preheat {id} is gone, and none is configured for {registry}: send one with \
         the retry, or write one under [registry.\"{registry}\"]"
    )]
    NoCredential { id: i64, registry: String },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("this session has ended; say hello again")]
    Ended,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

#[derive(Debug, thiserror::Error)]
pub enum HelloError {
    #[error("the peer speaks version {peer} of the protocol, this manager {manager}; update the older one")]
    Version { peer: u32, manager: u32 },
    #[error("the peer was removed from this manager: empty its data folder and join again")]
    Removed,
    #[error(
        "{0} peers have a session with this manager, and it takes no more: remove some with `stoker peers remove`"
    )]
    Full(u64),
    #[error("this manager has {0} clusters and takes no more: join one of them (see `stoker clusters`)")]
    TooManyClusters(u64),
    #[error("{what} {given:?} cannot be used: {advice}")]
    BadName {
        what: &'static str,
        given: String,
        advice: &'static str,
    },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<DbErr> for StorageError {
    fn from(error: DbErr) -> Self {
        Self::from(Arc::new(error))
    }
}

impl From<Arc<DbErr>> for StorageError {
    fn from(error: Arc<DbErr>) -> Self {
        damage_in(&error).map_or(Self::Database(error), Self::Damaged)
    }
}

impl From<DbErr> for SessionError {
    fn from(error: DbErr) -> Self {
        Self::Storage(error.into())
    }
}

impl From<DamagedRow> for SessionError {
    fn from(damaged: DamagedRow) -> Self {
        Self::Storage(damaged.into())
    }
}

impl From<WriteError<DbErr>> for StorageError {
    fn from(error: WriteError<DbErr>) -> Self {
        match error {
            WriteError::Busy => Self::Busy,
            WriteError::Refused(error) => error.into(),
            WriteError::Database(error) => error.into(),
            other => Self::Broken(other.to_string()),
        }
    }
}
