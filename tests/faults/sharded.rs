//! The stream of orders, passed on to a stream whose shards split.

use std::sync::Arc;

use bytes::Bytes;
use local::event_source::{BoxError, Invoke};
use serde_json::Value;

use super::stream_server::StreamServer;

/// Takes the records of the database's stream.
pub struct Pump(pub Arc<StreamServer>);

impl Invoke for Pump {
    async fn invoke(&self, payload: Bytes) -> Result<Bytes, BoxError> {
        let mut event: Value = serde_json::from_slice(&payload)?;
        for record in event["Records"].as_array_mut().into_iter().flatten() {
            self.0.push(record.take());
        }
        Ok(Bytes::new())
    }
}
