//! Some minutes of a shop: the real functions on the stand-in for Lambda, orders, and customers who watch them.
//!
//! - A third of the time there is a rush: three times as many orders.
//! - Some requests are refused: expired tokens, tokens of other orders, malformed ids, unknown cursors.
//! - Late in the run, DynamoDB fails for [`OUTAGE`].
//!
//! What the stand-in and the database count as AWS does (invocations and their duration, capacity units) is written in the same
//! format as the functions' metrics, under AWS's names.

mod account;
mod customers;

use std::error::Error;
use std::future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use lambda_stand_in::{Builder, Function};
use local::dynamo::{Dynamo, FEED, create_tables};
use local::event_source::{EventSource, Settings};
use local::issuer::Issuer;
use local::meter::Meter;
use local::shop::{Shop, ShopError, Status};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use account::{Account, Capacity};
use customers::Customers;

/// The name of the stack in the metrics.
pub const STACK: &str = "order-status-stream";

/// How long DynamoDB fails.
pub const OUTAGE: Duration = Duration::from_secs(20);

/// When the outage begins, as a part of the run.
const OUTAGE_AT: f64 = 0.72;

/// The rush, as parts of the run.
const RUSH: std::ops::Range<f64> = 0.3..0.6;

/// The mean time between two orders, in seconds: usually, and in the rush.
const BETWEEN_ORDERS: (f64, f64) = (10.0, 3.5);

/// How long an order stays in each status on average, in seconds.
const DWELLS: [f64; 5] = [8.0, 15.0, 40.0, 60.0, 30.0];

/// One order in this number is cancelled, and one gets a note that customers must not see.
const RARE: usize = 8;

/// The functions' timeouts in template.yaml.
const TIMEOUTS: (Duration, Duration) = (Duration::from_secs(90), Duration::from_secs(60));

pub type BoxError = Box<dyn Error + Send + Sync>;

/// Everything that runs.
pub struct Stage {
    _dynamo: Dynamo,
    meter: Meter,
    capacity: Arc<Capacity>,
    stream: Arc<Function>,
    projector: Arc<Function>,
    event_source: EventSource<Arc<Function>>,
    shop: Shop,
    issuer: Issuer,
}

impl Stage {
    /// Starts the binaries `projector` and `stream` of a folder.
    ///
    /// # Errors
    ///
    /// A part does not start.
    pub async fn start(functions: &Path) -> Result<Self, BoxError> {
        let dynamo = Dynamo::start("127.0.0.1:0").await?;
        let stream_arn = create_tables(&dynamo.client()).await?;
        let capacity = Arc::new(Capacity::default());
        let counted = Arc::clone(&capacity);
        let meter = Meter::start(dynamo.endpoint(), move |call| counted.count(call)).await?;
        let issuer = Issuer::new(Algorithm::ES256, "local")?;
        let stream = function(functions, "stream", &meter).timeout(TIMEOUTS.0);
        let projector = function(functions, "projector", &meter).timeout(TIMEOUTS.1);
        let projector = Arc::new(projector.start().await?);
        Ok(Self {
            stream: Arc::new(stream.env("JWKS", issuer.jwks()?).start().await?),
            event_source: EventSource {
                streams: dynamo.streams(),
                stream_arn,
                function: Arc::clone(&projector),
                settings: Settings::default(),
                metrics: Arc::default(),
                clock: Arc::default(),
            },
            projector,
            shop: Shop::new(dynamo.client()),
            _dynamo: dynamo,
            meter,
            capacity,
            issuer,
        })
    }

    /// Runs everything for a time, and returns the lines with metrics.
    ///
    /// # Errors
    ///
    /// A part of it failed.
    pub async fn run(self, duration: Duration) -> Result<Vec<String>, BoxError> {
        let account = Account {
            functions: [
                ("StreamFunction", Arc::clone(&self.stream)),
                ("ProjectorFunction", Arc::clone(&self.projector)),
            ],
            capacity: self.capacity,
        };
        let customers = Customers::new(self.stream.url(), self.issuer)?;
        // A second more, so that the last minute is complete.
        let end = Instant::now() + duration + Duration::from_secs(1);
        let mut lines = tokio::select! {
            failed = self.event_source.run(future::pending()) => return Err(ended(failed.err())),
            failed = sell(self.shop, customers.clone(), duration) => return Err(ended(failed.err())),
            failed = customers.intrude() => return Err(ended(failed.err())),
            never = fail(self.meter, duration) => match never {},
            lines = account.keep(end) => lines,
        };
        for function in [&self.stream, &self.projector] {
            let logs = function.logs().into_iter();
            lines.extend(logs.filter(|line| line.contains(r#""_aws""#)));
        }
        Ok(lines)
    }
}

fn ended(error: Option<impl Into<BoxError>>) -> BoxError {
    error.map_or_else(|| "a part of the stage has ended".into(), Into::into)
}

fn function(folder: &Path, name: &str, meter: &Meter) -> Builder {
    Function::builder(folder.join(name))
        .env("FEED_TABLE", FEED)
        .env("PUBLIC_ATTRIBUTES", "eta,carrier,trackingUrl")
        .env("STACK_NAME", STACK)
        .env("AWS_ENDPOINT_URL_DYNAMODB", meter.endpoint())
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
}

/// Places orders, each with its customers, for ever.
async fn sell(
    shop: Shop,
    customers: Customers,
    duration: Duration,
) -> Result<std::convert::Infallible, ShopError> {
    let start = Instant::now();
    let mut orders = JoinSet::new();
    loop {
        let order = shop.place().await?.order_id;
        customers.watch(&order);
        orders.spawn(live(shop.clone(), order));
        while let Some(lived) = orders.try_join_next() {
            lived.unwrap_or(Ok(()))?;
        }
        let part = start.elapsed().as_secs_f64() / duration.as_secs_f64();
        let rush = RUSH.contains(&part);
        let mean = if rush {
            BETWEEN_ORDERS.1
        } else {
            BETWEEN_ORDERS.0
        };
        sleep(about(mean)).await;
    }
}

/// The life of an order.
async fn live(shop: Shop, order: String) -> Result<(), ShopError> {
    let cancelled_in = fastrand::usize(..DWELLS.len() * RARE);
    let noted_in = fastrand::usize(..DWELLS.len() * RARE / 2);
    for (step, mean) in DWELLS.into_iter().enumerate() {
        sleep(about(mean)).await;
        if step == noted_in {
            shop.remark(&order, "customer called, all is well").await?;
        }
        if step == cancelled_in {
            shop.cancel(&order).await?;
            return Ok(());
        }
        let order = shop.advance(&order).await?;
        debug_assert!(Status::parse(&order.status).is_some());
    }
    Ok(())
}

async fn fail(meter: Meter, duration: Duration) -> std::convert::Infallible {
    sleep_until(Instant::now() + duration.mul_f64(OUTAGE_AT)).await;
    meter.refuse(true);
    sleep(OUTAGE).await;
    meter.refuse(false);
    future::pending().await
}

/// A time around a mean, in seconds.
fn about(mean: f64) -> Duration {
    Duration::from_secs_f64(mean * (0.5 + fastrand::f64()))
}
