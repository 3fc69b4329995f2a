//! Fault injection.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use lambda_stand_in::Fault;
use local::event_source::{BoxError, Invoke};
use tokio::time::sleep;

use super::World;
use super::http_support::{Server, forward, serve};
use super::tally::count;

/// A proxy in front of DynamoDB, which throttles some calls.
pub struct Proxy {
    pub url: String,
    /// How many of a thousand calls are throttled.
    throttled_in_1000: Arc<AtomicU64>,
    throttles: Arc<AtomicU64>,
    _server: Server,
}

impl Proxy {
    pub async fn in_front_of(endpoint: String) -> Self {
        let (throttled_in_1000, throttles) =
            (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (client, chance, counter) = (
            reqwest::Client::new(),
            Arc::clone(&throttled_in_1000),
            Arc::clone(&throttles),
        );
        let server = serve(move |request| {
            let (client, endpoint) = (client.clone(), endpoint.clone());
            let throttled = fastrand::u64(..1000) < chance.load(Ordering::Relaxed);
            if throttled {
                count(&counter);
            }
            async move {
                match throttled {
                    true => throttle(),
                    false => forward(&client, &endpoint, request).await,
                }
            }
        })
        .await;
        Self {
            url: server.url.clone(),
            throttled_in_1000,
            throttles,
            _server: server,
        }
    }

    fn throttle(&self, in_1000: u64) {
        self.throttled_in_1000.store(in_1000, Ordering::Relaxed);
    }
}

fn throttle() -> Response<Bytes> {
    let error = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"Slow down"}"#;
    let mut response = Response::new(Bytes::from_static(error.as_bytes()));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response.headers_mut().insert(
        "content-type",
        http::HeaderValue::from_static("application/x-amz-json-1.0"),
    );
    response
}

/// Invokes the projector, and repeats batches as Lambda may: at once, much later, and because an answer was lost.
pub struct RepeatedDelivery {
    world: Arc<World>,
    delivered: Mutex<VecDeque<Bytes>>,
}

impl RepeatedDelivery {
    pub fn new(world: Arc<World>) -> Self {
        Self {
            world,
            delivered: Mutex::default(),
        }
    }

    async fn deliver(&self, payload: Bytes) -> Result<Bytes, BoxError> {
        self.world.projector.invoke(payload).await
    }

    fn old_batch(&self) -> Option<Bytes> {
        let delivered = self.delivered.lock().unwrap();
        fastrand::choice(delivered.iter()).cloned()
    }
}

impl Invoke for RepeatedDelivery {
    async fn invoke(&self, payload: Bytes) -> Result<Bytes, BoxError> {
        let again = match fastrand::u8(..8) {
            _ if self.world.is_over() => None,
            0 => Some(payload.clone()),
            1 => self.old_batch(),
            _ => None,
        };
        if let Some(again) = again {
            count(&self.world.tally.redeliveries);
            // The result does not count, because this batch was not due.
            let _ = self.deliver(again).await;
        }
        let response = self.deliver(payload.clone()).await?;
        let mut delivered = self.delivered.lock().unwrap();
        delivered.push_back(payload);
        if delivered.len() > 50 {
            delivered.pop_front();
        }
        if fastrand::u8(..8) == 0 && !self.world.is_over() {
            count(&self.world.tally.redeliveries);
            return Err("the answer was lost".into());
        }
        Ok(response)
    }
}

/// Injects faults until the soak's time is over. Then removes those that last.
pub async fn inject_faults(world: Arc<World>) {
    while !world.is_over() {
        sleep(Duration::from_millis(fastrand::u64(20..300))).await;
        inject_one(&world).await;
        let throttles = world.proxy.throttles.load(Ordering::Relaxed);
        world.tally.throttles.store(throttles, Ordering::Relaxed);
    }
    world.proxy.throttle(0);
    for function in &world.streams {
        function.accept_connections().await.unwrap();
    }
}

async fn inject_one(world: &World) {
    let Some(function) = fastrand::choice(&world.streams) else {
        return;
    };
    let tally = &world.tally;
    match fastrand::u8(..40) {
        0..16 => {
            count(&tally.cuts);
            let (bytes, reset) = (fastrand::u64(..900), fastrand::bool());
            function.inject([Fault::CutAfter { bytes, reset }]);
        }
        16..22 => {
            count(&tally.refusals);
            let status = [StatusCode::TOO_MANY_REQUESTS, StatusCode::BAD_GATEWAY];
            function.inject([Fault::Refuse(status[fastrand::usize(..2)])]);
        }
        22..24 => {
            count(&tally.stalls);
            let bytes_per_second = [0, 100, 1000][fastrand::usize(..3)];
            function.inject([Fault::SlowRead { bytes_per_second }]);
        }
        24..27 => {
            function.kill().await;
            count(&tally.stream_kills);
        }
        27..31 => {
            world.projector.kill().await;
            count(&tally.projector_kills);
        }
        31..33 => {
            count(&tally.refusals);
            function.refuse_connections().await.unwrap();
            sleep(Duration::from_millis(fastrand::u64(..500))).await;
            function.accept_connections().await.unwrap();
        }
        33 => {
            world.proxy.throttle(fastrand::u64(200..1000));
            sleep(Duration::from_millis(fastrand::u64(..2000))).await;
            world.proxy.throttle(5);
        }
        _ => {}
    }
}
