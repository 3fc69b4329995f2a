//! What a function used, and what that costs.

use std::ops::{Add, AddAssign};
use std::time::Duration;

use crate::prices;
use serde::Serialize;

/// What was used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Invocations.
    pub requests: u64,
    /// Milliseconds, each invocation's rounded up.
    pub billed_ms: u64,
    /// DynamoDB read request units.
    pub read_units: f64,
    /// DynamoDB write request units.
    pub write_units: f64,
    /// Bytes of responses' bodies.
    pub bytes: u64,
}

/// What it costs, in USD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bill {
    /// Of Lambda's requests.
    pub requests: f64,
    /// Of Lambda's seconds.
    pub held: f64,
    /// Of DynamoDB's reads.
    pub reads: f64,
    /// Of DynamoDB's writes.
    pub writes: f64,
    /// Of another service.
    pub other: f64,
}

impl Usage {
    /// An invocation that took so long.
    pub fn invoked(&mut self, time: Duration) {
        self.requests += 1;
        self.billed_ms += u64::try_from(time.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
    }

    /// At list prices.
    pub fn bill(&self) -> Bill {
        Bill {
            requests: self.requests as f64 * prices::REQUEST,
            held: self.billed_ms as f64 / 1000.0 * prices::SECOND,
            reads: self.read_units * prices::READ_UNIT,
            writes: self.write_units * prices::WRITE_UNIT,
            other: 0.0,
        }
    }
}

impl Bill {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.requests + self.held + self.reads + self.writes + self.other
    }

    /// For each million watched minutes, where this is for so many.
    #[must_use]
    pub fn per_million(&self, minutes: f64) -> Self {
        let scale = 1e6 / minutes;
        Self {
            requests: self.requests * scale,
            held: self.held * scale,
            reads: self.reads * scale,
            writes: self.writes * scale,
            other: self.other * scale,
        }
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            billed_ms: self.billed_ms + other.billed_ms,
            read_units: self.read_units + other.read_units,
            write_units: self.write_units + other.write_units,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// How late changes were shown to those who watched, in seconds.
#[derive(Clone, Debug, Default)]
pub struct Delays {
    /// Of each change that came during a visit and was seen in it.
    pub seen: Vec<f64>,
    /// Those that came during a visit and were not seen: the page was closed first.
    pub missed: usize,
}

impl Delays {
    /// The mean.
    pub fn mean(&self) -> f64 {
        let sum: f64 = self.seen.iter().sum();
        // An empty sum is a negative zero.
        sum.abs() / self.seen.len().max(1) as f64
    }

    /// Of the delays, this part is not longer.
    pub fn quantile(&mut self, part: f64) -> f64 {
        self.seen.sort_by(f64::total_cmp);
        let last = self.seen.len().saturating_sub(1);
        let index = (last as f64 * part).round() as usize;
        self.seen.get(index).copied().unwrap_or_default()
    }
}
