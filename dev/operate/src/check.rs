//! Reads the whole feed and reports what breaks its laws.
//!
//! The projector may write while the tables are read. So each difference between the two tables is read again before it is
//! reported.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use aws_lambda_events::event::dynamodb::EventRecord;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use order_status_stream::change::Change;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::feed::{Consistency, Entry, Feed, LogId};
use order_status_stream::order::OrderId;
use order_status_stream::projector::{Poison, Rules};
use order_status_stream::settings::ProjectorSettings;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use crate::customers::Lists;
use crate::error::OperateError;
use crate::laws::{Finding, Law, Terms, is_current};
use crate::output::{Output, Progress};
use crate::tables::{Item, OrdersTable};

/// A page of a scan has up to 1 MB, and is read consistently: 256 read units.
const PAGE_UNITS: f64 = 256.0;

/// What is checked, and how fast.
#[derive(Debug)]
pub struct Check {
    pub client: Client,
    pub settings: ProjectorSettings,
    /// The Orders table. `None` if the feed alone is checked.
    pub orders: Option<OrdersTable>,
    /// Read units a second at most.
    pub rate: f64,
    pub output: Output,
}

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub entries: u64,
    pub orders: u64,
    pub findings: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            entries,
            orders,
            findings,
        } = self;
        write!(
            f,
            "{entries} entries of {orders} orders, {findings} findings"
        )
    }
}

/// What a scan of the feed has found.
struct Logs {
    newest: HashMap<OrderId, Entry>,
    /// Orders whose logs have an item that cannot be read.
    unreadable: BTreeSet<String>,
}

impl Check {
    /// Reads the tables, and prints each finding and then the summary.
    ///
    /// # Errors
    ///
    /// A call fails. Run it again: it changes nothing.
    pub async fn run(&self, now: u64) -> Result<Summary, OperateError> {
        let public = &self.settings.rules.image.public_attributes;
        let terms = Terms {
            public_attributes: public.keys().cloned().collect(),
            retention: self.settings.retention,
            now,
        };
        let mut summary = Summary::default();
        let (logs, lists) = self.check_feed(&terms, &mut summary).await?;
        summary.orders = logs.newest.len() as u64;
        self.check_lists(&logs.newest, &lists, &terms, &mut summary)
            .await?;
        if let Some(orders) = &self.orders {
            self.check_orders(orders, logs, &mut summary).await?;
        }
        self.output.line(&summary);
        Ok(summary)
    }

    fn report(&self, summary: &mut Summary, finding: &Finding) {
        summary.findings += 1;
        self.output.line(finding);
    }

