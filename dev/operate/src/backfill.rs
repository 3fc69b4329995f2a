//! Touches orders, so that the projector sees them: orders older than the feed, and those whose records were given up.
//!
//! A touch writes one private attribute. The projector appends an entry only if the public sees a difference. So a second touch
//! does no harm.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{SecondsFormat, Utc};
use order_status_stream::feed::Feed;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::order::OrderId;
use order_status_stream::projector::Path;
use order_status_stream::settings::ProjectorSettings;
use serde::Serialize;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::checkpoint::Checkpoint;
use crate::error::OperateError;
use crate::output::{Output, Progress};
use crate::tables::{Item, OrdersTable};

/// After this many orders, the checkpoint is written.
const CHECKPOINT_EACH: u64 = 50;

/// Where the ids come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Every order of the table.
    Table,
    /// These. An order whose key is not given is looked for.
    Ids {
        name: String,
        ids: Vec<String>,
        keys: BTreeMap<String, Item>,
    },
}

/// How orders are touched.
#[derive(Debug)]
pub struct Backfill {
    pub client: Client,
    pub settings: ProjectorSettings,
    pub orders: OrdersTable,
    pub source: Source,
    /// The attribute that a touch writes.
    pub attribute: String,
    /// Orders a second at most.
    pub rate: f64,
    /// Touches orders that have a log too.
    pub all: bool,
    /// Only counts what would be touched.
    pub dry_run: bool,
    pub checkpoint: Option<PathBuf>,
    pub output: Output,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub touched: u64,
    /// Orders that have a log already.
    pub known: u64,
    /// Ids of which there is no order.
    pub missing: u64,
    /// Ids that the stream function does not accept.
    pub invalid: u64,
    pub dry_run: bool,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.dry_run {
            true => "would be touched",
            false => "touched",
        };
        let Self {
            touched,
            known,
            missing,
            invalid,
            ..
        } = self;
        write!(
            f,
            "{touched} {verb}, {known} in the feed already, {missing} not found, {invalid} invalid ids"
        )
    }
}

impl Backfill {
    /// Touches the orders, and prints the summary.
    ///
    /// # Errors
    ///
    /// A call fails. Run it again with the same checkpoint: it goes on where it stopped.
    pub async fn run(&self) -> Result<Summary, OperateError> {
        self.check_attribute()?;
        let of = format!("{} {}", self.orders.name, self.source.name());
        let checkpoint = self.checkpoint.as_deref();
        let mut run = Run {
            feed: DynamoDbFeed::new(self.client.clone(), &self.settings.feed_table),
            checkpoint: checkpoint
                .map(|path| Checkpoint::open(path, &of))
                .transpose()?,
            summary: Summary {
                dry_run: self.dry_run,
                ..Summary::default()
            },
            progress: Progress::new("orders", Some(self.source.len(&self.orders))),
            ticks: ticks(self.rate),
            handled: 0,
        };
        match &self.source {
            Source::Table => self.touch_table(&mut run).await?,
            Source::Ids { ids, keys, .. } => self.touch_ids(ids, keys, &mut run).await?,
        }
        run.progress.end();
        if let Some(checkpoint) = run.checkpoint.filter(|_| !self.dry_run) {
            checkpoint.remove();
        }
        self.output.line(&run.summary);
        Ok(run.summary)
    }

    /// The touch must not change what the projector reads.
    fn check_attribute(&self) -> Result<(), OperateError> {
        let image = &self.settings.rules.image;
        let attribute = self.attribute.as_str();
        let has = |path: &Path| path.as_str() == attribute || path.attribute() == attribute;
        let is_read = has(&image.status)
            || has(&image.updated_at)
            || image.customer.as_ref().is_some_and(has)
            || image.public_attributes.values().any(has)
            || self.orders.attributes().any(|name| name == attribute);
        match is_read {
            true => Err(OperateError::Attribute(self.attribute.clone())),
            false => Ok(()),
        }
    }

    async fn touch_table(&self, run: &mut Run) -> Result<(), OperateError> {
        let last = run.checkpoint.as_ref().and_then(Checkpoint::last);
        let mut start = last.and_then(|last| self.orders.key_at(last));
        loop {
            // A page may have no order at all.
            run.ticks.tick().await;
            let (keys, next) = self.orders.scan_keys(&self.client, start).await?;
            for key in keys {
                if let Some(id) = self.orders.id_of(&key) {
                    let mark = self.orders.mark_of(&key);
                    self.handle(&id, Some(key), &mark, run).await?;
                }
            }
            start = next;
            if start.is_none() {
                return Ok(());
            }
        }
    }

