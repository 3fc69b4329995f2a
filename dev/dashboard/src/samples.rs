//! The values of metrics in log lines of CloudWatch's embedded metric format (EMF).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The name of a metric, with its one dimension.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metric {
    pub namespace: String,
    pub name: String,
    pub dimension: String,
    pub value: String,
}

/// What was measured, and when, in milliseconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    by_metric: BTreeMap<Metric, Vec<(u64, f64)>>,
    first: u64,
    last: u64,
}

/// A line that CloudWatch would ignore.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("line {line} of the log is not a valid line of metrics: {reason}")]
pub struct LogError {
    pub line: usize,
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    timestamp: u64,
    cloud_watch_metrics: Vec<Directive>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: String,
    dimensions: Vec<Vec<String>>,
    metrics: Vec<Definition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(f64),
    Many(Vec<f64>),
}

impl Samples {
    /// Reads the lines of a log. Lines without metrics are skipped.
    ///
    /// # Errors
    ///
    /// A line has the format's metadata, and is invalid.
    pub fn read(log: &str) -> Result<Self, LogError> {
        let mut samples = Self::default();
        for (index, line) in log.lines().enumerate() {
            if line.contains(r#""_aws""#) {
                samples.line(line).map_err(|reason| LogError {
                    line: index + 1,
                    reason,
                })?;
            }
        }
        Ok(samples)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let mut root: Map<String, Value> = parse(line)?;
        let metadata: Metadata = value(root.remove("_aws").unwrap_or_default())?;
        let at = metadata.timestamp;
        let empty = self.by_metric.is_empty();
        self.first = if empty { at } else { self.first.min(at) };
        self.last = self.last.max(at);
        for directive in metadata.cloud_watch_metrics {
            for dimensions in &directive.dimensions {
                let [dimension] = dimensions.as_slice() else {
                    return Err("a metric must have one dimension".to_owned());
                };
                let of = root.get(dimension).and_then(Value::as_str);
                let of = of.ok_or_else(|| format!("{dimension} has no value"))?;
                for Definition { name } in &directive.metrics {
                    let metric = Metric {
                        namespace: directive.namespace.clone(),
                        name: name.clone(),
                        dimension: dimension.clone(),
                        value: of.to_owned(),
                    };
                    let found = root.get(name).cloned();
                    let found = found.ok_or_else(|| format!("{name} has no value"))?;
                    let values = match value(found).map_err(|error| format!("{name}: {error}"))? {
                        Values::One(one) => vec![one],
                        Values::Many(many) => many,
                    };
                    let samples = self.by_metric.entry(metric).or_default();
                    samples.extend(values.into_iter().map(|value| (at, value)));
                }
            }
        }
        Ok(())
    }

    /// Whether the metric has a value at any time.
    pub fn has(&self, metric: &Metric) -> bool {
        self.by_metric.contains_key(metric)
    }

    /// The values of a metric in each period of so many seconds, by the period's number. CloudWatch's periods begin at whole
    /// multiples since the epoch. Here the first one begins with the log, and one that the log does not complete is left out,
    /// so that a short run has no partial period, which would look like a decline.
    pub fn by_period(&self, metric: &Metric, seconds: u64) -> BTreeMap<u64, Vec<f64>> {
        let mut periods: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (at, value) in self.by_metric.get(metric).into_iter().flatten() {
            let period = (at - self.first) / 1000 / seconds;
            if period < self.periods(seconds) {
                periods.entry(period).or_default().push(*value);
            }
        }
        periods
    }

    /// How many complete periods of so many seconds the log has.
    pub fn periods(&self, seconds: u64) -> u64 {
        (self.last - self.first) / 1000 / seconds
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn value<T: for<'a> Deserialize<'a>>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}
