//! Every entry that was ever appended to the feed. The checks read it. The code under test cannot.

use std::collections::BTreeMap;
use std::sync::Mutex;

use order_status_stream::feed::Entry;
use tokio::time::Instant;

use crate::world::lock;

/// An entry and its history.
#[derive(Clone, Debug)]
pub struct Line {
    /// The entry as it is now.
    pub entry: Entry,
    /// When it was appended.
    pub at: Instant,
    /// When its `terminal` was changed.
    terminal_changed: Option<Instant>,
}

/// See the module. A log is named by its partition key: an order's id, or `%customer/` and a customer's.
#[derive(Debug, Default)]
pub struct Journal(Mutex<BTreeMap<String, Vec<Line>>>);

impl Journal {
    /// An entry was appended.
    pub fn appended(&self, entry: &Entry) {
        let at = Instant::now();
        let line = Line {
            entry: entry.clone(),
            at,
            terminal_changed: None,
        };
        let mut orders = lock(&self.0);
        orders
            .entry(entry.log().to_string())
            .or_default()
            .push(line);
    }

    /// An entry was amended, or its expiry was set.
    pub fn changed(&self, entry: &Entry) {
        if let Some(lines) = lock(&self.0).get_mut(&entry.log().to_string())
            && let Some(line) = lines
                .iter_mut()
                .find(|line| line.entry.number() == entry.number())
        {
            if line.entry.terminal != entry.terminal {
                line.terminal_changed = Some(Instant::now());
            }
            line.entry = entry.clone();
        }
    }

    /// Whether the entry with this number is terminal, or was terminal after `since`.
    pub fn was_terminal(&self, order: &str, seq: u64, since: Instant) -> bool {
        let changed = |at: Option<Instant>| at.is_some_and(|at| at >= since);
        self.line(order, seq)
            .is_some_and(|line| line.entry.terminal || changed(line.terminal_changed))
    }

    /// The entry with this number.
    pub fn line(&self, order: &str, seq: u64) -> Option<Line> {
        let orders = lock(&self.0);
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        orders.get(order)?.get(index).cloned()
    }

    /// When the entry with this number was appended.
    pub fn appended_at(&self, order: &str, seq: u64) -> Option<Instant> {
        let orders = lock(&self.0);
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        orders.get(order)?.get(index).map(|line| line.at)
    }

    /// How many entries were appended before this time.
    pub fn count_before(&self, order: &str, time: Instant) -> u64 {
        let orders = lock(&self.0);
        let lines = orders.get(order).into_iter().flatten();
        lines.filter(|line| line.at < time).count() as u64
    }

    /// The number of the newest entry.
    pub fn newest(&self, order: &str) -> u64 {
        lock(&self.0)
            .get(order)
            .map_or(0, |lines| lines.len() as u64)
    }

    /// All entries of an order.
    pub fn lines(&self, order: &str) -> Vec<Line> {
        lock(&self.0).get(order).cloned().unwrap_or_default()
    }

    /// The orders that have entries.
    pub fn orders(&self) -> Vec<String> {
        let logs = lock(&self.0);
        let orders = logs.keys().filter(|log| !log.starts_with('%'));
        orders.cloned().collect()
    }
}
