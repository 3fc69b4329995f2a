//! What is read from the feed before a response begins.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::try_join_all;
use tokio::time::timeout_at;

use crate::clock::Clock;
use crate::cursor::{Cursor, Mark};
use crate::feed::{Consistency, Feed, FeedError, Reading};
use crate::invocation::Invocation;
use crate::order::OrderId;

/// Runs a read with a time limit; a panic counts as a failure. Lambda would make a 502 of either, and browsers give up on that.
pub(super) async fn within_limit<T>(
    invocation: &Invocation,
    read: impl Future<Output = Result<T, FeedError>>,
) -> Result<T, FeedError> {
    let begin_by = invocation.deadline.begin_by(invocation.clock.now());
    let failed = |message: &str| {
        Err(FeedError::Unavailable {
            message: message.to_owned(),
            source: message.into(),
        })
    };
    match timeout_at(begin_by, AssertUnwindSafe(read).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => failed("the read panicked"),
        Err(_) => failed("the read took too long"),
    }
}

/// Whether a client that was told that its orders are finished has missed nothing since.
///
/// A 204 closes a tab for good. So every order is read, and consistently.
pub(super) async fn nothing_since<F: Feed>(
    feed: &F,
    orders: &[OrderId],
    cursor: &Cursor,
    clock: &Clock,
) -> Result<bool, FeedError> {
    let orders = orders.iter().zip(&cursor.0);
    let readings = orders.map(|(order, mark)| is_unchanged(feed, order, mark, clock));
    let unchanged = try_join_all(readings).await?;
    Ok(unchanged.into_iter().all(|unchanged| unchanged))
}

async fn is_unchanged<F: Feed>(
    feed: &F,
    order: &OrderId,
    mark: &Mark,
    clock: &Clock,
) -> Result<bool, FeedError> {
    let unchanged = |reading: &Reading| {
        let finished = reading.newest().is_some_and(|newest| newest.terminal);
        finished && reading.after(mark).is_ok_and(<[_]>::is_empty)
    };
    let page = feed.read(order, mark.seq, Consistency::Strong).await?;
    if unchanged(&Reading::new(page.entries, clock)) {
        return Ok(!page.more);
    }
    // The entry of the mark may have expired: the end of the log still says how the order ended.
    let page = feed.latest(order, Consistency::Strong).await?;
    let reading = Reading::latest(page.entries, clock);
    // If the whole log has expired, nothing came after the end.
    Ok(reading.newest().is_none() || unchanged(&reading))
}
