//! The feed: a log for each order, which the projector appends to and streams read.
//!
//! An entry holds the order's public view *after* a change, so the newest entry is also the order's current state: there
//! is nothing else to keep in step.

mod append;
pub mod dynamodb;
mod entry;
pub mod memory;
mod position;
mod reading;

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::future::Future;

use thiserror::Error;

use crate::dwell::Dwells;
use crate::order::{OrderId, Seq, Status};

pub use append::{Appended, append};
pub use entry::{Entry, Step, TOMBSTONE};
pub use position::{Position, Seen};
pub use reading::{Discontinuity, Reading};

/// How a reading treats replicas that lag behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// May miss the last writes; half the price.
    Eventual,
    /// Sees every write that was acknowledged before it began.
    Strong,
}

/// Whether a conditional write took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It did.
    Done,
    /// Someone else was faster: there is an entry of that number already, or it is not as it was.
    Taken,
}

/// Why the feed did not answer.
#[derive(Debug, Error)]
pub enum FeedError {
    /// What passes by itself, or once an operator has mended it: a throttle, a time-out, a missing permission. Try again.
    #[error("the feed is unavailable: {message}")]
    Unavailable {
        /// What went wrong, in one line.
        message: String,
        /// Of the client library.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// What will never succeed, such as an entry that is too large.
    #[error("the feed refuses the entry: {message}")]
    Refused {
        /// What is wrong with it.
        message: String,
        /// Of the client library.
        source: Box<dyn StdError + Send + Sync>,
    },
}

/// The most entries of a page. A page of DynamoDB also ends at 1 MB, so this bounds small entries only.
pub const PAGE_ENTRIES: usize = 100;

/// A part of an order's log: at most [`PAGE_ENTRIES`] entries, and about 1 MB. A reader holds one page at a time, so a long
/// log does not fill its memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The entries, in order.
    pub entries: Vec<Entry>,
    /// The log has further entries: later ones after [`Feed::read`], earlier ones before [`Feed::latest`].
    pub more: bool,
}

/// The feed's storage.
///
/// Implementations pass one suite, `tests/feed.rs`. They store; what an entry means is decided in this module. A clone is
/// another handle to the same log.
pub trait Feed: Clone + Send + Sync + 'static {
    /// The order's newest entry, expired or not, with [`Consistency::Strong`]. If its tombstone is of a later entry than
    /// those that are left, the tombstone.
    fn newest(
        &self,
        order: &OrderId,
    ) -> impl Future<Output = Result<Option<Entry>, FeedError>> + Send;

    /// Writes an entry on condition that there is none of its order and number.
    fn put(&self, entry: &Entry) -> impl Future<Output = Result<Put, FeedError>> + Send;

    /// Writes an entry's `terminal`, `expires_at` and `sources` again, on condition that these are still as they were read.
    fn amend(&self, was: &Entry, is: &Entry)
    -> impl Future<Output = Result<Put, FeedError>> + Send;

    /// Lets an entry expire at a time in seconds since the Unix epoch, unless it does so earlier. Returns the entry as it then
    /// is, or `None` if there is none of that number.
    fn expire(
        &self,
        order: &OrderId,
        seq: Seq,
        at: u64,
    ) -> impl Future<Output = Result<Option<Entry>, FeedError>> + Send;

    /// Keeps a tombstone ([`Entry::buried`]), beside the log, in place of an older one of the same order.
    fn bury(&self, tombstone: &Entry) -> impl Future<Output = Result<(), FeedError>> + Send;

    /// A page of the order's entries from a number on, in order. Expired entries are included, a tombstone is not.
    fn read(
        &self,
        order: &OrderId,
        from: Seq,
        consistency: Consistency,
    ) -> impl Future<Output = Result<Page, FeedError>> + Send;

    /// The page that ends with the order's newest entry, in order. Expired entries are included. The order's tombstone stands
    /// before them, if the page reaches back to the log's start, or if later entries may have been deleted already.
    fn latest(
        &self,
        order: &OrderId,
        consistency: Consistency,
    ) -> impl Future<Output = Result<Page, FeedError>> + Send;

    /// Remembers that records were read well with these settings, which are a number of up to 48 bits.
    fn vouch(&self, settings: u64) -> impl Future<Output = Result<(), FeedError>> + Send;

    /// Whether records were ever read well with these settings, with [`Consistency::Strong`].
    fn vouched(&self, settings: u64) -> impl Future<Output = Result<bool, FeedError>> + Send;

    /// Adds dwell times to those that are kept of a status. Returns the weight of all of them.
    ///
    /// They are kept beside the orders, where none can be, and are forgotten at `expires_at`, in seconds since the Unix epoch,
    /// unless others are added.
    fn learn(
        &self,
        status: &Status,
        dwells: &Dwells,
        expires_at: u64,
    ) -> impl Future<Output = Result<f64, FeedError>> + Send;

    /// The dwell times of every status, with [`Consistency::Eventual`]. Of a hundred statuses at least; a shop that has more
    /// makes them up, and gains nothing from their dwell times.
    fn learned(&self) -> impl Future<Output = Result<BTreeMap<Status, Dwells>, FeedError>> + Send;
}

/// All of the order's entries from a number on, page by page. For tests and tools: the log may be long.
///
/// # Errors
///
/// As the feed's.
pub async fn read_all(
    feed: &impl Feed,
    order: &OrderId,
    from: Seq,
    consistency: Consistency,
) -> Result<Vec<Entry>, FeedError> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let from = entries.last().map_or(from, |last| last.seq.next());
        let page = feed.read(order, from, consistency).await?;
        entries.extend(page.entries);
        if !page.more {
            return Ok(entries);
        }
    }
}
