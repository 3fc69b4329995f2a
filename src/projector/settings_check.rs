//! Checks whether the settings fit the records, because with wrong settings every change would be lost.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::batch::{Batch, are_one_item, reasons, settings_hash};
use super::record::Rules;
use crate::feed::{Feed, FeedError};

/// The hashes of settings with which this process has read a record successfully. The feed stores them too, because the first
/// record of a process may be a bad one.
#[derive(Debug, Default)]
pub(super) struct SettingsCheck(Mutex<BTreeSet<u64>>);

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
        let source = record.event_source_arn.as_deref().unwrap_or_default();
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

    fn confirmed(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
