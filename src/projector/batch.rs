//! Reads a batch of stream records: the changes of each order, and the records that cannot be read. Pure.

use std::collections::{BTreeMap, BTreeSet};

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use sha2::{Digest, Sha256};

use super::kafka::without_partition;
use super::poison::Poison;
use super::record::{Reading, Rules};
use crate::change::Change;
use crate::order::OrderId;

/// A change and the sequence number of its record.
pub(super) type Delivery = (Change, String);

/// The content of a batch.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    /// The changes of each order, in the batch's order.
    pub(super) orders: BTreeMap<OrderId, Vec<Delivery>>,
    /// The records that can never become a change.
    pub(super) poison: Vec<(&'a EventRecord, Poison)>,
    /// The stream or the topic of a record whose status could be read. So the settings fit that stream.
    pub(super) readable_source: Option<&'a str>,
    /// The records of items that are not orders, and the stream of one of them.
    pub(super) others: u64,
    pub(super) source_of_others: Option<&'a str>,
}

impl<'a> Batch<'a> {
    pub(super) fn read(
        records: impl IntoIterator<Item = (&'a EventRecord, Result<Reading, Poison>)>,
    ) -> Self {
        let mut read = Self::default();
        for (record, reading) in records {
            match reading {
                Ok(Reading::Change(change)) => {
                    // A deletion has no status.
                    if record.event_name != "REMOVE" {
                        read.readable_source = settings_source(record);
                    }
                    let sequence_number = record.change.sequence_number.clone().unwrap_or_default();
                    let deliveries = read.orders.entry(change.order.clone()).or_default();
                    deliveries.push((change, sequence_number));
                }
                Ok(Reading::IgnoredDeletion) => {}
                Ok(Reading::NotAnOrder) => {
                    read.others += 1;
                    read.source_of_others = settings_source(record);
                }
                Err(poison) => read.poison.push((record, poison)),
            }
        }
        read
    }

    /// When the oldest record was written, in milliseconds since the Unix epoch. A record that cannot be read does not count.
    pub(super) fn oldest_write(&self) -> Option<u64> {
        let changes = self.orders.values().flatten();
        changes.filter_map(|(change, _)| change.recorded_at).min()
    }

    /// The records that fail as if a setting was wrong. Empty if a record of the batch could be read.
    pub(super) fn configuration_failures(&self) -> Vec<&(&'a EventRecord, Poison)> {
        let poison = self.poison.iter();
        match self.readable_source {
            Some(_) => Vec::new(),
            None => poison
                .filter(|(_, poison)| poison.is_configuration())
                .collect(),
        }
    }
}

/// The source that the settings must fit.
pub(super) fn settings_source(record: &EventRecord) -> Option<&str> {
    record.event_source_arn.as_deref().map(without_partition)
}

/// Whether all of these records belong to one item of the table.
pub(super) fn are_one_item(records: &[&(&EventRecord, Poison)]) -> bool {
    let keys = |pair: &(&EventRecord, Poison)| pair.0.change.keys.clone();
    records
        .windows(2)
        .all(|pair| keys(pair[0]) == keys(pair[1]))
}

/// Why these records fail. Each reason appears once.
pub(super) fn reasons(records: &[&(&EventRecord, Poison)]) -> String {
    let reasons = records.iter().map(|(_, poison)| poison.to_string());
    let reasons: BTreeSet<_> = reasons.collect();
    reasons.into_iter().collect::<Vec<_>>().join("; ")
}

/// The sequence number at which Lambda starts if the whole batch is delivered again. Numbers have different lengths, and a
/// shorter one is lower.
pub(super) fn lowest_sequence_number(batch: &Event) -> String {
    let numbers = batch.records.iter();
    let numbers = numbers.filter_map(|record| record.change.sequence_number.as_deref());
    let lowest = numbers.min_by_key(|number| (number.len(), *number));
    lowest.unwrap_or_default().to_owned()
}

/// A hash of 48 bits of the settings with which a stream's records are read. Other settings and other streams have other
/// hashes.
pub(super) fn settings_hash(source: &str, rules: &Rules) -> u64 {
    let mut hash = Sha256::new();
    for part in [source, rules.key.as_str(), rules.image.status.as_str()] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    let bytes = hash.iter().take(6);
    bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projector::{ImageRules, OnRemove, OrderKey, Path};

    /// The expected number comes from another program. The feed stores it, so it must not change with the code.
    #[test]
    fn the_settings_hash_is_the_first_six_bytes_of_a_sha256() {
        let rules = Rules {
            key: OrderKey::whole("orderId"),
            image: ImageRules {
                status: Path::new("status"),
                status_names: BTreeMap::new(),
                updated_at: Path::new("updatedAt"),
                customer: None,
                public_attributes: BTreeMap::new(),
                terminal_statuses: BTreeSet::new(),
            },
            on_remove: OnRemove::End,
        };
        let source = "arn:aws:dynamodb:eu-west-1:1:table/Orders/stream/a";
        assert_eq!(settings_hash(source, &rules), 0xa400_10ec_8b10);
    }
}
