//! What a function's tasks have in common.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use bytes::Bytes;
use tokio::{
    process::Child,
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    Fault, Stats,
    builder::Settings,
    environment,
    environment::Environment,
    fault::Chooser,
    invocation::{Invocation, Part},
    lock,
    process::{Group, Log},
};

pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) stats: watch::Sender<Stats>,
    pub(super) log: Log,
    pub(super) faults: Mutex<VecDeque<Fault>>,
    pub(super) chooser: Mutex<Option<Chooser>>,
    /// Whether requests on connections that clients kept open are refused.
    pub(super) refusing: AtomicBool,
    pub(super) environments: Mutex<Vec<Arc<Environment>>>,
    group: Group,
    /// `None` once the function was dropped. The tasks hold this struct, so it cannot be its drop that ends them.
    tasks: Mutex<Option<JoinSet<()>>>,
}

impl Shared {
    pub(super) fn new(settings: Settings) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            stats: watch::Sender::default(),
            log: Log::new(&settings.name),
            settings,
            faults: Mutex::default(),
            chooser: Mutex::default(),
            refusing: AtomicBool::new(false),
            environments: Mutex::default(),
            group: Group::new()?,
            tasks: Mutex::new(Some(JoinSet::new())),
        }))
    }

    /// Invokes the function, which goes on whether or not the response is read.
    pub(super) fn invoke(
        self: &Arc<Self>,
        payload: Bytes,
        bytes_per_second: Option<u32>,
    ) -> mpsc::Receiver<Part> {
        // One chunk at a time: a caller that does not read holds the function up, not this process's memory.
        let (caller, response) = mpsc::channel(1);
        self.spawn(
            Invocation {
                shared: self.clone(),
                payload,
                bytes_per_second,
                caller,
            }
            .run(),
        );
        response
    }

    /// An environment with a poller to spare, which is claimed; a new one where there is none. The lock is held while it starts,
    /// so that requests that arrive together on a process that takes many share it.
    pub(super) fn claim_environment(self: &Arc<Self>) -> io::Result<Arc<Environment>> {
        let mut environments = lock(&self.environments);
        if let Some(idle) = environments.iter().find(|environment| environment.claim()) {
            return Ok(idle.clone());
        }
        let new = Environment::start(self)?;
        new.claim();
        environments.push(new.clone());
        self.stats.send_modify(|stats| {
            stats.cold_starts += 1;
            stats.processes += 1;
        });
        Ok(new)
    }

    pub(super) fn forget(&self, environment: &Arc<Environment>) {
        lock(&self.environments).retain(|other| !Arc::ptr_eq(other, environment));
        self.stats.send_modify(|stats| stats.processes -= 1);
    }

    pub(super) fn spawn_process(&self, runtime_api: SocketAddr) -> io::Result<Child> {
        let settings = &self.settings;
        let platform =
            environment::variables(&settings.name, runtime_api, settings.max_concurrency);
        let variables = platform
            .into_iter()
            .chain(settings.variables.iter().cloned());
        self.group.spawn(&settings.bootstrap, variables, &self.log)
    }

    /// Runs a task that ends with the function at the latest.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = &mut *lock(&self.tasks) {
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }

    /// Ends every task, and with them every process and connection.
    pub(super) fn stop(&self) {
        // Taken out first: what is dropped may want the lock.
        let tasks = lock(&self.tasks).take();
        drop(tasks);
        lock(&self.environments).clear();
    }
}
