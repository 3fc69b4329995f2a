//! How a function's processes are run.

use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) bootstrap: PathBuf,
    pub(crate) name: String,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) timeout: Duration,
    /// Requests at a time in one process. `None` means one, on a platform that never sends more.
    pub(crate) max_concurrency: Option<usize>,
    /// Whether the process's connection breaks if its client leaves.
    pub(crate) propagate_disconnect: bool,
}

impl Settings {
    pub(crate) fn new(bootstrap: PathBuf) -> Self {
        let name = bootstrap.file_stem().unwrap_or_default();
        Self {
            name: name.to_string_lossy().into_owned(),
            bootstrap,
            variables: Vec::new(),
            timeout: Duration::from_secs(3),
            max_concurrency: None,
            propagate_disconnect: false,
        }
    }
}
