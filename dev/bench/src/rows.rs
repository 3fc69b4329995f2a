//! What a benchmark measured, as lines of JSON in the file that the variable `BENCH_ROWS` names.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The variable that names the file of rows.
const FILE: &str = "BENCH_ROWS";

/// One line of the table. Less is better in every unit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Row {
    /// The rows of a group stand together, under this heading.
    pub group: String,
    pub what: String,
    pub unit: String,
    /// Absent if this was not measured.
    pub ours: Option<f64>,
    /// The same measurement of others, by their names.
    pub others: BTreeMap<String, f64>,
    pub note: String,
    /// Why the row, or a part of it, was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

#[derive(Debug, Error)]
pub enum RowsError {
    #[error("BENCH_ROWS is not set: run `make bench`")]
    NoFile,
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}, line {line}: not a row: {source}", path.display())]
    Row {
        path: PathBuf,
        line: usize,
        source: serde_json::Error,
    },
}

impl Row {
    pub fn new(group: &str, what: &str, unit: &str) -> Self {
        Self {
            group: group.to_owned(),
            what: what.to_owned(),
            unit: unit.to_owned(),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn ours(mut self, value: f64) -> Self {
        self.ours = Some(value);
        self
    }

    #[must_use]
    pub fn other(mut self, name: &str, value: f64) -> Self {
        self.others.insert(name.to_owned(), value);
        self
    }

    #[must_use]
    pub fn note(mut self, note: &str) -> Self {
        note.clone_into(&mut self.note);
        self
    }

    #[must_use]
    pub fn skipped(mut self, reason: &str) -> Self {
        self.skipped = Some(reason.to_owned());
        self
    }

    /// Appends the row to the file that the variable `BENCH_ROWS` names.
    ///
    /// # Errors
    ///
    /// The variable is not set, or the file cannot be written.
    pub fn record(&self) -> Result<(), RowsError> {
        let path = std::env::var_os(FILE).ok_or(RowsError::NoFile)?;
        self.append(Path::new(&path))
    }

    /// Appends the row to a file.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn append(&self, path: &Path) -> Result<(), RowsError> {
        let write = || {
            let mut line = serde_json::to_vec(self)?;
            line.push(b'\n');
            let mut file = OpenOptions::new().create(true).append(true).open(path)?;
            file.write_all(&line)
        };
        write().map_err(|source| RowsError::File {
            path: path.to_owned(),
            source,
        })
    }
}

/// Reads a file of rows.
///
/// # Errors
///
/// The file cannot be read, or a line of it is not a row.
pub fn read(path: &Path) -> Result<Vec<Row>, RowsError> {
    let text = fs::read_to_string(path).map_err(|source| RowsError::File {
        path: path.to_owned(),
        source,
    })?;
    let row = |(number, line)| {
        serde_json::from_str(line).map_err(|source| RowsError::Row {
            path: path.to_owned(),
            line: number + 1,
            source,
        })
    };
    text.lines().enumerate().map(row).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn rows_are_appended_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let first = Row::new("cold", "first change", "ms")
            .ours(231.0)
            .other("Node.js", 5123.0)
            .note("TLS");
        let second = Row::new("cold", "at 7 % of a core", "ms").skipped("no cgroup");
        first.append(&path).unwrap();
        second.append(&path).unwrap();
        assert_eq!(read(&path).unwrap(), [first, second]);
    }

    #[test]
    fn a_line_that_is_no_row_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        fs::write(&path, "{\"group\":\"cold\"}\n{\"ms\":3}\n").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(
            error.contains("rows, line 2: not a row: unknown field `ms`"),
            "{error}"
        );
    }
}
