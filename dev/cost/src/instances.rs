//! Managed Instances: what it costs to hold each stream on instances that are paid by the hour.

use order_status_stream::prices::{POLL, READ_UNIT, REQUEST};

use crate::bill::Bill;
use crate::compare::MESSAGE_BYTES;
use crate::prices::{
    CHECK_IN_BYTES, EGRESS, FEWEST_INSTANCES, INSTANCE_FEE, INSTANCE_HOUR, STREAMS, WAKE_HOUR,
};
use crate::trace::Trace;

/// How long a response is held (`WINDOW`), in minutes.
const WINDOW: f64 = 15.0;

/// The polls a minute without the wake: one each 500 ms (`POLL_INTERVAL`).
const POLLS: f64 = 120.0;

/// The polls a minute with the wake: one each 30 s (`WAKE_POLL_INTERVAL`).
const SLOW_POLLS: f64 = 2.0;

/// A minute of an instance, with the fee.
const MINUTE: f64 = INSTANCE_HOUR * (1.0 + INSTANCE_FEE) / 60.0;

/// What a trace asks of the instances.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub visits: f64,
    /// Minutes of held streams.
    pub minutes: f64,
    /// Changes that streams show while they are held.
    pub live: f64,
}

impl Load {
    pub fn of(trace: &Trace) -> Self {
        let live: usize = (trace.visits.iter())
            .map(|visit| trace.live(visit).len())
            .sum();
        Self {
            visits: trace.visits.len() as f64,
            minutes: trace.watch_minutes(),
            live: live as f64,
        }
    }

    /// Each instance holds [`STREAMS`] · `fill` streams all the time. Streams find changes by polls.
    pub fn polled(&self, fill: f64) -> Bill {
        Bill {
            other: self.minutes * MINUTE / (STREAMS * fill),
            ..self.reads(POLLS, 0.0)
        }
    }

    /// The same with the wake. Its server is shared by the fewest instances, filled like the others.
    pub fn woken(&self, fill: f64) -> Bill {
        let server = WAKE_HOUR / 60.0 / FEWEST_INSTANCES;
        Bill {
            other: self.minutes * (MINUTE + server) / (STREAMS * fill),
            // A read is consistent after a message, and once the order's channel is subscribed.
            ..self.reads(SLOW_POLLS, (self.responses() + self.live) * READ_UNIT)
        }
    }

    /// The same with the wake, for a trace that lasts `minutes` and has at most `peak` streams at a time.
    pub fn woken_for(&self, minutes: f64, peak: f64) -> Bill {
        let instances = (peak / STREAMS).ceil().max(FEWEST_INSTANCES);
        Bill {
            other: minutes * (instances * MINUTE + WAKE_HOUR / 60.0),
            ..self.woken(1.0)
        }
    }

    fn responses(&self) -> f64 {
        self.visits + self.minutes / WINDOW
    }

    /// A request for each response, a poll at its beginning, and then `polls` a minute.
    fn reads(&self, polls: f64, more: f64) -> Bill {
        let responses = self.responses();
        Bill {
            requests: responses * REQUEST,
            reads: (responses + self.minutes * polls) * POLL + more,
            egress: (responses * CHECK_IN_BYTES + self.live * MESSAGE_BYTES) * EGRESS,
            ..Bill::default()
        }
    }
}

/// How full the instances must be for this price of a million watched minutes, with the wake. 1 is full.
pub fn fill_of(load: &Load, price: f64) -> f64 {
    let full = load.woken(1.0).per_million(load.minutes);
    full.other / (price - (full.total() - full.other))
}
