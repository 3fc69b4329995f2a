//! Reads the whole feed and reports what breaks its laws.
//!
//! The projector may write while the tables are read. So each difference between the two tables is read again before it is
//! reported.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use aws_lambda_events::event::dynamodb::EventRecord;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use order_status_stream::change::Change;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::feed::{Consistency, Entry, Feed, LogId};
use order_status_stream::order::OrderId;
use order_status_stream::projector::Rules;
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

impl Check {
    /// Reads the tables, and prints each finding and then the summary.
    ///
    /// # Errors
    ///
    /// A call fails. Run it again: it changes nothing.
    pub async fn run(&self, now: u64) -> Result<Summary, OperateError> {
        let terms = Terms {
            public_attributes: self.settings.rules.public_attributes.clone(),
            retention: self.settings.retention,
            now,
        };
        let mut summary = Summary::default();
        let (logs, lists) = self.check_feed(&terms, &mut summary).await?;
        summary.orders = logs.len() as u64;
        self.check_lists(&logs, &lists, &terms, &mut summary)
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
    ) -> Result<(HashMap<OrderId, Entry>, Lists), OperateError> {
        let mut newest: HashMap<OrderId, Entry> = HashMap::new();
        let mut lists = Lists::default();
        let progress = Progress::new("entries read", None);
        let mut pages = self.pages(&self.settings.feed_table);
        while let Some(items) = pages.next(&self.client).await? {
            progress.add(items.len() as u64);
            for item in items.into_iter().filter(is_of_a_log) {
                let Some(entry) = self.entry(item, summary) else {
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
        Ok((newest, lists))
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
        mut newest: HashMap<OrderId, Entry>,
        summary: &mut Summary,
    ) -> Result<(), OperateError> {
        let progress = Progress::new("orders read", Some(orders.items));
        let mut suspects = Vec::new();
        let mut pages = self.pages(&orders.name);
        while let Some(items) = pages.next(&self.client).await? {
            progress.add(items.len() as u64);
            // An item that is no order, such as one without a status, never gets a log.
            for change in items
                .into_iter()
                .filter_map(|item| self.change(orders, item))
            {
                let entry = newest.remove(&change.order);
                if !entry.is_some_and(|entry| self.is_current(&entry, &change)) {
                    suspects.push(change.order);
                }
            }
        }
        progress.end();
        let unfinished = newest.into_values().filter(|entry| !entry.terminal);
        suspects.extend(unfinished.map(|entry| entry.order));
        let feed = DynamoDbFeed::new(self.client.clone(), &self.settings.feed_table);
        for order in suspects {
            if let Some(finding) = self.compare(orders, &feed, &order).await? {
                self.report(summary, &finding);
            }
        }
        Ok(())
    }

    /// Reads an order and the newest entry of its log again.
    async fn compare(
        &self,
        orders: &OrdersTable,
        feed: &DynamoDbFeed,
        order: &OrderId,
    ) -> Result<Option<Finding>, OperateError> {
        let get = self.client.get_item().table_name(&orders.name);
        let get = get.set_key(Some(orders.key_of(order.as_str())));
        let got = get.consistent_read(true).send().await;
        let item = got
            .map_err(|error| OperateError::call("GetItem", error))?
            .item;
        let change = item.and_then(|item| self.change(orders, item));
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
            (None, Some(newest)) if !newest.terminal => finding(
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
        let has_customers = self.settings.rules.customer_attribute.is_some();
        let same_customer = newest.customer_id() == item.customer.as_ref();
        is_current(newest, item) && (same_customer || !has_customers)
    }

    /// What the projector would make of an item.
    fn change(&self, orders: &OrdersTable, item: Item) -> Option<Change> {
        change(&self.settings.rules, orders, item)
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
fn change(rules: &Rules, orders: &OrdersTable, item: Item) -> Option<Change> {
    let id = orders.id_of(&item)?;
    let keys = serde_dynamo::Item::from(orders.key_of(&id));
    let mut record = EventRecord::default();
    record.event_name = "MODIFY".to_owned();
    record.event_source_arn = Some("checked/stream/now".to_owned());
    record.change.sequence_number = Some("0".to_owned());
    record.change.keys = keys;
    record.change.new_image = item.into();
    rules.read(&record).ok().flatten()
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
