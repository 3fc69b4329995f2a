//! What the public knows of an order: its id, its status, and its public attributes. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An order's id: 1 to 128 characters, without control characters and without `%`.
///
/// `%` is refused, so that it does not matter whether a proxy in front of the function decodes the path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct OrderId(String);

/// Why a text is not a valid [`OrderId`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OrderIdError {
    /// The id is empty, or has more than 128 characters.
    #[error("an order id must have 1 to 128 characters, but has {0}")]
    Length(usize),
    /// The id contains a control character or `%`.
    #[error(
        "an order id must not contain control characters or `%`, but character {position} is {character:?}"
    )]
    Character {
        /// The forbidden character.
        character: char,
        /// Its position, in characters from 1.
        position: usize,
    },
}

impl OrderId {
    const MAX_CHARACTERS: usize = 128;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for OrderId {
    type Error = OrderIdError;

    fn try_from(id: String) -> Result<Self, OrderIdError> {
        let length = id.chars().count();
        if !(1..=Self::MAX_CHARACTERS).contains(&length) {
            return Err(OrderIdError::Length(length));
        }
        match id
            .chars()
            .enumerate()
            .find(|(_, c)| c.is_control() || *c == '%')
        {
            Some((index, character)) => Err(OrderIdError::Character {
                character,
                position: index + 1,
            }),
            None => Ok(Self(id)),
        }
    }
}

impl TryFrom<&str> for OrderId {
    type Error = OrderIdError;

    fn try_from(id: &str) -> Result<Self, OrderIdError> {
        Self::try_from(id.to_owned())
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of an entry in its order's log: 1, 2, 3 …, without gaps. Zero is the position before the first entry.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The position before the first entry.
    pub const ZERO: Self = Self(0);

    /// The number of the next entry.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A status, as the shop writes it. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Status(String);

impl Status {
    /// `None` if the text is empty.
    pub fn new(status: impl Into<String>) -> Option<Self> {
        let status = status.into();
        (!status.is_empty()).then_some(Self(status))
    }

    /// The status of an order whose item was deleted, but not by DynamoDB's TTL: `REMOVED`.
    pub fn removed() -> Self {
        Self("REMOVED".to_owned())
    }

    /// The status as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the statuses differ only in upper and lower case.
    pub fn is_alike(&self, other: &Self) -> bool {
        lower(&self.0).eq(lower(&other.0))
    }
}

fn lower(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

/// The attributes of an order that its customer may see, in addition to the status, as JSON.
pub type PublicView = BTreeMap<String, serde_json::Value>;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(id: &str, expected: Result<(), &str>) {
        let found = OrderId::try_from(id)
            .map(|_| ())
            .map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned), "{id:?}");
    }

    #[test]
    fn order_ids() {
        check("A", Ok(()));
        check("2026/11/23 Ünïcode 🚚 #1", Ok(()));
        check(&"é".repeat(128), Ok(()));
        check(
            "",
            Err("an order id must have 1 to 128 characters, but has 0"),
        );
        check(
            &"é".repeat(129),
            Err("an order id must have 1 to 128 characters, but has 129"),
        );
        let refused = |c: &str, at: usize| {
            format!(
                "an order id must not contain control characters or `%`, but character {at} is {c}"
            )
        };
        check("a%2Fb", Err(&refused("'%'", 2)));
        check("a\nb", Err(&refused("'\\n'", 2)));
        check("\0", Err(&refused("'\\0'", 1)));
        check("ab\u{85}", Err(&refused("'\\u{85}'", 3)));
    }

    #[test]
    fn a_status_is_never_empty() {
        assert_eq!(Status::new(""), None);
        assert_eq!(
            Status::new("PAID").as_ref().map(Status::as_str),
            Some("PAID")
        );
    }

    #[test]
    fn statuses_are_alike_if_only_the_case_differs() {
        let alike = |one, other| {
            let status = |text| Status::new(text).expect("not empty");
            status(one).is_alike(&status(other))
        };
        assert!(alike("DELIVERED", "Delivered") && alike("Canceled", "CANCELED"));
        assert!(alike("ДОСТАВЛЕН", "доставлен") && alike("ΩΣ", "ωσ"));
        assert!(!alike("CANCELLED", "CANCELED") && !alike("DELIVERED", "DELIVERED "));
    }
}
