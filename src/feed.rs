//! The feed: a log for each order, which the projector appends to and streams read.
//!
//! An entry holds the order's public view *after* a change, so the newest entry is also the order's current state: there
//! is nothing else to keep in step.

pub mod dynamodb;
pub mod memory;

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::change::Change;
use crate::clock::Clock;
use crate::cursor::{Mark, Tie};
use crate::dwell::Dwells;
use crate::order::{OrderId, PublicView, Seq, Status};

/// Where a record stands in the source: the stream's label, `/`, its sequence number padded to 40 digits.
///
/// Compared as text, because a sequence number (21 to 40 digits) exceeds a `u128`. The label comes first, so that a stream
/// that was turned off and on again, and counts anew, goes on instead of falling silent: labels are dates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(String);

impl Position {
    /// `None` where the sequence number is not 1 to 40 digits or the label is empty.
    pub fn new(label: &str, sequence_number: &str) -> Option<Self> {
        let digits = sequence_number.bytes().all(|b| b.is_ascii_digit());
        let fits = (1..=40).contains(&sequence_number.len());
        (digits && fits && !label.is_empty())
            .then(|| Self(format!("{label}/{sequence_number:0>40}")))
    }

    /// The position as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A change in its order's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Whose log.
    pub order: OrderId,
    /// Its number there.
    pub seq: Seq,
    /// The status after the change.
    pub status: Status,
    /// The status before; `None` in an order's first entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Status>,
    /// The further public attributes after the change.
    pub view: PublicView,
    /// When it changed, RFC 3339: the shop's clock, or the stream's.
    pub at: String,
    /// When the projector appended it, in milliseconds since the Unix epoch.
    pub appended_at: u64,
    /// Of the record that it comes from.
    pub position: Position,
    /// Nothing more is expected.
    #[serde(default)]
    pub terminal: bool,
    /// From when on it does not count any more, in seconds since the Unix epoch: the table's TTL attribute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

impl Entry {
    /// The entry for a change, where `newest` is the order's newest.
    ///
    /// `None` where there is nothing to append: the record was seen before (deliveries repeat and overlap), or the public
    /// sees no difference. An entry that has expired is no longer seen, so what follows it is always a difference.
    pub fn after(
        newest: Option<&Self>,
        change: &Change,
        clock: &Clock,
        retention: Duration,
    ) -> Option<Self> {
        let shown = newest.filter(|newest| !newest.is_expired(clock));
        if newest.is_some_and(|newest| change.position <= newest.position) {
            return None;
        }
        if shown.is_some_and(|shown| shown.status == change.status && shown.view == change.view) {
            return None;
        }
        Some(Self {
            order: change.order.clone(),
            seq: newest.map_or(Seq::ZERO, |newest| newest.seq).next(),
            status: change.status.clone(),
            previous: newest.map(|newest| newest.status.clone()),
            view: change.view.clone(),
            at: change.at.clone().unwrap_or_else(|| rfc3339(clock)),
            appended_at: clock.epoch_millis(),
            position: change.position.clone(),
            terminal: change.terminal,
            expires_at: change.terminal.then(|| expiry(clock, retention)),
        })
    }

    /// Whether it does not count any more, although the table may still hold it.
    pub fn is_expired(&self, clock: &Clock) -> bool {
        self.expires_at
            .is_some_and(|at| at <= clock.epoch_seconds())
    }

