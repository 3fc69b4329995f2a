//! The messages that wait to be published.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::feed::LogId;
use crate::order::Seq;

/// The longest time for which a batch waits for its messages. Within a VPC, a publication takes about a millisecond.
const FLUSH_LIMIT: Duration = Duration::from_millis(250);

/// The newest entry of each log to which a projector appended, until a transport has published it.
///
/// The messages of a log that come faster than the transport are one message. If the server cannot be reached, messages are
/// dropped at once, so that an outage delays no batch.
#[derive(Clone, Debug)]
pub struct Publisher {
    state: Arc<Mutex<State>>,
    work: Arc<Notify>,
    idle: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<LogId, Seq>,
    /// The server cannot be reached.
    is_down: bool,
}

impl Default for Publisher {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            work: Arc::default(),
            idle: watch::Sender::new(true),
        }
    }
}

impl Publisher {
    /// Publishes soon that a log's newest entry has this number.
    pub fn announce(&self, log: impl Into<LogId>, newest: Seq) {
        let mut state = self.state();
        if state.is_down {
            return;
        }
        merge(&mut state.waiting, log.into(), newest);
        self.idle.send_replace(false);
        drop(state);
        self.work.notify_one();
    }

    /// Waits until everything is published or dropped, but not long: Lambda freezes the process after a batch.
    pub async fn flush(&self) {
        let mut idle = self.idle.subscribe();
        timeout(FLUSH_LIMIT, idle.wait_for(|idle| *idle)).await.ok();
    }

    /// For a transport: messages are published from now on.
    pub fn connected(&self) {
        self.state().is_down = false;
    }

    /// For a transport: waits for messages.
    pub async fn messages(&self) -> BTreeMap<LogId, Seq> {
        loop {
            let waiting = std::mem::take(&mut self.state().waiting);
            if !waiting.is_empty() {
                return waiting;
            }
            self.work.notified().await;
        }
    }

    /// For a transport: what it took is published.
    pub fn published(&self) {
        let state = self.state();
        if state.waiting.is_empty() {
            self.idle.send_replace(true);
        }
    }

    /// For a transport: what it took must be tried again.
    pub fn put_back(&self, messages: BTreeMap<LogId, Seq>) {
        let mut state = self.state();
        for (log, newest) in messages {
            merge(&mut state.waiting, log, newest);
        }
        drop(state);
        self.work.notify_one();
    }

    /// For a transport: the server cannot be reached. Messages are dropped until it can.
    pub fn failed(&self) {
        let mut state = self.state();
        state.is_down = true;
        state.waiting.clear();
        self.idle.send_replace(true);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn merge(waiting: &mut BTreeMap<LogId, Seq>, log: LogId, newest: Seq) {
    let known = waiting.entry(log).or_insert(newest);
    *known = newest.max(*known);
}
