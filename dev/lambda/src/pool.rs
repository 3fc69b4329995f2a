//! The environments of one function.

use std::io;
use std::sync::{Arc, Mutex};

use crate::context::Context;
use crate::environment::Environment;
use crate::lock::lock;

pub(crate) struct Pool {
    pub(crate) context: Arc<Context>,
    environments: Mutex<Vec<Arc<Environment>>>,
}

impl Pool {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            environments: Mutex::default(),
        }
    }

    /// An environment with an idle poller, which is now claimed. If there is none, a new environment is started. The lock is
    /// held during the start, so that requests that arrive together share a process that takes many.
    pub(crate) fn claim(&self) -> io::Result<Arc<Environment>> {
        let mut environments = lock(&self.environments);
        environments.retain(|environment| environment.is_alive());
        if let Some(idle) = environments.iter().find(|idle| idle.queue.claim()) {
            return Ok(Arc::clone(idle));
        }
        let new = Environment::start(&self.context)?;
        new.queue.claim();
        environments.push(Arc::clone(&new));
        Ok(new)
    }

    /// Kills every process, and returns how many once they are dead.
    pub(crate) async fn kill(&self) -> usize {
        let mut environments = lock(&self.environments).clone();
        environments.retain(|environment| environment.is_alive());
        for environment in &environments {
            environment.kill().await;
        }
        environments.len()
    }
}
