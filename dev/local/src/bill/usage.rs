//! What was used, and what it costs.

use order_status_stream::prices::{READ_UNIT, REQUEST, SECOND};
use serde::Serialize;

/// What was used within the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Used {
    pub requests: u64,
    /// Each response is rounded up to a millisecond.
    pub held_ms: u64,
    pub read_units: f64,
    /// The sum over all open pages.
    pub watched_ms: u64,
}

/// In USD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Price {
    pub requests: f64,
    pub held: f64,
    pub reads: f64,
    pub total: f64,
}

/// A part of the bill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    #[serde(flatten)]
    pub used: Used,
    pub usd: Price,
    /// Nobody may have watched.
    pub per_million_minutes: Option<Price>,
}

impl std::ops::Add for Used {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            held_ms: self.held_ms + other.held_ms,
            read_units: self.read_units + other.read_units,
            watched_ms: self.watched_ms + other.watched_ms,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a minute's counts fit a double")]
impl Used {
    /// What it costs.
    #[must_use]
    pub fn priced(self) -> Part {
        let [requests, held, reads] = [
            self.requests as f64 * REQUEST,
            self.held_ms as f64 / 1000.0 * SECOND,
            self.read_units * READ_UNIT,
        ];
        let usd = Price {
            requests,
            held,
            reads,
            total: requests + held + reads,
        };
        let minutes = self.watched_ms as f64 / 60_000.0;
        Part {
            used: self,
            usd,
            per_million_minutes: (self.watched_ms > 0).then(|| usd.scaled(1e6 / minutes)),
        }
    }
}

impl Price {
    fn scaled(self, by: f64) -> Self {
        Self {
            requests: self.requests * by,
            held: self.held * by,
            reads: self.reads * by,
            total: self.total * by,
        }
    }
}
