//! The two tables, and how an order's key is written in the Orders table.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ScalarAttributeType, TableDescription};
use order_status_stream::projector::OrderKey;

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
    /// Which of its items are orders.
    key: OrderKey,
    /// The key's attributes that are numbers.
    numbers: BTreeSet<String>,
    /// About how many items it has. DynamoDB counts them every six hours.
    pub items: u64,
}

impl OrdersTable {
    /// Reads the table's description.
    ///
    /// # Errors
    ///
    /// The call fails, or the table's key is a different one.
    pub async fn describe(
        client: &Client,
        name: &str,
        key: &OrderKey,
    ) -> Result<Self, OperateError> {
        let described = client.describe_table().table_name(name).send().await;
        let described = described.map_err(|error| OperateError::call("DescribeTable", error))?;
        let wrong_key = || {
            let attributes: Vec<_> = key.attributes().collect();
            OperateError::Key(name.to_owned(), attributes.join(" and "))
        };
        let table = described.table.ok_or_else(wrong_key)?;
        Ok(Self {
            name: name.to_owned(),
            numbers: numbers(&table, key).ok_or_else(wrong_key)?,
            key: key.clone(),
            items: table.item_count().unwrap_or_default().unsigned_abs(),
        })
    }

    /// The attributes of its key.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.key.attributes()
    }

    /// The key of an item.
    pub fn key_in(&self, item: &Item) -> Item {
        let member = |name: &str| Some((name.to_owned(), item.get(name)?.clone()));
        self.attributes().filter_map(member).collect()
    }

    /// The id of an order, which may be an invalid one. `None` if the item with this key is not an order.
    pub fn id_of(&self, key: &Item) -> Option<String> {
        let key = serde_dynamo::Item::from(key.clone());
        self.key.id(&key).ok().flatten()
    }

    /// An order's key. `None` if its id does not say what the key is.
    pub fn key_of(&self, order: &str) -> Option<Item> {
        let texts = self.key.of_order(order)?.into_iter();
        Some(self.key_from(texts.map(|(name, text)| (name.to_owned(), text))))
    }

    /// Whether an order's id says what its key is. Then no two orders have one id.
    pub fn ids_are_keys(&self) -> bool {
        self.key_of("id").is_some()
    }

    /// A key as a text, for a checkpoint.
    pub fn mark_of(&self, key: &Item) -> String {
        match self.ids_are_keys() {
            true => self.id_of(key).unwrap_or_default(),
            false => {
                let texts = key.iter().filter_map(|(name, value)| match value {
                    AttributeValue::S(text) | AttributeValue::N(text) => Some((name, text)),
                    _ => None,
                });
                serde_json::json!(texts.collect::<BTreeMap<_, _>>()).to_string()
            }
        }
    }

    /// The key that [`mark_of`](Self::mark_of) wrote.
    pub fn key_at(&self, mark: &str) -> Option<Item> {
        match self.ids_are_keys() {
            true => self.key_of(mark),
            false => {
                let texts: BTreeMap<String, String> = serde_json::from_str(mark).ok()?;
                Some(self.key_from(texts.into_iter()))
            }
        }
    }

    /// A page of the table's keys, and where the next one starts.
    ///
    /// # Errors
    ///
    /// The call fails.
    pub async fn scan_keys(
        &self,
        client: &Client,
        start: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), OperateError> {
        let names: Vec<_> = (0..)
            .map(|n| format!("#key{n}"))
            .take(self.attributes().count())
            .collect();
        let mut scan = client.scan().table_name(&self.name);
        for (name, attribute) in names.iter().zip(self.attributes()) {
            scan = scan.expression_attribute_names(name, attribute);
        }
        let scan = scan.projection_expression(names.join(", "));
        let page = scan.set_exclusive_start_key(start).send().await;
        let page = page.map_err(|error| OperateError::call("Scan", error))?;
        Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
    }

    fn key_from(&self, texts: impl Iterator<Item = (String, String)>) -> Item {
        let member = |(name, text): (String, String)| {
            let value = match self.numbers.contains(&name) {
                true => AttributeValue::N(text),
                false => AttributeValue::S(text),
            };
            (name, value)
        };
        texts.map(member).collect()
    }
}

/// The key's attributes that are numbers. `None` if the table has another key, or a binary one.
fn numbers(table: &TableDescription, key: &OrderKey) -> Option<BTreeSet<String>> {
    let schema = table.key_schema().iter().map(|part| part.attribute_name());
    if schema.collect::<BTreeSet<_>>() != key.attributes().collect() {
        return None;
    }
    let mut numbers = BTreeSet::new();
    for name in key.attributes() {
        let mut attributes = table.attribute_definitions().iter();
        let found = attributes.find(|attribute| attribute.attribute_name() == name);
        match found?.attribute_type() {
            ScalarAttributeType::N => _ = numbers.insert(name.to_owned()),
            ScalarAttributeType::B => return None,
            _ => {}
        }
    }
    Some(numbers)
}
