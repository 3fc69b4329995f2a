//! The orders beside the newest entries of their logs.

use std::collections::{BTreeSet, HashMap, HashSet};

use aws_lambda_events::event::dynamodb::EventRecord;
use order_status_stream::change::Change;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::feed::{Entry, Feed};
use order_status_stream::order::OrderId;
use order_status_stream::projector::{Poison, Rules};

use super::feed::Logs;
use super::{Check, Summary};
use crate::error::OperateError;
use crate::laws::{Finding, Law, is_current};
use crate::output::Progress;
use crate::tables::{Item, OrdersTable};

impl Check {
    /// Compares the orders with the newest entries of their logs.
    pub(super) async fn check_orders(
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
                        "the order has another customer than its newest entry".to_owned()
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
        let has_customers = self.settings.rules.customer.is_some();
        let same_customer = newest.customer_id() == item.customer.as_ref();
        is_current(newest, item) && (same_customer || !has_customers)
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
