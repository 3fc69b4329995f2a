//! What the page of a customer shows, and a check of each event: may the server send it now?

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use order_status_stream::customer::CustomerId;
use order_status_stream::feed::{Entry, LogId};
use serde_json::Value;
use tokio::time::Instant;

use crate::feed::Storage;
use crate::journal::Line;
use crate::platform::StreamProcess;
use crate::screen::Screen;
use crate::sse::Event;
use crate::world::{Kind, World};

/// See the module.
#[derive(Debug)]
pub struct CustomerScreen {
    name: String,
    world: Arc<World>,
    storage: Arc<Storage>,
    /// The customer.
    pub customer: &'static str,
    /// The customer's log, as the journal names it.
    log: String,
    /// The number of the last change of each order that the page shows.
    orders: BTreeMap<String, u64>,
    /// The number of the cursor.
    number: u64,
    /// The cursor is owed each entry, and not only the newest of each order.
    pub complete: bool,
    /// The cursor cannot be read, so a reset is expected.
    pub has_bad_cursor: bool,
    /// The clocks of two processes differ by at most this.
    skew: Duration,
}

/// The number of a cursor's mark.
pub fn place_of(id: &str) -> u64 {
    let digits = id.split(['-', '_']).next().unwrap_or_default();
    digits.parse().unwrap_or_default()
}

impl CustomerScreen {
    /// A screen that shows nothing yet.
    pub fn new(
        name: String,
        customer: &'static str,
        (world, storage): (Arc<World>, Arc<Storage>),
        skew: Duration,
    ) -> Self {
        Self {
            name,
            world,
            storage,
            customer,
            log: format!("%customer/{customer}"),
            orders: BTreeMap::new(),
            number: 0,
            complete: false,
            has_bad_cursor: false,
            skew,
        }
    }

    /// The customer's log.
    pub fn log_id(&self) -> Option<LogId> {
        CustomerId::new(self.customer).map(|customer| LogId::from(&customer))
    }

    fn finding(&self, kind: Kind, text: impl AsRef<str>) {
        let text = format!("{}: {}", self.name, text.as_ref());
        self.world.finding(kind, text);
    }

    /// An event of the stream.
    pub fn event(
        &mut self,
        event: &Event,
        data: &Value,
        id: &str,
        screen: &Screen,
        process: &StreamProcess,
    ) {
        let number = place_of(id);
        match event.kind.as_str() {
            "" | "gone" => self.change(event.kind == "gone", data, number, screen, process),
            "reset" => self.reset(data),
            // Nothing is skipped, except for a client that is not owed each entry.
            _ if self.complete && number != self.number => {
                let text = format!("{} {id:?} after {}", event.kind, self.number);
                self.finding(Kind::Lost, text);
            }
            _ => {}
        }
        self.number = number;
        self.complete = number > 0 && !id.ends_with('_');
        if event.kind == "ready" {
            self.check_ready();
        }
    }

    fn change(
        &mut self,
        gone: bool,
        data: &Value,
        number: u64,
        screen: &Screen,
        process: &StreamProcess,
    ) {
        self.world.count(|tally| tally.shown += 1);
        let order = data["orderId"].as_str().unwrap_or_default().to_owned();
        let seq = data["seq"].as_u64().unwrap_or_default();
        let name = format!("{order} {seq} at {number}");
        let Some(Line { entry, .. }) = self.storage.journal.line(&self.log, number) else {
            return self.finding(Kind::Other, format!("{name} is not in the log"));
        };
        if (entry.order.as_str(), entry.seq.0, entry.is_gone()) != (&order, seq, gone) {
            self.finding(Kind::Other, format!("{name} is another entry"));
        }
        if number <= self.number {
            self.finding(Kind::Doubled, format!("{name} after {}", self.number));
        } else if self.complete && number != self.number + 1 {
            self.finding(Kind::Lost, format!("{name} after {}", self.number));
        }
        if self.orders.get(&order).is_some_and(|shown| *shown >= seq) {
            self.finding(Kind::Disordered, format!("{name} is not newer"));
        }
        if gone {
            self.orders.remove(&order);
        } else {
            screen.compare(data, &entry, process);
            self.orders.insert(order, seq);
        }
    }

    /// The server needs a reason: an entry from the cursor on has expired.
    fn reset(&mut self, data: &Value) {
        let lines = self.storage.journal.lines(&self.log);
        let from = usize::try_from(self.number.saturating_sub(1)).unwrap_or(usize::MAX);
        let mut after = lines.get(from..).unwrap_or_default().iter();
        let may_reset = after.any(|line| self.may_be_expired(&line.entry));
        if data["orders"] != "*" || !(self.has_bad_cursor || may_reset) {
            self.finding(Kind::Other, format!("{data} at {}", self.number));
        }
        self.has_bad_cursor = false;
        self.orders.clear();
    }

    fn may_be_expired(&self, entry: &Entry) -> bool {
        let now = (self.world.epoch() + self.skew).as_secs();
        let until = [entry.shown_until, entry.expires_at];
        until.into_iter().flatten().any(|until| until <= now)
    }

    /// Every order that the customer has is shown, with its newest change up to the cursor.
    fn check_ready(&self) {
        for (order, newest) in self.newest() {
            // A replica may know that an entry is superseded, and another one not yet by which.
            let is_known = newest.number().0 <= self.number;
            if !is_known || newest.is_gone() || self.may_be_expired(&newest) {
                continue;
            }
            if self.orders.get(&order) != Some(&newest.seq.0) {
                let shown = self.orders.get(&order);
                let text = format!(
                    "is ready at {}, but shows {shown:?} of {order}",
                    self.number
                );
                self.finding(Kind::Lost, text);
            }
        }
    }

    /// The newest entry of each order in the log.
    fn newest(&self) -> BTreeMap<String, Entry> {
        let lines = self.storage.journal.lines(&self.log).into_iter();
        lines
            .map(|line| (line.entry.order.to_string(), line.entry))
            .collect()
    }

    /// A snapshot replaces what the page shows.
    pub fn snapshot<'a>(&mut self, orders: impl Iterator<Item = &'a Value>, cursor: &str) {
        self.orders = orders
            .map(|change| {
                let order = change["orderId"].as_str().unwrap_or_default();
                (order.to_owned(), change["seq"].as_u64().unwrap_or_default())
            })
            .collect();
        self.number = place_of(cursor);
        self.complete = self.number > 0 && !cursor.ends_with('_');
        if self.complete {
            self.check_ready();
        }
    }

    /// On a held response, every change before this time must have been sent.
    pub fn check_freshness(&self, before: Instant, ready: Instant) {
        let next = self.number + 1;
        let appended = self.storage.journal.appended_at(&self.log, next);
        if appended.is_some_and(|at| at.max(ready) < before) {
            self.finding(
                Kind::Other,
                format!("{next} was not sent on a held response"),
            );
        }
    }

    /// Whether it shows the newest change of each order that the customer has, and no other order.
    pub fn is_current(&self) -> bool {
        let newest = self.newest();
        let shown = newest.iter().filter(|(_, entry)| !entry.is_gone());
        let all = shown.clone().all(|(order, entry)| {
            self.orders.get(order) == Some(&entry.seq.0) || self.may_be_expired(entry)
        });
        let no_other = self
            .orders
            .keys()
            .all(|order| newest.get(order).is_some_and(|entry| !entry.is_gone()));
        all && no_other && self.number >= self.storage.journal.newest(&self.log)
    }
}
