//! A DynamoDB Streams API whose shards split, because no emulator's do.
//!
//! Records are pushed into it. A record goes to the open shard that has its key, by a hash.
#![allow(
    dead_code,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "test files share it; none of them uses all of it"
)]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use super::http_support::{Server, serve};

/// DynamoDB's page of a list has up to 100 shards.
const SHARDS_PER_PAGE: usize = 2;

const RECORDS_PER_READ: usize = 3;

pub const STREAM_ARN: &str =
    "arn:aws:dynamodb:us-east-1:000000000000:table/Orders/stream/2026-11-26T00:00:00.000";

/// The keys whose hash ends with `bits`, in `width` bits.
#[derive(Clone, Copy)]
struct Keys {
    bits: u64,
    width: u32,
}

struct Shard {
    parent: Option<usize>,
    keys: Keys,
    closed: bool,
    records: Vec<Value>,
    /// How often it was read from its oldest record.
    opened: usize,
}

pub struct StreamServer {
    server: Server,
    shards: Arc<Mutex<Vec<Shard>>>,
    listings: watch::Receiver<usize>,
}

impl StreamServer {
    /// A stream with one shard.
    pub async fn start() -> Self {
        let first = Shard {
            parent: None,
            keys: Keys { bits: 0, width: 0 },
            closed: false,
            records: Vec::new(),
            opened: 0,
        };
        let shards = Arc::new(Mutex::new(vec![first]));
        let (count, listings) = watch::channel(0);
        let state = Arc::clone(&shards);
        let server = serve(move |request: Request<Bytes>| {
            let target = request.headers()["x-amz-target"].to_str().unwrap();
            let body: Value = serde_json::from_slice(request.body()).unwrap();
            let mut shards = state.lock().unwrap();
            let response = match target.split('.').next_back().unwrap() {
                "DescribeStream" => {
                    let page = describe(&shards, &body);
                    if page["StreamDescription"]["LastEvaluatedShardId"].is_null() {
                        count.send_modify(|count| *count += 1);
                    }
                    page
                }
                "GetShardIterator" => {
                    let shard = number(&body["ShardId"]);
                    shards[shard].opened += 1;
                    json!({ "ShardIterator": format!("{shard} 0") })
                }
                _ => read(&shards, &body),
            };
            async move { json_response(&response) }
        })
        .await;
        Self {
            server,
            shards,
            listings,
        }
    }

    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// Adds a record, in the form of the Streams API or of Lambda's event.
    pub fn push(&self, record: Value) {
        let mut hasher = DefaultHasher::new();
        record["dynamodb"]["Keys"].to_string().hash(&mut hasher);
        let hash = hasher.finish();
        let has = |shard: &&mut Shard| !shard.closed && hash & mask(shard.keys) == shard.keys.bits;
        let mut shards = self.shards.lock().unwrap();
        shards.iter_mut().find(has).unwrap().records.push(record);
    }

    /// Closes every open shard. Each gets two children, and each child half of its keys.
    pub fn split(&self) {
        self.close(|keys| {
            let width = keys.width + 1;
            let upper = keys.bits | 1 << keys.width;
            vec![Keys { width, ..keys }, Keys { width, bits: upper }]
        });
    }

    /// Closes every open shard. Each gets one child, as DynamoDB does every few hours.
    pub fn roll(&self) {
        self.close(|keys| vec![keys]);
    }

    fn close(&self, children: impl Fn(Keys) -> Vec<Keys>) {
        let mut shards = self.shards.lock().unwrap();
        for parent in 0..shards.len() {
            if std::mem::replace(&mut shards[parent].closed, true) {
                continue;
            }
            for keys in children(shards[parent].keys) {
                shards.push(Shard {
                    parent: Some(parent),
                    keys,
                    closed: false,
                    records: Vec::new(),
                    opened: 0,
                });
            }
        }
    }

    /// For each shard, how often it was read from its oldest record.
    pub fn opened(&self) -> Vec<usize> {
        let shards = self.shards.lock().unwrap();
        shards.iter().map(|shard| shard.opened).collect()
    }

    /// Waits until all shards were listed so many more times.
    pub async fn listed(&self, times: usize) {
        let mut listings = self.listings.clone();
        let wanted = *listings.borrow() + times;
        let listed = listings.wait_for(|count| *count >= wanted);
        let listed = timeout(Duration::from_secs(60), listed).await;
        listed.unwrap().unwrap();
    }
}

fn mask(keys: Keys) -> u64 {
    (1 << keys.width) - 1
}

/// Ids have no order, as those of DynamoDB's children have none.
fn id(shard: usize) -> String {
    format!("shardId-{}-{shard}", shard * 7 % 10)
}

fn number(id: &Value) -> usize {
    let id = id.as_str().unwrap();
    id.split('-').next_back().unwrap().parse().unwrap()
}

fn describe(shards: &[Shard], body: &Value) -> Value {
    let start = match &body["ExclusiveStartShardId"] {
        Value::Null => 0,
        last => number(last) + 1,
    };
    let end = shards.len().min(start + SHARDS_PER_PAGE);
    let listed = (start..end).map(|shard| {
        let mut listed = json!({ "ShardId": id(shard) });
        if let Some(parent) = shards[shard].parent {
            listed["ParentShardId"] = json!(id(parent));
        }
        listed
    });
    let mut description = json!({ "StreamArn": STREAM_ARN, "Shards": listed.collect::<Vec<_>>() });
    if end < shards.len() {
        description["LastEvaluatedShardId"] = json!(id(end - 1));
    }
    json!({ "StreamDescription": description })
}

fn read(shards: &[Shard], body: &Value) -> Value {
    let iterator = body["ShardIterator"].as_str().unwrap();
    let (number, start) = iterator.split_once(' ').unwrap();
    let (number, start): (usize, usize) = (number.parse().unwrap(), start.parse().unwrap());
    let shard = &shards[number];
    let end = shard.records.len().min(start + RECORDS_PER_READ);
    let mut read = json!({ "Records": shard.records[start..end] });
    if !shard.closed || end < shard.records.len() {
        read["NextShardIterator"] = json!(format!("{number} {end}"));
    }
    read
}

fn json_response(body: &Value) -> Response<Bytes> {
    let mut response = Response::new(body.to_string().into());
    let json = HeaderValue::from_static("application/x-amz-json-1.0");
    response.headers_mut().insert("content-type", json);
    response
}
