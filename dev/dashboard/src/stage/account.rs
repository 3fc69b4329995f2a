//! What AWS would count: invocations, their duration, and capacity units, a line a minute.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_stand_in::{Function, Stats};
use local::dynamo::FEED;
use local::meter::Call;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

const MINUTE: Duration = Duration::from_secs(60);

/// Capacity units since the last line: read, and written.
#[derive(Debug, Default)]
pub(super) struct Capacity(Mutex<(f64, f64)>);

impl Capacity {
    pub(super) fn count(&self, call: Call<'_>) {
        if call.body["TableName"] != FEED {
            return;
        }
        let mut units = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = ["Query", "GetItem"]
            .iter()
            .any(|it| call.target.ends_with(it));
        *(if read { &mut units.0 } else { &mut units.1 }) += call.units;
    }

    fn take(&self) -> (f64, f64) {
        let mut units = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *units)
    }
}

pub(super) struct Account {
    /// With their names in template.yaml.
    pub(super) functions: [(&'static str, Arc<Function>); 2],
    pub(super) capacity: Arc<Capacity>,
}

impl Account {
    /// Writes lines until `end`, and returns them. The first and the last one mark the beginning and the end.
    pub(super) async fn keep(self, end: Instant) -> Vec<String> {
        let mut before = [Stats::default(); 2];
        let mut lines = Vec::new();
        let mut minute = Instant::now();
        self.write(millis(SystemTime::now()), &mut before, &mut lines);
        while minute + MINUTE <= end {
            // A time within the minute of which the lines tell.
            let at = millis(SystemTime::now() + MINUTE / 2);
            minute += MINUTE;
            sleep_until(minute).await;
            self.write(at, &mut before, &mut lines);
        }
        sleep_until(end).await;
        self.write(millis(SystemTime::now()), &mut before, &mut lines);
        lines
    }

    /// Writes what was counted since `before`.
    fn write(&self, at: u64, before: &mut [Stats; 2], lines: &mut Vec<String>) {
        for ((name, function), before) in self.functions.iter().zip(before) {
            let now = function.stats();
            let values = [
                ("Invocations", (now.started - before.started) as f64),
                ("Duration", (now.billed_ms - before.billed_ms) as f64),
            ];
            lines.push(line("AWS/Lambda", ("FunctionName", name), at, &values));
            *before = now;
        }
        let (read, written) = self.capacity.take();
        let values = [
            ("ConsumedReadCapacityUnits", read),
            ("ConsumedWriteCapacityUnits", written),
        ];
        lines.push(line(
            "AWS/DynamoDB",
            ("TableName", "FeedTable"),
            at,
            &values,
        ));
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn line(namespace: &str, of: (&str, &str), at: u64, values: &[(&str, f64)]) -> String {
    let metrics: Vec<_> = values.iter().map(|it| json!({ "Name": it.0 })).collect();
    let directive = json!({ "Namespace": namespace, "Dimensions": [[of.0]], "Metrics": metrics });
    let mut root = json!({ "_aws": { "Timestamp": at, "CloudWatchMetrics": [directive] } });
    root[of.0] = of.1.into();
    for (name, value) in values {
        root[name] = Value::from(*value);
    }
    root.to_string()
}
