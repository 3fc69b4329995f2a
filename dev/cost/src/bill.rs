//! What was used, and what that costs.

use std::ops::{Add, AddAssign};
use std::time::Duration;

use order_status_stream::prices::{READ_UNIT, REQUEST, SECOND};
use serde::Serialize;

use crate::journey::Parts;
use crate::prices::{EGRESS, WRITE_UNIT};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Lambda invocations.
    pub requests: u64,
    /// Each invocation is rounded up to a millisecond. A handshake in it counts, an Init does not.
    pub billed_ms: u64,
    /// Environments that were started.
    pub cold_starts: u64,
    /// The Init of those. It is billed like other time, since August 2025.
    pub init_ms: u64,
    /// TLS handshakes of warm environments with DynamoDB. Their time is in `billed_ms`.
    pub handshakes: u64,
    pub read_units: f64,
    pub write_units: f64,
    /// Of responses, with their heads.
    pub bytes: u64,
}

/// In USD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bill {
    /// Lambda requests.
    pub requests: f64,
    /// Lambda seconds of invocations.
    pub held: f64,
    /// Lambda seconds of cold starts.
    pub cold: f64,
    /// DynamoDB reads.
    pub reads: f64,
    /// DynamoDB writes.
    pub writes: f64,
    /// Data transfer to the internet.
    pub egress: f64,
    /// Other services.
    pub other: f64,
}

impl Usage {
    /// Adds an invocation that took `time`.
    pub fn invoked(&mut self, time: Duration) {
        self.requests += 1;
        self.billed_ms += billed(time);
    }

    /// Adds a cold start whose billed part took `time`.
    pub fn started(&mut self, time: Duration) {
        self.cold_starts += 1;
        self.init_ms += billed(time);
    }

    /// At list prices.
    pub fn bill(&self) -> Bill {
        Bill {
            requests: self.requests as f64 * REQUEST,
            held: self.billed_ms as f64 / 1000.0 * SECOND,
            cold: self.init_ms as f64 / 1000.0 * SECOND,
            reads: self.read_units * READ_UNIT,
            writes: self.write_units * WRITE_UNIT,
            egress: self.bytes as f64 * EGRESS,
            other: 0.0,
        }
    }
}

impl Bill {
    pub fn total(&self) -> f64 {
        let Self {
            requests,
            held,
            cold,
            reads,
            writes,
            egress,
            other,
        } = self;
        requests + held + cold + reads + writes + egress + other
    }

    /// The same with another price of a request, in USD.
    #[must_use]
    pub fn with_request_price(self, price: f64) -> Self {
        Self {
            requests: self.requests / REQUEST * price,
            ..self
        }
    }

    /// Scales the bill of this number of watched minutes to a million minutes.
    #[must_use]
    pub fn per_million(&self, minutes: f64) -> Self {
        let scale = 1e6 / minutes;
        Self {
            requests: self.requests * scale,
            held: self.held * scale,
            cold: self.cold * scale,
            reads: self.reads * scale,
            writes: self.writes * scale,
            egress: self.egress * scale,
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
            cold_starts: self.cold_starts + other.cold_starts,
            init_ms: self.init_ms + other.init_ms,
            handshakes: self.handshakes + other.handshakes,
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

/// Each invocation is rounded up to a millisecond.
fn billed(time: Duration) -> u64 {
    u64::try_from(time.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// How late pages showed changes, in seconds from the order's write.
#[derive(Clone, Debug, Default)]
pub struct Delays {
    /// The delay of each change that came and was shown during a visit.
    pub seen: Vec<f64>,
    /// The sums of the parts of those delays.
    pub parts: Parts,
    /// The number of changes that came during a visit that ended before they were shown.
    pub missed: usize,
}

impl Delays {
    /// Adds those of another page.
    pub fn add(&mut self, other: Self) {
        self.seen.extend(other.seen);
        self.parts += other.parts;
        self.missed += other.missed;
    }

    pub fn mean(&self) -> f64 {
        let sum: f64 = self.seen.iter().sum();
        // An empty sum is a negative zero.
        sum.abs() / self.seen.len().max(1) as f64
    }

    /// For example the median, for 0.5.
    pub fn quantile(&mut self, part: f64) -> f64 {
        self.seen.sort_by(f64::total_cmp);
        let last = self.seen.len().saturating_sub(1);
        let index = (last as f64 * part).round() as usize;
        self.seen.get(index).copied().unwrap_or_default()
    }
}
