//! An Orders table in memory, and its stream.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_lambda_events::event::dynamodb::EventRecord;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::item::Item;
use crate::world::{World, lock};

/// By whom an item was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A person.
    Hand,
    /// DynamoDB's TTL.
    TimeToLive,
}

/// A record of a stream.
#[derive(Clone, Debug)]
pub struct Record {
    /// The record as the projector gets it.
    pub event: EventRecord,
    /// Its sequence number.
    pub number: String,
    /// The item's key.
    pub item: String,
    /// For the trace.
    pub about: String,
}

/// A shard of a stream. All records of an item are in one shard, in order.
#[derive(Debug, Default)]
pub struct Shard {
    records: Mutex<Vec<Record>>,
    /// Wakes the source.
    pub written: Notify,
}

impl Shard {
    /// The number of records.
    pub fn count(&self) -> usize {
        lock(&self.records).len()
    }

    /// Some of the records.
    pub fn records(&self, range: std::ops::Range<usize>) -> Vec<Record> {
        lock(&self.records)[range].to_vec()
    }
}

/// A table's stream.
#[derive(Debug)]
pub struct Stream {
    /// `arn:…:table/NAME/stream/LABEL`
    pub arn: String,
    /// Its shards.
    pub shards: Vec<Shard>,
}

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Its stream.
    pub stream: Arc<Stream>,
    items: BTreeMap<String, Item>,
    written: u64,
}

impl Table {
    /// An empty table. Its stream has this label and this number of shards. Sequence numbers begin after `first`.
    pub fn new(name: &str, label: &str, shards: usize, first: u64) -> Self {
        let arn = format!("arn:aws:dynamodb:eu-central-1:123456789012:table/{name}/stream/{label}");
        let shards = (0..shards).map(|_| Shard::default()).collect();
        Self {
            stream: Arc::new(Stream { arn, shards }),
            items: BTreeMap::new(),
            written: first,
        }
    }

    /// An item.
    pub fn get(&self, order: &str) -> Option<&Item> {
        self.items.get(order)
    }

    /// All items.
    pub fn items(&self) -> &BTreeMap<String, Item> {
        &self.items
    }

    /// Writes an item. DynamoDB makes no record of a write that changes nothing.
    pub fn put(&mut self, order: &str, item: Item, world: &World) {
        let before = self.items.insert(order.to_owned(), item.clone());
        if before.as_ref() == Some(&item) {
            return;
        }
        let event = if before.is_some() { "MODIFY" } else { "INSERT" };
        let status = item.status.unwrap_or("-");
        self.emit(
            order,
            event,
            before.as_ref(),
            Some(&item),
            None,
            status,
            world,
        );
    }

    /// Deletes an item.
    pub fn delete(&mut self, order: &str, by: By, world: &World) {
        if let Some(before) = self.items.remove(order) {
            let identity = json!({ "type": "Service", "principalId": "dynamodb.amazonaws.com" });
            let identity = (by == By::TimeToLive).then_some(identity);
            self.emit(order, "REMOVE", Some(&before), None, identity, "", world);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a record")]
    fn emit(
        &mut self,
        order: &str,
        event: &str,
        before: Option<&Item>,
        after: Option<&Item>,
        identity: Option<Value>,
        status: &str,
        world: &World,
    ) {
        self.written += 1;
        let number = format!("100000{:018}", self.written);
        let image = |item: Option<&Item>| item.map(|item| item.image(order));
        let mut record = json!({
            "eventID": number,
            "eventName": event,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "eu-central-1",
            "eventSourceARN": self.stream.arn,
            "dynamodb": {
                "ApproximateCreationDateTime": world.epoch_millis() / 1000,
                "Keys": { "orderId": { "S": order } },
                "SequenceNumber": number,
                "SizeBytes": 59,
                "StreamViewType": "NEW_AND_OLD_IMAGES"
            }
        });
        for (name, image) in [("OldImage", image(before)), ("NewImage", image(after))] {
            if let Some(image) = image {
                record["dynamodb"][name] = image;
            }
        }
        if let Some(identity) = identity {
            record["userIdentity"] = identity;
        }
        let about = format!("{order} {event} {status}");
        let shards = &self.stream.shards;
        let shard = &shards[order.bytes().map(usize::from).sum::<usize>() % shards.len()];
        world.note(|| format!("shop: {about} as {number} of {}", self.stream.arn));
        match serde_json::from_value(record) {
            Ok(event) => lock(&shard.records).push(Record {
                event,
                number,
                item: order.to_owned(),
                about,
            }),
            Err(error) => world.finding(
                crate::world::Kind::Other,
                format!("invalid record: {error}"),
            ),
        }
        shard.written.notify_one();
    }
}
