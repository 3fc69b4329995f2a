//! The feed in a DynamoDB table: partition key `order` (S), sort key `seq` (N), TTL attribute `expiresAt`.
//!
//! An order's tombstone has the sort key 0, and its entry's number in `ofSeq`.
//!
//! Dwell times are kept in a partition that no order has: an item for each status, whose number is a hash of it, with an
//! attribute `b0`, `b1` … for each bucket, in units of two to the power of `scale`. Settings that were seen to fit have another
//! partition: an item for each, whose number is a hash of them.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use sha2::{Digest, Sha256};

use super::{Consistency, Entry, Feed, FeedError, PAGE_ENTRIES, Page, Put};
use crate::dwell::{BUCKETS, Dwells};
use crate::order::{OrderId, Seq, Status};
use crate::telemetry::with_causes;

/// The partition of dwell times: `%` is in no order id.
const DWELLS: &str = "%dwells";

/// The partition of settings that were seen to fit.
const SETTINGS: &str = "%settings";

/// Two projectors seldom learn of one status at once, and what is lost of a dwell time costs little.
const LEARN_ATTEMPTS: usize = 5;

/// The part of all that is known which is not worth keeping.
const NEGLIGIBLE: f64 = 1e-15;

/// A tombstone stands before the log, with the sort key 0, and has the number of its entry here.
const OF_SEQ: &str = "ofSeq";

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

    /// An item of a partition that no order has.
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

    fn update(&self, order: &OrderId, seq: Seq) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("order", text(order))
            .key("seq", number(seq.0))
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
        let all = || self.query(order, Seq::ZERO, Consistency::Strong).limit(1);
        let newest = first(all().scan_index_forward(false)).await?;
        if !newest.as_ref().is_some_and(Entry::may_be_left) {
            return Ok(newest);
        }
        let tombstone = first(all()).await?;
        let tombstone = tombstone.filter(|tombstone| tombstone.stands_for(newest.as_ref()));
        Ok(tombstone.or(newest))
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
                _ => Err(refused_or_unavailable(error)),
            },
        }
    }

    async fn amend(&self, was: &Entry, is: &Entry) -> Result<Put, FeedError> {
        let mut update = self.update(&is.order, is.seq);
        let (mut set, mut remove) = (vec!["terminal = :terminal"], Vec::new());
        let mut conditions = vec!["attribute_exists(seq)", "terminal = :wasTerminal"];
        update = update
            .expression_attribute_values(":terminal", AttributeValue::Bool(is.terminal))
            .expression_attribute_values(":wasTerminal", AttributeValue::Bool(was.terminal));
        match is.expires_at {
            Some(at) => {
                set.push("expiresAt = :expiresAt");
                update = update.expression_attribute_values(":expiresAt", number(at));
            }
            None => remove.push("expiresAt"),
        }
        match was.expires_at {
            Some(at) => {
                conditions.push("expiresAt = :wasExpiresAt");
                update = update.expression_attribute_values(":wasExpiresAt", number(at));
            }
            None => conditions.push("attribute_not_exists(expiresAt)"),
        }
        match is.sources.is_empty() {
            false => {
                set.push("sources = :sources");
                let sources = serde_dynamo::to_attribute_value(&is.sources).map_err(unreadable)?;
                update = update.expression_attribute_values(":sources", sources);
            }
            true => remove.push("sources"),
        }
        match was.sources.is_empty() {
            false => {
                conditions.push("sources = :wasSources");
                let sources = serde_dynamo::to_attribute_value(&was.sources).map_err(unreadable)?;
                update = update.expression_attribute_values(":wasSources", sources);
            }
            true => conditions.push("attribute_not_exists(sources)"),
        }
        let mut expression = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            expression.push_str(&format!(" REMOVE {}", remove.join(", ")));
        }
        let update = update
            .update_expression(expression)
            .condition_expression(conditions.join(" AND "));
        match update.send().await {
            Ok(_) => Ok(Put::Done),
            Err(error) if is_condition(&error) => Ok(Put::Taken),
            Err(error) => Err(refused_or_unavailable(error)),
        }
    }

    async fn expire(&self, order: &OrderId, seq: Seq, at: u64) -> Result<Option<Entry>, FeedError> {
        let update = self
            .update(order, seq)
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

    async fn bury(&self, tombstone: &Entry) -> Result<(), FeedError> {
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
        order: &OrderId,
        from: Seq,
        consistency: Consistency,
    ) -> Result<Page, FeedError> {
        page(self.query(order, from.max(Seq(1)), consistency)).await
    }

    async fn latest(&self, order: &OrderId, consistency: Consistency) -> Result<Page, FeedError> {
        let backwards = self
            .query(order, Seq::ZERO, consistency)
            .scan_index_forward(false);
        let mut page = page(backwards).await?;
        if page.more && page.entries.first().is_some_and(Entry::may_be_left) {
            let tombstone = first(self.query(order, Seq::ZERO, consistency).limit(1)).await?;
            let tombstone = tombstone.filter(|tombstone| tombstone.tombstone);
            page.entries.extend(tombstone);
        }
        page.entries.reverse();
        Ok(page)
    }

    async fn vouch(&self, settings: u64) -> Result<(), FeedError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("order", AttributeValue::S(SETTINGS.to_owned()))
            .item("seq", number(settings));
        put.send().await.map_err(unavailable)?;
        Ok(())
    }

    async fn vouched(&self, settings: u64) -> Result<bool, FeedError> {
        let found = self.item(SETTINGS, settings).await?;
        Ok(found.is_some())
    }

    async fn learn(
        &self,
        status: &Status,
        dwells: &Dwells,
        expires_at: u64,
    ) -> Result<f64, FeedError> {
        let key = hash(status.as_str());
        for _ in 0..LEARN_ATTEMPTS {
            let found = self.item(DWELLS, key).await?.unwrap_or_default();
            let mut all = dwells_of(&found)
                .map(|(_, dwells)| dwells)
                .unwrap_or_default();
            all.merge(dwells);
            let put = self
                .client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(dwells_item(key, status, &all, expires_at)))
                .item("version", number(version(&found) + 1));
            let put = match version(&found) {
                0 => put.condition_expression("attribute_not_exists(version)"),
                version => put
                    .condition_expression("version = :version")
                    .expression_attribute_values(":version", number(version)),
            };
            match put.send().await {
                Ok(_) => return Ok(all.total()),
                Err(error) if is_condition(&error) => {}
                Err(error) => return Err(unavailable(error)),
            }
        }
        let message = "others write the same dwell times".to_owned();
        Err(FeedError::Unavailable {
            source: message.clone().into(),
            message,
        })
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

