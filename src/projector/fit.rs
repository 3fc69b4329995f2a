//! Whether the settings fit the records, or a mistake in them would lose every change.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::batch::{Batch, are_one_item, fingerprint, reasons};
use crate::change::Rules;
use crate::feed::{Feed, FeedError};

/// The settings and streams of which a record was read well, as far as this process knows. The feed remembers them too,
/// because a process may begin with a record that is bad.
#[derive(Debug, Default)]
pub(super) struct Fit(Mutex<BTreeSet<u64>>);

impl Fit {
    /// Whether a batch can be projected: what is bad in it is the fault of its items. If not, it must come again, because
    /// once the settings are right, every change in it counts.
    ///
    /// A single bad item blocks nobody if the settings have fitted before. If several items fail and none can be read, that is
    /// more likely to be a setting.
    pub(super) async fn is_given(
        &self,
        batch: &Batch<'_>,
        rules: &Rules,
        feed: &impl Feed,
    ) -> Result<bool, FeedError> {
        let misfits = batch.misfits();
        let Some((record, _)) = misfits.first() else {
            return Ok(true);
        };
        let source = record.event_source_arn.as_deref().unwrap_or_default();
        let fingerprint = fingerprint(source, rules);
        if are_one_item(&misfits)
            && (self.known().contains(&fingerprint) || feed.vouched(fingerprint).await?)
        {
            return Ok(true);
        }
        tracing::error!(
            source,
            records = misfits.len(),
            reason = reasons(&misfits),
            "the settings do not fit the records"
        );
        Ok(false)
    }

    /// Remembers that a record of the batch could be read.
    pub(super) async fn remember(&self, batch: &Batch<'_>, rules: &Rules, feed: &impl Feed) {
        let Some(source) = batch.good_source else {
            return;
        };
        let fingerprint = fingerprint(source, rules);
        if self.known().contains(&fingerprint) {
            return;
        }
        match feed.vouch(fingerprint).await {
            Ok(()) => {
                self.known().insert(fingerprint);
            }
            // The next batch tries again.
            Err(error) => tracing::warn!(%error, "it was not kept that the settings fit"),
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
