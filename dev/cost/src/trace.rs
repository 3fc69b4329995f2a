//! A trace: what happened to orders, and who watched them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Times are counted from a common start.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The file's name without `-changes.csv`.
    pub name: String,
    /// Each order's changes, in order.
    pub orders: BTreeMap<String, Vec<Change>>,
    /// In the order in which they begin.
    pub visits: Vec<Visit>,
}

/// An order got a status.
#[derive(Clone, Debug)]
pub struct Change {
    pub at: Duration,
    pub status: String,
}

/// A page showed an order.
#[derive(Clone, Debug)]
pub struct Visit {
    pub order: String,
    pub opens: Duration,
    pub closes: Duration,
}

/// The number of groups (folds) that orders are split into. Each fold runs with what was learned from the other folds.
pub const FOLDS: usize = 4;

impl Trace {
    /// Reads two CSV files: `order,t,status`, and `order,opens,closes`.
    ///
    /// # Errors
    ///
    /// A file or one of its lines cannot be read. The error names it.
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

    /// The time of the last change or the end of the last visit.
    pub fn span(&self) -> Duration {
        let changes = self.orders.values().flatten().map(|change| change.at);
        let visits = self.visits.iter().map(|visit| visit.closes);
        changes.chain(visits).max().unwrap_or_default()
    }

    pub fn changes(&self, order: &str) -> &[Change] {
        self.orders.get(order).map_or(&[], Vec::as_slice)
    }

    /// When an order is finished. `None` if it never is.
    pub fn finished(&self, order: &str) -> Option<Duration> {
        let mut changes = self.changes(order).iter();
        changes
            .find(|change| is_terminal(&change.status))
            .map(|change| change.at)
    }

    /// How many minutes of unfinished orders were watched.
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

    /// The changes of the visit's order that come during the visit, up to the order's end.
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

/// The default of `TERMINAL_STATUSES`.
const TERMINAL: [&str; 5] = ["DELIVERED", "CANCELLED", "CANCELED", "RETURNED", "REFUNDED"];

fn is_terminal(status: &str) -> bool {
    TERMINAL
        .iter()
        .any(|terminal| terminal.eq_ignore_ascii_case(status))
}

/// The fold of an order, from its id.
pub fn fold(order: &str) -> usize {
    // FNV-1a, because the standard library's hasher may change.
    let hash = order.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Without mixing (splitmix64), `food-0` to `food-99` would fall into two folds.
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
        read.ok_or_else(|| {
            format!(
                "{file}, line {number}: expected {}, found {line:?}",
                header.join(",")
            )
        })?;
    }
    Ok(())
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}
