//! The feed in a DynamoDB table: partition key `order` (S), sort key `seq` (N), TTL attribute `expiresAt`.
//!
//! An order's tombstone has the sort key 0, and the number of its entry in `ofSeq`.
//!
//! A customer's log has the partition key `%customer/` and the customer's id. Its entries have the order's id in `of`, and the number
//! in the order's log in `ofSeq`.
//!
//! Two further partitions have names that contain `%`, which no order id does: `%dwells` contains dwell times, and `%settings`
//! contains an item for each hash of settings with which a record was read successfully.

mod amendment;
mod calls;
mod dwells;
mod error;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use tokio::time::timeout;

use super::{Consistency, Entry, Feed, FeedError, LogId, PAGE_ENTRIES, Page, Put};
use crate::customer::Place;
use crate::dwell::Dwells;
use crate::order::{Seq, Status};
use amendment::Amendment;
use calls::Calls;
use error::{is_condition, refused_or_unavailable, unavailable, unreadable};

/// The partition of settings with which a record was read successfully.
const SETTINGS: &str = "%settings";

/// The sort key of a tombstone, and of an entry of a customer's log, is not the order's number. This attribute contains it.
const OF_SEQ: &str = "ofSeq";

/// The partition key of a customer's log is not an order's id. This attribute contains it.
const OF: &str = "of";

/// A feed in a DynamoDB table.
#[derive(Clone, Debug)]
pub struct DynamoDbFeed {
    client: Client,
    table: String,
    reads: Calls,
}

impl DynamoDbFeed {
    /// The feed in a table, with the region, endpoint and credentials of the environment.
    pub async fn connect(table: impl Into<String>) -> Self {
        // A call takes milliseconds. If it takes much longer, it hangs. Then another attempt is better, or an error while there
        // is still time to end the response properly.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(Duration::from_secs(2))
            .operation_timeout(Duration::from_secs(5))
            .build();
        // One more attempt, at once. By default, the SDK would hold a request for some 1.5 s if the table fails. Fifty thousand
        // watchers would then need 8,400 concurrent executions, and get 429: docs/cost.md, Herds. A client comes back by itself,
        // and Lambda delivers a batch again.
        let retries = RetryConfig::standard()
            .with_max_attempts(2)
            .with_initial_backoff(Duration::from_millis(20));
        let config = aws_config::defaults(BehaviorVersion::latest())
            .timeout_config(timeouts)
            .retry_config(retries)
            .load()
            .await;
        Self::new(Client::new(&config), table)
    }

    /// The feed in a table, with a client of the caller.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
            reads: Calls::default(),
        }
    }

    /// Makes the connection before a call needs it, by reading an item that nobody writes. If this fails, or takes longer than
    /// the limit, the first call makes the connection.
    pub async fn prepare(&self, limit: Duration) {
        match timeout(limit, self.item(SETTINGS, 0)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "no connection to the feed yet"),
            Err(_) => tracing::warn!("no connection to the feed yet: the read took too long"),
        }
    }

    /// An item of a partition that no order can have. The read is consistent.
    async fn item(
        &self,
        partition: &str,
        key: u64,
    ) -> Result<Option<HashMap<String, AttributeValue>>, FeedError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#order = :partition AND seq = :key")
            .expression_attribute_names("#order", "order")
            .expression_attribute_values(":partition", AttributeValue::S(partition.to_owned()))
            .expression_attribute_values(":key", number(key))
            .consistent_read(true);
        let found = query.send().await.map_err(unavailable)?;
        Ok(found.items.unwrap_or_default().into_iter().next())
    }

    fn update(&self, log: &LogId, seq: Seq) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("order", text(log))
            .key("seq", number(seq.0))
    }

    fn query(&self, log: &LogId, from: Seq, consistency: Consistency) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#order = :order AND seq >= :from")
            // `order` is a reserved word.
            .expression_attribute_names("#order", "order")
            .expression_attribute_values(":order", text(log))
            .expression_attribute_values(":from", number(from.0))
            .consistent_read(consistency == Consistency::Strong)
    }
}

impl Feed for DynamoDbFeed {
    async fn newest(&self, log: impl Into<LogId> + Send) -> Result<Option<Entry>, FeedError> {
        let log = &log.into();
        let all = || self.query(log, Seq::ZERO, Consistency::Strong).limit(1);
        let newest = first(all().scan_index_forward(false)).await?;
        if !newest
            .as_ref()
            .is_some_and(Entry::may_outlive_later_entries)
        {
            return Ok(newest);
        }
        let tombstone = first(all()).await?;
        let tombstone = tombstone.filter(|tombstone| tombstone.replaces(newest.as_ref()));
        Ok(tombstone.or(newest))
    }

