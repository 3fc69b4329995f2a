//! A clock of the functions that can be moved, with `libfaketime`. Debian's package `faketime` has it.

use std::fs;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use lambda_stand_in::{Builder, Function};
use serde_json::Value;
use tempfile::TempDir;

/// The date of the processes that have its environment. Their monotonic clock is not moved.
pub struct MovableClock {
    library: PathBuf,
    folder: TempDir,
}

impl MovableClock {
    /// The library for programs with several threads. None if it is not installed.
    pub fn library() -> Option<PathBuf> {
        let folders = fs::read_dir("/usr/lib").ok()?.flatten();
        let files = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
        files.into_iter().find(|file| file.exists())
    }

    /// It shows this machine's date.
    pub fn new() -> Self {
        let clock = Self {
            library: Self::library().unwrap(),
            folder: tempfile::tempdir().unwrap(),
        };
        clock.set("+0");
        clock
    }

    pub fn environment(&self, function: Builder) -> Builder {
        function
            .env("LD_PRELOAD", self.library.to_str().unwrap())
            .env("FAKETIME_TIMESTAMP_FILE", self.file().to_str().unwrap())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    /// Moves the clock of running processes: `+1h` is an hour ahead of this machine's.
    pub fn set(&self, offset: &str) {
        // The library must never read half of the file.
        let new = self.folder.path().join("new");
        fs::write(&new, offset).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }
}

/// Waits for a log line whose date is so far from this machine's.
pub async fn wait_for_clock(function: &Function, offset: TimeDelta) {
    let is_moved = |line: &str| {
        let line: Option<Value> = serde_json::from_str(line).ok();
        let date = line.and_then(|line| line["timestamp"].as_str()?.parse().ok());
        date.is_some_and(|date: DateTime<Utc>| {
            (Utc::now() + offset - date).abs() < TimeDelta::minutes(5)
        })
    };
    function.wait_for_line(is_moved).await;
}
