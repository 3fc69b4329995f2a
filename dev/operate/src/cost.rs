//! What the functions and the feed cost, from the metrics that AWS keeps.
//!
//! Lambda and DynamoDB count what they bill in CloudWatch, so this works for every deployment. Not counted: Init, data transfer,
//! logs, alarms, and what other functions read of the feed's table.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat};
use cost::bill::Usage;
use order_status_stream::metrics::{Count, DIMENSION, NAMESPACE};
use serde::Serialize;

use crate::error::OperateError;

/// CloudWatch keeps values of a minute for 15 days, and values of an hour for 455 days.
const PERIOD: Duration = Duration::from_secs(3600);

/// The memory for which the prices of `cost` are.
const PRICED_MEMORY: f64 = 128.0;

/// Which deployment, and how long.
#[derive(Clone, Debug)]
pub struct Deployment {
    pub stream_function: String,
    pub projector_function: Option<String>,
    pub feed_table: String,
    /// The setting `STACK_NAME` of the functions, if they write metrics.
    pub stack: Option<String>,
    /// Of both functions, in MB.
    pub memory: f64,
    /// The last hours that are added up.
    pub hours: u32,
}

/// A sum that CloudWatch is asked for.
struct Sum<'a> {
    namespace: &'static str,
    name: &'static str,
    dimension: (&'static str, &'a str),
    add: fn(&mut Sums, f64),
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    requests: f64,
    milliseconds: f64,
    read_units: f64,
    write_units: f64,
    watched_ms: f64,
}

/// What the deployment cost, in USD at list prices.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    pub hours: u32,
    pub requests: f64,
    pub gb_seconds: f64,
    pub read_units: f64,
    pub write_units: f64,
    /// Minutes of watching: held, or between two check-ins. Missing if the functions write no metrics.
    pub watched_minutes: Option<f64>,
    pub requests_usd: f64,
    pub duration_usd: f64,
    pub reads_usd: f64,
    pub writes_usd: f64,
    pub total_usd: f64,
    pub usd_per_million_minutes: Option<f64>,
}

/// Reads the metrics of the last hours before `now`, and computes what they cost.
///
/// # Errors
///
/// [`OperateError::CloudWatch`] if a call fails.
pub async fn cost(
    client: &Client,
    deployment: &Deployment,
    now: SystemTime,
) -> Result<Cost, OperateError> {
    let queries = queries(deployment);
    let period = PERIOD * deployment.hours;
    let mut pages = client
        .get_metric_data()
        .start_time(DateTime::from(now - period))
        .end_time(DateTime::from(now))
        .set_metric_data_queries(Some(queries.iter().enumerate().map(query).collect()))
        .into_paginator()
        .send();
    let mut sums = Sums::default();
    while let Some(page) = pages.next().await {
        let page = page.map_err(OperateError::cloud_watch)?;
        sums.add(&queries, page.metric_data_results());
    }
    Ok(sums.cost(deployment))
}

fn queries(deployment: &Deployment) -> Vec<Sum<'_>> {
    let stream = Some(deployment.stream_function.as_str());
    let projector = deployment.projector_function.as_deref();
    let mut queries = Vec::new();
    for function in [stream, projector].into_iter().flatten() {
        let mut of_function = |name, add| {
            queries.push(Sum {
                namespace: "AWS/Lambda",
                name,
                dimension: ("FunctionName", function),
                add,
            });
        };
        of_function("Invocations", |sums, value| sums.requests += value);
        of_function("Duration", |sums, value| sums.milliseconds += value);
    }
    let mut of_table = |name, add| {
        queries.push(Sum {
            namespace: "AWS/DynamoDB",
            name,
            dimension: ("TableName", &deployment.feed_table),
            add,
        });
    };
    of_table("ConsumedReadCapacityUnits", |sums, value| {
        sums.read_units += value;
    });
    of_table("ConsumedWriteCapacityUnits", |sums, value| {
        sums.write_units += value;
    });
    for count in [Count::HeldTime, Count::RestTime] {
        queries.extend(deployment.stack.as_deref().map(|stack| Sum {
            namespace: NAMESPACE,
            name: count.name(),
            dimension: (DIMENSION, stack),
            add: |sums, value| sums.watched_ms += value,
        }));
    }
    queries
}

fn query((number, sum): (usize, &Sum<'_>)) -> MetricDataQuery {
    let (name, value) = sum.dimension;
    let dimension = Dimension::builder().name(name).value(value).build();
    let metric = Metric::builder()
        .namespace(sum.namespace)
        .metric_name(sum.name)
        .dimensions(dimension)
        .build();
    let seconds = i32::try_from(PERIOD.as_secs()).unwrap_or(i32::MAX);
    let stat = MetricStat::builder()
        .metric(metric)
        .period(seconds)
        .stat("Sum")
        .build();
    MetricDataQuery::builder()
        .id(format!("q{number}"))
        .metric_stat(stat)
        .build()
}

impl Sums {
    /// Adds a page of results. A result has its query's number as its id.
    fn add(&mut self, queries: &[Sum<'_>], results: &[MetricDataResult]) {
        for result in results {
            let number = result
                .id()
                .and_then(|id| id.strip_prefix('q')?.parse().ok());
            let asked = number.and_then(|number: usize| queries.get(number));
            if let Some(sum) = asked {
                (sum.add)(self, result.values().iter().sum());
            }
        }
    }

    fn cost(self, deployment: &Deployment) -> Cost {
        // The prices are for 128 MB. Other memory costs in proportion.
        let priced_ms = self.milliseconds * deployment.memory / PRICED_MEMORY;
        let bill = Usage {
            requests: self.requests as u64,
            billed_ms: priced_ms as u64,
            read_units: self.read_units,
            write_units: self.write_units,
            ..Usage::default()
        }
        .bill();
        let minutes = self.watched_ms / 60_000.0;
        let watched_minutes = (minutes > 0.0).then_some(minutes);
        Cost {
            hours: deployment.hours,
            requests: self.requests,
            gb_seconds: self.milliseconds / 1e3 * deployment.memory / 1024.0,
            read_units: self.read_units,
            write_units: self.write_units,
            watched_minutes,
            requests_usd: bill.requests,
            duration_usd: bill.held,
            reads_usd: bill.reads,
            writes_usd: bill.writes,
            total_usd: bill.total(),
            usd_per_million_minutes: watched_minutes.map(|minutes| bill.total() / minutes * 1e6),
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("Lambda requests", self.requests, self.requests_usd),
            ("Lambda GB-seconds", self.gb_seconds, self.duration_usd),
            ("DynamoDB read units", self.read_units, self.reads_usd),
            ("DynamoDB write units", self.write_units, self.writes_usd),
        ];
        for (what, quantity, usd) in rows {
            writeln!(f, "{what:<22}{quantity:>14.1}{usd:>12.4} USD")?;
        }
        let total = format!("total of {} hours", self.hours);
        write!(f, "{total:<36}{:>12.4} USD", self.total_usd)?;
        if let (Some(minutes), Some(usd)) = (self.watched_minutes, self.usd_per_million_minutes) {
            write!(f, "\n{:<22}{minutes:>14.1}", "watched minutes")?;
            write!(f, "\n{:<36}{usd:>12.2} USD", "a million watched minutes")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
