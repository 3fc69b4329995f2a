//! The real functions, behind a DynamoDB that reports what each call consumed.
#![allow(
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "shared by benchmarks, none of which uses all of it"
)]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cost::bill::Usage;
use lambda_stand_in::{Builder, Function};
use local::dynamo::{Dynamo, FEED, create_tables};
use local::meter::{Call, Meter};
use order_status_stream::feed::dynamodb::DynamoDbFeed;

/// A DynamoDB with the project's tables, and a proxy in front of it that counts what the calls consume.
pub struct Harness {
    dynamo: Dynamo,
    pub watching: Arc<Mutex<Usage>>,
    meter: Meter,
}

impl Harness {
    pub async fn new() -> Self {
        let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
        create_tables(&dynamo.client()).await.unwrap();
        let watching: Arc<Mutex<Usage>> = Arc::default();
        let counted = Arc::clone(&watching);
        let meter = Meter::start(dynamo.endpoint(), move |call| count(&counted, call)).await;
        Self {
            dynamo,
            watching,
            meter: meter.unwrap(),
        }
    }

    /// A feed that nothing counts.
    pub fn feed(&self) -> DynamoDbFeed {
        DynamoDbFeed::new(self.dynamo.client(), FEED)
    }

    /// One of the functions, behind the counting proxy.
    pub fn function(&self, name: &str) -> Builder {
        self.on(self.meter.endpoint(), bootstrap(name))
    }

    /// One of the functions, without the proxy, which takes time.
    pub fn direct(&self, bootstrap: PathBuf) -> Builder {
        self.on(&self.dynamo.endpoint(), bootstrap)
    }

    fn on(&self, endpoint: &str, bootstrap: PathBuf) -> Builder {
        Function::builder(bootstrap)
            .env("FEED_TABLE", FEED)
            .env("ACCESS", "open")
            .env("PUBLIC_ATTRIBUTES", "n")
            .env("AWS_ENDPOINT_URL_DYNAMODB", endpoint)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .timeout(Duration::from_secs(120))
    }
}

/// A function that `make bench` built.
pub fn bootstrap(name: &str) -> PathBuf {
    let functions = std::env::var_os("FUNCTIONS").expect("FUNCTIONS is not set: run `make bench`");
    std::path::absolute(PathBuf::from(functions).join(name)).unwrap()
}

/// Watching is what `stream` reads, and the dwell times that `projector` writes. All other calls happen whether or not anybody
/// watches: `projector` reads only the newest entry.
fn count(watching: &Mutex<Usage>, call: Call<'_>) {
    let mut watching = watching.lock().unwrap();
    if call.target.ends_with(".Query") && call.body["Limit"] != 1 {
        watching.read_units += call.units;
    } else if call.body["Item"]["order"]["S"] == "%dwells" {
        watching.write_units += call.units;
    }
}
