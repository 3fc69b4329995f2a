//! The laws of the feed: of each order's log, and of each customer's.

use std::collections::{BTreeSet, HashMap};

use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::feed::{Consistency, Entry, Feed, LogId};
use order_status_stream::order::OrderId;

use super::{Check, Summary};
use crate::customers::Lists;
use crate::error::OperateError;
use crate::laws::{Finding, Law, Terms};
use crate::output::Progress;
use crate::tables::Item;

/// What a scan of the feed has found.
pub(super) struct Logs {
    pub(super) newest: HashMap<OrderId, Entry>,
    /// Orders whose logs have an item that cannot be read.
    pub(super) unreadable: BTreeSet<String>,
}

impl Check {
    /// Checks each entry, and returns the newest one of each order, and what is known of customers' logs.
    pub(super) async fn check_feed(
        &self,
        terms: &Terms,
        summary: &mut Summary,
    ) -> Result<(Logs, Lists), OperateError> {
        let mut newest: HashMap<OrderId, Entry> = HashMap::new();
        let mut unreadable = BTreeSet::new();
        let mut lists = Lists::default();
        let progress = Progress::new("entries read", None);
        let mut pages = self.pages(&self.settings.feed_table);
        while let Some(items) = pages.next(&self.client).await? {
            progress.add(items.len() as u64);
            for item in items.into_iter().filter(is_of_a_log) {
                let order = text(&item, "order");
                let Some(entry) = self.entry(item, summary) else {
                    unreadable.insert(order);
                    continue;
                };
                summary.entries += 1;
                if entry.listing.is_some() {
                    for finding in lists.take(entry, terms) {
                        self.report(summary, &finding);
                    }
                    continue;
                }
                if entry.tombstone {
                    newest.entry(entry.order.clone()).or_insert(entry);
                    continue;
                }
                let before = newest.get(&entry.order).filter(|before| !before.tombstone);
                for finding in terms.check(before, &entry) {
                    self.report(summary, &finding);
                }
                newest.insert(entry.order.clone(), entry);
            }
        }
        progress.end();
        Ok((Logs { newest, unreadable }, lists))
    }

    /// Checks that the log of each order's customer shows the order's newest entry.
    pub(super) async fn check_lists(
        &self,
        newest: &HashMap<OrderId, Entry>,
        lists: &Lists,
        terms: &Terms,
        summary: &mut Summary,
    ) -> Result<(), OperateError> {
        let feed = DynamoDbFeed::new(self.client.clone(), &self.settings.feed_table);
        let unlisted = newest
            .values()
            .filter(|entry| !entry.tombstone && !lists.lists(entry));
        for entry in unlisted.filter(|entry| terms.is_settled(entry)) {
            // The projector may have written since.
            let Some(newest) = feed.newest(&entry.order).await? else {
                continue;
            };
            let Some(place) = newest.customer.as_ref().filter(|_| newest.seq == entry.seq) else {
                continue;
            };
            let log = LogId::from(&place.customer);
            let page = feed.read(&log, place.seq, Consistency::Strong).await?;
            let is_listed = |found: &Entry| {
                (&found.order, found.seq, found.terminal)
                    == (&newest.order, newest.seq, newest.terminal)
            };
            let is_forgotten = newest.expires_at.is_some_and(|at| at <= terms.now);
            if !page.entries.first().is_some_and(is_listed) && !is_forgotten {
                let detail = format!("{log} does not show it");
                let seq = Some(newest.seq.0);
                let finding = Finding::new(newest.order.as_str(), seq, Law::Listed, detail);
                self.report(summary, &finding);
            }
        }
        Ok(())
    }

    /// An item of the feed as an entry. A tombstone, and an entry of a customer's log, have the order's number in another attribute.
    fn entry(&self, mut item: Item, summary: &mut Summary) -> Option<Entry> {
        let order = text(&item, "order");
        let seq = number(&item, "seq");
        if let Some(of_seq) = item.remove("ofSeq") {
            item.insert("seq".to_owned(), of_seq);
        }
        if let Some(of) = item.remove("of") {
            item.insert("order".to_owned(), of);
        }
        match serde_dynamo::from_item(item) {
            Ok(entry) => Some(entry),
            Err(error) => {
                let detail = format!("it cannot be read: {error}");
                self.report(summary, &Finding::new(&order, seq, Law::Readable, detail));
                None
            }
        }
    }
}

/// Dwell times and settings are in partitions that are no log.
fn is_of_a_log(item: &Item) -> bool {
    LogId::parse(&text(item, "order")).is_some()
}

fn text(item: &Item, name: &str) -> String {
    let text = item.get(name).and_then(|value| value.as_s().ok());
    text.cloned().unwrap_or_default()
}

fn number(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}
