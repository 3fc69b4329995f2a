//! What a page of a customer's log means for the client.

use super::watched::{News, Query, Watched};
use crate::clock::Clock;
use crate::cursor::Mark;
use crate::feed::{Consistency, Entry, Page, list};
use crate::order::Status;

impl Watched {
    /// Takes the page that a query gave. `mark` is where the query began.
    pub(super) fn take_listed(
        &mut self,
        query: Query,
        page: Page,
        mark: &Mark,
        clock: &Clock,
    ) -> News {
        if let Some(newest) = page.entries.last() {
            self.newest = Some((newest.status.clone(), newest.since()));
            self.unfinished = unfinished(newest);
        }
        let more = page.more;
        match list::News::after(mark, page.entries, clock) {
            Ok(news) => {
                self.due = more.then_some(query);
                let sent = news.entries.last().map(Entry::mark);
                News {
                    reset: None,
                    reached: news
                        .reached
                        .filter(|reached| sent.as_ref() != Some(reached)),
                    entries: news.entries,
                }
            }
            // Perhaps only a replica lags. So before a `reset`, the reading is repeated consistently.
            Err(_) if query.may_lag() => {
                self.due = Some(Query::Next(Consistency::Strong));
                News::default()
            }
            // After it, the log is read from its beginning.
            Err(reason) => {
                self.due = Some(Query::Next(Consistency::Eventual));
                News {
                    reset: Some(reason),
                    ..News::default()
                }
            }
        }
    }
}

/// The customer's unfinished orders at the newest entry of the log: the entry's own order, and the others.
fn unfinished(newest: &Entry) -> Vec<(Status, u64, u64)> {
    let own = (!newest.terminal).then(|| (newest.status.clone(), 1, newest.since()));
    let others = newest
        .listing
        .iter()
        .flat_map(|listing| listing.others.groups());
    let others = others.map(|(status, orders, since)| (status.clone(), orders, since));
    own.into_iter().chain(others).collect()
}
