//! The DynamoDB that a fault runs on: the embedded one, or moto's server.

use std::collections::HashSet;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, StreamSpecification, StreamViewType};
use local::dynamo::{self, Dynamo, ORDERS, create_orders, create_tables};
use tokio::process::{Child, Command};
use tokio::time::sleep;

enum Server {
    Embedded { _dynamo: Dynamo },
    Moto { _process: Child },
}

/// An empty database. A drop stops it.
pub struct Database {
    pub endpoint: String,
    pub client: aws_sdk_dynamodb::Client,
    _server: Server,
}

impl Database {
    /// Returns the ARN of the stream of orders too.
    pub async fn start() -> (Self, String) {
        let (server, endpoint) = match std::env::var_os("MOTO") {
            None => {
                let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
                let endpoint = dynamo.endpoint();
                (Server::Embedded { _dynamo: dynamo }, endpoint)
            }
            Some(program) => {
                let port = TcpListener::bind("127.0.0.1:0")
                    .unwrap()
                    .local_addr()
                    .unwrap()
                    .port();
                let process = Command::new(program)
                    .args(["-H", "127.0.0.1", "-p", &port.to_string()])
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .kill_on_drop(true)
                    .spawn()
                    .unwrap();
                let endpoint = format!("http://127.0.0.1:{port}");
                while reqwest::get(&endpoint).await.is_err() {
                    sleep(Duration::from_millis(50)).await;
                }
                (Server::Moto { _process: process }, endpoint)
            }
        };
        let client = dynamo::client(&endpoint);
        let stream_arn = create_tables(&client).await.unwrap();
        let database = Self {
            client,
            endpoint,
            _server: server,
        };
        (database, stream_arn)
    }

    /// Writes an order. A status that is not text is a record that can never be shown.
    pub async fn put(&self, id: &str, status: AttributeValue) {
        let put = self.client.put_item().table_name(ORDERS);
        let put = put.item("orderId", AttributeValue::S(id.to_owned()));
        put.item("status", status).send().await.unwrap();
    }

    /// Switches the stream of orders off and on. Returns the ARN of the new one.
    pub async fn new_stream(&self) -> String {
        let off = StreamSpecification::builder().stream_enabled(false);
        let on = StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(StreamViewType::NewAndOldImages);
        let mut arn = None;
        for specification in [off, on] {
            let update = self.client.update_table().table_name(ORDERS);
            let update = update.stream_specification(specification.build().unwrap());
            let updated = update.send().await.unwrap();
            arn = updated
                .table_description
                .and_then(|table| table.latest_stream_arn);
        }
        arn.unwrap()
    }

    /// Deletes the orders table and creates it with the same items and a new stream, as after a restore. Returns the ARN of the
    /// stream.
    pub async fn restore(&self) -> String {
        let scan = self.client.scan().table_name(ORDERS).send().await.unwrap();
        let delete = self.client.delete_table().table_name(ORDERS);
        delete.send().await.unwrap();
        create_orders(&self.client).await.unwrap();
        for item in scan.items.unwrap() {
            let put = self.client.put_item().table_name(ORDERS);
            put.set_item(Some(item)).send().await.unwrap();
        }
        self.new_stream().await
    }

    /// The sequence numbers of the records that are in a stream.
    pub async fn records(&self, stream_arn: &str) -> HashSet<String> {
        let streams = dynamo::streams(&self.endpoint);
        let stream = streams
            .describe_stream()
            .stream_arn(stream_arn)
            .send()
            .await
            .unwrap();
        let mut numbers = HashSet::new();
        for shard in stream.stream_description.unwrap().shards() {
            let iterator = streams.get_shard_iterator().stream_arn(stream_arn);
            let iterator = iterator.set_shard_id(shard.shard_id.clone());
            let iterator = iterator.shard_iterator_type("TRIM_HORIZON".into());
            let mut next = iterator.send().await.unwrap().shard_iterator;
            while let Some(iterator) = next {
                let read = streams
                    .get_records()
                    .shard_iterator(iterator)
                    .send()
                    .await
                    .unwrap();
                let records = read.records.unwrap_or_default();
                next = read.next_shard_iterator.filter(|_| !records.is_empty());
                let changes = records.into_iter().filter_map(|record| record.dynamodb);
                numbers.extend(changes.filter_map(|change| change.sequence_number));
            }
        }
        numbers
    }
}
