//! The checks at the end, after everything has settled.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use order_status_stream::customer::CustomerId;
use order_status_stream::dwell::Dwells;
use order_status_stream::feed::Entry;

use crate::client::Client;
use crate::feed::Storage;
use crate::journal::Line;
use crate::model::{History, State};
use crate::plan::{ALWAYS_PUBLIC, Plan, SOMETIMES_PUBLIC};
use crate::run::order_id;
use crate::shop::Shop;
use crate::world::{Kind, World};

/// The log contains what the shop wrote.
///
/// If two streams deliver changes of an order at the same time, only its last state is promised. `exact` is false then.
pub fn log(world: &World, storage: &Storage, shop: &Shop, exact: bool) {
    for (order, history) in &shop.histories {
        let lines = storage.journal.lines(order);
        dense(world, &lines, exact);
        if exact {
            each_state(world, order, &lines, shop);
        }
        last_state(world, order, &lines, history);
    }
    for order in storage.journal.orders() {
        if !shop.histories.contains_key(&order) {
            world.finding(
                Kind::Other,
                format!("{order} is in the log, and the shop never wrote it"),
            );
        }
    }
}

/// Numbers are dense, positions increase, and neighbours differ.
fn dense(world: &World, lines: &[Line], exact: bool) {
    for (index, line) in (1..).zip(lines) {
        if line.entry.seq.0 != index {
            world.finding(
                Kind::Disordered,
                format!(
                    "{} {} has the place {index} in the log",
                    line.entry.order, line.entry.seq
                ),
            );
        }
    }
    for pair in lines.windows(2) {
        let (before, after) = (&pair[0].entry, &pair[1].entry);
        let begins = after.previous.is_none();
        let name = format!("{} {}", after.order, after.seq);
        // An expired entry is no longer read, so the next one may equal it.
        let is_read = before
            .expires_at
            .is_none_or(|at| at * 1000 > after.appended_at);
        let same = before.status == after.status
            && before.view == after.view
            && before.customer_id() == after.customer_id();
        if is_read && !begins && same {
            world.finding(Kind::Doubled, format!("{name} equals the entry before it"));
        }
        if !begins && after.previous.as_ref() != Some(&before.status) {
            world.finding(
                Kind::Disordered,
                format!("{name} has the wrong previous status"),
            );
        }
        let (old, new) = (before.position.as_str(), after.position.as_str());
        if old.rsplit_once('/').map(|(source, _)| source)
            == new.rsplit_once('/').map(|(source, _)| source)
            && old >= new
        {
            world.finding(
                Kind::Disordered,
                format!("{name} comes from an earlier record"),
            );
        }
        if exact && old == new {
            world.finding(Kind::Doubled, format!("{name} comes from the same record"));
        }
    }
}

fn matches(entry: &Entry, state: &State) -> bool {
    let shown = |name: &str| entry.view.contains_key(name) || !state.attributes.contains_key(name);
    let same = entry.view.iter().all(|(name, value)| {
        let public = ALWAYS_PUBLIC.contains(&name.as_str()) || name == SOMETIMES_PUBLIC;
        public && state.attributes.get(name) == Some(value)
    });
    let customer = entry.customer_id().map(CustomerId::as_str);
    entry.status.as_str() == state.status
        && customer == state.customer
        && same
        && ALWAYS_PUBLIC.iter().all(|name| shown(name))
}

/// Each state has one entry, in order. An entry may repeat a state if a deployment changed the public attributes.
fn each_state(world: &World, order: &str, lines: &[Line], shop: &Shop) {
    let history = &shop.histories[order];
    let mut states = history.states.iter();
    let mut current: Option<&State> = None;
    for (index, Line { entry, .. }) in lines.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| &lines[before].entry);
        let next = states.clone().next();
        if let Some(next) = next.filter(|next| matches(entry, next)) {
            states.next();
            let begins = current.is_none_or(|current| current.life != next.life);
            if begins == entry.previous.is_some() {
                let text = format!("{order} {} mixes two lives of the id", entry.seq);
                world.finding(Kind::Other, text);
            }
            current = Some(next);
            if entry.at != next.at {
                world.finding(
                    Kind::Other,
                    format!(
                        "{order} {} has the time {}, expected {}",
                        entry.seq, entry.at, next.at
                    ),
                );
            }
        } else if !may_repeat(before, entry, shop)
            || !current.is_some_and(|current| matches(entry, current))
        {
            let view = serde_json::to_string(&entry.view).unwrap_or_default();
            let status = entry.status.as_str();
            world.finding(
                Kind::Lost,
                format!(
                    "{order} {} is {status} {view}, expected {next:?}",
                    entry.seq
                ),
            );
            return;
        }
    }
    if let Some(lost) = states.next() {
        world.finding(Kind::Lost, format!("{order} has no entry for {lost:?}"));
    }
}

/// A new life never begins with the state before it. Otherwise a state has another entry if a deployment changed what is shown, or if
/// the shop wrote it again after its entry had expired.
fn may_repeat(before: Option<&Entry>, entry: &Entry, shop: &Shop) -> bool {
    let expired_at = before.and_then(|before| before.expires_at);
    let times = expired_at.zip(entry.recorded_at);
    let had_expired = times.is_some_and(|(expired_at, recorded)| expired_at * 1000 <= recorded);
    entry.previous.is_some() && (shop.has_deployments || had_expired)
}

