//! Which logs the sessions of a process wait for, and what was heard about them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{pending, select_all};
use tokio::sync::{Notify, watch};

use crate::feed::LogId;
use crate::order::Seq;

/// What is known about a log. Only the newest matters: ten thousand messages are one value.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    /// The highest number that a message had.
    newest: Seq,
    /// The connection in which the subscription was confirmed. With `None`, messages may be missing.
    confirmed: Option<u64>,
}

/// The wake of a process. Its sessions subscribe, and a transport tells it what it heard.
///
/// No lock is held while something waits.
#[derive(Clone, Debug)]
pub struct Wake {
    poll_interval: Duration,
    state: Arc<Mutex<State>>,
    /// The transport has something to do.
    work: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    /// The logs that a session waits for.
    logs: BTreeMap<LogId, watch::Sender<News>>,
    /// The logs whose subscription must begin or end.
    changed: BTreeSet<LogId>,
    /// The number of the connection, if there is one.
    connection: Option<u64>,
    connections: u64,
}

/// What a transport must do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Subscribe to these logs, also if they were subscribed before: the confirmation proves that the connection works.
    pub subscribe: Vec<LogId>,
    /// Nobody waits for these logs any more.
    pub unsubscribe: Vec<LogId>,
}

impl Wake {
    /// A wake without a connection. Sessions poll at this interval while it works.
    pub fn new(poll_interval: Duration) -> Self {
        Self {
            poll_interval,
            state: Arc::default(),
            work: Arc::default(),
        }
    }

    /// The time between two polls of a held response while the wake works.
    pub fn poll_interval(&self) -> Duration {
        self.poll_interval
    }

    /// Whether there is a connection. A subscription is still to be confirmed.
    pub fn is_connected(&self) -> bool {
        self.state().connection.is_some()
    }

    /// Subscribes to logs until the subscription is dropped.
    pub fn subscribe<L: Into<LogId>>(&self, logs: impl IntoIterator<Item = L>) -> Subscription {
        let mut state = self.state();
        let mut news = Vec::new();
        for log in logs {
            let log = log.into();
            let receiver = match state.logs.entry(log.clone()) {
                Entry::Occupied(known) => known.get().subscribe(),
                Entry::Vacant(new) => {
                    let receiver = new.insert(watch::Sender::default()).subscribe();
                    state.changed.insert(log.clone());
                    receiver
                }
            };
            news.push((log, receiver));
        }
        drop(state);
        self.work.notify_one();
        Subscription {
            wake: self.clone(),
            logs: news,
        }
    }

    /// For a transport: a new connection is established. Every subscription must be made again.
    pub fn connected(&self) {
        let mut state = self.state();
        state.connections += 1;
        state.connection = Some(state.connections);
        state.changed = state.logs.keys().cloned().collect();
        drop(state);
        self.work.notify_one();
    }

    /// For a transport: the connection is lost, or does not answer. Sessions poll as if there was no wake.
    pub fn lost(&self) {
        let mut state = self.state();
        state.connection = None;
        for news in state.logs.values() {
            news.send_if_modified(|news| news.confirmed.take().is_some());
        }
    }

    /// For a transport: waits until there is something to do.
    pub async fn changes(&self) -> Changes {
        loop {
            if let Some(changes) = self.take_changes() {
                return changes;
            }
            self.work.notified().await;
        }
    }

    fn take_changes(&self) -> Option<Changes> {
        let mut state = self.state();
        if state.changed.is_empty() || state.connection.is_none() {
            return None;
        }
        let changed = std::mem::take(&mut state.changed).into_iter();
        let (subscribe, unsubscribe) = changed.partition(|log| state.logs.contains_key(log));
        Some(Changes {
            subscribe,
            unsubscribe,
        })
    }

    /// For a transport: the server has confirmed the subscriptions. From now on, no message is missing.
    pub fn confirmed(&self, logs: &[LogId]) {
        let state = self.state();
        for log in logs {
            if let Some(news) = state.logs.get(log) {
                news.send_modify(|news| news.confirmed = state.connection);
            }
        }
    }

    /// For a transport: a message came. It is ignored if a later one came before.
    pub fn heard(&self, log: impl Into<LogId>, newest: Seq) {
        if let Some(news) = self.state().logs.get(&log.into()) {
            news.send_if_modified(|news| {
                let is_news = newest > news.newest;
                news.newest = newest.max(news.newest);
                is_news
            });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The subscription of a session to its logs. They are named by their index.
#[derive(Debug)]
pub struct Subscription {
    wake: Wake,
    logs: Vec<(LogId, watch::Receiver<News>)>,
}

impl Subscription {
    /// The highest number that was heard of a log.
    pub fn newest(&self, log: usize) -> Seq {
        let news = self.logs.get(log);
        news.map_or(Seq::ZERO, |(_, news)| news.borrow().newest)
    }

    /// The connection in which all logs were confirmed; `None` if a message may be missing.
    pub fn connection(&self) -> Option<u64> {
        let mut connections = self.logs.iter().map(|(_, news)| news.borrow().confirmed);
        let first = connections.next()??;
        connections
            .all(|other| other == Some(first))
            .then_some(first)
    }

    /// Waits for news of the logs of which this is wanted.
    pub async fn changed(&mut self, wanted: impl Fn(usize) -> bool) {
        let logs = self.logs.iter_mut().enumerate();
        let logs = logs.filter(|(log, _)| wanted(*log));
        let changes: Vec<_> = logs
            .map(|(_, (_, news))| Box::pin(news.changed()))
            .collect();
        if changes.is_empty() {
            return pending().await;
        }
        // The sender lives as long as a receiver.
        if select_all(changes).await.0.is_err() {
            pending().await
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.wake.state();
        for (log, news) in std::mem::take(&mut self.logs) {
            drop(news);
            let unwatched = |news: &watch::Sender<News>| news.receiver_count() == 0;
            if state.logs.get(&log).is_some_and(unwatched) {
                state.logs.remove(&log);
                state.changed.insert(log);
            }
        }
        drop(state);
        self.wake.work.notify_one();
    }
}
