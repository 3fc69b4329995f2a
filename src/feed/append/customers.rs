//! Writes an order's entry into the log of its customer exactly once.
//!
//! The order's entry contains its place in the customer's log *before* that place is written. So every projector that repeats the
//! work writes to the same place, and a place that is taken shows whether the work is done:
//!
//! ```text
//!  1  read the newest number N of the customer's log
//!  2  put the order's entry, with the place N + 1             if its own number is free
//!  3  put the customer's entry at the place                   if the place is free
//!       taken by this entry: done
//!       taken by another order's entry: move the place in the order's entry to the newest number + 1, and repeat
//!  4  expire the order's entry before this one in the customer's log
//! ```
//!
//! A place is moved only after it was seen to be taken by another entry, and an entry remains for two days at least. So no entry
//! is written to two places. A place is the number after an existing entry. So there is no gap.

use super::{Appender, Told};
use crate::customer::Place;
use crate::feed::entry::{Entry, expiry};
use crate::feed::listing::Whose;
use crate::feed::{Consistency, Feed, FeedError, LogId, Put};
use crate::order::Seq;

/// What was read of the customers' logs before an entry was appended.
#[derive(Debug, Default)]
pub(super) struct Heads {
    has: Head,
    had: Head,
}

/// The entry before a place.
#[derive(Debug, Default)]
enum Head {
    /// It must be read.
    #[default]
    Unknown,
    /// It is this one. `None` if the place is the first of its log.
    Known(Option<Box<Entry>>),
}

