//! Publishes changes as each server takes them.

use std::time::Instant;

use order_status_stream::feed::Feed;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Result;

/// The stream of the orders table, of which the entries' positions are.
const SOURCE: &str =
    "arn:aws:dynamodb:us-east-1:123456789012:table/Orders/stream/2026-11-22T00:00:00.000";
const AT: &str = "2026-11-22T17:40:00.123Z";

pub(crate) enum Publisher {
    /// An append to the feed, and a message on the order's channel.
    Feed {
        feed: DynamoDbFeed,
        valkey: Option<TcpStream>,
        seq: u64,
    },
    /// A POST with the change as its body.
    Http {
        client: reqwest::Client,
        url: String,
        seq: u64,
    },
}

/// When a change was handed over, and when it was in the feed. They are the same if there is no feed.
#[derive(Clone, Copy)]
pub(crate) struct Published {
    pub(crate) begun: Instant,
    pub(crate) appended: Instant,
}

impl Publisher {
    /// Begins the next change of each order.
    pub(crate) fn next(&mut self) {
        match self {
            Self::Feed { seq, .. } | Self::Http { seq, .. } => *seq += 1,
        }
    }

    /// Publishes the change of an order, and returns when the server has accepted it.
    pub(crate) async fn publish(&mut self, order: &str) -> Result<Published> {
        let begun = Instant::now();
        match self {
            Self::Feed { feed, valkey, seq } => {
                append(feed, order, *seq).await?;
                let appended = Instant::now();
                if let Some(valkey) = valkey {
                    message(valkey, order, *seq).await?;
                }
                Ok(Published { begun, appended })
            }
            Self::Http { client, url, seq } => {
                // The same bytes as `stream` sends.
                let change = format!(
                    r#"{{"orderId":"{order}","seq":{seq},"status":"SHIPPED","previous":null,"at":"{AT}","attributes":{{"n":"x"}}}}"#
                );
                let request = client.post(format!("{url}{order}")).body(change);
                let response = request.send().await?.error_for_status()?;
                response.bytes().await?;
                Ok(Published {
                    begun,
                    appended: begun,
                })
            }
        }
    }
}

/// Writes an entry as the projector writes it.
pub(crate) async fn append(feed: &DynamoDbFeed, order: &str, seq: u64) -> Result<()> {
    let entry = json!({
        "order": order, "seq": seq, "status": "SHIPPED", "view": { "n": "x" }, "at": AT,
        "appendedAt": 1_795_369_200_000_u64, "position": format!("{SOURCE}/{seq:040}"),
    });
    feed.put(&serde_json::from_value(entry)?).await?;
    Ok(())
}

/// `PUBLISH`, on the channel that `src/wake.rs` names, and its answer.
async fn message(valkey: &mut TcpStream, order: &str, seq: u64) -> Result<()> {
    let channel = format!("{}:{order}", local::dynamo::FEED);
    let seq = seq.to_string();
    let command = format!(
        "*3\r\n$7\r\nPUBLISH\r\n${}\r\n{channel}\r\n${}\r\n{seq}\r\n",
        channel.len(),
        seq.len()
    );
    valkey.write_all(command.as_bytes()).await?;
    let mut answer = [0; 32];
    match valkey.read(&mut answer).await? {
        1.. if answer[0] == b':' => Ok(()),
        _ => Err("Valkey does not publish".into()),
    }
}