fn last_state(world: &World, order: &str, lines: &[Line], history: &History) {
    let (newest, state) = (lines.last().map(|line| &line.entry), history.newest());
    let same = match (newest, state) {
        (Some(newest), Some(state)) => matches(newest, state),
        (None, None) => true,
        _ => false,
    };
    if !same {
        let newest = newest.map(|newest| newest.status.as_str());
        world.finding(
            Kind::Lost,
            format!("{order} is {newest:?} at the end, expected {state:?}"),
        );
    }
}

/// The log of each customer is dense, and contains each entry of each order that is or was the customer's, once and in order.
///
/// As for [`log`], only the newest entry of each order must be there if `exact` is false.
pub fn customers(world: &World, storage: &Storage, plan: &Plan, exact: bool) {
    for customer in plan.customers {
        let log = format!("%customer/{customer}");
        let lines = storage.journal.lines(&log);
        let mut listed = BTreeMap::<String, Vec<(u64, bool)>>::new();
        for (index, line) in (1..).zip(&lines) {
            let Line { entry, .. } = line;
            if entry.number().0 != index {
                let text = format!("{log} {} has the place {index}", entry.number());
                world.finding(Kind::Disordered, text);
            }
            let of_order = listed.entry(entry.order.to_string()).or_default();
            of_order.push((entry.seq.0, entry.is_gone()));
        }
        for order in storage.journal.orders() {
            let found = listed.remove(&order).unwrap_or_default();
            let expected = expected_in(customer, &storage.journal.lines(&order));
            let right = match exact {
                true => found == expected,
                false => found.last() == expected.last() && found.is_sorted_by(|a, b| a < b),
            };
            if !right {
                let text = format!("{log} has {found:?} of {order}, expected {expected:?}");
                world.finding(Kind::Lost, text);
            }
        }
    }
}

/// The numbers of an order's entries in a customer's log, and whether they say that it is gone.
fn expected_in(customer: &str, lines: &[Line]) -> Vec<(u64, bool)> {
    let is_customer = |id: &CustomerId| id.as_str() == customer;
    let entries = lines.iter().filter_map(|Line { entry, .. }| {
        let had = entry.former.as_ref();
        let had = had.is_some_and(|place| is_customer(&place.customer));
        let has = entry.customer_id().is_some_and(is_customer);
        (had || has).then_some((entry.seq.0, had))
    });
    entries.collect()
}

/// Every dwell time that was learned is one between two writes of the shop.
pub fn dwells(world: &World, storage: &Storage, shop: &Shop, plan: &Plan) {
    if plan.switch.is_some() || !plan.deployments.is_empty() {
        // The model does not know the times of another stream's records, and of changes that a deployment makes.
        return;
    }
    let mut expected = BTreeMap::<&str, Dwells>::new();
    for history in shop.histories.values() {
        for pair in history.states.windows(2) {
            let dwell = pair[1].recorded.saturating_sub(pair[0].recorded);
            expected
                .entry(&pair[0].status)
                .or_default()
                .add(Duration::from_secs(dwell), 1.0);
        }
    }
    for (status, learned) in storage.learned() {
        let status = status.as_str();
        let known = expected.get(status).into_iter().flat_map(Dwells::filled);
        let known: BTreeSet<_> = known.map(|(bucket, _)| bucket).collect();
        let unknown = learned.filled().find(|(bucket, _)| !known.contains(bucket));
        if let Some((bucket, _)) = unknown {
            world.finding(
                Kind::Other,
                format!(
                    "a dwell time in bucket {bucket} was learned for {status}, expected one of {known:?}"
                ),
            );
        }
    }
}

/// Orders are finished exactly if their status is terminal.
pub fn ends(world: &World, storage: &Storage, shop: &Shop, terminal: &BTreeSet<String>) {
    for (order, history) in &shop.histories {
        let Some((newest, state)) = order_id(order)
            .and_then(|id| storage.newest(&id))
            .zip(history.newest())
        else {
            continue;
        };
        // Only an existing item can be touched.
        let expected = terminal.contains(&state.status) || state.status == "REMOVED";
        if history.exists() && newest.terminal != expected {
            world.finding(
                Kind::Other,
                format!(
                    "{order} is {}, but `terminal` is {}",
                    state.status, newest.terminal
                ),
            );
        }
    }
}

/// No client was sent a change of a life after the next life of the id had begun.
pub fn lives(world: &World, storage: &Storage, client: &Client) {
    let mut begins = BTreeMap::<&str, Vec<_>>::new();
    let journals: BTreeMap<_, _> = client
        .screen
        .orders
        .keys()
        .map(|order| (order, storage.journal.lines(order)))
        .collect();
    for (order, lines) in &journals {
        let starts = lines.iter().filter(|line| line.entry.previous.is_none());
        begins.insert(
            order,
            starts.map(|line| (line.entry.seq.0, line.at)).collect(),
        );
    }
    for seen in &client.screen.seen {
        let lives = begins.get(seen.order.as_str()).into_iter().flatten();
        let newer = lives
            .filter(|(seq, at)| *seq > seen.seq && *at + storage.lag() < seen.asked)
            .count();
        if newer > 0 {
            let text = format!(
                "was sent {} {}, of an earlier life of the id",
                seen.order, seen.seq
            );
            world.finding(Kind::Other, format!("{}: {text}", client.screen.name));
        }
    }
}
