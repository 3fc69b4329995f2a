//! Prints a log, or follows it.

use std::fmt;
use std::time::Duration;

use order_status_stream::clock::Clock;
use order_status_stream::feed::{Consistency, Entry, Feed, FeedError, LogId};
use order_status_stream::order::Seq;
use serde::Serialize;

use crate::output::Output;

/// Between two polls while a log is followed. It is the functions' default.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// An entry as it is printed.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Line<'a>(pub &'a Entry);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line(entry) = self;
        write!(f, "{:>4}  {}  ", entry.number().0, entry.at)?;
        if entry.listing.is_some() {
            write!(f, "{} {}  ", entry.order, entry.seq)?;
        }
        write!(f, "{}", entry.status.as_str())?;
        if let Some(previous) = &entry.previous {
            write!(f, " (was {})", previous.as_str())?;
        }
        for (name, value) in &entry.view {
            write!(f, "  {name}={value}")?;
        }
        let flags = [
            (entry.begins, "a new life begins"),
            (entry.is_gone(), "no longer this customer's"),
            (
                entry.terminal && !entry.tombstone && !entry.is_gone(),
                "terminal",
            ),
            (entry.tombstone, "tombstone"),
            (entry.is_superseded(), "superseded"),
        ];
        for (_, flag) in flags.iter().filter(|(is_set, _)| *is_set) {
            write!(f, "  [{flag}]")?;
        }
        Ok(())
    }
}

/// Prints the log, and returns the number of its entries. A tombstone comes first if no other entry is left.
///
/// # Errors
///
/// [`FeedError`] if a read fails.
pub async fn show(feed: &impl Feed, log: &LogId, output: Output) -> Result<usize, FeedError> {
    let mut printed = print_from(feed, log, Seq::ZERO, output).await?;
    if printed.is_none()
        && let Some(newest) = feed.newest(log).await?
    {
        output.line(&Line(&newest));
        printed = Some((newest.seq, true));
    }
    let count = printed.map_or(0, |(seq, _)| seq.0);
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Prints the log and what is appended to it, until an entry is terminal.
///
/// # Errors
///
/// [`FeedError`] if a read fails.
pub async fn follow(
    feed: &impl Feed,
    order: &LogId,
    output: Output,
    clock: &Clock,
) -> Result<(), FeedError> {
    let mut from = Seq::ZERO;
    loop {
        if let Some((last, terminal)) = print_from(feed, order, from, output).await? {
            if terminal {
                return Ok(());
            }
            from = last.next();
        }
        tokio::time::sleep_until(clock.now() + POLL_INTERVAL).await;
    }
}

/// Prints the entries from a number on. Returns the last one's number, and whether it is terminal.
async fn print_from(
    feed: &impl Feed,
    log: &LogId,
    from: Seq,
    output: Output,
) -> Result<Option<(Seq, bool)>, FeedError> {
    let (mut from, mut last) = (from, None);
    loop {
        let page = feed.read(log, from, Consistency::Strong).await?;
        for entry in &page.entries {
            output.line(&Line(entry));
            last = Some((entry.number(), entry.terminal));
        }
        match last {
            Some((seq, _)) if page.more => from = seq.next(),
            _ => return Ok(last),
        }
    }
}
