//! A change of an order, as the public may see it, and the record that it comes from. Pure.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::customer::CustomerId;
use crate::order::{OrderId, PublicView, Status};

/// What the public may see of an order after a write.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The order that changed.
    pub order: OrderId,
    /// The record's position in its stream.
    pub position: Position,
    /// The status after the write.
    pub status: Status,
    /// The public attributes after the write.
    pub view: PublicView,
    /// Whose order it is after the write. A deleted order stays its last customer's.
    pub customer: Option<CustomerId>,
    /// When the order changed, RFC 3339 in UTC. `None` if neither the shop nor the record says so.
    pub at: Option<String>,
    /// When AWS wrote the record, in milliseconds since the Unix epoch.
    pub recorded_at: Option<u64>,
    /// What was done to the item.
    pub write: Write,
    /// Whether the state began with this write. True if the record shows that the state before was a different one.
    pub began: bool,
    /// Whether no further change is expected.
    pub terminal: bool,
}

/// What was done to an item of the Orders table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The item was written. It did not exist before.
    Insert,
    /// The item was written. It existed before.
    Modify,
    /// The item was deleted.
    Remove,
}

impl Change {
    /// The stream record that the change comes from.
    pub fn source_record(&self) -> SourceRecord {
        SourceRecord {
            position: self.position.clone(),
            recorded_at: self.recorded_at,
        }
    }
}

/// A stream record that changed an order: its position, and when AWS wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceRecord {
    /// The record's position in its stream.
    pub position: Position,
    /// When AWS wrote the record, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<u64>,
}

/// The position of a stream record: its source (the stream's ARN, or `kafka/CLUSTER/TOPIC/PARTITION`), `/`, and its sequence number padded to 40 digits.
///
/// Sequence numbers are compared as text, because a number of 40 digits does not fit in a `u128`. Positions of two sources
/// cannot be compared: each stream has its own numbers, and a stream's label says when the stream was created, not when its
/// records were written.
///
/// ```
/// use order_status_stream::change::Position;
///
/// let position = |stream, number| Position::new(stream, number).expect("digits");
/// assert!(position("stream/A", "9") < position("stream/A", "10"));
/// assert_eq!(position("stream/A", "9").partial_cmp(&position("stream/B", "10")), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(String);

impl Position {
    /// `None` if the sequence number is not 1 to 40 digits, or if the source is empty.
    pub fn new(source: &str, sequence_number: &str) -> Option<Self> {
        let digits = sequence_number.bytes().all(|b| b.is_ascii_digit());
        let fits = (1..=40).contains(&sequence_number.len());
        (digits && fits && !source.is_empty())
            .then(|| Self(format!("{source}/{sequence_number:0>40}")))
    }

    /// The position as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A hash of the position, as 16 hex digits. It identifies the record too, and cannot be compared with another position.
    #[must_use]
    pub fn hashed(&self) -> Self {
        let hash = Sha256::digest(self.0.as_bytes());
        let first = hash.iter().take(8);
        let first = first.fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
        Self(format!("{first:016x}"))
    }

    /// The ARN of the stream, or `kafka/CLUSTER/TOPIC/PARTITION`.
    pub fn source(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(source, _)| source)
    }

    /// The sequence number, without the zeros that pad it.
    pub fn sequence_number(&self) -> &str {
        self.padded_number().trim_start_matches('0')
    }

    /// Whether both positions are of one stream.
    ///
    /// Entries of an earlier version contain only the stream's label, which is the last part of the ARN.
    pub(crate) fn is_of_source(&self, other: &Self) -> bool {
        let (one, other) = (self.source(), other.source());
        let ends_with = |source: &str, label: &str| source.rsplit('/').next() == Some(label);
        one == other || ends_with(one, other) || ends_with(other, one)
    }

    fn padded_number(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(_, number)| number)
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.is_of_source(other)
            .then(|| self.padded_number().cmp(other.padded_number()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only entries of an earlier version have a label alone, and a label of a stream contains a date.
    #[test]
    fn partitions_are_different_sources() {
        let position =
            |source: &str| Position::new(&format!("kafka/{source}"), "1").expect("digits");
        let sources = [
            "a:9092/orders/0",
            "a:9092/orders/1",
            "a:9092/other/0",
            "b:9092/orders/0",
            "a:9092/orders@2/0",
        ];
        for one in sources {
            for other in sources {
                let (one, other) = (position(one), position(other));
                assert_eq!(one.is_of_source(&other), one == other, "{one:?} {other:?}");
            }
        }
        assert_eq!(
            position("a:9092/orders/0").source(),
            "kafka/a:9092/orders/0"
        );
    }

    #[test]
    fn positions_are_compared_within_a_source_only() {
        let position = |label, number| {
            let arn = format!("arn:aws:dynamodb:eu-west-1:1:table/Orders/stream/{label}");
            Position::new(&arn, number).expect("digits")
        };
        assert!(position("b", "9") < position("b", "10"));
        assert!(position("b", "10") <= position("b", "10"));
        assert_eq!(position("a", "9").partial_cmp(&position("b", "10")), None);
        assert_eq!(
            position("a", "9").source(),
            "arn:aws:dynamodb:eu-west-1:1:table/Orders/stream/a"
        );
        assert_eq!(Position::new("", "1"), None);
        assert_eq!(Position::new("a", ""), None);
        assert_eq!(Position::new("a", "-1"), None);
        assert_eq!(Position::new("a", &"9".repeat(41)), None);
    }
}
