//! Which orders a backfill touches: those of a table, of a list, or of the records that Lambda gave up.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use aws_lambda_events::event::dynamodb::Event;
use serde_json::Value;

use crate::error::OperateError;
use crate::tables::{Item, OrdersTable};

/// Reads ids, one in a line. `-` is standard input.
///
/// # Errors
///
/// The file cannot be read.
pub fn of_list(path: &Path) -> Result<Vec<String>, OperateError> {
    let text = match path == Path::new("-") {
        true => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map(|_| text)
        }
        false => fs::read_to_string(path),
    };
    let text = text.map_err(|source| file(path, source))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(lines.map(str::to_owned).collect())
}

/// Reads the ids and keys of the records in a folder: a copy of the bucket of failed records, made with
/// `aws s3 cp --recursive`.
///
/// # Errors
///
/// A file cannot be read, or is not what Lambda writes.
pub fn of_failed_records(
    folder: &Path,
    orders: &OrdersTable,
) -> Result<BTreeMap<String, Item>, OperateError> {
    let mut found = BTreeMap::new();
    for path in files(folder)? {
        let json = fs::read(&path).map_err(|source| file(&path, source))?;
        let malformed = |reason: &dyn ToString| OperateError::Line {
            path: path.clone(),
            line: 1,
            reason: reason.to_string(),
        };
        let record: Value = serde_json::from_slice(&json).map_err(|error| malformed(&error))?;
        let payload = record["payload"].as_str();
        let payload = payload.ok_or_else(|| malformed(&"it has no `payload`"))?;
        let event: Event = serde_json::from_str(payload).map_err(|error| malformed(&error))?;
        let keys = event.records.into_iter().map(|record| record.change.keys);
        for key in keys.map(Item::from) {
            if let Some(id) = orders.id_of(&key) {
                found.insert(id, key);
            }
        }
    }
    Ok(found)
}

/// All files below a folder, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>, OperateError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|source| file(folder, source))? {
        let path = entry.map_err(|source| file(folder, source))?.path();
        match path.is_dir() {
            true => found.extend(files(&path)?),
            false => found.push(path),
        }
    }
    found.sort();
    Ok(found)
}

fn file(path: &Path, source: io::Error) -> OperateError {
    OperateError::File {
        path: path.to_owned(),
        source,
    }
}