    async fn touch_ids(
        &self,
        ids: &[String],
        keys: &BTreeMap<String, Item>,
        run: &mut Run,
    ) -> Result<(), OperateError> {
        let last = run.checkpoint.as_ref().and_then(Checkpoint::last);
        let done = last.and_then(|last| ids.iter().position(|id| id == last));
        let ids = &ids[done.map_or(0, |done| done + 1)..];
        let unknown = |id: &&String| !keys.contains_key(*id) && self.orders.key_of(id).is_none();
        let unknown: BTreeSet<_> = ids.iter().filter(unknown).cloned().collect();
        let found = match unknown.is_empty() {
            true => BTreeMap::new(),
            false => self.find(&unknown, run).await?,
        };
        for id in ids {
            let key = keys.get(id).or_else(|| found.get(id)).cloned();
            let key = key.or_else(|| self.orders.key_of(id));
            self.handle(id, key, id, run).await?;
        }
        Ok(())
    }

    /// The keys of orders whose ids do not say what they are. Scans the table.
    async fn find(
        &self,
        ids: &BTreeSet<String>,
        run: &mut Run,
    ) -> Result<BTreeMap<String, Item>, OperateError> {
        let (mut found, mut start) = (BTreeMap::new(), None);
        loop {
            run.ticks.tick().await;
            let (keys, next) = self.orders.scan_keys(&self.client, start).await?;
            for key in keys {
                if let Some(id) = self.orders.id_of(&key).filter(|id| ids.contains(id)) {
                    found.insert(id, key);
                }
            }
            start = next;
            if start.is_none() {
                return Ok(found);
            }
        }
    }

    /// Touches an order, if it has a key. `mark` is where a run goes on.
    async fn handle(
        &self,
        id: &str,
        key: Option<Item>,
        mark: &str,
        run: &mut Run,
    ) -> Result<(), OperateError> {
        run.ticks.tick().await;
        match OrderId::try_from(id) {
            Err(_) => run.summary.invalid += 1,
            Ok(order) if !self.all && run.feed.newest(&order).await?.is_some() => {
                run.summary.known += 1;
            }
            Ok(_) => {
                let touched = match key {
                    Some(key) => self.touch(key).await?,
                    None => false,
                };
                match touched {
                    true => run.summary.touched += 1,
                    false => run.summary.missing += 1,
                }
            }
        }
        run.progress.add(1);
        run.handled += 1;
        if !self.dry_run
            && run.handled.is_multiple_of(CHECKPOINT_EACH)
            && let Some(checkpoint) = &mut run.checkpoint
        {
            checkpoint.save(mark)?;
        }
        Ok(())
    }

    /// Writes the attribute. False if there is no such order.
    async fn touch(&self, key: Item) -> Result<bool, OperateError> {
        if self.dry_run {
            let get = self.client.get_item().table_name(&self.orders.name);
            let found = get.set_key(Some(key)).send().await;
            let found = found.map_err(|error| OperateError::call("GetItem", error))?;
            return Ok(found.item.is_some());
        }
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let key_attribute = self.orders.attributes().next().unwrap_or_default();
        let names = [
            ("#touched", self.attribute.as_str()),
            ("#id", key_attribute),
        ];
        let names = names.map(|(name, attribute)| (name.to_owned(), attribute.to_owned()));
        let names = HashMap::from(names);
        let update = self.client.update_item().table_name(&self.orders.name);
        let update = update
            .set_key(Some(key))
            .update_expression("SET #touched = :now")
            // Otherwise the update would create the order.
            .condition_expression("attribute_exists(#id)")
            .set_expression_attribute_names(Some(names))
            .expression_attribute_values(":now", AttributeValue::S(now));
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(OperateError::call("UpdateItem", error)),
            },
        }
    }
}

/// A backfill as it runs.
struct Run {
    feed: DynamoDbFeed,
    checkpoint: Option<Checkpoint>,
    summary: Summary,
    progress: Progress,
    ticks: Interval,
    handled: u64,
}

impl Source {
    fn name(&self) -> &str {
        match self {
            Self::Table => "table",
            Self::Ids { name, .. } => name,
        }
    }

    fn len(&self, orders: &OrdersTable) -> u64 {
        match self {
            Self::Table => orders.items,
            Self::Ids { ids, .. } => ids.len() as u64,
        }
    }
}

/// The first tick is at once.
fn ticks(rate: f64) -> Interval {
    let mut ticks = interval(Duration::from_secs(1).div_f64(rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