    async fn put(&self, entry: &Entry) -> Result<Put, FeedError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item_of(entry)?))
            .condition_expression("attribute_not_exists(seq)");
        match put.send().await {
            Ok(_) => Ok(Put::Done),
            Err(error) if is_condition(&error) => Ok(Put::Taken),
            Err(error) => Err(refused_or_unavailable(error)),
        }
    }

    async fn amend(&self, was: &Entry, is: &Entry) -> Result<Put, FeedError> {
        let update = Amendment::new(was, is)?.apply(self.update(&is.log(), is.number()));
        match update.send().await {
            Ok(_) => Ok(Put::Done),
            Err(error) if is_condition(&error) => Ok(Put::Taken),
            Err(error) => Err(refused_or_unavailable(error)),
        }
    }

    async fn expire(
        &self,
        log: impl Into<LogId> + Send,
        seq: Seq,
        at: u64,
    ) -> Result<Option<Entry>, FeedError> {
        let update = self
            .update(&log.into(), seq)
            .update_expression("SET expiresAt = :at")
            .condition_expression(
                "attribute_exists(seq) AND (attribute_not_exists(expiresAt) OR expiresAt > :at)",
            )
            .expression_attribute_values(":at", number(at))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let item = match update.send().await {
            Ok(updated) => updated.attributes,
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    failed.item.clone()
                }
                _ => return Err(refused_or_unavailable(error)),
            },
        };
        item.map(entry_of).transpose()
    }

    async fn expire_listed(&self, place: &Place, of: &Entry, at: u64) -> Result<bool, FeedError> {
        let update = self
            .update(&LogId::from(&place.customer), place.seq)
            .update_expression("SET expiresAt = :at")
            .condition_expression(
                "#of = :of AND ofSeq = :ofSeq AND (attribute_not_exists(expiresAt) OR expiresAt > :at)",
            )
            // `of` is a reserved word.
            .expression_attribute_names("#of", OF)
            .expression_attribute_values(":of", AttributeValue::S(of.order.to_string()))
            .expression_attribute_values(":ofSeq", number(of.seq.0))
            .expression_attribute_values(":at", number(at))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let error = match update.send().await {
            Ok(_) => return Ok(true),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                let found = failed.item.clone().map(entry_of).transpose()?;
                Ok(found.is_some_and(|found| found.lists(of)))
            }
            _ => Err(refused_or_unavailable(error)),
        }
    }

    async fn put_tombstone(&self, tombstone: &Entry) -> Result<(), FeedError> {
        let mut item: HashMap<_, _> = serde_dynamo::to_item(tombstone).map_err(unreadable)?;
        item.insert("seq".to_owned(), number(0));
        item.insert(OF_SEQ.to_owned(), number(tombstone.seq.0));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(seq) OR ofSeq <= :ofSeq")
            .expression_attribute_values(":ofSeq", number(tombstone.seq.0));
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_condition(&error) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn read(
        &self,
        log: impl Into<LogId> + Send,
        from: Seq,
        consistency: Consistency,
    ) -> Result<Page, FeedError> {
        let forwards = self.query(&log.into(), from.max(Seq(1)), consistency);
        self.reads.limited(page(forwards)).await
    }

    async fn latest(
        &self,
        log: impl Into<LogId> + Send,
        consistency: Consistency,
    ) -> Result<Page, FeedError> {
        let log = &log.into();
        let backwards = self
            .query(log, Seq::ZERO, consistency)
            .scan_index_forward(false);
        let mut page = self.reads.limited(page(backwards)).await?;
        if page.more
            && page
                .entries
                .first()
                .is_some_and(Entry::may_outlive_later_entries)
        {
            let lowest = first(self.query(log, Seq::ZERO, consistency).limit(1));
            let tombstone = self.reads.limited(lowest).await?;
            let tombstone = tombstone.filter(|tombstone| tombstone.tombstone);
            page.entries.extend(tombstone);
        }
        page.entries.reverse();
        Ok(page)
    }

    async fn confirm_settings(&self, settings: u64) -> Result<(), FeedError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("order", AttributeValue::S(SETTINGS.to_owned()))
            .item("seq", number(settings));
        put.send().await.map_err(unavailable)?;
        Ok(())
    }

    async fn settings_confirmed(&self, settings: u64) -> Result<bool, FeedError> {
        let found = self.item(SETTINGS, settings).await?;
        Ok(found.is_some())
    }

    async fn learn(
        &self,
        status: &Status,
        dwells: &Dwells,
        expires_at: u64,
    ) -> Result<f64, FeedError> {
        self.add_dwells(status, dwells, expires_at).await
    }

    async fn learned(&self) -> Result<BTreeMap<Status, Dwells>, FeedError> {
        self.all_dwells().await
    }
}

async fn first(query: QueryFluentBuilder) -> Result<Option<Entry>, FeedError> {
    let found = query.send().await.map_err(unavailable)?;
    let mut items = found.items.unwrap_or_default().into_iter();
    items.next().map(entry_of).transpose()
}

async fn page(query: QueryFluentBuilder) -> Result<Page, FeedError> {
    let limit = i32::try_from(PAGE_ENTRIES).unwrap_or(i32::MAX);
    let found = query.limit(limit).send().await.map_err(unavailable)?;
    let items = found.items.unwrap_or_default().into_iter();
    Ok(Page {
        more: found.last_evaluated_key.is_some(),
        entries: items.map(entry_of).collect::<Result<_, _>>()?,
    })
}

fn item_of(entry: &Entry) -> Result<HashMap<String, AttributeValue>, FeedError> {
    let mut item: HashMap<_, _> = serde_dynamo::to_item(entry).map_err(unreadable)?;
    if entry.listing.is_some() {
        let log = item.insert("order".to_owned(), text(&entry.log()));
        let seq = item.insert("seq".to_owned(), number(entry.number().0));
        item.extend(log.map(|order| (OF.to_owned(), order)));
        item.extend(seq.map(|seq| (OF_SEQ.to_owned(), seq)));
    }
    Ok(item)
}

fn entry_of(mut item: HashMap<String, AttributeValue>) -> Result<Entry, FeedError> {
    if let Some(seq) = item.remove(OF_SEQ) {
        item.insert("seq".to_owned(), seq);
    }
    if let Some(order) = item.remove(OF) {
        item.insert("order".to_owned(), order);
    }
    serde_dynamo::from_item(item).map_err(unreadable)
}

fn text(log: &LogId) -> AttributeValue {
    AttributeValue::S(log.to_string())
}

fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}
