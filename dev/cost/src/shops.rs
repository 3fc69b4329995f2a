//! Made-up shops, each with its own shape of dwell times. They show what a policy that was tuned on two traces gets wrong.
//!
//! `shops.json` describes the shops. This module draws the orders and visits from it, always the same.

use std::time::Duration;

use fastrand::Rng;
use serde::Deserialize;

use crate::trace::{Change, Trace, Visit};

const SHOPS: &str = include_str!("../shops.json");

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Shop {
    name: String,
    orders: usize,
    /// How long new orders come in.
    open: Seconds,
    /// In the sequence in which an order passes through them. DELIVERED follows the last one.
    statuses: Vec<(String, Dwell)>,
    /// How long a visit takes on average. `None` means until the order's end.
    visit: Option<Seconds>,
    /// The number of visits at random times, in addition to those that follow the order's placing and its changes.
    extra_visits: usize,
    /// One order in this number is watched. From the others, only dwell times are learned.
    watched_every: usize,
}

/// How long an order stays in a status.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Dwell {
    /// The median, and the standard deviation of the logarithm.
    LogNormal(Seconds, f64),
    /// The mean of an exponential distribution.
    Memoryless(Seconds),
    /// The shortest and the longest.
    Uniform(Seconds, Seconds),
    /// The first with this probability, else the second.
    Either(f64, Box<Self>, Box<Self>),
    /// Counts only from nine to five, Monday to Friday.
    WorkingHours(Box<Self>),
    /// The first, or the second from six in the evening to midnight.
    ByTimeOfDay(Box<Self>, Box<Self>),
    /// Orders leave one by one, in the sequence in which they came, with this time between them.
    Queue(Seconds),
    /// The order never changes again.
    Never,
}

/// In the file, text such as `10m`.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Seconds(f64);

impl TryFrom<String> for Seconds {
    type Error = humantime::DurationError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        humantime::parse_duration(&text).map(|duration| Self(duration.as_secs_f64()))
    }
}

/// The traces of all shops.
///
/// # Errors
///
/// `shops.json` cannot be read.
pub fn traces() -> Result<Vec<Trace>, String> {
    let shops: Vec<Shop> =
        serde_json::from_str(SHOPS).map_err(|error| format!("shops.json: {error}"))?;
    Ok(shops.iter().map(Shop::trace).collect())
}

impl Shop {
    fn trace(&self) -> Trace {
        let mut random = Rng::with_seed(2026);
        let mut trace = Trace {
            name: self.name.clone(),
            ..Trace::default()
        };
        let mut placed: Vec<_> = (0..self.orders)
            .map(|_| random.f64() * self.open.0)
            .collect();
        placed.sort_by(f64::total_cmp);
        for (number, at) in placed.into_iter().enumerate() {
            let order = format!("order-{number}");
            let changes = self.changes(number, at, &mut random);
            if number % self.watched_every == 0 {
                let visits = self.visits(&changes, &mut random).into_iter();
                trace.visits.extend(visits.map(|(opens, closes)| Visit {
                    order: order.clone(),
                    opens: Duration::from_secs_f64(opens),
                    closes: Duration::from_secs_f64(closes),
                }));
            }
            let changes = changes.into_iter().map(|(at, status)| Change {
                at: Duration::from_secs_f64(at),
                status: status.to_owned(),
            });
            trace.orders.insert(order, changes.collect());
        }
        trace.visits.sort_by_key(|visit| visit.opens);
        trace
    }

    fn changes(&self, number: usize, placed: f64, random: &mut Rng) -> Vec<(f64, &str)> {
        let mut at = placed;
        let mut changes = Vec::new();
        for (status, dwell) in &self.statuses {
            changes.push((at, status.as_str()));
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
        let Some(Seconds(mean)) = self.visit else {
            return vec![(opened[0], end.max(opened[0]) + MINUTE)];
        };
        // A notification brings half of the customers back.
        for (at, _) in &changes[1..] {
            if random.bool() {
                opened.push(at + 5.0 + exponential(MINUTE, random));
            }
        }
        opened.extend((0..self.extra_visits).map(|_| placed + random.f64() * (end - placed)));
        let visits = opened
            .into_iter()
            .map(|opens| (opens, opens + 2.0 + exponential(mean, random)));
        visits.collect()
    }
}

impl Dwell {
    /// When a status ends that began at `from`. Times are seconds since the trace's start, which is Monday, midnight.
    fn end(&self, from: f64, number: usize, random: &mut Rng) -> Option<f64> {
        Some(match self {
            Self::LogNormal(median, deviation) => {
                from + median.0 * (deviation * normal(random)).exp()
            }
            Self::Memoryless(mean) => from + exponential(mean.0, random),
            Self::Uniform(least, most) => from + least.0 + random.f64() * (most.0 - least.0),
            Self::Either(chance, one, other) => match random.f64() < *chance {
                true => one.end(from, number, random)?,
                false => other.end(from, number, random)?,
            },
            Self::WorkingHours(dwell) => worked(from, dwell.end(from, number, random)? - from),
            Self::ByTimeOfDay(day, evening) => match from % DAY < 18.0 * HOUR {
                true => day.end(from, number, random)?,
                false => evening.end(from, number, random)?,
            },
            Self::Queue(apart) => from.max((number + 1) as f64 * apart.0),
            Self::Never => return None,
        })
    }
}

/// When `work` seconds of working hours have passed since `from`.
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

/// The Box-Muller transform.
fn normal(random: &mut Rng) -> f64 {
    let (radius, angle) = (exponential(2.0, random).sqrt(), random.f64());
    radius * (angle * std::f64::consts::TAU).cos()
}
