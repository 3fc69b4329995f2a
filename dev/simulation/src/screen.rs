//! What a client's page shows, and a check of each event: may the server send it now?

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use order_status_stream::feed::{Entry, PAGE_ENTRIES};
use serde_json::Value;
use tokio::time::Instant;

use crate::feed::Storage;
use crate::platform::StreamProcess;
use crate::world::{Kind, World};

/// A change that the client got.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its order.
    pub order: String,
    /// Its number.
    pub seq: u64,
    /// When the client sent the request.
    pub asked: Instant,
}

/// What the page shows of an order.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The number of the last change; 0 if there was none.
    pub seq: u64,
    /// The last event of the order was `reset`.
    reset: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Screen {
    /// The client's name. Findings contain it.
    pub name: String,
    world: Arc<World>,
    storage: Arc<Storage>,
    /// What the page shows, by order.
    pub orders: BTreeMap<String, Shown>,
    /// Every change that the client got.
    pub seen: Vec<Seen>,
    /// The cursor cannot be read, so a reset of every order is expected.
    pub has_bad_cursor: bool,
    /// The clocks of two processes differ by at most this.
    pub skew: Duration,
}

impl Screen {
    /// A screen that shows nothing yet.
    pub fn new(
        name: String,
        orders: &[String],
        world: Arc<World>,
        storage: Arc<Storage>,
        skew: Duration,
    ) -> Self {
        let orders = orders
            .iter()
            .map(|order| (order.clone(), Shown::default()))
            .collect();
        Self {
            name,
            world,
            storage,
            orders,
            seen: Vec::new(),
            has_bad_cursor: false,
            skew,
        }
    }

    /// A promise was broken.
    pub fn finding(&self, kind: Kind, text: impl AsRef<str>) {
        self.world
            .finding(kind, format!("{}: {}", self.name, text.as_ref()));
    }

    /// A change, as the stream or a snapshot shows it.
    pub fn change(
        &mut self,
        change: &Value,
        process: &StreamProcess,
        asked: Instant,
        in_snapshot: bool,
    ) {
        self.world.count(|tally| tally.shown += 1);
        let (order, seq) = (
            change["orderId"].as_str().unwrap_or_default(),
            change["seq"].as_u64().unwrap_or_default(),
        );
        let Some(shown) = self.orders.get(order).cloned() else {
            return self.finding(
                Kind::Other,
                format!("a change of {order:?}, which was not requested"),
            );
        };
        let Some(line) = self.storage.journal.line(order, seq) else {
            return self.finding(Kind::Other, format!("{order} {seq} is not in the log"));
        };
        self.compare(change, &line.entry, process);
        match seq {
            _ if in_snapshot => {}
            _ if shown.seq == 0 => {
                // If earlier changes exist, `reset` must come first.
                let whole = line.entry.previous.is_none() || shown.reset;
                if !whole {
                    self.finding(Kind::Lost, format!("{order} begins with {seq}"));
                }
                // At most one page, of the newest changes that a lagging replica knows.
                let lag = self.storage.lag() + Duration::from_millis(10);
                let known = asked.checked_sub(lag).unwrap_or(asked);
                let known = self.storage.journal.count_before(order, known);
                if seq + (PAGE_ENTRIES as u64) <= known {
                    self.finding(
                        Kind::Other,
                        format!("{order} begins with {seq}, of {known} changes"),
                    );
                }
            }
            _ if seq == shown.seq + 1 => {}
            _ if seq == shown.seq => self.finding(Kind::Doubled, format!("{order} {seq} twice")),
            _ if seq < shown.seq => self.finding(
                Kind::Disordered,
                format!("{order} {seq} after {}", shown.seq),
            ),
            _ => self.finding(Kind::Lost, format!("{order} {seq} after {}", shown.seq)),
        }
        self.seen.push(Seen {
            order: order.to_owned(),
            seq,
            asked,
        });
        self.orders
            .insert(order.to_owned(), Shown { seq, reset: false });
    }

    /// The page is loaded again, and shows nothing yet.
    pub fn render_again(&mut self) {
        for shown in self.orders.values_mut() {
            *shown = Shown::default();
        }
    }

