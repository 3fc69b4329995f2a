//! What all parts of a simulation share: the time, the trace, the counts and the findings.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Locks a mutex. Nothing in the simulation panics while it holds one.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A change that is missing from a client or the log.
    Lost,
    /// A change that was sent or appended twice.
    Doubled,
    /// A change that came after a later one.
    Disordered,
    /// Anything else.
    Other,
}

/// The counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lives of order ids.
    pub lives: u64,
    /// Records that were delivered to a projector.
    pub deliveries: u64,
    /// Requests of clients.
    pub connections: u64,
    /// Changes that clients got.
    pub shown: u64,
    /// Injected faults, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Broken promises, by kind.
    pub broken: BTreeMap<Kind, u64>,
}

impl Tally {
    /// Adds another count.
    pub fn add(&mut self, other: &Self) {
        self.lives += other.lives;
        self.deliveries += other.deliveries;
        self.connections += other.connections;
        self.shown += other.shown;
        for (kind, count) in &other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        for (kind, count) in &other.broken {
            *self.broken.entry(*kind).or_default() += count;
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct World {
    start: Instant,
    epoch: Duration,
    faults_stopped: AtomicBool,
    trace: Option<Mutex<Vec<String>>>,
    tally: Mutex<Tally>,
    findings: Mutex<Vec<String>>,
}

impl World {
    /// A world that begins now, at this date. A trace is optional, because it costs more than the simulation.
    pub fn new(epoch: Duration, traced: bool) -> Self {
        Self {
            start: Instant::now(),
            epoch,
            faults_stopped: AtomicBool::new(false),
            trace: traced.then(Mutex::default),
            tally: Mutex::default(),
            findings: Mutex::default(),
        }
    }

    /// When the simulation began.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// The true time since the Unix epoch.
    pub fn epoch(&self) -> Duration {
        self.epoch + self.start.elapsed()
    }

    /// The true time in milliseconds since the Unix epoch.
    pub fn epoch_millis(&self) -> u64 {
        u64::try_from(self.epoch().as_millis()).unwrap_or(u64::MAX)
    }

    /// From now on no faults are injected.
    pub fn stop_faults(&self) {
        self.faults_stopped.store(true, Ordering::Relaxed);
        self.note(|| "world: no more faults".to_owned());
    }

    /// Whether faults have stopped.
    pub fn faults_have_stopped(&self) -> bool {
        self.faults_stopped.load(Ordering::Relaxed)
    }

    /// Adds a line to the trace.
    pub fn note(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let at = self.start.elapsed();
            let line = format!("{:>10}.{:03} {}", at.as_secs(), at.subsec_millis(), line());
            lock(trace).push(line);
        }
    }

    /// Counts an injected fault.
    pub fn fault(&self, kind: &'static str, whom: &str) {
        *lock(&self.tally).faults.entry(kind).or_default() += 1;
        self.note(|| format!("{whom}: FAULT {kind}"));
    }

    /// Changes the counts.
    pub fn count(&self, count: impl FnOnce(&mut Tally)) {
        count(&mut lock(&self.tally));
    }

    /// A promise was broken.
    pub fn finding(&self, kind: Kind, text: String) {
        self.note(|| format!("BROKEN ({kind:?}) {text}"));
        *lock(&self.tally).broken.entry(kind).or_default() += 1;
        lock(&self.findings).push(text);
    }

    /// The counts, the findings, and the trace.
    pub fn results(&self) -> (Tally, Vec<String>, Vec<String>) {
        let trace = self.trace.as_ref().map(|trace| lock(trace).clone());
        (
            lock(&self.tally).clone(),
            lock(&self.findings).clone(),
            trace.unwrap_or_default(),
        )
    }
}