    /// How far a client has seen that was shown this entry.
    pub fn mark(&self) -> Mark {
        Mark {
            seq: self.seq,
            tie: Some(Tie::of(self.position.as_str())),
            ..Mark::START
        }
    }
}

fn rfc3339(clock: &Clock) -> String {
    let millis = i64::try_from(clock.epoch_millis()).unwrap_or(i64::MAX);
    let now = chrono::DateTime::from_timestamp_millis(millis).unwrap_or_default();
    now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn expiry(clock: &Clock, retention: Duration) -> u64 {
    (clock.epoch() + retention).as_secs()
}

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
    /// There is an entry of that number already: someone else was faster.
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
    /// The order's newest entry, expired or not, with [`Consistency::Strong`].
    fn newest(
        &self,
        order: &OrderId,
    ) -> impl Future<Output = Result<Option<Entry>, FeedError>> + Send;

    /// Writes an entry on condition that there is none of its order and number.
    fn put(&self, entry: &Entry) -> impl Future<Output = Result<Put, FeedError>> + Send;

    /// Sets when an entry expires, in seconds since the Unix epoch, where it exists and never was going to.
    fn expire(
        &self,
        order: &OrderId,
        seq: Seq,
        at: u64,
    ) -> impl Future<Output = Result<(), FeedError>> + Send;

    /// A page of the order's entries from a number on, in order. Expired entries are included.
    fn read(
        &self,
        order: &OrderId,
        from: Seq,
        consistency: Consistency,
    ) -> impl Future<Output = Result<Page, FeedError>> + Send;

    /// The page that ends with the order's newest entry, in order. Expired entries are included.
    fn latest(
        &self,
        order: &OrderId,
        consistency: Consistency,
    ) -> impl Future<Output = Result<Page, FeedError>> + Send;

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

/// An entry that was appended.
#[derive(Clone, Debug, PartialEq)]
pub struct Appended {
    /// The entry.
    pub entry: Entry,
    /// The one that was the newest before.
    pub superseded: Option<Entry>,
}

impl Appended {
    /// For how long the superseded entry was the newest. `None` where there was none, or nothing was expected after it.
    pub fn dwelt(&self) -> Option<(&Status, Duration)> {
        let superseded = self
            .superseded
            .as_ref()
            .filter(|superseded| !superseded.terminal)?;
        let dwell = self
            .entry
            .appended_at
            .saturating_sub(superseded.appended_at);
        Some((&superseded.status, Duration::from_millis(dwell)))
    }
}

/// Appends a change to its order's log. `None` where there was nothing to append.
///
/// Any number of projectors may do this at once, be killed in the middle and do it again: the log becomes what one clean
/// delivery makes of it.
///
/// # Errors
///
/// As the feed's.
pub async fn append(
    feed: &impl Feed,
    change: &Change,
    clock: &Clock,
    retention: Duration,
) -> Result<Option<Appended>, FeedError> {
    loop {
        let newest = feed.newest(&change.order).await?;
        let Some(entry) = Entry::after(newest.as_ref(), change, clock, retention) else {
            // A projector that died between its two writes left the superseded entry without an expiry. The record that
            // it was at comes again, and finds itself to be the newest.
            if let Some(newest) = newest.filter(|newest| newest.position == change.position) {
                supersede_before(feed, &newest, clock, retention).await?;
            }
            return Ok(None);
        };
        if feed.put(&entry).await? == Put::Done {
            supersede_before(feed, &entry, clock, retention).await?;
            let superseded = newest;
            return Ok(Some(Appended { entry, superseded }));
        }
    }
}

async fn supersede_before(
    feed: &impl Feed,
    entry: &Entry,
    clock: &Clock,
    retention: Duration,
) -> Result<(), FeedError> {
    match entry.seq.0.checked_sub(1).map(Seq) {
        None | Some(Seq::ZERO) => Ok(()),
        Some(superseded) => {
            feed.expire(&entry.order, superseded, expiry(clock, retention))
                .await
        }
    }
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

/// What stands in an order's log: the unexpired entries, in order, without a gap.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading(Vec<Entry>);

/// Why a client cannot go on from where it was. The names are the wire's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Discontinuity {
    /// What it saw last has expired.
    Trimmed,
    /// What it saw last is not in this log.
    UnknownCursor,
}

impl fmt::Display for Discontinuity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trimmed => "trimmed",
            Self::UnknownCursor => "unknown-cursor",
        })
    }
}

impl Reading {
    /// Makes a reading of what [`Feed::read`] gave. Where entries in the middle are gone, what stands before them is no
    /// use to anyone.
    pub fn new(mut entries: Vec<Entry>, clock: &Clock) -> Self {
        entries.retain(|entry| !entry.is_expired(clock));
        let gap = entries
            .windows(2)
            .rposition(|pair| pair[1].seq != pair[0].seq.next());
        entries.drain(..gap.map_or(0, |before| before + 1));
        Self(entries)
    }

    /// What comes after a mark.
    ///
    /// # Errors
    ///
    /// A [`Discontinuity`] where the mark is not in this log.
    pub fn after(&self, mark: &Mark) -> Result<&[Entry], Discontinuity> {
        if mark.seq == Seq::ZERO {
            return Ok(&self.0);
        }
        match self.0.iter().position(|entry| entry.seq == mark.seq) {
            Some(at) if mark.tie.is_none() || mark.tie == self.0[at].mark().tie => {
                Ok(&self.0[at + 1..])
            }
            None if self.newest().is_some_and(|newest| newest.seq > mark.seq) => {
                Err(Discontinuity::Trimmed)
            }
            _ => Err(Discontinuity::UnknownCursor),
        }
    }

    /// All entries.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// All entries, without a copy of them.
    pub fn into_entries(self) -> Vec<Entry> {
        self.0
    }

    /// Whether it begins where the order's history begins. An empty reading does.
    pub fn is_whole(&self) -> bool {
        self.0.first().is_none_or(|first| first.seq.0 == 1)
    }

    /// The newest entry: the order's current state.
    pub fn newest(&self) -> Option<&Entry> {
        self.0.last()
    }
}
