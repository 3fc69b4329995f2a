//! Dwell times in the Feed table: one item per status, in a partition that no order can have.
//!
//! An item's sort key is a hash of the status. It has an attribute `b0`, `b1` … for each bucket, in units of two to the power
//! of `scale`, and a `version`, so that two projectors do not overwrite each other's dwell times.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use sha2::{Digest, Sha256};

use super::error::{is_condition, unavailable};
use super::{DynamoDbFeed, number};
use crate::dwell::{BUCKETS, Dwells};
use crate::feed::FeedError;
use crate::order::Status;

/// The partition: no order id contains `%`.
const DWELLS: &str = "%dwells";

/// Two projectors rarely write the same status at once, and a lost dwell time costs little.
const LEARN_ATTEMPTS: usize = 5;

/// A bucket with a smaller share of the total weight is not stored.
const NEGLIGIBLE: f64 = 1e-15;

/// The maximum number of statuses that are read: about 100 KB.
const MAX_STATUSES: i32 = 100;

type Item = HashMap<String, AttributeValue>;

impl DynamoDbFeed {
    /// Adds dwell times to the stored ones of a status. Returns the weight of all of them.
    pub(super) async fn add_dwells(
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
        let message = "other projectors write the same dwell times".to_owned();
        Err(FeedError::Unavailable {
            source: message.clone().into(),
            message,
        })
    }

    /// The stored dwell times of at most [`MAX_STATUSES`] statuses.
    pub(super) async fn all_dwells(&self) -> Result<BTreeMap<Status, Dwells>, FeedError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#order = :dwells")
            .expression_attribute_names("#order", "order")
            .expression_attribute_values(":dwells", AttributeValue::S(DWELLS.to_owned()))
            .limit(MAX_STATUSES);
        let found = query.send().await.map_err(unavailable)?;
        let items = found.items.unwrap_or_default();
        Ok(items.iter().filter_map(dwells_of).collect())
    }
}

/// `None` if the item has no status, because somebody else wrote it. Also `None` if it has no scale: an earlier version
/// measured its dwell times between the appends, so they are wrong.
fn dwells_of(item: &Item) -> Option<(Status, Dwells)> {
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

/// Weights double every four weeks, but DynamoDB's numbers end at 1e126 and have 38 digits. So weights are stored in units of a
/// power of two. This division is exact.
fn dwells_item(key: u64, status: &Status, dwells: &Dwells, expires_at: u64) -> Item {
    // Zero has no logarithm.
    let scale = dwells.total().max(f64::MIN_POSITIVE).log2().floor();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let mut item = HashMap::from([
        ("order".to_owned(), text(DWELLS)),
        ("seq".to_owned(), number(key)),
        ("status".to_owned(), text(status.as_str())),
        ("scale".to_owned(), AttributeValue::N(format!("{scale}"))),
        ("expiresAt".to_owned(), number(expires_at)),
    ]);
    for (bucket, weight) in dwells.filled() {
        let share = weight / scale.exp2();
        if share > NEGLIGIBLE {
            item.insert(
                format!("b{bucket}"),
                AttributeValue::N(format!("{share:e}")),
            );
        }
    }
    item
}

/// 0 if the item does not exist yet.
fn version(item: &Item) -> u64 {
    let version = item.get("version").and_then(|version| version.as_n().ok());
    version
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
}

fn number_of(item: &Item, name: &str) -> f64 {
    let number = item
        .get(name)
        .and_then(|number| number.as_n().ok()?.parse().ok());
    number.unwrap_or_default()
}

/// The first six bytes of a SHA-256. Any client can represent a number of 48 bits, and two statuses of a shop practically never
/// have the same one.
fn hash(text: &str) -> u64 {
    let hash = Sha256::digest(text.as_bytes());
    hash.iter()
        .take(6)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
