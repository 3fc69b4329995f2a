//! What all layers of one function use.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::lock::lock;
use crate::log::Log;
use crate::process_group::ProcessGroup;
use crate::settings::Settings;
use crate::stats::Stats;

pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) stats: watch::Sender<Stats>,
    pub(crate) log: Log,
    pub(crate) processes: ProcessGroup,
    /// `None` once the function was dropped. The tasks hold this struct, so its drop cannot end them.
    tasks: Mutex<Option<JoinSet<()>>>,
}

impl Context {
    pub(crate) fn new(settings: Settings) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            stats: watch::Sender::default(),
            log: Log::new(&settings.name),
            settings,
            processes: ProcessGroup::new()?,
            tasks: Mutex::new(Some(JoinSet::new())),
        }))
    }

    /// Runs a task that ends with the function at the latest.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = &mut *lock(&self.tasks) {
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }

    /// Ends every task, and so every process and connection.
    pub(crate) fn stop(&self) {
        // Take them out first: a task that is dropped may need the lock.
        let tasks = lock(&self.tasks).take();
        drop(tasks);
    }
}
