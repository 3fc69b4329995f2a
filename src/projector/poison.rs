//! Why a record can never become a change. Pure.

use thiserror::Error;

use crate::order::OrderIdError;

/// Why a record can never become a change. Another attempt would fail in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Poison {
    /// The key has more attributes than the settings name. Then several items would describe one order.
    #[error(
        "the key has more attributes than the settings name, so ORDER_KEY must say which items are orders: its keys are {0}"
    )]
    SortKey(String),
    /// The key is a different attribute.
    #[error("the key has no attribute `{attribute}`: check {setting}")]
    NoKey {
        /// The attribute that is missing.
        attribute: String,
        /// The setting that names it.
        setting: &'static str,
    },
    /// The key is neither a string nor a number. In a table it is binary then; in Kafka it may be anything that JSON has.
    #[error("the attribute `{0}` is neither a string nor a number, so it is no order id")]
    KeyType(String),
    /// The key is not a valid order id.
    #[error("the attribute `{attribute}` is not a valid order id")]
    OrderId {
        /// The key's name, or both names.
        attribute: String,
        /// Why the id is invalid.
        source: OrderIdError,
    },
    /// The stream contains only keys, or only old images.
    #[error(
        "the record has no new image: the stream's view type must be NEW_IMAGE or NEW_AND_OLD_IMAGES"
    )]
    NoImage,
    /// The item has no status, or an empty one.
    #[error("the attribute `{0}` is missing or empty: check STATUS_ATTRIBUTE")]
    NoStatus(String),
    /// The status has another type.
    #[error("the attribute `{0}` is not a string, a number or a boolean: check STATUS_ATTRIBUTE")]
    StatusType(String),
    /// `STATUS_NAMES` is set, and does not contain the status. The status is not shown, because it may be an internal one.
    #[error("the value of `{0}` has no name: check STATUS_NAMES")]
    StatusName(String),
    /// Without these, the record cannot be put in order.
    #[error("the record has no sequence number of up to 40 digits, or no stream ARN")]
    NoPosition,
    /// The key or the value of a Kafka record cannot be read.
    #[error("{0}")]
    Kafka(&'static str),
    /// The value of a Kafka record has too many levels. No setting is the reason.
    #[error("the Kafka record's value has more than 32 levels")]
    Depth,
    /// The event is not INSERT, MODIFY or REMOVE.
    #[error("the record's event name {0:?} is unknown")]
    EventName(String),
}

impl Poison {
    /// Whether a wrong setting (an attribute's name, the table, the stream's view type) would make every record fail like this.
    /// All other errors can only come from a single item or record.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::SortKey(_)
            | Self::NoKey { .. }
            | Self::KeyType(_)
            | Self::NoImage
            | Self::NoStatus(_)
            | Self::StatusType(_)
            | Self::StatusName(_)
            | Self::Kafka(_) => true,
            Self::OrderId { .. } | Self::NoPosition | Self::Depth | Self::EventName(_) => false,
        }
    }
}

/// At most 200 characters. What a record of Kafka contains may be megabytes, and a log line has no limit of its own.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}
