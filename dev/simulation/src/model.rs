//! What the public must be told of each order, computed from what the shop wrote, and from nothing else.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::item::Item;
use crate::plan::ALWAYS_PUBLIC;

/// What the public must see after a write.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The status.
    pub status: String,
    /// All attributes that are public in some deployment.
    pub attributes: BTreeMap<String, Value>,
    /// When the shop wrote it, RFC 3339.
    pub at: String,
    /// When DynamoDB wrote the record, in seconds since the Unix epoch.
    pub recorded: u64,
    /// How often the order's id had been used before.
    pub life: usize,
}

impl State {
    fn looks_like(&self, other: &Self) -> bool {
        let same = |name: &&str| self.attributes.get(*name) == other.attributes.get(*name);
        self.status == other.status && ALWAYS_PUBLIC.iter().all(same)
    }
}

/// All states of an order, in order.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Neighbours of one life differ in something that every deployment shows.
    pub states: Vec<State>,
    lives: usize,
    exists: bool,
}

impl History {
    /// The shop wrote the item, which is readable as an order.
    pub fn written(&mut self, item: &Item, millis: u64) {
        let Some(status) = item.status else { return };
        let begins = !self.exists;
        self.exists = true;
        let recorded = millis / 1000;
        let state = State {
            status: status.to_owned(),
            attributes: item.public(),
            at: item.at(recorded * 1000),
            recorded,
            life: self.lives,
        };
        let unchanged = self
            .states
            .last()
            .is_some_and(|last| last.looks_like(&state));
        if begins || !unchanged {
            self.states.push(state);
        }
    }

    /// The item was deleted. `told` says whether the public is told.
    pub fn removed(&mut self, millis: u64, told: bool) {
        if std::mem::take(&mut self.exists) && told {
            self.states.push(State {
                status: "REMOVED".to_owned(),
                attributes: BTreeMap::new(),
                at: crate::item::rfc3339(millis / 1000 * 1000),
                recorded: millis / 1000,
                life: self.lives,
            });
        }
        self.lives += 1;
    }

    /// The item is there.
    pub fn exists(&self) -> bool {
        self.exists
    }

    /// The order's state now.
    pub fn newest(&self) -> Option<&State> {
        self.states.last()
    }

    /// How often the id was used.
    pub fn lives(&self) -> u64 {
        self.states.last().map_or(0, |last| last.life as u64 + 1)
    }
}
