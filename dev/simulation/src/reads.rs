//! What a response has read from the feed. The client that reads the response checks it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use order_status_stream::feed::{LogId, Page};
use tokio::time::Instant;

/// The reads of one response.
#[derive(Debug, Default)]
struct Reads {
    /// The number of logs that it watches.
    logs: usize,
    /// The logs for which a read began.
    begun: BTreeSet<LogId>,
    /// No read has ended yet.
    none_ended: bool,
    /// How many entries were read since the last chunk was sent.
    held: usize,
    /// When each entry was last read.
    read_at: BTreeMap<LogId, BTreeMap<u64, Instant>>,
}

tokio::task_local! {
    static READS: RefCell<Reads>;
}

/// Runs a client. Reads outside of it are not counted.
pub async fn counted<T>(client: impl Future<Output = T>) -> T {
    READS.scope(RefCell::default(), client).await
}

/// A request for this number of logs begins.
pub fn asked(logs: usize) {
    let reads = Reads {
        logs,
        none_ended: true,
        ..Reads::default()
    };
    READS.with(|current| current.replace(reads));
}

/// The response has begun. What was read before that decided only about the status: the session reads it again.
pub fn responded() {
    READS.with(|reads| reads.borrow_mut().read_at.clear());
}

/// A read of a log begins.
pub fn begins(log: &LogId) {
    let _ = READS.try_with(|reads| reads.borrow_mut().begun.insert(log.clone()));
}

/// A read of a log has ended. Returns `false` if it is the first of the response and another log's read has not begun.
pub fn ended(log: &LogId, page: &Page) -> bool {
    let now = Instant::now();
    let side_by_side = READS.try_with(|reads| {
        let mut reads = reads.borrow_mut();
        reads.held += page.entries.len();
        let read_at = reads.read_at.entry(log.clone()).or_default();
        read_at.extend(page.entries.iter().map(|entry| (entry.number().0, now)));
        let first = std::mem::take(&mut reads.none_ended);
        !first || reads.begun.len() >= reads.logs
    });
    side_by_side.unwrap_or(true)
}

/// A chunk is sent. Returns how many entries were read since the last one.
pub fn sent() -> usize {
    READS.with(|reads| std::mem::take(&mut reads.borrow_mut().held))
}

/// How long ago an entry was last read.
pub fn waited(log: &LogId, number: u64) -> Option<Duration> {
    READS.with(|reads| {
        let reads = reads.borrow();
        Some(reads.read_at.get(log)?.get(&number)?.elapsed())
    })
}
