//! The lanes of a shard: each is delivered one batch at a time, beside the others.
//!
//! With `ParallelizationFactor`, Lambda "ensures in-order processing at the item (partition and sort key) level":
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>. How it assigns items to batches is not documented. Here a hash of the
//! key chooses the lane.
//!
//! A lane that waits does not stop the reader, so its queue has no limit. What Lambda does if a lane waits for hours is not documented.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use aws_lambda_events::event::dynamodb::EventRecord;
use tokio::sync::mpsc;

/// The records of one lane, in the order of the shard.
pub(super) type Queue = mpsc::UnboundedReceiver<EventRecord>;

/// Where the reader puts records. A drop ends the queues.
pub(super) struct Lanes(Vec<mpsc::UnboundedSender<EventRecord>>);

pub(super) fn lanes(count: usize) -> (Lanes, Vec<Queue>) {
    let channels = (0..count).map(|_| mpsc::unbounded_channel());
    let (senders, queues) = channels.unzip();
    (Lanes(senders), queues)
}

impl Lanes {
    pub(super) fn put(&self, record: EventRecord) {
        let lane = key_hash(&record) % self.0.len() as u64;
        // It fails only if the lanes are dropped, and they are dropped together with the reader.
        self.0[lane as usize].send(record).ok();
    }
}

/// A hash of the item's whole key.
fn key_hash(record: &EventRecord) -> u64 {
    let keys = record.change.keys.iter();
    let keys: BTreeMap<_, _> = keys
        .map(|(name, value)| (name, format!("{value:?}")))
        .collect();
    let mut hasher = DefaultHasher::new();
    keys.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::super::record;
    use super::*;

    #[test]
    fn the_records_of_an_item_are_in_one_lane_in_order() {
        let (lanes, queues) = lanes(10);
        for number in 0..200 {
            let id = format!("order-{}", number % 20);
            lanes.put(record::of_order(&id, &number.to_string()));
        }
        drop(lanes);
        let mut used = 0;
        let mut seen = BTreeMap::<_, Vec<u64>>::new();
        for (lane, mut queue) in queues.into_iter().enumerate() {
            used += usize::from(!queue.is_empty());
            while let Ok(record) = queue.try_recv() {
                let id = format!("{:?}", record.change.keys.get("orderId"));
                let number = record.change.sequence_number.unwrap().parse().unwrap();
                seen.entry((id, lane)).or_default().push(number);
            }
        }
        assert_eq!(seen.len(), 20, "each order has one lane");
        let all_in_order = seen
            .values()
            .all(|numbers| numbers.len() == 10 && numbers.is_sorted());
        assert!(all_in_order, "{seen:?}");
        assert!(used > 5, "20 orders use {used} of 10 lanes");
    }
}
