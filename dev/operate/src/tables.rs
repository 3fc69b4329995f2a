//! The two tables, and how an order's key is written in the Orders table.

use std::collections::HashMap;

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ScalarAttributeType, TableDescription};

use crate::error::OperateError;

pub type Item = HashMap<String, AttributeValue>;

/// A client with the region, endpoint and credentials of the environment.
pub async fn client() -> Client {
    Client::new(&aws_config::load_defaults(BehaviorVersion::latest()).await)
}

/// The same for CloudWatch.
pub async fn cloud_watch() -> aws_sdk_cloudwatch::Client {
    aws_sdk_cloudwatch::Client::new(&aws_config::load_defaults(BehaviorVersion::latest()).await)
}

/// The Orders table, as far as the operator needs it.
#[derive(Clone, Debug)]
pub struct OrdersTable {
    pub name: String,
    /// Its only key.
    pub key: String,
    is_number: bool,
    /// About how many orders it has. DynamoDB counts them every six hours.
    pub items: u64,
}

impl OrdersTable {
    /// Reads the table's description.
    ///
    /// # Errors
    ///
    /// The call fails, or the table's key is a different one.
    pub async fn describe(client: &Client, name: &str, key: &str) -> Result<Self, OperateError> {
        let described = client.describe_table().table_name(name).send().await;
        let described = described.map_err(|error| OperateError::call("DescribeTable", error))?;
        let wrong_key = || OperateError::Key(name.to_owned(), key.to_owned());
        let table = described.table.ok_or_else(wrong_key)?;
        let kind = key_type(&table, key).ok_or_else(wrong_key)?;
        Ok(Self {
            name: name.to_owned(),
            key: key.to_owned(),
            is_number: kind == ScalarAttributeType::N,
            items: table.item_count().unwrap_or_default().unsigned_abs(),
        })
    }

    /// An order's key.
    pub fn key_of(&self, order: &str) -> Item {
        let value = match self.is_number {
            true => AttributeValue::N(order.to_owned()),
            false => AttributeValue::S(order.to_owned()),
        };
        HashMap::from([(self.key.clone(), value)])
    }

    /// The id in an item.
    pub fn id_of(&self, item: &Item) -> Option<String> {
        match item.get(&self.key)? {
            AttributeValue::S(id) | AttributeValue::N(id) => Some(id.clone()),
            _ => None,
        }
    }
}

/// The type of the table's key if `key` is its only one.
fn key_type(table: &TableDescription, key: &str) -> Option<ScalarAttributeType> {
    let [only] = table.key_schema() else {
        return None;
    };
    let attributes = table.attribute_definitions().iter();
    let found = attributes
        .filter(|_| only.attribute_name() == key)
        .find(|attribute| attribute.attribute_name() == key);
    let kind = found?.attribute_type().clone();
    (kind != ScalarAttributeType::B).then_some(kind)
}
