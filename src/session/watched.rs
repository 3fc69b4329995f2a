//! A watched order: what to read next, and what a page means for the client.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Shared;
use super::reads::Key;
use crate::clock::Clock;
use crate::cursor::Mark;
use crate::feed::{Consistency, Discontinuity, Entry, Feed, FeedError, LogId, Page, Reading};
use crate::metrics::Count;
use crate::order::{Seq, Status};

/// What to read of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Query {
    /// The page that begins at the client's mark. If the client has seen nothing, it is the latest page.
    Next(Consistency),
    /// The latest page, with a consistent reading, because a consistent reading did not find the mark.
    Latest,
}

impl Query {
    /// Whether the page may miss the last writes.
    pub(super) fn may_lag(self) -> bool {
        self == Self::Next(Consistency::Eventual)
    }

    /// Makes the query, or joins the same query of another session. `heard` is the number that was heard of the order, if the
    /// query is made because of it.
    pub(super) fn run(
        self,
        feed: &impl Feed,
        shared: &Shared,
        log: &LogId,
        mark: Mark,
        heard: Option<Seq>,
    ) -> BoxFuture<'static, Result<Page, FeedError>> {
        let key = Key {
            log: log.clone(),
            query: self,
            from: mark.seq,
            heard,
        };
        let is_customers = matches!(log, LogId::Customer(_));
        let (feed, log) = (feed.clone(), log.clone());
        let metrics = shared.metrics.clone();
        shared.reads.read(key, move || {
            metrics.count(Count::Reads);
            let (feed, log) = (feed.clone(), log.clone());
            let page = async move {
                match self {
                    // A new visitor gets every order, and not the latest changes.
                    Self::Next(consistency) if is_customers => {
                        feed.read(&log, mark.seq, consistency).await
                    }
                    Self::Next(consistency) if mark.seq == Seq::ZERO => {
                        feed.latest(&log, consistency).await
                    }
                    Self::Next(consistency) => feed.read(&log, mark.seq, consistency).await,
                    Self::Latest => feed.latest(&log, Consistency::Strong).await,
                }
            };
            page.boxed()
        })
    }
}

/// A log that a session watches: an order's or a customer's.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) log: LogId,
    /// The query that must be made before everything of the order is sent.
    pub(super) due: Option<Query>,
    /// The number that a message named, if the query is due because of it.
    pub(super) heard: Option<Seq>,
    /// A query is being made.
    pub(super) is_read: bool,
    /// It was read in this round, and is read again because another order is read slowly.
    pub(super) again: bool,
    /// The status after the newest entry, and when it began, in milliseconds since the Unix epoch.
    pub(super) newest: Option<(Status, u64)>,
    /// The newest entry is terminal. A customer is never finished.
    pub(super) finished: bool,
    /// The statuses of the unfinished orders: how many are in it, and since when, in milliseconds since the Unix epoch.
    pub(super) unfinished: Vec<(Status, u64, u64)>,
    /// The client was sent `reset`, and no change after that.
    pub(super) was_reset: bool,
}

/// What a page holds that is new to the client.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Sent before the entries.
    pub(super) reset: Option<Discontinuity>,
    pub(super) entries: Vec<Entry>,
    /// How far the client has seen after them, if that is further.
    pub(super) reached: Option<Mark>,
}

impl Watched {
    pub(super) fn new(log: LogId) -> Self {
        Self {
            log,
            due: None,
            heard: None,
            is_read: false,
            again: false,
            newest: None,
            finished: false,
            unfinished: Vec::new(),
            was_reset: false,
        }
    }

    /// It is not read, and no read is due.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_read && self.due.is_none()
    }

    /// Takes the page that a query gave. `mark` is where the query began.
    pub(super) fn take(&mut self, query: Query, page: Page, mark: &Mark, clock: &Clock) -> News {
        if matches!(self.log, LogId::Customer(_)) {
            return self.take_listed(query, page, mark, clock);
        }
        let is_latest = query == Query::Latest || mark.seq == Seq::ZERO;
        let reading = match is_latest {
            true => Reading::latest(page.entries, clock),
            false => Reading::new(page.entries, clock),
        };
        // An entry expires because another one followed it. If that one is gone, only the end of the log says what became of
        // the order. If the table still has it, there is another page, but every entry after the mark on this one has
        // expired: a page has room for at least two entries.
        let is_cut = reading.newest().is_some_and(|newest| match page.more {
            true => newest.seq <= mark.seq,
            false => newest.is_superseded(),
        });
        let after = match is_cut && !is_latest {
            true => Err(Discontinuity::Trimmed),
            false => reading.after(mark),
        };
        let (new, reset) = match (after, query) {
            (Ok(new), _) => (new.len(), self.left_out(&reading, mark)),
            // Perhaps only a replica lags. So before a `reset`, the reading is repeated consistently …
            (Err(_), Query::Next(Consistency::Eventual)) => {
                self.due = Some(Query::Next(Consistency::Strong));
                return News::default();
            }
            // … and then the end of the log is read: it says what became of the order after the mark.
            (Err(_), Query::Next(Consistency::Strong)) => {
                self.due = Some(Query::Latest);
                return News::default();
            }
            (Err(reason), Query::Latest) => (reading.entries().len(), Some(reason)),
        };
        // A latest page ends with the newest entry. `more` means earlier entries.
        let more = page.more && !is_latest;
        self.due = more.then_some(query);
        let newest = reading.newest();
        // When everything is read, both come from the last page.
        self.finished = newest.is_some_and(|newest| newest.terminal);
        self.newest = newest.map(|newest| (newest.status.clone(), newest.since()));
        let unfinished = self.newest.clone().filter(|_| !self.finished);
        let unfinished = unfinished.map(|(status, since)| (status, 1, since));
        self.unfinished = unfinished.into_iter().collect();
        self.was_reset = new == 0 && (self.was_reset || reset.is_some());
        let mut entries = reading.into_entries();
        entries.drain(..entries.len() - new);
        News {
            reset,
            entries,
            reached: None,
        }
    }

    /// A client that has seen nothing gets the latest changes. If there were others before them, it is told so once.
    fn left_out(&self, reading: &Reading, mark: &Mark) -> Option<Discontinuity> {
        let left_out = mark.seq == Seq::ZERO && !reading.is_whole();
        (left_out && !self.was_reset).then_some(Discontinuity::Trimmed)
    }
}
