//! The server that wakes held responses: messages are lost, late, repeated and wrong, and connections are lost and found.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::{Either, pending};
use order_status_stream::feed::LogId;
use order_status_stream::order::Seq;
use order_status_stream::wake::{Publisher, Wake};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::chance::Chance;
use crate::plan::WakeFaults;
use crate::world::{World, lock};

/// A frozen server is noticed after this time at most, see `src/wake/redis.rs`.
pub const NOTICED: Duration = Duration::from_secs(7);

/// See the module.
#[derive(Debug)]
pub struct Server {
    world: Arc<World>,
    faults: WakeFaults,
    random: Mutex<Rng>,
    listeners: Mutex<Vec<Weak<Listener>>>,
}

/// A process that listens.
#[derive(Debug)]
struct Listener {
    name: String,
    wake: Wake,
    /// What the server knows of it; `None` if it has no connection.
    subscribed: Mutex<Option<BTreeSet<LogId>>>,
}

/// A process's connection, until it is dropped.
#[derive(Debug)]
pub struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    /// A server with these faults.
    pub fn new(world: Arc<World>, faults: WakeFaults, random: Rng) -> Self {
        Self {
            world,
            faults,
            random: Mutex::new(random),
            listeners: Mutex::default(),
        }
    }

    /// Connects a process of the stream function.
    pub fn listen(self: &Arc<Self>, name: &str, poll_interval: Duration) -> (Wake, Connection) {
        let wake = Wake::new(poll_interval);
        let listener = Arc::new(Listener {
            name: name.to_owned(),
            wake: wake.clone(),
            subscribed: Mutex::default(),
        });
        lock(&self.listeners).push(Arc::downgrade(&listener));
        let server = Arc::clone(self);
        let task = tokio::spawn(async move { server.keep_connected(&listener).await });
        (wake, Connection(task))
    }

    /// Connects a process of the projector.
    pub fn publisher(self: &Arc<Self>) -> (Publisher, Connection) {
        let (publisher, server) = (Publisher::default(), Arc::clone(self));
        let queue = publisher.clone();
        let task = tokio::spawn(async move {
            loop {
                let messages = queue.messages().await;
                sleep(server.latency()).await;
                if server.hit(server.faults.lost / 2.0, "messages lost", "a projector") {
                    // The projector cannot reach the server for a while.
                    queue.failed();
                    sleep(server.draw(0.1, 60.0)).await;
                    queue.connected();
                    continue;
                }
                for (log, newest) in &messages {
                    server.publish(log, *newest);
                }
                queue.published();
            }
        });
        (publisher, Connection(task))
    }

    async fn keep_connected(&self, listener: &Listener) {
        loop {
            sleep(self.latency()).await;
            *lock(&listener.subscribed) = Some(BTreeSet::new());
            listener.wake.connected();
            self.serve(listener).await;
            // What is published now is lost.
            *lock(&listener.subscribed) = None;
            let is_frozen = lock(&self.random).bool();
            let noticed = match is_frozen {
                true => self.draw(0.1, NOTICED.as_secs_f64()),
                false => Duration::ZERO,
            };
            sleep(noticed).await;
            listener.wake.lost();
            sleep(self.draw(0.01, 30.0)).await;
        }
    }

    /// Subscribes and unsubscribes, until the connection is lost.
    async fn serve(&self, listener: &Listener) {
        let mut is_lost = lock(&self.random).chance(self.faults.disconnects);
        let end = Instant::now() + self.draw(0.5, 120.0);
        loop {
            let subscribed = lock(&listener.subscribed).clone().unwrap_or_default();
            // Between the busy times, nothing happens for weeks.
            let lost = match is_lost && !subscribed.is_empty() {
                true => Either::Left(sleep_until(end)),
                false => Either::Right(pending()),
            };
            // With `biased`, a seed replays identically.
            let changes = tokio::select! {
                biased;
                () = lost => {
                    if self.world.faults_have_stopped() {
                        is_lost = false;
                        continue;
                    }
                    self.world.fault("wake connections lost", &listener.name);
                    return;
                }
                changes = listener.wake.changes() => changes,
            };
            sleep(self.latency()).await;
            if let Some(subscribed) = lock(&listener.subscribed).as_mut() {
                subscribed.retain(|log| !changes.unsubscribe.contains(log));
                subscribed.extend(changes.subscribe.iter().cloned());
            }
            sleep(self.latency()).await;
            listener.wake.confirmed(&changes.subscribe);
        }
    }

    fn publish(self: &Arc<Self>, log: &LogId, newest: Seq) {
        let mut listeners = lock(&self.listeners);
        listeners.retain(|listener| listener.strong_count() > 0);
        let listeners: Vec<_> = listeners.iter().filter_map(Weak::upgrade).collect();
        for listener in listeners {
            let hears = |subscribed: &BTreeSet<LogId>| subscribed.contains(log);
            if !lock(&listener.subscribed).as_ref().is_some_and(hears) {
                continue;
            }
            let whom = &listener.name;
            if self.hit(self.faults.lost, "messages lost", whom) {
                continue;
            }
            if self.hit(self.faults.wrong, "messages that are wrong", whom) {
                let wrong = Seq(newest.0 + lock(&self.random).u64(1..4));
                self.deliver(&listener, log, wrong);
            }
            if self.hit(self.faults.repeated, "messages repeated", whom) {
                self.deliver(&listener, log, newest);
            }
            self.deliver(&listener, log, newest);
        }
    }

    /// Messages overtake each other, because each has a latency of its own.
    fn deliver(&self, listener: &Arc<Listener>, log: &LogId, newest: Seq) {
        let mut after = self.latency();
        if self.hit(self.faults.late, "messages late", &listener.name) {
            after += self.draw(0.1, 60.0);
        }
        let (listener, log) = (Arc::downgrade(listener), log.clone());
        tokio::spawn(async move {
            sleep(after).await;
            if let Some(listener) = listener.upgrade() {
                listener.wake.heard(&log, newest);
            }
        });
    }

    fn latency(&self) -> Duration {
        lock(&self.random).between(0.001, 0.02)
    }

    fn draw(&self, shortest: f64, longest: f64) -> Duration {
        lock(&self.random).magnitude(shortest, longest)
    }

    fn hit(&self, probability: f64, kind: &'static str, whom: &str) -> bool {
        let hit = !self.world.faults_have_stopped() && lock(&self.random).chance(probability);
        if hit {
            self.world.fault(kind, whom);
        }
        hit
    }
}
