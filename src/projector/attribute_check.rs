//! Notices public attributes that no order has: a name in `PUBLIC_ATTRIBUTES` is probably wrong.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::batch::Batch;
use super::image::PublicAttributes;
use crate::change::Write;

/// An attribute that is written late in the life of an order, such as a tracking URL, is seen within so many changes.
const MANY_CHANGES: u32 = 1000;

/// The public attributes that this process has not seen yet. Empty after all were seen, or after the operator was told.
#[derive(Debug)]
pub(super) struct AttributeCheck(Mutex<Unseen>);

#[derive(Debug)]
struct Unseen {
    names: BTreeSet<String>,
    changes: u32,
}

impl AttributeCheck {
    pub(super) fn new(attributes: &PublicAttributes) -> Self {
        Self(Mutex::new(Unseen {
            names: attributes.keys().cloned().collect(),
            changes: 0,
        }))
    }

    /// Looks for the attributes in a batch. Returns the number of its changes.
    pub(super) fn look(&self, batch: &Batch<'_>) -> u32 {
        let mut unseen = self.unseen();
        let mut count = 0_u32;
        if unseen.names.is_empty() {
            return count;
        }
        let changes = batch.orders.values().flatten();
        for (change, _) in changes.filter(|(change, _)| change.write != Write::Remove) {
            count = count.saturating_add(1);
            unseen.names.retain(|name| !change.view.contains_key(name));
        }
        count
    }

    /// Counts the changes of a batch that need not come again; otherwise the same few changes would be counted at each attempt.
    /// Tells the operator about the attributes that no order has, once in a process.
    pub(super) fn count(&self, changes: u32) {
        let mut unseen = self.unseen();
        unseen.changes = unseen.changes.saturating_add(changes);
        if unseen.changes >= MANY_CHANGES && !unseen.names.is_empty() {
            let names = std::mem::take(&mut unseen.names);
            tracing::warn!(
                attributes = names.into_iter().collect::<Vec<_>>().join(","),
                changes = unseen.changes,
                "no order has these attributes of PUBLIC_ATTRIBUTES"
            );
        }
    }

    /// Nothing panics while the lock is held.
    fn unseen(&self) -> MutexGuard<'_, Unseen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
