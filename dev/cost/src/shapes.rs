//! Made-up shops, each with its own shape of dwell times: what a policy that was tuned on two traces would get wrong.

use std::time::Duration;

use fastrand::Rng;

use crate::trace::{Change, Trace, Visit};

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

/// How long an order stays in a status, in seconds.
enum Dwell {
    /// Its median, and the standard deviation of its logarithm.
    LogNormal(f64, f64),
    /// Its mean: nothing says when it ends.
    Memoryless(f64),
    /// From, to.
    Uniform(f64, f64),
    /// The first with this chance, else the second.
    Either(f64, &'static Self, &'static Self),
    /// Counted from nine to five, Monday to Friday only.
    InWorkingHours(&'static Self),
    /// By day the first, from six in the evening to midnight the second.
    ByTimeOfDay(&'static Self, &'static Self),
    /// Orders leave one after the other, this long apart, as they came.
    Queue(f64),
    /// The order is never heard of again.
    Never,
}

use Dwell::{ByTimeOfDay, Either, InWorkingHours, LogNormal, Memoryless, Never, Queue, Uniform};

/// A shop.
struct Shape {
    name: &'static str,
    orders: usize,
    /// For so long they keep coming in.
    open_for: f64,
    statuses: &'static [(&'static str, Dwell)],
    /// How long a visit lasts on average; to the order's end where it is infinite.
    visit: f64,
    /// Visits at any time in an order's life, beside those that follow its placing and its changes.
    visits: usize,
    /// Every so many orders are watched; of the others it is learned only.
    watched: usize,
}

