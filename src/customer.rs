//! Whose an order is. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::order::{Seq, Status};

/// A customer's id: 1 to 128 characters, without control characters.
///
/// An attribute of the order and a claim of the token contain it. It is never part of a URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CustomerId(String);

impl CustomerId {
    const MAX_CHARACTERS: usize = 128;

    /// `None` if the text is empty, too long, or has a control character.
    pub fn new(id: impl Into<String>) -> Option<Self> {
        let id = id.into();
        let length = id.chars().count();
        let fits = (1..=Self::MAX_CHARACTERS).contains(&length);
        (fits && !id.contains(char::is_control)).then_some(Self(id))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place in a customer's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Whose log it is.
    pub customer: CustomerId,
    /// The number in that log: 1, 2, 3 …, without gaps.
    pub seq: Seq,
}

/// The most statuses of [`Unfinished`]. Orders in further ones are left out: a shop that has more generates them, so their
/// dwell times predict nothing.
const MAX_STATUSES: usize = 16;

/// How many orders of a customer are in which status, and since when: what a session must know to decide when the next change
/// is due, without reading each order. It decides nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unfinished(BTreeMap<Status, Group>);

/// The number of orders in a status, and the sum of the times since when they are in it, in seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Group(u64, u64);

impl Unfinished {
    /// Whether it contains no order.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an order that is in a status since a time, in milliseconds since the Unix epoch.
    pub fn add(&mut self, status: &Status, since: u64) {
        if let Some(group) = self.0.get_mut(status) {
            *group = Group(group.0 + 1, group.1.saturating_add(since / 1000));
        } else if self.0.len() < MAX_STATUSES {
            self.0.insert(status.clone(), Group(1, since / 1000));
        }
    }

    /// Removes an order that was added with this status and time.
    pub fn remove(&mut self, status: &Status, since: u64) {
        let Some(group) = self.0.get_mut(status) else {
            return;
        };
        *group = Group(
            group.0.saturating_sub(1),
            group.1.saturating_sub(since / 1000),
        );
        if group.0 == 0 {
            self.0.remove(status);
        }
    }

    /// Each status, the number of orders in it, and the mean of their times, in milliseconds since the Unix epoch.
    pub fn groups(&self) -> impl Iterator<Item = (&Status, u64, u64)> {
        let groups = self.0.iter();
        groups.map(|(status, Group(orders, sum))| (status, *orders, sum / (*orders).max(1) * 1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: &str) -> Status {
        Status::new(status).expect("a status")
    }

    #[test]
    fn orders_are_counted_by_status_with_their_mean_time() {
        let mut unfinished = Unfinished::default();
        for (name, since) in [("PAID", 10_000), ("SHIPPED", 5_000), ("PAID", 20_999)] {
            unfinished.add(&status(name), since);
        }
        let groups = |unfinished: &Unfinished| {
            let groups = unfinished.groups();
            let groups =
                groups.map(|(status, orders, since)| (status.as_str().to_owned(), orders, since));
            groups.collect::<Vec<_>>()
        };
        let paid = |orders, since| ("PAID".to_owned(), orders, since);
        let shipped = ("SHIPPED".to_owned(), 1, 5_000);
        assert_eq!(groups(&unfinished), [paid(2, 15_000), shipped.clone()]);
        unfinished.remove(&status("PAID"), 10_000);
        assert_eq!(groups(&unfinished), [paid(1, 20_000), shipped.clone()]);
        unfinished.remove(&status("PAID"), 20_999);
        unfinished.remove(&status("LOST"), 1);
        assert_eq!(groups(&unfinished), [shipped]);
    }

    #[test]
    fn the_statuses_are_bounded() {
        let mut unfinished = Unfinished::default();
        for n in 0..100 {
            unfinished.add(&status(&format!("S{n}")), 1000);
        }
        assert_eq!(unfinished.groups().count(), MAX_STATUSES);
        for n in 0..100 {
            unfinished.remove(&status(&format!("S{n}")), 1000);
        }
        assert!(unfinished.is_empty());
    }

    #[test]
    fn customer_ids() {
        let longest = "é".repeat(128);
        for id in ["C-1", "auth0|5f7c", "a b@example.org", "100%", &longest] {
            assert_eq!(
                CustomerId::new(id).as_ref().map(CustomerId::as_str),
                Some(id)
            );
        }
        for id in ["", "a\nb", "\0", &"é".repeat(129)] {
            assert_eq!(CustomerId::new(id), None, "{id:?}");
        }
    }
}
