//! A topic of a broker that others wrote, between the orders table and the projector. See `tests/clients/kafka_broker.py`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/browser.rs"]
mod browser_support;
#[path = "support/cloud.rs"]
mod cloud;
#[path = "support/http.rs"]
mod http_support;

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use cloud::Cloud;
use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use local::event_source::EventSource;
use local::topic::{Connector, Topic};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// The broker and its address. It ends with the value.
async fn broker() -> Option<(Child, String)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/kafka_broker.py");
    let mut python = Command::new("python3");
    python.arg(script).stdin(Stdio::piped()).kill_on_drop(true);
    let mut python = python
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    let mut output = BufReader::new(python.stdout.take().unwrap());
    output.read_line(&mut address).await.unwrap();
    if address.is_empty() {
        let mut error = String::new();
        let mut errors = python.stderr.take().unwrap();
        errors.read_to_string(&mut error).await.unwrap();
        return browser_support::missing("Kafka's broker for tests", error);
    }
    Some((python, address.trim().to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_go_through_a_topic_reach_their_watchers_in_order() {
    let Some((_broker, address)) = broker().await else {
        return;
    };
    let cloud = Cloud::new().await;
    let projector = cloud.projector(&cloud.dynamo.endpoint());
    let projector = Arc::new(projector.start().await.unwrap());
    let stream = cloud.stream().start().await.unwrap();
    let topic = Topic::open(&address, "orders").await.unwrap();
    let event_source = EventSource {
        streams: cloud.dynamo.streams(),
        stream_arn: cloud.stream_arn.clone(),
        function: Connector(&topic),
        settings: Default::default(),
        metrics: Default::default(),
        clock: Default::default(),
    };
    let ids = ["A", "B", "C", "D", "E"];
    let statuses = ["PLACED", "PAID", "PACKED", "DELIVERED"];
    let orders = async {
        let mut watched = Vec::new();
        for id in ids {
            let url = format!("{}/orders/{id}/events", stream.url());
            let response = reqwest::get(url).await.unwrap();
            watched.push(response.bytes_stream().eventsource().boxed());
        }
        for status in statuses {
            for id in ids {
                cloud.write(id, status).await;
            }
        }
        for mut events in watched {
            let mut seen = Vec::new();
            while let Some(event) = events.next().await {
                let event = event.unwrap();
                if event.event == "message" {
                    let data: Value = serde_json::from_str(&event.data).unwrap();
                    seen.push(data["status"].as_str().unwrap().to_owned());
                }
            }
            assert_eq!(seen, statuses);
        }
    };
    tokio::select! {
        ended = event_source.run(std::future::pending()) => panic!("{ended:?}"),
        ended = topic.deliver(&projector) => panic!("{ended:?}"),
        () = orders => {}
    }
}

#[tokio::test]
async fn a_broker_that_cannot_be_reached_is_named() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    tokio::time::pause();
    let error = Topic::open(&address, "orders").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the Kafka broker at {address} does not answer. Start one, or correct BROKER")
    );
}

/// Passes connections on to the broker, which then names another port as its own.
async fn advertise(listener: TcpListener, broker: String, port: u16) {
    let of_broker: u16 = broker.rsplit_once(':').unwrap().1.parse().unwrap();
    let [of_broker, port] = [of_broker, port].map(|port| u32::from(port).to_be_bytes());
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut broker = TcpStream::connect(&broker).await.unwrap();
        tokio::spawn(async move {
            let (mut requests, mut to_client) = client.split();
            let (mut responses, mut to_broker) = broker.split();
            let answer = async {
                // A response begins with its length.
                while let Ok(length) = responses.read_u32().await {
                    let mut response = vec![0; length.try_into().unwrap()];
                    responses.read_exact(&mut response).await.unwrap();
                    let found = response.windows(4).position(|bytes| bytes == of_broker);
                    if let Some(at) = found {
                        response[at..at + 4].copy_from_slice(&port);
                    }
                    to_client.write_u32(length).await.unwrap();
                    to_client.write_all(&response).await.unwrap();
                }
            };
            tokio::select! {
                _ = tokio::io::copy(&mut requests, &mut to_broker) => {}
                () = answer => {}
            }
        });
    }
}

#[tokio::test]
async fn a_broker_whose_advertised_address_does_not_answer_is_not_said_to_be_missing() {
    let Some((_broker, broker)) = broker().await else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    tokio::spawn(advertise(listener, broker, port));
    let servers = address.clone();
    let opening = tokio::spawn(async move { Topic::open(&servers, "orders").await });
    // Now the client knows the advertised address.
    let _connection = silent.accept().await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    let error = opening.await.unwrap().unwrap_err().to_string();
    // The broker for tests does not create topics when it is asked to, only when they are used.
    let start = format!(
        "the Kafka broker at {address} answers, but its topic orders cannot be opened: it was not created ("
    );
    assert!(error.starts_with(&start), "{error}");
    let end = "); no answer. Other connections go to the addresses in the broker's `advertised.listeners`: can they be reached \
               from here?";
    assert!(error.ends_with(end), "{error}");
}