const SHAPES: &[Shape] = &[
    Shape {
        name: "memoryless",
        orders: 200,
        open_for: 12.0 * HOUR,
        statuses: &[
            ("PLACED", Memoryless(10.0 * MINUTE)),
            ("PACKED", Memoryless(10.0 * MINUTE)),
            ("SHIPPED", Memoryless(10.0 * MINUTE)),
        ],
        visit: 10.0 * MINUTE,
        visits: 2,
        watched: 5,
    },
    Shape {
        name: "checkout: statuses within seconds",
        orders: 400,
        open_for: 4.0 * HOUR,
        statuses: &[
            ("PLACED", LogNormal(1.5, 0.4)),
            ("PAYING", LogNormal(8.0, 0.8)),
            ("PAID", LogNormal(3.0, 0.5)),
            ("CONFIRMED", LogNormal(20.0 * MINUTE, 0.3)),
        ],
        visit: 2.0 * MINUTE,
        visits: 1,
        watched: 3,
    },
    Shape {
        name: "bimodal: at once, or by hand",
        orders: 300,
        open_for: DAY,
        statuses: &[
            (
                "PLACED",
                Either(0.7, &LogNormal(4.0, 0.5), &LogNormal(40.0 * MINUTE, 0.4)),
            ),
            (
                "PAID",
                Either(
                    0.5,
                    &LogNormal(10.0 * MINUTE, 0.3),
                    &LogNormal(5.0 * HOUR, 0.3),
                ),
            ),
            ("READY", LogNormal(30.0 * MINUTE, 0.8)),
        ],
        visit: 8.0 * MINUTE,
        visits: 2,
        watched: 8,
    },
    Shape {
        name: "weekends: nothing at night",
        orders: 300,
        open_for: 14.0 * DAY,
        statuses: &[
            ("PLACED", LogNormal(2.0 * MINUTE, 0.5)),
            ("PAID", InWorkingHours(&LogNormal(3.0 * HOUR, 0.6))),
            ("PACKED", InWorkingHours(&LogNormal(4.0 * HOUR, 0.5))),
            ("SHIPPED", InWorkingHours(&LogNormal(9.0 * HOUR, 0.4))),
        ],
        visit: 3.0 * MINUTE,
        visits: 6,
        watched: 7,
    },
    Shape {
        name: "stuck: one in five for ever",
        orders: 300,
        open_for: 2.0 * DAY,
        statuses: &[
            ("PLACED", LogNormal(1.0 * MINUTE, 0.5)),
            ("PAID", Either(0.1, &Never, &LogNormal(15.0 * MINUTE, 0.4))),
            ("READY", Either(0.1, &Never, &LogNormal(20.0 * MINUTE, 0.5))),
        ],
        visit: 20.0 * MINUTE,
        visits: 2,
        watched: 20,
    },
    Shape {
        name: "flash sale: a queue",
        orders: 1000,
        open_for: 5.0 * MINUTE,
        statuses: &[
            ("QUEUED", Queue(1.5)),
            ("PAID", LogNormal(40.0, 0.6)),
            ("PACKED", LogNormal(3.0 * HOUR, 0.5)),
        ],
        visit: 10.0 * MINUTE,
        visits: 1,
        watched: 10,
    },
    Shape {
        name: "rush hour: slow in the evening",
        orders: 300,
        open_for: 3.0 * DAY,
        statuses: &[
            (
                "PLACED",
                ByTimeOfDay(&LogNormal(30.0, 0.4), &LogNormal(5.0 * MINUTE, 0.4)),
            ),
            (
                "PREPARING",
                ByTimeOfDay(
                    &LogNormal(8.0 * MINUTE, 0.25),
                    &LogNormal(40.0 * MINUTE, 0.25),
                ),
            ),
            ("ON_ITS_WAY", LogNormal(15.0 * MINUTE, 0.4)),
        ],
        visit: f64::INFINITY,
        visits: 0,
        watched: 12,
    },
    Shape {
        name: "clockwork: a quarter of an hour each",
        orders: 200,
        open_for: 12.0 * HOUR,
        statuses: &[
            ("PLACED", Uniform(890.0, 910.0)),
            ("PACKED", Uniform(890.0, 910.0)),
            ("SHIPPED", Uniform(890.0, 910.0)),
        ],
        visit: 10.0 * MINUTE,
        visits: 3,
        watched: 6,
    },
    Shape {
        name: "uniform: some time within the hour",
        orders: 200,
        open_for: 12.0 * HOUR,
        statuses: &[
            ("PLACED", Uniform(0.0, HOUR)),
            ("SHIPPED", Uniform(0.0, HOUR)),
        ],
        visit: 15.0 * MINUTE,
        visits: 3,
        watched: 6,
    },
    Shape {
        name: "small: twenty orders",
        orders: 20,
        open_for: DAY,
        statuses: &[
            ("PLACED", LogNormal(5.0 * MINUTE, 0.7)),
            ("PACKED", LogNormal(2.0 * HOUR, 0.5)),
            ("SHIPPED", LogNormal(DAY, 0.4)),
        ],
        visit: 10.0 * MINUTE,
        visits: 10,
        watched: 1,
    },
    Shape {
        name: "left open: a tab for days",
        orders: 40,
        open_for: 2.0 * DAY,
        statuses: &[
            ("PLACED", LogNormal(10.0 * MINUTE, 0.5)),
            ("PACKED", LogNormal(6.0 * HOUR, 0.5)),
            ("SHIPPED", LogNormal(2.0 * DAY, 0.3)),
        ],
        visit: f64::INFINITY,
        visits: 0,
        watched: 20,
    },
    Shape {
        name: "seldom watched",
        orders: 2000,
        open_for: 10.0 * DAY,
        statuses: &[
            ("PLACED", LogNormal(5.0 * MINUTE, 0.5)),
            ("PACKED", LogNormal(6.0 * HOUR, 0.5)),
            ("SHIPPED", LogNormal(2.0 * DAY, 0.3)),
        ],
        visit: 20.0,
        visits: 0,
        watched: 2,
    },
];

/// All of them, always the same.
pub fn all() -> Vec<Trace> {
    SHAPES.iter().map(Shape::trace).collect()
}

