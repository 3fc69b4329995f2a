//! The wake with a real Valkey or Redis, which is killed, restarted, frozen and flooded, and has a password and TLS.
//!
//! No test measures time: each one arranges the feed so that only the expected read can find the change.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/cloud.rs"]
mod cloud_support;
mod support;
#[path = "support/valkey.rs"]
mod valkey;

use std::time::Duration;

use cloud_support::Cloud;
use futures_util::StreamExt;
use order_status_stream::order::Seq;
use order_status_stream::settings::{ProjectorSettings, StreamSettings};
use order_status_stream::wake::{Publisher, Subscription, Wake};
use support::{Connection, Harness, change_of, order};
use tokio::time::timeout;
use valkey::Server;

const SECRET: &str = "hush5f3c";

/// A test that waits longer has failed.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(120), future).await.unwrap()
}

fn listen(url: &str) -> Wake {
    let variable = |name: &str| match name {
        "FEED_TABLE" => Some("Feed".to_owned()),
        "ACCESS" => Some("open".to_owned()),
        "WAKE_URL" => Some(url.to_owned()),
        "WAKE_POLL_INTERVAL" => Some("15m".to_owned()),
        _ => None,
    };
    StreamSettings::read(variable)
        .unwrap()
        .wake()
        .unwrap()
        .unwrap()
}

fn publisher(url: &str) -> Publisher {
    let variable = |name: &str| match name {
        "FEED_TABLE" => Some("Feed".to_owned()),
        "WAKE_URL" => Some(url.to_owned()),
        _ => None,
    };
    let settings = ProjectorSettings::read(variable).unwrap();
    settings.publisher().unwrap().unwrap()
}

fn harness(poll_interval: &str, wake: &Wake) -> Harness {
    let settings = [
        ("FEED_TABLE", "in memory"),
        ("ACCESS", "open"),
        ("WINDOW", "15m"),
        ("POLL_INTERVAL", poll_interval),
    ];
    Harness::with(&settings).woken_by(wake)
}

/// Waits until the server has confirmed a subscription in a connection after this one.
async fn confirmed(subscription: &mut Subscription, after: Option<u64>) -> Option<u64> {
    soon(async {
        loop {
            let connection = subscription.connection();
            if connection.is_some() && connection > after {
                return connection;
            }
            subscription.changed(|_| true).await;
        }
    })
    .await
}

/// Reads until a change has this status.
async fn read_until(connection: &mut Connection, status: &str) {
    soon(async {
        while change_of(connection.until("message").await.last().unwrap())["status"] != status {
            assert!(connection.chunk().await.is_some(), "{}", connection.text());
        }
    })
    .await;
}

/// The first change may also be found by the poll that follows the subscription. The second one is only found by a read that a
/// message causes: a poll would see the frozen replica.
async fn is_woken(harness: &Harness, publisher: &Publisher, connection: &mut Connection, seq: u64) {
    harness.feed.freeze_replica();
    for seq in [seq, seq + 1] {
        let status = format!("S{seq}");
        harness.change("A", &status).await;
        publisher.announce(order("A"), Seq(seq));
        read_until(connection, &status).await;
    }
    harness.feed.thaw_replica();
}