    /// Checks each entry, and returns the newest one of each order, and what is known of customers' logs.
    async fn check_feed(
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
    async fn check_lists(
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

    /// Compares the orders with the newest entries of their logs.
    async fn check_orders(
        &self,
        orders: &OrdersTable,
        logs: Logs,
        summary: &mut Summary,
    ) -> Result<(), OperateError> {
        let Logs {
            mut newest,
            unreadable,
        } = logs;
        let progress = Progress::new("orders read", Some(orders.items));
        let mut suspects = Vec::new();
        let mut seen = HashSet::new();
        let mut pages = self.pages(&orders.name);
        while let Some(items) = pages.next(&self.client).await? {
            progress.add(items.len() as u64);
            for item in items {
                let key = orders.key_in(&item);
                let change = match change(&self.settings.rules, orders, item) {
                    Ok(Some(change)) => change,
                    Ok(None) => continue,
                    Err(poison) => {
                        self.report(summary, &unreadable_order(orders, &key, &poison));
                        continue;
                    }
                };
                // Two items with one id are only possible if the id is not the key.
                if !orders.ids_are_keys() && !seen.insert(change.order.clone()) {
                    let detail = "more than one item of the orders table has this id";
                    let id = change.order.as_str();
                    self.report(summary, &Finding::new(id, None, Law::Unique, detail));
                    continue;
                }
                let entry = newest.remove(&change.order);
                if !entry.is_some_and(|entry| self.is_current(&entry, &change)) {
                    suspects.push((change.order, Some(key)));
                }
            }
        }
        progress.end();
        let unfinished = newest.into_values().filter(|entry| !entry.terminal);
        suspects.extend(unfinished.map(|entry| {
            let key = orders.key_of(entry.order.as_str());
            (entry.order, key)
        }));
        // The finding of the item that cannot be read says what to do first.
        suspects.retain(|(order, _)| !unreadable.contains(order.as_str()));
        let without_key = suspects.iter().filter(|(_, key)| key.is_none());
        let without_key = without_key.map(|(order, _)| order.to_string());
        let without_key: BTreeSet<_> = without_key.collect();
        let mut found = self.find(orders, &without_key).await?;
        let feed = DynamoDbFeed::new(self.client.clone(), &self.settings.feed_table);
        for (order, key) in suspects {
            let key = key.or_else(|| found.remove(order.as_str()));
            if let Some(finding) = self.compare(orders, &feed, &order, key).await? {
                self.report(summary, &finding);
            }
        }
        Ok(())
    }

    /// The keys of orders whose ids do not say what they are.
    async fn find(
        &self,
        orders: &OrdersTable,
        ids: &BTreeSet<String>,
    ) -> Result<HashMap<String, Item>, OperateError> {
        let mut found = HashMap::new();
        let mut pages = self.pages(&orders.name);
        while !ids.is_empty()
            && let Some(items) = pages.next(&self.client).await?
        {
            let keys = items.iter().map(|item| orders.key_in(item));
            let known = |key| Some((orders.id_of(&key).filter(|id| ids.contains(id))?, key));
            found.extend(keys.filter_map(known));
        }
        Ok(found)
    }

    /// Reads an order and the newest entry of its log again.
    async fn compare(
        &self,
        orders: &OrdersTable,
        feed: &DynamoDbFeed,
        order: &OrderId,
        key: Option<Item>,
    ) -> Result<Option<Finding>, OperateError> {
        let item = match key {
            Some(key) => {
                let get = self.client.get_item().table_name(&orders.name);
                let got = get.set_key(Some(key)).consistent_read(true).send().await;
                let got = got.map_err(|error| OperateError::call("GetItem", error))?;
                got.item
            }
            None => None,
        };
        let exists = item.is_some();
        let change = |item| change(&self.settings.rules, orders, item).ok().flatten();
        let change = item.and_then(change);
        let newest = feed.newest(order).await?;
        let finding = |law, detail: String| Some(Finding::new(order.as_str(), None, law, detail));
        Ok(match (change, newest) {
            (Some(change), Some(newest)) if self.is_current(&newest, &change) => None,
            (Some(change), Some(newest)) => finding(
                Law::Current,
                match newest.status == change.status {
                    true if newest.view == change.view => {
                        "the order is in the log of another customer".to_owned()
                    }
                    true => "other public attributes are shown than the order has".to_owned(),
                    false => format!(
                        "{} is shown, the order is {}",
                        newest.status.as_str(),
                        change.status.as_str()
                    ),
                },
            ),
            (Some(_), None) => finding(Law::Known, "the order has no log".to_owned()),
            (None, Some(newest)) if !newest.terminal && !exists => finding(
                Law::Exists,
                format!(
                    "{} is shown, but there is no such order",
                    newest.status.as_str()
                ),
            ),
            (None, _) => None,
        })
    }

    /// Whether the newest entry of an order shows the state that its item has, to the right customer.
    fn is_current(&self, newest: &Entry, item: &Change) -> bool {
        let has_customers = self.settings.rules.image.customer.is_some();
        let same_customer = newest.customer_id() == item.customer.as_ref();
        is_current(newest, item) && (same_customer || !has_customers)
    }

    fn pages(&self, table: &str) -> Pages {
        let second = Duration::from_secs(1);
        let mut ticks = interval(second.mul_f64(PAGE_UNITS / self.rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Pages {
            table: table.to_owned(),
            start: Some(None),
            ticks,
        }
    }
}

/// Reads an item of the Orders table in the way the projector reads a record with this image.
fn change(rules: &Rules, orders: &OrdersTable, item: Item) -> Result<Option<Change>, Poison> {
    let keys = serde_dynamo::Item::from(orders.key_in(&item));
    let mut record = EventRecord::default();
    record.event_name = "MODIFY".to_owned();
    record.event_source_arn = Some("checked/stream/now".to_owned());
    record.change.sequence_number = Some("0".to_owned());
    record.change.keys = keys;
    record.change.new_image = item.into();
    rules.read(&record)
}

/// Names the item by its key, as far as it is text.
fn unreadable_order(orders: &OrdersTable, key: &Item, poison: &Poison) -> Finding {
    let parts = key
        .values()
        .filter_map(|value| value.as_s().or_else(|_| value.as_n()).ok());
    let id = parts.map(String::as_str).collect::<Vec<_>>().join(" ");
    let detail = format!(
        "an item of {} cannot be read as an order: {poison}",
        orders.name
    );
    Finding::new(&id, None, Law::Order, detail)
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

/// The pages of a consistent scan.
struct Pages {
    table: String,
    /// `None` after the last page.
    start: Option<Option<HashMap<String, AttributeValue>>>,
    ticks: tokio::time::Interval,
}

impl Pages {
    async fn next(&mut self, client: &Client) -> Result<Option<Vec<Item>>, OperateError> {
        let Some(start) = self.start.take() else {
            return Ok(None);
        };
        self.ticks.tick().await;
        let scan = client.scan().table_name(&self.table).consistent_read(true);
        let page = scan.set_exclusive_start_key(start).send().await;
        let page = page.map_err(|error| OperateError::call("Scan", error))?;
        self.start = page.last_evaluated_key.map(Some);
        Ok(Some(page.items.unwrap_or_default()))
    }
}