impl Shape {
    fn trace(&self) -> Trace {
        let mut random = Rng::with_seed(2026);
        let mut trace = Trace {
            name: self.name.to_owned(),
            ..Trace::default()
        };
        let mut placed: Vec<_> = (0..self.orders)
            .map(|_| random.f64() * self.open_for)
            .collect();
        placed.sort_by(f64::total_cmp);
        for (number, at) in placed.into_iter().enumerate() {
            let order = format!("order-{number}");
            let changes = self.changes(number, at, &mut random);
            if number % self.watched == 0 {
                let visits = self.visits(&changes, &mut random).into_iter();
                trace.visits.extend(visits.map(|(opens, closes)| Visit {
                    order: order.clone(),
                    opens: seconds(opens),
                    closes: seconds(closes),
                }));
            }
            let changes = changes.into_iter().map(|(at, status)| Change {
                at: seconds(at),
                status: status.to_owned(),
            });
            trace.orders.insert(order, changes.collect());
        }
        trace.visits.sort_by_key(|visit| visit.opens);
        trace
    }

    fn changes(&self, number: usize, placed: f64, random: &mut Rng) -> Vec<(f64, &'static str)> {
        let mut at = placed;
        let mut changes = Vec::new();
        for (status, dwell) in self.statuses {
            changes.push((at, *status));
            match dwell.end(at, number, random) {
                Some(end) => at = end,
                None => return changes,
            }
        }
        changes.push((at, "DELIVERED"));
        changes
    }

    fn visits(&self, changes: &[(f64, &str)], random: &mut Rng) -> Vec<(f64, f64)> {
        let placed = changes[0].0;
        let delivered = changes.last().filter(|(_, status)| *status == "DELIVERED");
        let end = delivered.map_or(placed + 4.0 * HOUR, |(at, _)| *at);
        let mut opened = vec![placed + random.f64() * 3.0];
        if self.visit.is_finite() {
            // A notification brings some of them.
            for (at, _) in &changes[1..] {
                if random.bool() {
                    opened.push(at + 5.0 + exponential(MINUTE, random));
                }
            }
            opened.extend((0..self.visits).map(|_| placed + random.f64() * (end - placed)));
        }
        let visit = |opens: f64, random: &mut Rng| match self.visit.is_finite() {
            true => (opens, opens + 2.0 + exponential(self.visit, random)),
            false => (opens, end.max(opens) + MINUTE),
        };
        let visits = opened.into_iter().map(|opens| visit(opens, random));
        visits.collect()
    }
}

impl Dwell {
    /// When a status ends that began at a time, since the trace's start, a Monday's midnight.
    fn end(&self, from: f64, number: usize, random: &mut Rng) -> Option<f64> {
        let time_of_day = from % DAY;
        Some(match self {
            LogNormal(median, deviation) => from + median * (deviation * normal(random)).exp(),
            Memoryless(mean) => from + exponential(*mean, random),
            Uniform(least, most) => from + least + random.f64() * (most - least),
            Either(chance, one, other) => match random.f64() < *chance {
                true => one.end(from, number, random)?,
                false => other.end(from, number, random)?,
            },
            InWorkingHours(dwell) => worked(from, dwell.end(from, number, random)? - from),
            ByTimeOfDay(day, evening) => match time_of_day < 18.0 * HOUR {
                true => day.end(from, number, random)?,
                false => evening.end(from, number, random)?,
            },
            Queue(apart) => from.max((number + 1) as f64 * apart),
            Never => return None,
        })
    }
}

/// When so much work is done that began at a time.
fn worked(from: f64, mut work: f64) -> f64 {
    let mut day = (from / DAY).floor();
    loop {
        let opens = (day * DAY + 9.0 * HOUR).max(from);
        let left = day * DAY + 17.0 * HOUR - opens;
        if day % 7.0 < 5.0 && left > 0.0 {
            if work <= left {
                return opens + work;
            }
            work -= left;
        }
        day += 1.0;
    }
}

fn exponential(mean: f64, random: &mut Rng) -> f64 {
    -mean * (1.0 - random.f64()).ln()
}

/// Box and Muller's.
fn normal(random: &mut Rng) -> f64 {
    let (radius, angle) = (exponential(2.0, random).sqrt(), random.f64());
    radius * (angle * std::f64::consts::TAU).cos()
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