    /// A change must be sent as it is in the log.
    pub fn compare(&self, change: &Value, entry: &Entry, process: &StreamProcess) {
        let (order, seq) = (&entry.order, entry.seq);
        let previous = entry.previous.as_ref().map(|status| status.as_str());
        let same = change["status"].as_str() == Some(entry.status.as_str())
            && change["previous"].as_str() == previous
            && change["at"].as_str() == Some(entry.at.as_str());
        if !same {
            self.finding(Kind::Other, format!("{order} {seq} is sent as {change}"));
        }
        let public = entry
            .view
            .iter()
            .filter(|(name, _)| process.public.contains(*name));
        let public: serde_json::Map<_, _> = public
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        // If a finished order has expired, its status is still known, and its attributes are not.
        let now = (self.world.epoch() + self.skew).as_secs();
        let expired = entry.expires_at.is_some_and(|at| at <= now);
        let forgotten = expired && entry.terminal && change["attributes"] == serde_json::json!({});
        if !forgotten && change["attributes"] != Value::Object(public) {
            self.finding(
                Kind::Other,
                format!("{order} {seq} is sent with {}", change["attributes"]),
            );
        }
    }

    /// The client must forget orders. The server needs a reason for that.
    pub fn reset(&mut self, orders: &[String], reason: &str) {
        for order in orders {
            let Some(shown) = self.orders.get(order).cloned() else {
                self.finding(
                    Kind::Other,
                    format!("reset of {order:?}, which was not requested"),
                );
                continue;
            };
            if !self.has_bad_cursor && !self.may_reset(order, shown.seq) {
                self.finding(
                    Kind::Other,
                    format!(
                        "reset ({reason}) of {order}, but {} is in the log",
                        shown.seq
                    ),
                );
            }
            self.orders.insert(
                order.clone(),
                Shown {
                    seq: 0,
                    reset: true,
                },
            );
        }
        self.has_bad_cursor = false;
    }

    /// Whether this change or a later one has expired, or another life has begun.
    fn may_reset(&self, order: &str, seq: u64) -> bool {
        let now = (self.world.epoch() + self.skew).as_secs();
        let lines = self.storage.journal.lines(order);
        let gone = |entry: &Entry| entry.expires_at.is_some_and(|at| at <= now);
        let from = usize::try_from(seq.saturating_sub(1)).unwrap_or(usize::MAX);
        let after = lines.get(from..).unwrap_or_default();
        let Some((newest, before)) = after.split_last() else {
            return false;
        };
        // The newest entry does not count, because the state of a finished order stays known.
        let trimmed = before.iter().any(|line| gone(&line.entry));
        let another_life = lines.len() > 1
            && after
                .iter()
                .skip(usize::from(seq > 0))
                .any(|line| line.entry.previous.is_none());
        trimmed || another_life || (seq == 0 && gone(&newest.entry))
    }

    /// Every order must be finished, and its last change shown. Changes after `asked` may be unknown.
    pub fn check_end(&self, what: &str, asked: Instant) {
        for (order, shown) in &self.orders {
            let terminal = self.storage.journal.was_terminal(order, shown.seq, asked);
            let next = self.storage.journal.appended_at(order, shown.seq + 1);
            if !terminal || next.is_some_and(|at| at < asked) {
                self.finding(
                    Kind::Lost,
                    format!("{what}, but {order} {} is not the last change", shown.seq),
                );
            }
        }
    }

    /// On a held response, every change before this time must have been sent.
    pub fn check_freshness(&self, before: Instant, ready: Instant) {
        for (order, shown) in &self.orders {
            let next = self.storage.journal.appended_at(order, shown.seq + 1);
            if next.is_some_and(|at| at.max(ready) < before) {
                self.finding(
                    Kind::Other,
                    format!("{order} {} was not sent on a held response", shown.seq + 1),
                );
            }
        }
    }

    /// Whether every order was finished at some time after `since`. The terminal statuses may have changed meanwhile.
    pub fn is_terminal(&self, since: Instant) -> bool {
        let journal = &self.storage.journal;
        self.orders
            .iter()
            .all(|(order, shown)| journal.was_terminal(order, shown.seq, since))
    }

    /// Whether it shows every change.
    pub fn is_current(&self) -> bool {
        self.orders
            .iter()
            .all(|(order, shown)| shown.seq >= self.storage.journal.newest(order))
    }
}
