//! What is counted, and the line that reports it in CloudWatch's embedded metric format (EMF). Pure.
//!
//! ```text
//! session, endpoint, delivery, projector ──▶ counts of the process ──once a minute at most──▶ a line on standard output
//! ```
//!
//! A line for each request would cost more than the request. So counts are added up in the process, and a line is written if the
//! last one is at least [`INTERVAL`] old: at the end of an invocation, or between two chunks of a response that is open for longer
//! than that. Lambda freezes a process between two invocations, so a timer could not do this. `docs/operations.md` lists the
//! metrics, and says what is lost.

mod delays;
mod line;
mod names;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use delays::Delays;
pub use names::{Count, Delay, Unit};

/// The namespace of the metrics in CloudWatch.
pub const NAMESPACE: &str = "OrderStatusStream";

/// The dimension of the metrics. Its value is the setting `STACK_NAME`: one set of metrics for each stack.
pub const DIMENSION: &str = "Stack";

/// The shortest time between two lines of a process.
pub const INTERVAL: Duration = Duration::from_secs(60);

/// The counts of a process. A clone adds to the same counts.
///
/// The default counts, but never writes a line.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    counts: [AtomicU64; Count::ALL.len()],
    delays: [Delays; Delay::ALL.len()],
    /// When the last line was written, in milliseconds since the Unix epoch. 0 before the first one, so it is written at once: a
    /// process that handles a few requests and is then never used again has reported something.
    written_at: AtomicU64,
    output: Option<Output>,
}

struct Output {
    stack: String,
    write: Box<dyn Fn(String) + Send + Sync>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU64::default()),
            delays: std::array::from_fn(|_| Delays::default()),
            written_at: AtomicU64::default(),
            output: None,
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Metrics")
    }
}

impl Metrics {
    /// Counts of which lines are written. `stack` is the value of [`DIMENSION`].
    pub fn written(stack: &str, write: impl Fn(String) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            output: Some(Output {
                stack: stack.to_owned(),
                write: Box::new(write),
            }),
            ..Inner::default()
        }))
    }

    /// Counts one.
    pub fn count(&self, count: Count) {
        self.add(count, 1);
    }

    /// Adds a number to a count.
    pub fn add(&self, count: Count, number: u64) {
        self.0.counts[count as usize].fetch_add(number, Ordering::Relaxed);
    }

    /// Adds a time to a count of milliseconds.
    pub fn add_time(&self, count: Count, time: Duration) {
        self.add(count, millis(time));
    }

    /// Records a delay.
    pub fn record(&self, delay: Delay, time: Duration) {
        self.0.delays[delay as usize].record(millis(time));
    }

    /// What was counted since the last line.
    pub fn of(&self, count: Count) -> u64 {
        self.0.counts[count as usize].load(Ordering::Relaxed)
    }

    /// The delays that were recorded since the last line, in milliseconds, as the next line would report them.
    pub fn delays(&self, delay: Delay) -> Vec<u64> {
        self.0.delays[delay as usize].values()
    }

    /// Writes a line, if the last one is at least [`INTERVAL`] old and something was counted since.
    pub fn flush(&self, clock: &Clock) {
        let Some(output) = &self.0.output else {
            return;
        };
        let now = clock.epoch_millis();
        let written_at = &self.0.written_at;
        let last = written_at.load(Ordering::Relaxed);
        // The machine's date may have been set back.
        if Duration::from_millis(now.abs_diff(last)) < INTERVAL {
            return;
        }
        // If two requests end at the same time, one of them writes the line.
        let claimed = written_at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed);
        if claimed.is_err() {
            return;
        }
        match self.take_line(&output.stack, now) {
            Some(line) => (output.write)(line),
            None => written_at.store(last, Ordering::Relaxed),
        }
    }

    /// Takes everything that was counted. `None` if that is nothing.
    fn take_line(&self, stack: &str, now: u64) -> Option<String> {
        let counts = Count::ALL.into_iter().filter_map(|count| {
            let number = self.0.counts[count as usize].swap(0, Ordering::Relaxed);
            (number > 0).then_some((count, number))
        });
        let delays = Delay::ALL.into_iter().filter_map(|delay| {
            let values = self.0.delays[delay as usize].take();
            (!values.is_empty()).then_some((delay, values))
        });
        line::line(stack, now, counts.collect(), delays.collect())
    }
}

fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}
