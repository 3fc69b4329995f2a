//! The embedded DynamoDB behind TLS, with two orders in its feed.

use std::path::Path;

use local::dynamo::{Dynamo, FEED, create_tables};
use order_status_stream::feed::Feed;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use serde_json::json;

use super::Result;
use super::tls::Front;

/// The order of a client that opens a page, and of its check-ins.
pub(super) const SHORT: &str = "A-1001";

/// The order of a client that missed [`MISSED`] changes.
pub(super) const LONG: &str = "A-1002";
pub(super) const MISSED: u32 = 1000;

/// Statuses and attributes as a shop has them.
const STATUSES: [&str; 3] = ["PLACED", "PAID", "PACKED"];

/// A running DynamoDB.
pub(super) struct Harness {
    pub front: Front,
    pub dynamo: Dynamo,
}

impl Harness {
    pub(super) async fn new(folder: &Path) -> Result<Self> {
        let dynamo = Dynamo::start("127.0.0.1:0").await?;
        create_tables(&dynamo.client()).await?;
        let address = dynamo.endpoint();
        let address = address.trim_start_matches("http://").parse()?;
        let feed = DynamoDbFeed::new(dynamo.client(), FEED);
        for seq in 1..=3 {
            write(&feed, SHORT, seq).await?;
        }
        for seq in 1..=MISSED + 1 {
            write(&feed, LONG, seq).await?;
        }
        Ok(Self {
            front: Front::start(address, folder).await?,
            dynamo,
        })
    }
}

/// Writes a change, as the projector writes it. It is days old, so no response is held for the next one.
async fn write(feed: &DynamoDbFeed, order: &str, seq: u32) -> Result<()> {
    let status = |seq: u32| STATUSES[seq as usize % STATUSES.len()];
    let stream =
        "arn:aws:dynamodb:us-east-1:123456789012:table/Orders/stream/2026-11-01T00:00:00.000";
    let entry = json!({
        "order": order, "seq": seq, "status": status(seq),
        "previous": (seq > 1).then(|| status(seq - 1)),
        "view": { "carrier": "DHL", "eta": "2026-11-24T16:00:00Z", "parcels": 2 },
        "at": "2026-11-20T17:40:00.123Z", "appendedAt": 1_795_196_400_000_u64,
        "position": format!("{stream}/{seq:040}"),
    });
    feed.put(&serde_json::from_value(entry)?).await?;
    Ok(())
}
