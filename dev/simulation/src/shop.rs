//! The shop writes orders by its script, and records which states the public must see.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use crate::chance::Chance;
use crate::item::Item;
use crate::model::History;
use crate::plan::{Plan, Switch};
use crate::table::{By, Stream, Table};
use crate::world::World;

/// A write of the shop to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// It gets this status.
    Status(&'static str),
    /// A public attribute changes.
    Public,
    /// A private attribute changes.
    Private,
    /// It gets another customer, or none.
    Reassign,
    /// An item without a status is written. It is not an order.
    Broken,
    /// A person deletes the item.
    Delete,
    /// DynamoDB's TTL deletes the item.
    Expire,
}

/// The shop.
#[derive(Debug)]
pub struct Shop {
    world: Arc<World>,
    random: Rng,
    /// At the start, the first one is written.
    tables: Vec<Table>,
    /// The index of the table that is written.
    live: usize,
    /// Writes that have not reached the replica yet.
    replicated: VecDeque<(String, Option<Item>, By)>,
    has_replica: bool,
    removals_are_changes: bool,
    customers: &'static [&'static str],
    /// The settings change while it writes.
    pub has_deployments: bool,
    /// The states that the public must see, by order.
    pub histories: BTreeMap<String, History>,
}

impl Shop {
    /// A shop with no orders.
    pub fn new(world: Arc<World>, plan: &Plan, mut random: Rng) -> Self {
        let shards = random.usize(1..4);
        let table = Table::new(
            "Orders",
            "2026-11-22T00:00:00.000",
            shards,
            random.u64(..1_000_000),
        );
        Self {
            world,
            random,
            tables: vec![table],
            live: 0,
            replicated: VecDeque::new(),
            has_replica: false,
            removals_are_changes: plan
                .variables
                .get("ON_REMOVE")
                .is_some_and(|value| value == "end"),
            customers: plan.customers,
            has_deployments: !plan.deployments.is_empty(),
            histories: BTreeMap::new(),
        }
    }

    /// The stream of the table that is written.
    pub fn stream(&self) -> Arc<Stream> {
        Arc::clone(&self.tables[self.live].stream)
    }

    /// Writes. Returns whether a replica must be written later.
    pub fn write(&mut self, order: &str, write: Write) -> bool {
        let item = self.tables[self.live].get(order).cloned();
        match write {
            Write::Status(_) | Write::Public | Write::Private | Write::Reassign => {
                let mut item = item.unwrap_or_else(|| self.new_item());
                match write {
                    Write::Status(status) => item.status = Some(status),
                    Write::Public => item.change(&mut self.random),
                    Write::Reassign => {
                        self.world.fault("orders that change hands", "shop");
                        item.customer = self.a_customer();
                    }
                    _ => item.change_in_private(),
                }
                self.put(order, item);
            }
            Write::Broken => {
                let mut item = Item::new(&mut self.random);
                item.status = None;
                self.world.fault("items that are no orders", "shop");
                self.tables[self.live].put("draft", item, &self.world);
                return false;
            }
            Write::Delete if item.is_some() => self.delete(order, By::Hand),
            Write::Expire if item.is_some() => {
                self.world.fault("items deleted by TTL", "table");
                self.delete(order, By::TimeToLive);
            }
            Write::Delete | Write::Expire => return false,
        }
        self.has_replica
    }

    fn new_item(&mut self) -> Item {
        let mut item = Item::new(&mut self.random);
        item.customer = self.a_customer();
        item
    }

    /// One of the customers, or none.
    fn a_customer(&mut self) -> Option<&'static str> {
        match self.customers {
            [] => None,
            customers => customers
                .get(self.random.usize(..=customers.len()))
                .copied(),
        }
    }

    /// Writes an existing item again, so that its stream gets a record of its state.
    pub fn touch(&mut self, order: &str) {
        if self.histories.get(order).is_some_and(History::exists) {
            // Perhaps only the replica's stream is still read.
            if self.write(order, Write::Private) {
                self.replicate();
            }
        }
    }

    fn put(&mut self, order: &str, mut item: Item) {
        let now = self.world.epoch_millis();
        item.written(now, &mut self.random);
        self.histories
            .entry(order.to_owned())
            .or_default()
            .written(&item, now);
        if self.has_replica {
            self.replicated
                .push_back((order.to_owned(), Some(item.clone()), By::Hand));
        }
        self.tables[self.live].put(order, item, &self.world);
    }

    fn delete(&mut self, order: &str, by: By) {
        let now = self.world.epoch_millis();
        let public = self.removals_are_changes && by == By::Hand;
        self.histories
            .entry(order.to_owned())
            .or_default()
            .removed(now, public);
        if self.has_replica {
            self.replicated.push_back((order.to_owned(), None, by));
        }
        self.tables[self.live].delete(order, by, &self.world);
    }

    /// Makes another table with the same items. Its stream's label may be older, because a replica may have existed before.
    pub fn copy_table(&mut self, kind: Switch) -> Arc<Stream> {
        let label = self
            .random
            .one(&["2026-11-23T00:00:00.000", "2025-03-01T00:00:00.000"]);
        let first = self.random.u64(..1_000_000);
        let mut copy = Table::new("Orders2", label, self.random.usize(1..3), first);
        for (order, item) in self.tables[self.live].items() {
            copy.put(order, item.clone(), &self.world);
        }
        let stream = Arc::clone(&copy.stream);
        self.tables.push(copy);
        match kind {
            Switch::Replica => self.has_replica = true,
            Switch::Orderly | Switch::Lagging => self.live = self.tables.len() - 1,
        }
        stream
    }

    /// Applies the oldest pending write to the replica.
    pub fn replicate(&mut self) {
        if let Some((order, item, by)) = self.replicated.pop_front()
            && let Some(replica) = self.tables.last_mut()
        {
            match item {
                Some(item) => replica.put(&order, item, &self.world),
                None => replica.delete(&order, by, &self.world),
            }
        }
    }

    /// Copies the items back to the first table, and writes that one again.
    pub fn roll_back(&mut self) {
        let items = self.tables[self.live].items().clone();
        self.live = 0;
        let gone: Vec<_> = self.tables[0].items().keys().cloned().collect();
        for order in gone.iter().filter(|order| !items.contains_key(*order)) {
            self.tables[0].delete(order, By::Hand, &self.world);
        }
        for (order, item) in items {
            self.tables[0].put(&order, item, &self.world);
        }
    }

    /// The shop waits this long before it writes another table, because AWS gives records a time in whole seconds.
    pub const SECONDS_APART: Duration = Duration::from_secs(3);
}
