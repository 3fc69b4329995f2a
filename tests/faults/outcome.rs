//! What came of a fault: what was written, and what every watcher received of it.

use std::sync::{Arc, Mutex};

use super::watcher::Received;
use super::world::{ORDERS, STATUSES};

#[derive(Debug, Default)]
pub struct Outcome {
    pub written: usize,
    /// Changes that every watcher of the order received.
    pub received: usize,
    pub lost: usize,
    pub doubled: usize,
    pub violations: Vec<String>,
}

impl Outcome {
    pub fn of(watchers: &[Arc<Mutex<Received>>]) -> Self {
        let mut outcome = Self {
            written: ORDERS.len() * STATUSES.len(),
            ..Self::default()
        };
        for order in ORDERS {
            for status in STATUSES {
                let missed = watchers.iter().any(|watcher| {
                    let received = watcher.lock().unwrap();
                    let watches = received.orders.iter().any(|watched| watched == order);
                    watches && !statuses(&received, order).contains(&status)
                });
                outcome.received += usize::from(!missed);
            }
        }
        outcome.lost = outcome.written - outcome.received;
        for watcher in watchers {
            outcome.add(&watcher.lock().unwrap());
        }
        outcome
    }

    fn add(&mut self, received: &Received) {
        self.doubled += received.doubled;
        self.violations.extend(received.violations.iter().cloned());
        for order in &received.orders {
            let statuses = statuses(received, order);
            let place = |status: &&str| STATUSES.iter().position(|known| known == status);
            let places: Vec<_> = statuses.iter().map(place).collect();
            if !places.is_sorted_by(|earlier, later| earlier < later) || places.contains(&None) {
                let violation = format!("{order} was shown as {statuses:?}");
                self.violations.push(violation);
            }
            if statuses.last() != STATUSES.last() {
                let violation = format!("the newest state of {order} was not shown: {statuses:?}");
                self.violations.push(violation);
            }
        }
    }
}

/// The statuses of an order, in the sequence of their numbers.
fn statuses<'a>(received: &'a Received, order: &str) -> Vec<&'a str> {
    let changes = received.changes.get(order);
    let changes = changes.into_iter().flat_map(|changes| changes.values());
    changes.map(String::as_str).collect()
}