/// Nothing is published, so only a poll finds the change. The next one of a wake that works is 12 minutes away.
async fn polls(harness: &Harness, connection: &mut Connection, seq: u64) {
    let status = format!("S{seq}");
    harness.change("A", &status).await;
    read_until(connection, &status).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_shown_by_its_message_also_after_the_server_was_killed() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let (wake, publisher) = (listen(&server.url()), publisher(&server.url()));
    let harness = harness("100ms", &wake);
    harness.change("A", "S1").await;
    let mut subscription = wake.subscribe([&order("A")]);
    let first = confirmed(&mut subscription, None).await;
    let mut connection = harness.get("/orders/A/events", "").await;
    connection.until("ready").await;
    is_woken(&harness, &publisher, &mut connection, 2).await;

    server.kill().await;
    polls(&harness, &mut connection, 4).await;

    server.restart().await;
    confirmed(&mut subscription, first).await;
    is_woken(&harness, &publisher, &mut connection, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_is_noticed_and_found_again() {
    let Some(server) = Server::start().await else {
        return;
    };
    let (wake, publisher) = (listen(&server.url()), publisher(&server.url()));
    let harness = harness("100ms", &wake);
    harness.change("A", "S1").await;
    let mut subscription = wake.subscribe([&order("A")]);
    let first = confirmed(&mut subscription, None).await;
    let mut connection = harness.get("/orders/A/events", "").await;
    connection.until("ready").await;
    is_woken(&harness, &publisher, &mut connection, 2).await;

    server.signal("STOP");
    // A batch does not wait for a server that does not answer.
    for _ in 0..100 {
        publisher.announce(order("A"), Seq(3));
        soon(publisher.flush()).await;
    }
    polls(&harness, &mut connection, 4).await;
    assert_eq!(subscription.connection(), None);

    server.signal("CONT");
    confirmed(&mut subscription, first).await;
    server.publish("Feed:A", 4).await;
    harness.feed.freeze_replica();
    for seq in [5, 6] {
        harness.change("A", &format!("S{seq}")).await;
        server.publish("Feed:A", seq).await;
        read_until(&mut connection, &format!("S{seq}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_publishes_finds_its_connection_closed_and_makes_another() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let publisher = publisher(&server.url());
    for seq in [1, 2] {
        let mut heard = server.listen("Feed:A").await;
        publisher.announce(order("A"), Seq(seq));
        let message = soon(heard.next()).await.unwrap();
        assert_eq!(message.get_payload(), Ok(seq));
        soon(publisher.flush()).await;
        server.kill().await;
        server.restart().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_messages_about_one_order_does_not_delay_another() {
    let Some(server) = Server::start().await else {
        return;
    };
    let wake = listen(&server.url());
    let harness = harness("10s", &wake);
    for id in ["A", "noise"] {
        harness.change(id, "S1").await;
    }
    let mut subscription = wake.subscribe([&order("A"), &order("noise")]);
    confirmed(&mut subscription, None).await;
    let path = "/orders/events?order=A&order=noise";
    let mut connection = harness.get(path, "").await;
    connection.until("ready").await;
    harness.feed.freeze_replica();
    let calls = harness.feed.calls();
    let flood = tokio::spawn(server.flood("Feed:noise", 50_000));
    for seq in 2..12 {
        harness.change("A", &format!("S{seq}")).await;
        server.publish("Feed:A", seq).await;
        read_until(&mut connection, &format!("S{seq}")).await;
    }
    soon(flood).await.unwrap();
    // The last message is 50,000. When it was heard, all others were.
    while subscription.newest(1) < Seq(50_000) {
        soon(subscription.changed(|_| true)).await;
    }
    let calls = harness.feed.calls() - calls;
    assert!(calls < 10_000, "{calls} calls for 50,000 messages");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_logged_without_it_and_changes_are_polled() {
    let Some(server) = Server::with(&["--requirepass", "right"]).await else {
        return;
    };
    let cloud = Cloud::new().await;
    let url = format!("redis://:{SECRET}@127.0.0.1:{}", server.port());
    let stream = cloud
        .stream()
        .env("WAKE_URL", &url)
        .env("AWS_LAMBDA_LOG_LEVEL", "TRACE");
    let stream = stream.start().await.unwrap();
    let projector = cloud
        .projector(&cloud.dynamo.endpoint())
        .env("WAKE_URL", &url);
    let projector = projector
        .env("AWS_LAMBDA_LOG_LEVEL", "TRACE")
        .start()
        .await
        .unwrap();
    let projector = std::sync::Arc::new(projector);
    let event_source = tokio::spawn(cloud.event_source(&projector).run(std::future::pending()));
    cloud.write("A", "PLACED").await;
    let url = format!("{}/orders/A/events", stream.url());
    let reading = tokio::spawn(soon(reqwest::get(url)).await.unwrap().text());
    for function in [&stream, &*projector] {
        let line = soon(function.wait_for_log("no connection to the server of WAKE_URL")).await;
        assert!(line.contains("uthentication"), "{line}");
    }
    cloud.write("A", "DELIVERED").await;
    let text = soon(reading).await.unwrap().unwrap();
    assert!(text.contains("event: end"), "{text}");
    event_source.abort();
    for function in [&stream, &*projector] {
        let log = function.logs().join("\n");
        assert!(!log.contains(SECRET), "{log}");
    }
}

/// `rediss://` with a password, and a certificate of an authority that the machine trusts.
#[tokio::test(flavor = "multi_thread")]
async fn the_functions_use_tls_with_the_authorities_of_the_machine() {
    let Some(server) = Server::with_tls().await else {
        return;
    };
    let cloud = Cloud::new().await;
    let trusted = server.authority();
    let url = format!("rediss://:right@localhost:{}", server.tls_port());
    let projector = cloud
        .projector(&cloud.dynamo.endpoint())
        .env("WAKE_URL", &url);
    let projector = projector
        .env("SSL_CERT_FILE", &trusted)
        .start()
        .await
        .unwrap();
    let stream = cloud
        .stream()
        .env("WAKE_URL", &url)
        .env("SSL_CERT_FILE", &trusted);
    let stream = stream.start().await.unwrap();
    let projector = std::sync::Arc::new(projector);
    let event_source = tokio::spawn(cloud.event_source(&projector).run(std::future::pending()));

    let mut heard = server.listen("OrderFeed:A").await;
    cloud.write("A", "PLACED").await;
    let url = format!("{}/orders/A/events", stream.url());
    let response = soon(reqwest::get(url)).await.unwrap();
    let reading = tokio::spawn(response.text());
    // The function, and this test.
    soon(server.subscribed("OrderFeed:A", 2)).await;
    cloud.write("A", "DELIVERED").await;
    for seq in [1, 2] {
        let message = soon(heard.next()).await.unwrap();
        assert_eq!(message.get_payload(), Ok(seq));
    }
    let text = soon(reading).await.unwrap().unwrap();
    assert!(
        text.contains("DELIVERED") && text.contains("event: end"),
        "{text}"
    );
    event_source.abort();
}
