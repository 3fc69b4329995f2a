//! The frames that a session sends, without their ids. `docs/protocol.md` is their contract.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::feed::{Discontinuity, Entry, LogId};
use crate::frame::{Event, Frame};
use crate::order::{OrderId, PublicView, Seq, Status};

/// The data of a change, as clients get it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicChange<'a> {
    order_id: &'a OrderId,
    seq: Seq,
    status: &'a Status,
    previous: Option<&'a Status>,
    at: &'a str,
    attributes: &'a PublicView,
}

impl<'a> From<&'a Entry> for PublicChange<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self {
            order_id: &entry.order,
            seq: entry.seq,
            status: &entry.status,
            previous: entry.previous.as_ref(),
            at: &entry.at,
            attributes: &entry.view,
        }
    }
}

/// Removes the attributes that are not public now. They may have been public when the entry was written.
pub(crate) fn show_only(public_attributes: &BTreeSet<String>, entry: &mut Entry) {
    entry
        .view
        .retain(|name, _| public_attributes.contains(name));
}

pub(super) fn hello(retry: Duration) -> Frame {
    Frame::new(Event::Hello, "{}").retry(retry)
}

pub(super) fn change(entry: &Entry) -> Frame {
    match entry.is_gone() {
        true => gone(entry),
        false => Frame::new(Event::Change, data(&PublicChange::from(entry))),
    }
}

/// The order is no longer the customer's: its new state is not for them.
fn gone(entry: &Entry) -> Frame {
    let gone = json!({ "orderId": entry.order, "seq": entry.seq });
    Frame::new(Event::Gone, data(&gone))
}

pub(super) fn ready() -> Frame {
    Frame::new(Event::Ready, "{}")
}

/// A customer's log is all of the customer's orders, `"*"`.
pub(super) fn reset(logs: &[LogId], reason: Discontinuity) -> Frame {
    let order = |log: &LogId| match log {
        LogId::Order(order) => Some(json!(order)),
        LogId::Customer(_) => None,
    };
    let orders: Option<Vec<_>> = logs.iter().map(order).collect();
    let orders = orders.map_or_else(|| json!("*"), Value::Array);
    let reset = json!({ "orders": orders, "reason": reason });
    Frame::new(Event::Reset, data(&reset))
}

pub(super) fn end(orders: Map<String, Value>) -> Frame {
    Frame::new(Event::End, data(&json!({ "orders": orders })))
}

pub(super) fn expired() -> Frame {
    Frame::new(Event::Expired, "{}")
}

pub(super) fn rest(retry: Duration, unavailable: bool) -> Frame {
    let rest = Rest {
        retry: u64::try_from(retry.as_millis()).unwrap_or(u64::MAX),
        unavailable,
    };
    Frame::new(Event::Rest, data(&rest)).retry(retry)
}

/// The data of `rest`.
#[derive(Debug, Serialize)]
struct Rest {
    /// In milliseconds.
    retry: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unavailable: bool,
}

fn data(value: &impl Serialize) -> String {
    #[expect(
        clippy::expect_used,
        reason = "serialization to a string only fails for keys that are not text, and there are none"
    )]
    serde_json::to_string(value).expect("JSON")
}
