//! Reads the whole feed and reports what breaks its laws.
//!
//! The projector may write while the tables are read. So each difference between the two tables is read again before it is
//! reported.

mod feed;
mod orders;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use order_status_stream::settings::ProjectorSettings;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use crate::error::OperateError;
use crate::laws::{Finding, Terms};
use crate::output::Output;
use crate::tables::{Item, OrdersTable};

/// A page of a scan has up to 1 MB, and is read consistently: 256 read units.
const PAGE_UNITS: f64 = 256.0;

/// What is checked, and how fast.
#[derive(Debug)]
pub struct Check {
    pub client: Client,
    pub settings: ProjectorSettings,
    /// The Orders table. `None` if the feed alone is checked.
    pub orders: Option<OrdersTable>,
    /// Read units a second at most.
    pub rate: f64,
    pub output: Output,
}

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub entries: u64,
    pub orders: u64,
    pub findings: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            entries,
            orders,
            findings,
        } = self;
        write!(
            f,
            "{entries} entries of {orders} orders, {findings} findings"
        )
    }
}

impl Check {
    /// Reads the tables, and prints each finding and then the summary.
    ///
    /// # Errors
    ///
    /// A call fails. Run it again: it changes nothing.
    pub async fn run(&self, now: u64) -> Result<Summary, OperateError> {
        let public = &self.settings.rules.image.public_attributes;
        let terms = Terms {
            public_attributes: public.keys().cloned().collect(),
            retention: self.settings.retention,
            now,
        };
        let mut summary = Summary::default();
        let (logs, lists) = self.check_feed(&terms, &mut summary).await?;
        summary.orders = logs.newest.len() as u64;
        self.check_lists(&logs.newest, &lists, &terms, &mut summary)
            .await?;
        if let Some(orders) = &self.orders {
            self.check_orders(orders, logs, &mut summary).await?;
        }
        self.output.line(&summary);
        Ok(summary)
    }

    fn report(&self, summary: &mut Summary, finding: &Finding) {
        summary.findings += 1;
        self.output.line(finding);
    }

    fn pages(&self, table: &str) -> Pages {
        let second = Duration::from_secs(1);
        let mut ticks = interval(second.mul_f64(PAGE_UNITS / self.rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Pages {
            table: table.to_owned(),
            start: Some(None),
            ticks,
        }
    }
}

/// The pages of a consistent scan.
struct Pages {
    table: String,
    /// `None` after the last page.
    start: Option<Option<HashMap<String, AttributeValue>>>,
    ticks: tokio::time::Interval,
}

impl Pages {
    async fn next(&mut self, client: &Client) -> Result<Option<Vec<Item>>, OperateError> {
        let Some(start) = self.start.take() else {
            return Ok(None);
        };
        self.ticks.tick().await;
        let scan = client.scan().table_name(&self.table).consistent_read(true);
        let page = scan.set_exclusive_start_key(start).send().await;
        let page = page.map_err(|error| OperateError::call("Scan", error))?;
        self.start = page.last_evaluated_key.map(Some);
        Ok(Some(page.items.unwrap_or_default()))
    }
}
