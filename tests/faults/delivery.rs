//! The projector, as the event source sees it: batches may come twice, with lost answers, with times that jump, or be too big.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use lambda_stand_in::Function;
use local::event_source::{BoxError, Invoke};
use serde_json::{Value, json};

/// How many seconds the clock of the records jumps, from batch to batch.
const JUMPS: [i64; 4] = [0, 3600, -3600, 86_400 * 30];

#[derive(Clone)]
pub struct Delivery {
    pub projector: Arc<Function>,
    /// Each batch is delivered twice, and every other answer is lost.
    pub repeats: Arc<AtomicBool>,
    pub clock_jumps: Arc<AtomicBool>,
    /// A batch with more records kills the projector. 0 is no limit.
    pub too_many: Arc<AtomicUsize>,
    /// How many batches had too many records.
    pub crashes: Arc<AtomicUsize>,
    /// The numbers of records that are not delivered.
    skipped: Arc<Mutex<HashSet<String>>>,
    batches: Arc<AtomicUsize>,
}

impl Delivery {
    pub fn to(projector: Arc<Function>) -> Self {
        Self {
            projector,
            repeats: Arc::default(),
            clock_jumps: Arc::default(),
            too_many: Arc::default(),
            crashes: Arc::default(),
            skipped: Arc::default(),
            batches: Arc::default(),
        }
    }

    /// Delivers none of these records any more, by their sequence numbers.
    pub fn skip(&self, numbers: HashSet<String>) {
        *self.skipped.lock().unwrap() = numbers;
    }

    fn without_skipped(&self, payload: &[u8]) -> Result<Value, BoxError> {
        let mut event: Value = serde_json::from_slice(payload)?;
        let skipped = self.skipped.lock().unwrap();
        if let Some(records) = event["Records"].as_array_mut() {
            let number = |record: &Value| {
                record["dynamodb"]["SequenceNumber"]
                    .as_str()
                    .map(str::to_owned)
            };
            records.retain(|record| number(record).is_none_or(|number| !skipped.contains(&number)));
        }
        Ok(event)
    }
}

impl Invoke for Delivery {
    async fn invoke(&self, payload: Bytes) -> Result<Bytes, BoxError> {
        let mut event = self.without_skipped(&payload)?;
        let batch = self.batches.fetch_add(1, Ordering::Relaxed);
        if self.clock_jumps.load(Ordering::Relaxed) {
            move_times(&mut event, JUMPS[batch % JUMPS.len()]);
        }
        let records = event["Records"].as_array().map_or(0, Vec::len);
        let payload = Bytes::from(event.to_string());
        if (1..records).contains(&self.too_many.load(Ordering::Relaxed)) {
            self.crashes.fetch_add(1, Ordering::Relaxed);
            let (answer, _) = tokio::join!(self.projector.invoke(payload), self.projector.kill());
            return Err(answer.map_or_else(Into::into, |_| "out of memory".into()));
        }
        if self.repeats.load(Ordering::Relaxed) {
            self.projector.invoke(payload.clone()).await?;
            if batch.is_multiple_of(2) {
                return Err("the answer was lost".into());
            }
        }
        self.projector.invoke(payload).await
    }
}

fn move_times(event: &mut Value, seconds: i64) {
    for record in event["Records"].as_array_mut().into_iter().flatten() {
        let time = &mut record["dynamodb"]["ApproximateCreationDateTime"];
        *time = json!(time.as_i64().unwrap_or_default() + seconds);
    }
}
