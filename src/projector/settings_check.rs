//! Checks whether the settings fit the records, because with wrong settings every change would be lost.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::batch::{Batch, are_one_item, reasons, settings_hash, settings_source};
use super::record::Rules;
use crate::feed::{Feed, FeedError};

/// The hashes of settings with which this process has read a record successfully. The feed stores them too, because the first
/// record of a process may be a bad one.
#[derive(Debug, Default)]
pub(super) struct SettingsCheck {
    confirmed: Mutex<BTreeSet<u64>>,
    others: Mutex<Others>,
}

/// The records of items that are not orders, until it is clear whether `ORDER_KEY` is right.
#[derive(Debug)]
enum Others {
    Counted(u64),
    /// An order was found, or the operator was told.
    Settled,
}

impl Default for Others {
    fn default() -> Self {
        Self::Counted(0)
    }
}

/// If not one of so many records is an order, `ORDER_KEY` is probably wrong. Orders are a large part of a shop's
/// table, and each of them is changed several times.
const MANY_RECORDS: u64 = 1000;

impl SettingsCheck {
    /// Whether the batch can be projected. Then its unreadable records are bad items. If not, the whole batch must be delivered
    /// again, because with the right settings its changes can be read.
    ///
    /// If the settings have worked before, a single bad item does not block its shard. If several items fail and none can be
    /// read, a wrong setting is more likely.
    pub(super) async fn passes(
        &self,
        batch: &Batch<'_>,
        rules: &Rules,
        feed: &impl Feed,
    ) -> Result<bool, FeedError> {
        let failures = batch.configuration_failures();
        let Some((record, _)) = failures.first() else {
            return Ok(true);
        };
        let source = settings_source(record).unwrap_or_default();
        let hash = settings_hash(source, rules);
        if are_one_item(&failures)
            && (self.confirmed().contains(&hash) || feed.settings_confirmed(hash).await?)
        {
            return Ok(true);
        }
        tracing::error!(
            source,
            records = failures.len(),
            reason = reasons(&failures),
            "the settings do not fit the records"
        );
        Ok(false)
    }

    /// Remembers the settings if a record of the batch could be read.
    pub(super) async fn remember(&self, batch: &Batch<'_>, rules: &Rules, feed: &impl Feed) {
        let Some(source) = batch.readable_source else {
            return;
        };
        let hash = settings_hash(source, rules);
        if self.confirmed().contains(&hash) {
            return;
        }
        match feed.confirm_settings(hash).await {
            Ok(()) => {
                self.confirmed().insert(hash);
            }
            // The next batch tries again.
            Err(error) => {
                tracing::warn!(%error, "could not store that the settings fit the records");
            }
        }
    }

    /// Tells the operator if no item is an order, once in a process. Such records are no failure, so nothing else would.
    pub(super) async fn notice_others(&self, batch: &Batch<'_>, rules: &Rules, feed: &impl Feed) {
        let Some(source) = batch.source_of_others else {
            return;
        };
        let has_order = !batch.orders.is_empty() || !batch.poison.is_empty();
        let Some(records) = self.others_without_order(batch.others, has_order) else {
            return;
        };
        let hash = settings_hash(source, rules);
        // If the feed cannot be read now, the next process asks it.
        if feed.settings_confirmed(hash).await.unwrap_or(true) {
            return;
        }
        let order_key = rules.key.as_str();
        tracing::error!(source, records, order_key, "no item matches ORDER_KEY");
    }

    /// How many records were counted, if they are many and no order was among them. Only once.
    fn others_without_order(&self, more: u64, has_order: bool) -> Option<u64> {
        let mut others = lock(&self.others);
        let Others::Counted(count) = &mut *others else {
            return None;
        };
        *count += more;
        let count = *count;
        if has_order || count >= MANY_RECORDS {
            *others = Others::Settled;
        }
        (!has_order && count >= MANY_RECORDS).then_some(count)
    }

    fn confirmed(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        lock(&self.confirmed)
    }
}

/// Nothing panics while a lock is held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
