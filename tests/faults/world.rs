//! The system under one fault: a database, both functions, the event source and the watchers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use http::{Response, StatusCode};
use jsonwebtoken::Algorithm;
use lambda_stand_in::{Builder, Function};
use local::dynamo;
use local::event_source::{Clock, EventSource, Invoke, Metrics, Settings};
use local::issuer::Issuer;
use tempfile::{NamedTempFile, TempDir};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::clock::MovableClock;
use super::cloud::environment;
use super::database::Database;
use super::delivery::Delivery;
use super::feed_proxy::{FeedProxy, Trouble};
use super::key_server::{Authority, KeyServer};
use super::outcome::Outcome;
use super::rows::Row;
use super::sharded::Pump;
use super::stream_server::{STREAM_ARN, StreamServer};
use super::watcher::{Received, Watcher};

pub const ORDERS: [&str; 3] = ["A", "B", "C"];

/// The statuses of each order.
pub const STATUSES: [&str; 6] = ["PLACED", "PAID", "PACKED", "SHIPPED", "OUT", "DELIVERED"];

/// Two watchers for each order, and two for all orders.
const WATCHERS_OF_ONE: usize = 2;
const WATCHERS_OF_ALL: usize = 2;

/// If some watcher has not received everything after this time, it is lost.
const LIMIT: Duration = Duration::from_secs(90);

pub struct World {
    pub row: &'static Row,
    pub database: Database,
    /// Of the stream of orders at the beginning.
    pub stream_arn: String,
    pub projector: Arc<Function>,
    pub stream: Function,
    pub projectors_feed: FeedProxy,
    pub streams_feed: FeedProxy,
    pub delivery: Delivery,
    /// Whether the issuer's server answers.
    pub keys_gone: Arc<AtomicBool>,
    /// The clock of both functions, if the row moves it.
    pub clock: Option<MovableClock>,
    /// The clock of the event source.
    pub mapping_clock: Arc<Clock>,
    /// What the event source counts.
    pub metrics: Arc<Metrics>,
    /// Where it writes the records that it gives up. A row may remove the folder.
    pub bucket: TempDir,
    /// The stream whose shards split, if it is read.
    pub sharded: Mutex<Option<Arc<StreamServer>>>,
    source: Mutex<JoinSet<()>>,
    /// The number of changes that all watchers received together.
    received: watch::Sender<usize>,
    token: String,
    _keys: KeyServer,
    _trusted: NamedTempFile,
}

impl World {
    /// Writes all changes while the fault comes and goes, and waits for the watchers.
    pub async fn run(row: &'static Row) -> Outcome {
        let world = Self::new(row).await;
        let (mut watching, watchers) = world.watch();
        let ended = timeout(LIMIT, async {
            for step in 0..STATUSES.len() {
                (row.before)(&world, step).await;
                world.write(step).await;
                (row.after)(&world, step).await;
            }
            while watching.join_next().await.is_some() {}
        });
        let ended = ended.await;
        let mut outcome = Outcome::of(&watchers);
        if ended.is_err() {
            let limit = format!("not over after {} s", LIMIT.as_secs());
            outcome.violations.push(limit);
        }
        outcome
    }

    async fn new(row: &'static Row) -> Self {
        let (database, stream_arn) = Database::start().await;
        let projectors_feed = FeedProxy::in_front_of(&database.endpoint).await;
        let streams_feed = FeedProxy::in_front_of(&database.endpoint).await;
        let issuer = Issuer::new(Algorithm::ES256, "local").unwrap();
        let keys_gone = Arc::<AtomicBool>::default();
        let authority = Authority::new("a test");
        let keys = key_server(&authority, issuer.jwks().unwrap(), &keys_gone).await;
        let trusted = authority.file();
        let clock = row.moves_clock.then(MovableClock::new);
        let with_clock = |function| match &clock {
            Some(clock) => clock.environment(function),
            None => function,
        };
        let projector = with_clock(Function::builder(env!("CARGO_BIN_EXE_projector")));
        let projector = environment(projector, projectors_feed.url());
        let projector = projector.timeout(Duration::from_secs(20)).start().await;
        let projector = Arc::new(projector.unwrap());
        let stream = with_clock(Function::builder(env!("CARGO_BIN_EXE_stream")));
        let stream = environment(stream, streams_feed.url())
            .env("ACCESS", "jwt")
            .env("JWKS", &keys.url)
            .env("JWT_ISSUER", "*")
            .env("SSL_CERT_FILE", trusted.path().to_str().unwrap());
        let world = Self {
            row,
            stream: held(stream).start().await.unwrap(),
            delivery: Delivery::to(Arc::clone(&projector)),
            projector,
            database,
            stream_arn: stream_arn.clone(),
            projectors_feed,
            streams_feed,
            keys_gone,
            clock,
            mapping_clock: Arc::default(),
            metrics: Arc::default(),
            bucket: tempfile::tempdir().unwrap(),
            sharded: Mutex::default(),
            source: Mutex::default(),
            received: watch::Sender::new(0),
            token: issuer.token(&["*"], Duration::from_secs(86_400)).unwrap().0,
            _keys: keys,
            _trusted: trusted,
        };
        world.read_from(stream_arn);
        world
    }