fn entry_of(mut item: HashMap<String, AttributeValue>) -> Result<Entry, FeedError> {
    if let Some(seq) = item.remove(OF_SEQ) {
        item.insert("seq".to_owned(), seq);
    }
    serde_dynamo::from_item(item).map_err(unreadable)
}

/// `None` if the item has no status: it is not ours. If it has no scale, an earlier version learned it by the times of the appends.
fn dwells_of(item: &HashMap<String, AttributeValue>) -> Option<(Status, Dwells)> {
    let status = Status::new(item.get("status")?.as_s().ok()?)?;
    let scale: f64 = item.get("scale")?.as_n().ok()?.parse().ok()?;
    let mut dwells = Dwells::default();
    for bucket in 0..BUCKETS {
        dwells.add_to_bucket(
            bucket,
            number_of(item, &format!("b{bucket}")) * scale.exp2(),
        );
    }
    Some((status, dwells))
}

/// Weights double every four weeks, and DynamoDB's numbers end at 1e126 and at 38 digits. So they are stored as parts of a power
/// of two, which is exact.
fn dwells_item(
    key: u64,
    status: &Status,
    dwells: &Dwells,
    expires_at: u64,
) -> HashMap<String, AttributeValue> {
    // No dwell times at all have no logarithm.
    let scale = dwells.total().max(f64::MIN_POSITIVE).log2().floor();
    let mut item = HashMap::from([
        ("order".to_owned(), AttributeValue::S(DWELLS.to_owned())),
        ("seq".to_owned(), number(key)),
        (
            "status".to_owned(),
            AttributeValue::S(status.as_str().to_owned()),
        ),
        ("scale".to_owned(), AttributeValue::N(format!("{scale}"))),
        ("expiresAt".to_owned(), number(expires_at)),
    ]);
    for (bucket, weight) in dwells.filled() {
        let part = weight / scale.exp2();
        if part > NEGLIGIBLE {
            item.insert(format!("b{bucket}"), AttributeValue::N(format!("{part:e}")));
        }
    }
    item
}

/// 0 if there is no such item yet.
fn version(item: &HashMap<String, AttributeValue>) -> u64 {
    let version = item.get("version").and_then(|version| version.as_n().ok());
    version
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
}

fn number_of(item: &HashMap<String, AttributeValue>, name: &str) -> f64 {
    let number = item
        .get(name)
        .and_then(|number| number.as_n().ok()?.parse().ok());
    number.unwrap_or_default()
}

/// Six bytes of a SHA-256: a number that any client can hold, and that no two statuses of a shop share.
fn hash(text: &str) -> u64 {
    let hash = Sha256::digest(text.as_bytes());
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

fn is_condition<E>(error: &SdkError<E>) -> bool
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    error.code() == Some("ConditionalCheckFailedException")
}

/// The table and the request's form are ours, so what is invalid is the entry: its size, its nesting. An entry that was let in
/// may be too large to be given an expiry.
fn refused_or_unavailable<E>(error: SdkError<E>) -> FeedError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    match error.code() {
        Some("ValidationException") => FeedError::Refused {
            message: error.message().unwrap_or("ValidationException").to_owned(),
            source: error.into(),
        },
        _ => unavailable(error),
    }
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