impl<F: Feed> Appender<'_, F> {
    /// Finds the places of a new entry.
    pub(super) async fn place(&self, entry: &mut Entry) -> Result<Heads, FeedError> {
        Ok(Heads {
            had: self.find_place(entry, Whose::Had).await?,
            has: self.find_place(entry, Whose::Has).await?,
        })
    }

    async fn find_place(&self, entry: &mut Entry, whose: Whose) -> Result<Head, FeedError> {
        let Some(place) = entry.place_mut(whose) else {
            return Ok(Head::Unknown);
        };
        let newest = self.feed.newest(&LogId::from(&place.customer)).await?;
        place.seq = newest.as_ref().map_or(Seq::ZERO, Entry::number).next();
        Ok(Head::Known(newest.map(Box::new)))
    }

    /// Writes an order's entry into its customer's log, and into that of the customer who had the order before.
    pub(super) async fn list(
        &self,
        entry: &Entry,
        superseded: Option<&Entry>,
        heads: Heads,
    ) -> Result<(), FeedError> {
        let mut entry = entry.clone();
        let superseded = self.superseded_in_logs(&entry, superseded).await?;
        let superseded = superseded.as_ref();
        for (whose, head) in [(Whose::Had, heads.had), (Whose::Has, heads.has)] {
            if entry.place(whose).is_some() {
                self.list_in(&mut entry, whose, superseded, head).await?;
            }
        }
        match superseded {
            // If the order was hidden, and got another customer then, nothing of it follows in the log of the former one. Its entry
            // there may be the newest, which must remain, and is hidden anyway.
            Some(superseded) if superseded.terminal && !follows(&entry, superseded) => Ok(()),
            Some(superseded) if superseded.customer.is_some() => {
                self.expire_before(superseded).await
            }
            _ => Ok(()),
        }
    }

    /// The entry before this one that is in a customer's log. A version of this program that knows no customers may have written
    /// entries after it.
    async fn superseded_in_logs(
        &self,
        entry: &Entry,
        superseded: Option<&Entry>,
    ) -> Result<Option<Entry>, FeedError> {
        match superseded {
            Some(before) if entry.customer.is_some() && !before.names_customers() => {
                let mut earlier = self.earlier(before).await?;
                Ok(earlier.find(Entry::names_customers))
            }
            before => Ok(before.cloned()),
        }
    }

    /// The entries of an order before this one, the newest first. Not all of them if there are very many.
    async fn earlier(
        &self,
        entry: &Entry,
    ) -> Result<impl Iterator<Item = Entry> + use<F>, FeedError> {
        let page = self.feed.latest(&entry.order, Consistency::Strong).await?;
        let seq = entry.seq;
        let entries = page.entries.into_iter().rev();
        Ok(entries.filter(move |earlier| !earlier.tombstone && earlier.seq < seq))
    }

    async fn list_in(
        &self,
        entry: &mut Entry,
        whose: Whose,
        superseded: Option<&Entry>,
        mut head: Head,
    ) -> Result<(), FeedError> {
        while let Some(place) = entry.place(whose).cloned() {
            let before = match head {
                Head::Known(before) => before,
                Head::Unknown => match self.at(&place, entry).await? {
                    At::Free(before) => before,
                    At::Listed(before) => return self.release(before).await,
                    At::Taken => {
                        head = self.move_on(entry, whose).await?;
                        continue;
                    }
                },
            };
            let until = expiry(self.clock, self.retention);
            let listed = entry.listed(&place, whose, before.as_deref(), superseded, until);
            if self.put_listed(listed).await? == Put::Done {
                return self.release(before).await;
            }
            head = Head::Unknown;
        }
        Ok(())
    }

    /// What is at a place, for an order's entry.
    async fn at(&self, place: &Place, entry: &Entry) -> Result<At, FeedError> {
        let from = Seq(place.seq.0.saturating_sub(1));
        let log = LogId::from(&place.customer);
        let page = self.feed.read(&log, from, Consistency::Strong).await?;
        let mut entries = page.entries.into_iter().peekable();
        let before = entries.next_if(|found| found.number() < place.seq);
        let before = before.map(Box::new);
        Ok(match entries.next() {
            None => At::Free(before),
            // The table has deleted what was there, so it was there for two days at least: a repeated record has no writes to make.
            Some(later) if later.number() > place.seq => At::Listed(before),
            Some(found) if found.lists(entry) => At::Listed(before),
            Some(_) => At::Taken,
        })
    }

    /// Moves the place of an order's entry to the end of the customer's log. If another projector has moved it, takes that.
    async fn move_on(&self, entry: &mut Entry, whose: Whose) -> Result<Head, FeedError> {
        let mut moved = entry.clone();
        let head = self.find_place(&mut moved, whose).await?;
        if self.feed.amend(entry, &moved).await? == Put::Done {
            *entry = moved;
            return Ok(head);
        }
        let order = LogId::from(&entry.order);
        let page = self
            .feed
            .read(&order, entry.seq, Consistency::Strong)
            .await?;
        let found = page.entries.into_iter().next();
        match found.filter(|found| found.seq == entry.seq) {
            Some(found) => *entry = found,
            // The table deleted it: it expired long ago, and nobody needs its place.
            None => (entry.customer, entry.former) = (None, None),
        }
        Ok(Head::Unknown)
    }

    /// Writes an entry of a customer's log. One of the maximum size has no room for what this log needs besides: then it has no
    /// attributes, because its order must continue.
    async fn put_listed(&self, mut listed: Entry) -> Result<Put, FeedError> {
        let mut put = self.feed.put(&listed).await;
        if let Err(reason @ FeedError::Refused { .. }) = &put
            && !listed.view.is_empty()
        {
            let (order, seq) = (&listed.order, listed.seq.0);
            tracing::warn!(%order, seq, %reason, "an entry of a customer's log has no room for the order's attributes");
            listed.view.clear();
            put = self.feed.put(&listed).await;
        }
        if matches!(put, Ok(Put::Done)) {
            (self.tell)(Told::Listed(&listed));
        }
        put
    }

    /// The newest entry of a log remains for as long as a tombstone. When it is not the newest any more, it remains only as long
    /// as it is shown.
    async fn release(&self, before: Option<Box<Entry>>) -> Result<(), FeedError> {
        if let Some(before) = before
            && let Some(until) = before
                .shown_until
                .filter(|until| before.expires_at > Some(*until))
        {
            let mut released = before.clone();
            released.expire(until);
            // If its order is not finished any more since it was read, it must not expire.
            self.feed.amend(&before, &released).await?;
        }
        Ok(())
    }

    /// The order's entry before a new one expires in the customer's log too, not sooner than after the retention: nobody sees
    /// another customer's entries, and a place must not become free soon.
    async fn expire_before(&self, superseded: &Entry) -> Result<(), FeedError> {
        if self.expire_listed(superseded).await? {
            return Ok(());
        }
        // It was never listed, because its record was given up. So one before it is still shown.
        for earlier in self.earlier(superseded).await? {
            if self.expire_listed(&earlier).await? {
                break;
            }
        }
        Ok(())
    }

    /// Returns whether the entry is in a customer's log.
    async fn expire_listed(&self, entry: &Entry) -> Result<bool, FeedError> {
        let Some(place) = &entry.customer else {
            return Ok(false);
        };
        let until = expiry(self.clock, self.retention);
        match self.feed.expire_listed(place, entry, until).await {
            Err(reason @ FeedError::Refused { .. }) => {
                let (order, seq) = (&entry.order, entry.seq.0);
                tracing::warn!(%order, seq, %reason, "an entry of a customer's log has no room for its expiry");
                Ok(true)
            }
            expired => expired,
        }
    }

    /// Writes into a customer's log that the order's entry is terminal now, or is not terminal any more.
    pub(super) async fn relist(&self, entry: &Entry) -> Result<Put, FeedError> {
        let Some(place) = &entry.customer else {
            return Ok(Put::Done);
        };
        let log = LogId::from(&place.customer);
        let page = self.feed.read(&log, place.seq, Consistency::Strong).await?;
        let found = page.entries.into_iter().next();
        match found.filter(|found| found.number() == place.seq && found.lists(entry)) {
            Some(found) if found.terminal != entry.terminal => {
                let until = entry
                    .expires_at
                    .unwrap_or_else(|| expiry(self.clock, self.retention));
                self.feed
                    .amend(&found, &found.relisted(entry.terminal, until))
                    .await
            }
            _ => Ok(Put::Done),
        }
    }
}

/// Whether an entry is in the log of the customer who had the order before it.
fn follows(entry: &Entry, superseded: &Entry) -> bool {
    let customer = superseded.customer_id();
    let customers = [&entry.customer, &entry.former].into_iter().flatten();
    customers
        .into_iter()
        .any(|place| Some(&place.customer) == customer)
}

/// What is at a place, and the entry before it.
enum At {
    Free(Option<Box<Entry>>),
    /// The order's entry, or it was there.
    Listed(Option<Box<Entry>>),
    /// Another order's entry.
    Taken,
}
