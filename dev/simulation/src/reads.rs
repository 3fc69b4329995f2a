//! What a response has read from the feed. The client that reads the response checks it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use order_status_stream::feed::Page;
use order_status_stream::order::OrderId;
use tokio::time::Instant;

/// The reads of one response.
#[derive(Debug, Default)]
struct Reads {
    /// The number of orders that it watches.
    orders: usize,
    /// The orders for which a read began.
    begun: BTreeSet<OrderId>,
    /// No read has ended yet.
    none_ended: bool,
    /// How many entries were read since the last chunk was sent.
    held: usize,
    /// When each entry was last read.
    read_at: BTreeMap<OrderId, BTreeMap<u64, Instant>>,
}

tokio::task_local! {
    static READS: RefCell<Reads>;
}

/// Runs a client. Reads outside of it are not counted.
pub async fn counted<T>(client: impl Future<Output = T>) -> T {
    READS.scope(RefCell::default(), client).await
}

/// A request for this number of orders begins.
pub fn asked(orders: usize) {
    let reads = Reads {
        orders,
        none_ended: true,
        ..Reads::default()
    };
    READS.with(|current| current.replace(reads));
}

/// A read of an order begins.
pub fn begins(order: &OrderId) {
    let _ = READS.try_with(|reads| reads.borrow_mut().begun.insert(order.clone()));
}

/// A read of an order has ended. Returns `false` if it is the first of the response and another order's read has not begun.
pub fn ended(order: &OrderId, page: &Page) -> bool {
    let now = Instant::now();
    let side_by_side = READS.try_with(|reads| {
        let mut reads = reads.borrow_mut();
        reads.held += page.entries.len();
        let read_at = reads.read_at.entry(order.clone()).or_default();
        read_at.extend(page.entries.iter().map(|entry| (entry.seq.0, now)));
        let first = std::mem::take(&mut reads.none_ended);
        !first || reads.begun.len() >= reads.orders
    });
    side_by_side.unwrap_or(true)
}

/// A chunk is sent. Returns how many entries were read since the last one.
pub fn sent() -> usize {
    READS.with(|reads| std::mem::take(&mut reads.borrow_mut().held))
}

/// How long ago an entry was last read.
pub fn waited(order: &str, seq: u64) -> Option<Duration> {
    let order = OrderId::try_from(order).ok()?;
    READS.with(|reads| {
        let reads = reads.borrow();
        Some(reads.read_at.get(&order)?.get(&seq)?.elapsed())
    })
}
