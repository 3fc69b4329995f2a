//! Remembers how far a backfill has come, so that it can be continued.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::OperateError;

/// A file with the last order that was handled.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    state: State,
}

#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
struct State {
    /// The table and the source of ids. Another backfill must not continue here.
    of: String,
    last: Option<String>,
}

impl Checkpoint {
    /// Reads the file, if it exists.
    ///
    /// # Errors
    ///
    /// It cannot be read, or belongs to another backfill.
    pub fn open(path: &Path, of: &str) -> Result<Self, OperateError> {
        let of = of.to_owned();
        let path = path.to_owned();
        let state = match fs::read(&path) {
            Ok(json) => {
                let state: Option<State> = serde_json::from_slice(&json).ok();
                let state = state.filter(|state| state.of == of);
                state.ok_or_else(|| OperateError::Checkpoint(path.clone()))?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => State { of, last: None },
            Err(source) => return Err(OperateError::File { path, source }),
        };
        Ok(Self { path, state })
    }

    /// The last order that was handled.
    pub fn last(&self) -> Option<&str> {
        self.state.last.as_deref()
    }

    /// Writes the file. A crash leaves the old file or the new one.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn save(&mut self, last: &str) -> Result<(), OperateError> {
        self.state.last = Some(last.to_owned());
        let new = self.path.with_extension("new");
        let written = serde_json::to_vec(&self.state).map_err(io::Error::from);
        let written = written.and_then(|json| fs::write(&new, json));
        let renamed = written.and_then(|()| fs::rename(&new, &self.path));
        renamed.map_err(|source| OperateError::File {
            path: self.path.clone(),
            source,
        })
    }

    /// Removes the file, because the backfill is complete.
    pub fn remove(self) {
        // If it cannot be removed, the next backfill ends at once and says that nothing was left.
        let _ = fs::remove_file(self.path);
    }
}