    /// Reads this stream from its oldest record, and no other one any more.
    pub fn read_from(&self, stream_arn: String) {
        self.stop_reading();
        self.deliver(&self.database.endpoint, stream_arn, self.delivery.clone());
    }

    /// Reads the records of the stream through one whose shards split.
    pub async fn read_sharded(&self) {
        let server = Arc::new(StreamServer::start().await);
        *self.sharded.lock().unwrap() = Some(Arc::clone(&server));
        self.stop_reading();
        let delivery = self.delivery.clone();
        self.deliver(server.url(), STREAM_ARN.to_owned(), delivery);
        let stream_arn = self.stream_arn.clone();
        self.deliver(&self.database.endpoint, stream_arn, Pump(server));
    }

    fn deliver<I: Invoke + Send + 'static>(&self, endpoint: &str, stream_arn: String, function: I) {
        let event_source = EventSource {
            streams: dynamo::streams(endpoint),
            stream_arn,
            function,
            settings: Settings {
                batch_size: 10,
                on_failure: Some(self.bucket.path().to_owned()),
                poll_interval: Duration::from_millis(50),
                min_backoff: Duration::from_millis(50),
                max_backoff: Duration::from_millis(500),
                ..Settings::default()
            },
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.mapping_clock),
        };
        self.source.lock().unwrap().spawn(async move {
            event_source.run(std::future::pending()).await.unwrap();
        });
    }

    /// Nothing reads the orders stream any more.
    pub fn stop_reading(&self) {
        *self.source.lock().unwrap() = JoinSet::new();
    }

    /// Reads a new stream. On AWS it is empty, but emulators keep the records of the table's earlier stream in it.
    pub async fn switch_to(&self, stream_arn: String) {
        self.stop_reading();
        let present = self.database.records(&stream_arn).await;
        self.delivery.skip(present);
        self.read_from(stream_arn);
    }

    async fn write(&self, step: usize) {
        for order in ORDERS {
            let status = AttributeValue::S(STATUSES[step].to_owned());
            self.database.put(order, status).await;
        }
    }

    fn watch(&self) -> (JoinSet<()>, Vec<Arc<Mutex<Received>>>) {
        let all: Vec<_> = ORDERS.map(str::to_owned).into();
        let ones = all.iter().map(std::slice::from_ref);
        let ones = ones.flat_map(|one| std::iter::repeat_n(one, WATCHERS_OF_ONE));
        let everything = std::iter::repeat_n(&all[..], WATCHERS_OF_ALL);
        let (mut watching, mut received) = (JoinSet::new(), Vec::new());
        for orders in ones.chain(everything) {
            let url = self.stream.url();
            let watcher = Watcher::new(&url, orders, &self.token, self.received.clone());
            received.push(Arc::clone(&watcher.received));
            watching.spawn(watcher.run());
        }
        (watching, received)
    }

    /// Waits until every watcher has received the changes of this step. After the last step, the watchers end by themselves.
    pub async fn saw(&self, step: usize) {
        self.saw_all_but(0, step).await;
    }

    /// The same, if so many changes until then are not shown yet, or never.
    pub async fn saw_all_but(&self, missing: usize, step: usize) {
        let changes = ORDERS.len() * (step + 1) - missing;
        let wanted = changes * (WATCHERS_OF_ONE + WATCHERS_OF_ALL);
        let mut received = self.received.subscribe();
        received.wait_for(|count| *count >= wanted).await.unwrap();
    }

    /// Both functions have the same trouble with the feed.
    pub fn trouble(&self, trouble: Trouble) {
        self.projectors_feed.set(trouble);
        self.streams_feed.set(trouble);
    }
}

/// As on Lambda, each process has one stream. It is held, so that a fault comes while it is.
fn held(stream: Builder) -> Builder {
    stream
        .env("HOLD", "always")
        .env("WINDOW", "4s")
        .env("POLL_INTERVAL", "100ms")
        .timeout(Duration::from_secs(8))
}

async fn key_server(authority: &Authority, jwks: String, gone: &Arc<AtomicBool>) -> KeyServer {
    let gone = Arc::clone(gone);
    let tls = authority.server_config("127.0.0.1", 4000);
    KeyServer::responding(tls, move |_| {
        let mut response = Response::new(jwks.clone());
        if gone.load(Ordering::Relaxed) {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        response
    })
    .await
}
