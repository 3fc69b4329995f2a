//! What a function's processes write.

use std::io::{self, Write};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::sync::watch;

/// If this variable is set, every line of every function also goes to standard error.
const FORWARD: &str = "FUNCTION_LOGS";

/// The lines of a function's processes and of the platform, in the order in which they were read.
#[derive(Clone)]
pub(crate) struct Log {
    name: Arc<str>,
    forward: bool,
    pub(crate) lines: watch::Sender<Vec<String>>,
}

impl Log {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            forward: std::env::var_os(FORWARD).is_some(),
            lines: watch::Sender::default(),
        }
    }

    pub(crate) fn push(&self, line: String) {
        if self.forward {
            // A closed standard error is no reason to fail a test.
            let _ = writeln!(io::stderr(), "{}: {line}", self.name);
        }
        self.lines.send_modify(|lines| lines.push(line));
    }

    /// Reads both outputs of a process until it closes them.
    pub(crate) fn follow(&self, process: &mut Child) {
        if let Some(stdout) = process.stdout.take() {
            tokio::spawn(self.clone().read(stdout));
        }
        if let Some(stderr) = process.stderr.take() {
            tokio::spawn(self.clone().read(stderr));
        }
    }

    async fn read(self, output: impl AsyncRead + Unpin) {
        let mut lines = BufReader::new(output).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            self.push(String::from_utf8_lossy(&line).into_owned());
        }
    }
}
