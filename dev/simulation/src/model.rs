//! The states of each order that the public must see, computed only from the shop's writes.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::item::Item;
use crate::plan::ALWAYS_PUBLIC;

/// The state that the public must see after a write.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The status.
    pub status: String,
    /// Whose order it is.
    pub customer: Option<&'static str>,
    /// Every attribute that some deployment makes public.
    pub attributes: BTreeMap<String, Value>,
    /// When the shop wrote it, RFC 3339.
    pub at: String,
    /// When DynamoDB wrote the record, in seconds since the Unix epoch.
    pub recorded: u64,
    /// The number of earlier lives of the id.
    pub life: usize,
}

impl State {
    fn equals_publicly(&self, other: &Self) -> bool {
        let same = |name: &&str| self.attributes.get(*name) == other.attributes.get(*name);
        self.status == other.status
            && self.customer == other.customer
            && ALWAYS_PUBLIC.iter().all(same)
    }
}

/// All states of an order, in order.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Two neighbours in one life differ in something that every deployment shows.
    pub states: Vec<State>,
    lives: usize,
    exists: bool,
}

impl History {
    /// The shop wrote the item.
    pub fn written(&mut self, item: &Item, millis: u64) {
        let Some(status) = item.status else { return };
        let begins = !self.exists;
        self.exists = true;
        let recorded = millis / 1000;
        let state = State {
            status: status.to_owned(),
            customer: item.customer,
            attributes: item.public(),
            at: item.at(recorded * 1000),
            recorded,
            life: self.lives,
        };
        let unchanged = self
            .states
            .last()
            .is_some_and(|last| last.equals_publicly(&state));
        if begins || !unchanged {
            self.states.push(state);
        }
    }

    /// The item was deleted. `public` says whether this is a change.
    pub fn removed(&mut self, millis: u64, public: bool) {
        if std::mem::take(&mut self.exists) && public {
            // A deletion does not say whose order it was.
            let customer = self.states.last().and_then(|last| last.customer);
            self.states.push(State {
                status: "REMOVED".to_owned(),
                customer,
                attributes: BTreeMap::new(),
                at: crate::item::rfc3339(millis / 1000 * 1000),
                recorded: millis / 1000,
                life: self.lives,
            });
        }
        self.lives += 1;
    }

    /// Whether the item exists.
    pub fn exists(&self) -> bool {
        self.exists
    }

    /// The order's newest state.
    pub fn newest(&self) -> Option<&State> {
        self.states.last()
    }

    /// The number of lives of the id.
    pub fn lives(&self) -> u64 {
        self.states.last().map_or(0, |last| last.life as u64 + 1)
    }
}
