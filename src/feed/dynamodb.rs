//! The feed in a DynamoDB table: partition key `order` (S), sort key `seq` (N), TTL attribute `expiresAt`.

use std::error::Error as _;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;

use super::{Consistency, Entry, Feed, FeedError, Put};
use crate::order::{OrderId, Seq};

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
    ) -> Result<Vec<Entry>, FeedError> {
        let mut pages = self
            .query(order, from, consistency)
            .into_paginator()
            .items()
            .send();
        let mut entries = Vec::new();
        while let Some(item) = pages.try_next().await.map_err(unavailable)? {
            entries.push(serde_dynamo::from_item(item).map_err(unreadable)?);
        }
        Ok(entries)
    }
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
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    FeedError::Unavailable {
        message,
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
