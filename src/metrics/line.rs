//! A line in CloudWatch's embedded metric format. Pure.
//!
//! The specification:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use serde_json::{Map, Value, json};

use super::{Count, DIMENSION, Delay, NAMESPACE, Unit};

/// The line, without a line break at its end. `None` if there is nothing to report: a metric costs only in the hours in which it
/// has a value, so a zero is not reported either. `now` is in milliseconds since the Unix epoch.
pub(super) fn line(
    stack: &str,
    now: u64,
    counts: Vec<(Count, u64)>,
    delays: Vec<(Delay, Vec<u64>)>,
) -> Option<String> {
    if counts.is_empty() && delays.is_empty() {
        return None;
    }
    let mut root = Map::new();
    let mut metrics = Vec::new();
    let mut report = |name: &str, unit: Unit, value: Value| {
        metrics.push(json!({ "Name": name, "Unit": unit.name() }));
        root.insert(name.to_owned(), value);
    };
    for (count, number) in counts {
        report(count.name(), count.unit(), number.into());
    }
    for (delay, values) in delays {
        report(delay.name(), delay.unit(), values.into());
    }
    let directive =
        json!({ "Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": metrics });
    let metadata = json!({ "Timestamp": now, "CloudWatchMetrics": [directive] });
    root.insert(DIMENSION.to_owned(), stack.into());
    root.insert("_aws".to_owned(), metadata);
    Some(Value::Object(root).to_string())
}
