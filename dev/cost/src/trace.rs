//! A trace: what happened to orders, and who watched.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// What happened in a shop for a while. Times are counted from a common start.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The name of its files, less `-changes.csv`.
    pub name: String,
    /// Each order's changes, in order.
    pub orders: BTreeMap<String, Vec<Change>>,
    /// Each visit of somebody who watched.
    pub visits: Vec<Visit>,
}

/// An order came to a status.
#[derive(Clone, Debug)]
pub struct Change {
    /// When.
    pub at: Duration,
    /// Which.
    pub status: String,
}

/// A page was open.
#[derive(Clone, Debug)]
pub struct Visit {
    /// On this order.
    pub order: String,
    /// From.
    pub opens: Duration,
    /// To.
    pub closes: Duration,
}

/// Orders are dealt into so many hands. What is used on one was learned from the others.
pub const FOLDS: usize = 4;

impl Trace {
    /// Reads two CSV files: `order,t,status`, and `order,opens,closes`.
    ///
    /// # Errors
    ///
    /// Names the file, and the line that cannot be read.
    pub fn read(changes: &Path, visits: &Path) -> Result<Self, String> {
        let file_name = changes.file_name().unwrap_or_default().to_string_lossy();
        let name = file_name
            .trim_end_matches(".csv")
            .trim_end_matches("-changes");
        let mut trace = Self {
            name: name.to_owned(),
            ..Self::default()
        };
        rows(changes, ["order", "t", "status"], |[order, at, status]| {
            let changes = trace.orders.entry(order.to_owned()).or_default();
            changes.push(Change {
                at: seconds(at)?,
                status: status.to_owned(),
            });
            Some(())
        })?;
        for changes in trace.orders.values_mut() {
            changes.sort_by_key(|change| change.at);
        }
        rows(
            visits,
            ["order", "opens", "closes"],
            |[order, opens, closes]| {
                trace.visits.push(Visit {
                    order: order.to_owned(),
                    opens: seconds(opens)?,
                    closes: seconds(closes)?,
                });
                Some(())
            },
        )?;
        trace.visits.sort_by_key(|visit| visit.opens);
        Ok(trace)
    }

    /// When the last thing happens.
    pub fn span(&self) -> Duration {
        let changes = self.orders.values().flatten().map(|change| change.at);
        let visits = self.visits.iter().map(|visit| visit.closes);
        changes.chain(visits).max().unwrap_or_default()
    }

    /// The changes of an order.
    pub fn changes(&self, order: &str) -> &[Change] {
        self.orders.get(order).map_or(&[], Vec::as_slice)
    }

    /// When an order is finished, where it ever is.
    pub fn finished(&self, order: &str) -> Option<Duration> {
        let mut changes = self.changes(order).iter();
        changes
            .find(|change| TERMINAL.contains(&change.status.as_str()))
            .map(|change| change.at)
    }

    /// The minutes in which somebody watched an order that was not finished.
    pub fn watch_minutes(&self) -> f64 {
        let watched = |visit: &Visit| {
            let end = self.finished(&visit.order).unwrap_or(Duration::MAX);
            visit.closes.min(end).saturating_sub(visit.opens)
        };
        self.visits
            .iter()
            .map(watched)
            .sum::<Duration>()
            .as_secs_f64()
            / 60.0
    }

    /// Which of its order's changes come during a visit, up to the order's end.
    pub fn live(&self, visit: &Visit) -> std::ops::Range<usize> {
        let changes = self.changes(&visit.order);
        let before = |time| changes.partition_point(|change| change.at <= time);
        let end = self
            .finished(&visit.order)
            .unwrap_or(visit.closes)
            .min(visit.closes);
        before(visit.opens)..before(end).max(before(visit.opens))
    }
}

/// The settings' default.
pub const TERMINAL: [&str; 4] = ["DELIVERED", "CANCELLED", "RETURNED", "REFUNDED"];

/// Which hand an order is dealt into, by its id.
pub fn fold(order: &str) -> usize {
    // FNV-1a, for a hasher of the standard library's may change.
    let hash = order.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Its bits alone would deal `food-0` to `food-99` into two hands: those of the last letters are mixed in (splitmix64).
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    usize::try_from(mixed >> 32).unwrap_or_default() % FOLDS
}

fn rows<const N: usize>(
    path: &Path,
    header: [&str; N],
    mut row: impl FnMut([&str; N]) -> Option<()>,
) -> Result<(), String> {
    let file = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))?;
    for (number, line) in (1..).zip(text.lines()) {
        let fields: Vec<_> = line.trim().split(',').collect();
        let fields = <[&str; N]>::try_from(fields).ok();
        let read = match number {
            1 => fields.filter(|fields| *fields == header).map(drop),
            _ if line.trim().is_empty() => Some(()),
            _ => fields.and_then(&mut row),
        };
        read.ok_or_else(|| format!("{file}, line {number}: not {}: {line:?}", header.join(",")))?;
    }
    Ok(())
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}
