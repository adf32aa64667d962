//! The file that undoes an import: which instance each policy had. It holds no secret.

use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::instance::Instance;

const FORMAT: u32 = 1;
/// Larger files are not of an import.
const LONGEST: u64 = 16 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Undo {
    format: u32,
    /// Harbor's URL.
    harbor: String,
    /// The id of Stoker's instance in Harbor, which the policies have since.
    pub(super) stoker_id: i64,
    pub(super) policies: Vec<MovedPolicy>,
}

/// A policy and the instance that it had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MovedPolicy {
    pub(super) project: String,
    pub(super) policy: String,
    pub(super) instance_id: i64,
    pub(super) instance: String,
}

impl MovedPolicy {
    /// `library/nightly`
    pub(super) fn title(&self) -> String {
        format!("{}/{}", self.project, self.policy)
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum UndoError {
    #[error("{file} cannot be written: {error}; nothing was imported")]
    Write { file: String, error: std::io::Error },
    #[error("--undo {file} cannot be read: {error}")]
    Read { file: String, error: std::io::Error },
    #[error("--undo {file} was not written by stoker harbor import: {reason}")]
    Unknown { file: String, reason: String },
    #[error("the file is of the Harbor at {0}: give that address with --harbor")]
    OtherHarbor(String),
}

impl Undo {
    pub(super) fn new(harbor: &str, stoker: &Instance, policies: Vec<MovedPolicy>) -> Self {
        Self {
            format: FORMAT,
            harbor: bare(harbor).to_owned(),
            stoker_id: stoker.id,
            policies,
        }
    }

    /// Writes a new file. Fails if it exists.
    pub(super) fn write(&self, file: &Path) -> Result<(), UndoError> {
        let write = || {
            let text = serde_json::to_string_pretty(self)?;
            let mut new = std::fs::File::create_new(file)?;
            new.write_all(text.as_bytes())?;
            new.write_all(b"\n")?;
            new.sync_all()
        };
        write().map_err(|error| UndoError::Write {
            file: file.display().to_string(),
            error,
        })
    }

    pub(super) fn read(file: &Path) -> Result<Self, UndoError> {
        let name = || file.display().to_string();
        let unknown = |reason: String| UndoError::Unknown { file: name(), reason };
        let read = || {
            let length = std::fs::metadata(file)?.len();
            Ok((length <= LONGEST).then_some(std::fs::read(file)?))
        };
        let bytes = read().map_err(|error| UndoError::Read { file: name(), error })?;
        let bytes = bytes.ok_or_else(|| unknown("it is too long".to_owned()))?;
        let undo: Self = serde_json::from_slice(&bytes).map_err(|error| unknown(error.to_string()))?;
        if undo.format != FORMAT {
            return Err(unknown(format!("it has format {}", undo.format)));
        }
        Ok(undo)
    }

    /// Checks that the file is of this Harbor: ids mean nothing in another one.
    pub(super) fn check(&self, harbor: &str) -> Result<(), UndoError> {
        if self.harbor == bare(harbor) {
            Ok(())
        } else {
            Err(UndoError::OtherHarbor(self.harbor.clone()))
        }
    }
}

fn bare(url: &str) -> &str {
    url.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undo() -> Undo {
        Undo {
            format: FORMAT,
            harbor: "https://h.lan".to_owned(),
            stoker_id: 7,
            policies: vec![MovedPolicy {
                project: "library".to_owned(),
                policy: "nightly".to_owned(),
                instance_id: 3,
                instance: "dragonfly".to_owned(),
            }],
        }
    }

    #[test]
    fn a_file_is_written_once_and_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("before.json");
        undo().write(&file).expect("written");
        assert_eq!(Undo::read(&file).expect("read"), undo());
        assert!(matches!(undo().write(&file), Err(UndoError::Write { .. })));
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("other.json");
        assert!(matches!(Undo::read(&file), Err(UndoError::Read { .. })));
        for text in ["", "{}", "[1]"] {
            std::fs::write(&file, text).expect("written");
            assert!(
                matches!(Undo::read(&file), Err(UndoError::Unknown { .. })),
                "{text}"
            );
        }
        let newer = Undo { format: 2, ..undo() };
        std::fs::write(&file, serde_json::to_vec(&newer).expect("JSON")).expect("written");
        assert!(matches!(Undo::read(&file), Err(UndoError::Unknown { .. })));
    }

    #[test]
    fn a_file_of_another_harbor_is_refused() {
        assert!(undo().check("https://h.lan/").is_ok());
        assert!(matches!(
            undo().check("https://other.lan"),
            Err(UndoError::OtherHarbor(_))
        ));
    }
}
