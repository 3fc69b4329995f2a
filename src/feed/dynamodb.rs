//! The feed in a DynamoDB table: partition key `order` (S), sort key `seq` (N), TTL attribute `expiresAt`.
//!
//! Dwell times are kept in a partition that no order has: an item for each status, whose number is a hash of it, with an
//! attribute `b0`, `b1` … for each bucket, and their `total`.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use sha2::{Digest, Sha256};

use super::{Consistency, Entry, Feed, FeedError, PAGE_ENTRIES, Page, Put};
use crate::dwell::{BUCKETS, Dwells};
use crate::order::{OrderId, Seq, Status};
use crate::telemetry::with_causes;

/// The partition of dwell times: `%` is in no order id.
const DWELLS: &str = "%dwell";

/// The most statuses that are read, some 100 KB.
const MAX_STATUSES: i32 = 100;

/// A feed in a DynamoDB table.
#[derive(Clone, Debug)]
pub struct DynamoDbFeed {
    client: Client,
    table: String,
}

impl DynamoDbFeed {
    /// The feed in that table, with the region, endpoint and credentials that the environment names.
    pub async fn connect(table: impl Into<String>) -> Self {
        // A look at the feed takes milliseconds. What takes longer hangs, and is better tried again, or reported while
        // there is time to end the response well.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(Duration::from_secs(2))
            .operation_timeout(Duration::from_secs(5))
            .build();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .timeout_config(timeouts)
            .load()
            .await;
        Self::new(Client::new(&config), table)
    }

    /// The feed in that table.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    fn query(&self, order: &OrderId, from: Seq, consistency: Consistency) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#order = :order AND seq >= :from")
            // `order` is a reserved word.
            .expression_attribute_names("#order", "order")
            .expression_attribute_values(":order", text(order))
            .expression_attribute_values(":from", number(from.0))
            .consistent_read(consistency == Consistency::Strong)
    }
}

impl Feed for DynamoDbFeed {
    async fn newest(&self, order: &OrderId) -> Result<Option<Entry>, FeedError> {
        let newest = self
            .query(order, Seq::ZERO, Consistency::Strong)
            .scan_index_forward(false)
            .limit(1);
        let items = newest
            .send()
            .await
            .map_err(unavailable)?
            .items
            .unwrap_or_default();
        items
            .into_iter()
            .next()
            .map(serde_dynamo::from_item)
            .transpose()
            .map_err(unreadable)
    }

    async fn put(&self, entry: &Entry) -> Result<Put, FeedError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(serde_dynamo::to_item(entry).map_err(unreadable)?))
            .condition_expression("attribute_not_exists(seq)");
        match put.send().await {
            Ok(_) => Ok(Put::Done),
            Err(error) => match error.code() {
                Some("ConditionalCheckFailedException") => Ok(Put::Taken),
                // The table and the request's form are ours, so what is invalid is the entry: its size, its nesting.
                Some("ValidationException") => Err(FeedError::Refused {
                    message: error.message().unwrap_or("ValidationException").to_owned(),
                    source: error.into(),
                }),
                _ => Err(unavailable(error)),
            },
        }
    }

    async fn expire(&self, order: &OrderId, seq: Seq, at: u64) -> Result<(), FeedError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("order", text(order))
            .key("seq", number(seq.0))
            .update_expression("SET expiresAt = :at")
            .condition_expression("attribute_exists(seq) AND attribute_not_exists(expiresAt)")
            .expression_attribute_values(":at", number(at));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn read(
        &self,
        order: &OrderId,
        from: Seq,
        consistency: Consistency,
    ) -> Result<Page, FeedError> {
        page(self.query(order, from, consistency)).await
    }

    async fn latest(&self, order: &OrderId, consistency: Consistency) -> Result<Page, FeedError> {
        let backwards = self
            .query(order, Seq::ZERO, consistency)
            .scan_index_forward(false);
        let mut page = page(backwards).await?;
        page.entries.reverse();
        Ok(page)
    }

    async fn learn(
        &self,
        status: &Status,
        dwells: &Dwells,
        expires_at: u64,
    ) -> Result<f64, FeedError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("order", AttributeValue::S(DWELLS.to_owned()))
            .key("seq", number(hash(status)))
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#total", "total")
            .expression_attribute_values(":status", AttributeValue::S(status.as_str().to_owned()))
            .expression_attribute_values(":expiresAt", number(expires_at))
            .expression_attribute_values(":total", weight(dwells.total()));
        let mut added = String::from("#total :total");
        for (bucket, sum) in dwells.filled() {
            added.push_str(&format!(", b{bucket} :b{bucket}"));
            update = update.expression_attribute_values(format!(":b{bucket}"), weight(sum));
        }
        let updated = update
            .update_expression(format!(
                "SET #status = :status, expiresAt = :expiresAt ADD {added}"
            ))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await
            .map_err(unavailable)?;
        Ok(sum(updated.attributes.as_ref(), "total"))
    }

    async fn learned(&self) -> Result<BTreeMap<Status, Dwells>, FeedError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#order = :dwells")
            .expression_attribute_names("#order", "order")
            .expression_attribute_values(":dwells", AttributeValue::S(DWELLS.to_owned()))
            .limit(MAX_STATUSES);
        let items = query
            .send()
            .await
            .map_err(unavailable)?
            .items
            .unwrap_or_default();
        Ok(items.iter().filter_map(dwells_of).collect())
    }
}

async fn page(query: QueryFluentBuilder) -> Result<Page, FeedError> {
    let limit = i32::try_from(PAGE_ENTRIES).unwrap_or(i32::MAX);
    let found = query.limit(limit).send().await.map_err(unavailable)?;
    Ok(Page {
        more: found.last_evaluated_key.is_some(),
        entries: serde_dynamo::from_items(found.items.unwrap_or_default()).map_err(unreadable)?,
    })
}

/// `None` where the item has no status: it is not ours.
fn dwells_of(item: &HashMap<String, AttributeValue>) -> Option<(Status, Dwells)> {
    let status = Status::new(item.get("status")?.as_s().ok()?)?;
    let mut dwells = Dwells::default();
    for bucket in 0..BUCKETS {
        dwells.add_to_bucket(bucket, sum(Some(item), &format!("b{bucket}")));
    }
    Some((status, dwells))
}

fn sum(item: Option<&HashMap<String, AttributeValue>>, name: &str) -> f64 {
    let number = item.and_then(|item| item.get(name)?.as_n().ok()?.parse().ok());
    number.unwrap_or_default()
}

/// Weights grow beyond all integers, so with an exponent.
fn weight(weight: f64) -> AttributeValue {
    AttributeValue::N(format!("{weight:e}"))
}

/// Six bytes of a SHA-256: a number that any client can hold, and that no two statuses of a shop share.
fn hash(status: &Status) -> u64 {
    let hash = Sha256::digest(status.as_str().as_bytes());
    hash.iter()
        .take(6)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn text(order: &OrderId) -> AttributeValue {
    AttributeValue::S(order.to_string())
}

fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn unavailable<E>(error: SdkError<E>) -> FeedError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    // The SDK's own way to show all of an error shows the answer's body too: what the feed holds of an order.
    FeedError::Unavailable {
        message: with_causes(&error),
        source: error.into(),
    }
}

/// An item that is no entry: someone else writes to the table. An operator may mend it, so it is not the record's fault.
fn unreadable(error: serde_dynamo::Error) -> FeedError {
    FeedError::Unavailable {
        message: error.to_string(),
        source: error.into(),
    }
}
