//! The feed: one log per order, and one per customer. The projector appends to it, and streams read it.
//!
//! An entry contains the order's public view *after* a change. So the newest entry is also the order's current state, and no
//! second record of the state has to be kept in step.

mod append;
pub mod dynamodb;
mod entry;
pub mod list;
mod listing;
mod log_id;
pub mod memory;
mod reading;
mod sources;
mod step;

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::future::Future;

use thiserror::Error;

use crate::customer::Place;
use crate::dwell::Dwells;
use crate::order::{Seq, Status};

pub use append::{Appended, Told, append, append_and_tell};
pub use entry::{Entry, TOMBSTONE};
pub use listing::Listing;
pub use log_id::LogId;
pub use reading::{Discontinuity, Reading};
pub use step::Step;

/// Whether a read may miss the last writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Consistency {
    /// The read may miss the last writes. It costs half as much.
    Eventual,
    /// The read sees every write that was acknowledged before the read began.
    Strong,
}

/// Whether a conditional write took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The write took place.
    Done,
    /// Another projector was faster: an entry with that number exists, or the entry has changed.
    Taken,
}

/// Why a call of the feed failed.
#[derive(Debug, Error)]
pub enum FeedError {
    /// The call may succeed later, by itself or after an operator has corrected something: throttling, a timeout, a missing
    /// permission. Try again.
    #[error("the feed is unavailable: {message}")]
    Unavailable {
        /// The cause, in one line.
        message: String,
        /// The client library's error.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The call can never succeed, for example because the entry is too large.
    #[error("the feed refuses the entry: {message}")]
    Refused {
        /// Why the entry is refused.
        message: String,
        /// The client library's error.
        source: Box<dyn StdError + Send + Sync>,
    },
}

/// The maximum number of entries in a page. DynamoDB also ends a page at 1 MB, so this only limits small entries.
pub const PAGE_ENTRIES: usize = 100;

/// A part of a log: at most [`PAGE_ENTRIES`] entries, and about 1 MB. A reader keeps one page at a time, so that a
/// long log does not fill its memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The entries, in order.
    pub entries: Vec<Entry>,
    /// Whether the log has further entries: later ones for [`Feed::read`], earlier ones for [`Feed::latest`].
    pub more: bool,
}

/// The feed's storage.
///
/// An implementation only stores entries. This module decides what they mean. All implementations pass the same tests,
/// `tests/feed/`. A clone is another handle to the same feed.
pub trait Feed: Clone + Send + Sync + 'static {
    /// The log's newest entry, even if it has expired, with [`Consistency::Strong`]. If an order's tombstone is of a later
    /// entry than all that remain, the tombstone. The newest entry of a customer's log remains at least as long as a tombstone.
    fn newest(
        &self,
        log: impl Into<LogId> + Send,
    ) -> impl Future<Output = Result<Option<Entry>, FeedError>> + Send;

    /// Writes an entry on condition that no entry of its log has its number.
    fn put(&self, entry: &Entry) -> impl Future<Output = Result<Put, FeedError>> + Send;

    /// Writes an entry's `terminal`, `expires_at`, `sources`, `customer`, `former` and `shown_until` again, on condition that nobody
    /// has changed them since the entry was read.
    fn amend(&self, was: &Entry, is: &Entry)
    -> impl Future<Output = Result<Put, FeedError>> + Send;

    /// Gives an entry an expiry, in seconds since the Unix epoch, unless it has an earlier one. Returns the entry after the
    /// write, or `None` if no entry has that number.
    fn expire(
        &self,
        log: impl Into<LogId> + Send,
        seq: Seq,
        at: u64,
    ) -> impl Future<Output = Result<Option<Entry>, FeedError>> + Send;

    /// As [`Feed::expire`], for the entry of a customer's log that was made from the order's entry `of`. Returns `false`, and does
    /// nothing, if the place has no such entry.
    fn expire_listed(
        &self,
        place: &Place,
        of: &Entry,
        at: u64,
    ) -> impl Future<Output = Result<bool, FeedError>> + Send;

    /// Writes a tombstone ([`Entry::into_tombstone`]) beside the log. It replaces an older tombstone of the same order.
    fn put_tombstone(
        &self,
        tombstone: &Entry,
    ) -> impl Future<Output = Result<(), FeedError>> + Send;

    /// A page of the log's entries that begins at a number, in order. It includes expired entries, but no tombstone.
    fn read(
        &self,
        log: impl Into<LogId> + Send,
        from: Seq,
        consistency: Consistency,
    ) -> impl Future<Output = Result<Page, FeedError>> + Send;

    /// The page that ends with the order's newest entry, in order. It includes expired entries. The order's tombstone comes
    /// first if the page reaches back to the log's start, or if later entries may have been deleted already.
    fn latest(
        &self,
        log: impl Into<LogId> + Send,
        consistency: Consistency,
    ) -> impl Future<Output = Result<Page, FeedError>> + Send;

    /// Remembers that a record was read successfully with these settings. `settings` is a hash of at most 48 bits.
    fn confirm_settings(&self, settings: u64)
    -> impl Future<Output = Result<(), FeedError>> + Send;

    /// Whether a record was ever read successfully with these settings, with [`Consistency::Strong`].
    fn settings_confirmed(
        &self,
        settings: u64,
    ) -> impl Future<Output = Result<bool, FeedError>> + Send;

    /// Adds dwell times to the stored ones of a status. Returns the weight of all of them.
    ///
    /// Dwell times are stored in a partition that no order can have. They are deleted at `expires_at`, in seconds since the
    /// Unix epoch, unless further ones are added.
    fn learn(
        &self,
        status: &Status,
        dwells: &Dwells,
        expires_at: u64,
    ) -> impl Future<Output = Result<f64, FeedError>> + Send;

    /// The dwell times of each status, with [`Consistency::Eventual`]. An implementation may return only a hundred statuses. A
    /// shop that has more generates them, so their dwell times predict nothing.
    fn learned(&self) -> impl Future<Output = Result<BTreeMap<Status, Dwells>, FeedError>> + Send;
}

/// All of a log's entries from a number on. Only for tests and tools, because the log may be long.
///
/// # Errors
///
/// [`FeedError`] if a read fails.
pub async fn read_all(
    feed: &impl Feed,
    log: impl Into<LogId>,
    from: Seq,
    consistency: Consistency,
) -> Result<Vec<Entry>, FeedError> {
    let log = log.into();
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let from = entries.last().map_or(from, |last| last.seq.next());
        let page = feed.read(&log, from, consistency).await?;
        entries.extend(page.entries);
        if !page.more {
            return Ok(entries);
        }
    }
}
