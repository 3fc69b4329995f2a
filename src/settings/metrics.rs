//! `METRICS` and `STACK_NAME`: whether metrics are written, and what tells them from those of another stack.

use super::reader::Reader;
use crate::metrics::Metrics;

/// Whether and how metrics are reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsSettings {
    /// `METRICS`: they are written.
    pub on: bool,
    /// `STACK_NAME`: the value of their dimension.
    pub stack: String,
}

impl MetricsSettings {
    /// The counts of this process. `write` gets their lines, if they are to be written.
    pub fn start(&self, write: impl Fn(String) + Send + Sync + 'static) -> Metrics {
        match self.on {
            true => Metrics::written(&self.stack, write),
            false => Metrics::default(),
        }
    }
}

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    pub(super) fn metrics(&mut self) -> MetricsSettings {
        MetricsSettings {
            on: self.one_of("METRICS", &[("on", true), ("off", false)]),
            stack: self.word("STACK_NAME", "order-status-stream"),
        }
    }
}
