//! How long the shop's orders stay in each status.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client;
use order_status_stream::dwell::{Dwells, weight};
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::feed::{Feed, FeedError};
use order_status_stream::order;

use super::Status;
use crate::dynamo::FEED;

/// The orders of which the shop remembers the dwell times when it opens.
const REMEMBERED: usize = 200;

/// Longer than anybody lets `make run` run.
const KEPT: Duration = Duration::from_secs(180 * 86_400);

/// A time that an order stays in a status. The first ones are short, so a held response shows them. After that, nothing is due for a
/// while, and pages rest.
pub(super) fn dwell(status: Status) -> Duration {
    let seconds = match status {
        Status::Placed | Status::Paid => 4.0,
        Status::Preparing | Status::Shipped => 40.0,
        Status::OutForDelivery | Status::Delivered | Status::Cancelled => 20.0,
    };
    about(Duration::from_secs_f64(seconds))
}

/// A time around a mean, at most a quarter away.
pub(super) fn about(mean: Duration) -> Duration {
    mean.mul_f64(0.75 + fastrand::f64() / 2.0)
}

/// Writes the dwell times of the shop's first orders into the feed, as the projector would have. A shop that is a minute old knows
/// nothing, so its customers' responses would be held nearly all the time.
///
/// # Errors
///
/// The database fails.
pub async fn remember_dwells(client: Client) -> Result<(), FeedError> {
    let feed = DynamoDbFeed::new(client, FEED);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    for status in Status::ALL {
        let name = order::Status::new(status.as_str());
        let (Some(_), Some(name)) = (status.next(), name) else {
            continue;
        };
        let mut dwells = Dwells::default();
        for _ in 0..REMEMBERED {
            dwells.add(dwell(status), weight(now.as_secs()));
        }
        feed.learn(&name, &dwells, (now + KEPT).as_secs()).await?;
    }
    Ok(())
}
