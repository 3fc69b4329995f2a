//! What the functions count, and the lines that report it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/records.rs"]
mod records;
mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jsonschema::Draft;
use jsonwebtoken::Algorithm;
use lambda_stand_in::{Builder, Function};
use local::dynamo::{Dynamo, create_tables};
use local::issuer::Issuer;
use order_status_stream::change::Change;
use order_status_stream::clock::Clock;
use order_status_stream::endpoint::Endpoint;
use order_status_stream::feed::append;
use order_status_stream::feed::memory::{Fault, MemoryFeed};
use order_status_stream::invocation::Invocation;
use order_status_stream::metrics::{Count, DIMENSION, Delay, Metrics, NAMESPACE};
use order_status_stream::settings::StreamSettings;
use records::{project_at, projector, record, with};
use serde_json::{Value, json};
use support::{Connection, Harness, NOW, RETENTION, change, request};
use tokio::time::{advance, sleep, timeout};

const A: &str = "/orders/A/events";

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Metrics whose lines are collected.
fn collected() -> (Metrics, Arc<Mutex<Vec<Value>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&lines);
    let metrics = Metrics::written("shop", move |line| {
        assert!(!line.contains('\n'), "one line");
        let line = serde_json::from_str(&line).unwrap();
        written.lock().unwrap().push(line);
    });
    (metrics, lines)
}

/// What was counted, without times.
#[track_caller]
fn check(metrics: &Metrics, expected: &[(Count, u64)]) {
    let all = Count::ALL.into_iter();
    let counted = all
        .filter(|count| count.unit().name() == "Count")
        .map(|count| (count, metrics.of(count)));
    let counted: Vec<_> = counted.filter(|(_, number)| *number > 0).collect();
    assert_eq!(counted, expected);
}

/// The published schema says nothing about the values, so this does.
#[track_caller]
fn check_line(line: &Value) {
    let schema = serde_json::from_str(include_str!("emf.schema.json")).unwrap();
    // The schema's `$id`s are fragments, which later drafts do not allow.
    let schema = jsonschema::options()
        .with_draft(Draft::Draft7)
        .build(&schema)
        .unwrap();
    let errors: Vec<_> = schema.iter_errors(line).map(|it| it.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}: {line}");
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], NAMESPACE);
    assert_eq!(directive["Dimensions"], json!([[DIMENSION]]));
    assert!(line[DIMENSION].is_string());
    let metrics = directive["Metrics"].as_array().unwrap();
    assert!((1..=100).contains(&metrics.len()));
    for metric in metrics {
        let target = &line[metric["Name"].as_str().unwrap()];
        let is_list = |list: &Vec<Value>| {
            (1..=100).contains(&list.len()) && list.iter().all(Value::is_number)
        };
        let valid = target.is_number() || target.as_array().is_some_and(is_list);
        assert!(valid, "{metric}: {target}");
    }
    // The metrics, the dimension and `_aws`.
    assert_eq!(line.as_object().unwrap().len(), metrics.len() + 2);
    assert!(line.to_string().len() < 1_000_000, "CloudWatch's limit");
}

#[tokio::test(start_paused = true)]
async fn a_line_is_in_the_embedded_metric_format() {
    let (metrics, lines) = collected();
    for count in Count::ALL {
        metrics.add(count, u64::MAX / 2);
    }
    for delay in Delay::ALL {
        (0..1000).for_each(|millis| metrics.record(delay, ms(millis * millis)));
    }
    metrics.flush(&Clock::starting_at(NOW));
    let lines = lines.lock().unwrap();
    check_line(&lines[0]);
    let now = u64::try_from(NOW.as_millis()).unwrap();
    assert_eq!(lines[0]["_aws"]["Timestamp"], now);
    assert_eq!(lines[0]["Stack"], "shop");
    let metrics = &lines[0]["_aws"]["CloudWatchMetrics"][0]["Metrics"];
    let number = Count::ALL.len() + Delay::ALL.len();
    assert_eq!(metrics.as_array().unwrap().len(), number);
    assert!(
        metrics
            .as_array()
            .unwrap()
            .contains(&json!({ "Name": "HeldTime", "Unit": "Milliseconds" }))
    );
}

/// A line costs more than a check-in.
#[tokio::test(start_paused = true)]
async fn a_process_writes_at_most_a_line_a_minute() {
    let (metrics, lines) = collected();
    let clock = Clock::starting_at(NOW);
    let written = || lines.lock().unwrap().len();
    metrics.flush(&clock);
    assert_eq!(written(), 0, "nothing to report");
    for second in 0..180 {
        metrics.count(Count::Reads);
        metrics.flush(&clock);
        assert_eq!(written(), 1 + second / 60, "after {second} s");
        advance(s(1)).await;
    }
    let lines = lines.lock().unwrap();
    let reads: Vec<_> = lines.iter().map(|line| line["Reads"].clone()).collect();
    assert_eq!(
        reads,
        [1, 60, 60],
        "each line reports what came after the last"
    );
    assert_eq!(metrics.of(Count::Reads), 59);
    // The date may be set back.
    drop(lines);
    metrics.flush(&Clock::starting_at(NOW - s(3600)));
    assert_eq!(written(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_held_response_writes_lines_while_it_is_held() {
    let (metrics, lines) = collected();
    let feed = MemoryFeed::default();
    let settings = [
        ("FEED_TABLE", "in memory"),
        ("ACCESS", "open"),
        ("HOLD", "always"),
        ("WINDOW", "15m"),
    ];
    let variable = |name: &str| {
        let found = settings.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let settings = StreamSettings::read(variable).unwrap();
    let endpoint = Endpoint::new(feed, settings);
    let endpoint = endpoint.with_metrics(metrics);
    let invocation = Invocation::new(Clock::starting_at(NOW), 0, fastrand::Rng::with_seed(7));
    let response = endpoint.respond(&request("GET", A, &[]), invocation).await;
    let mut stream = Connection::new(response);
    let start = tokio::time::Instant::now();
    while start.elapsed() < s(300) {
        stream.chunk().await.unwrap();
    }
    let written = lines.lock().unwrap().len();
    assert!(
        (4..=6).contains(&written),
        "{written} lines in five minutes"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_counted_from_its_start_to_its_end() {
    let harness = Harness::new();
    harness.change("A", "PLACED").await;
    let mut stream = harness.get(A, "").await;
    stream.until("ready").await;
    let from = [(Count::StreamsOpened, 1), (Count::Reads, 1)];
    check(&harness.metrics, &from);
    // The comment after everything that is known.
    stream.chunk().await.unwrap();
    timeout(s(10), stream.chunk()).await.unwrap_err();
    harness.change("A", "DELIVERED").await;
    let events = stream.finish().await;
    let metrics = &harness.metrics;
    assert_eq!(metrics.of(Count::EndedFinished), 1);
    assert_eq!(metrics.of(Count::ChangesDelivered), 2);
    assert!((ms(10_000)..ms(11_000)).contains(&ms(metrics.of(Count::HeldTime))));
    assert_eq!(metrics.of(Count::RestTime), 0);
    assert!(metrics.of(Count::Reads) > 20, "it polled twice a second");

    // The client knows the end.
    let id = &events.last().unwrap().id;
    let again = request("GET", A, &[("last-event-id", id)]);
    assert_eq!(harness.respond(&again).await.status(), 204);
    assert_eq!(metrics.of(Count::NoContent), 1);
    assert_eq!(metrics.of(Count::StreamsOpened), 1);
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_end_has_a_count_of_its_own() {
    let always: &[_] = &[];
    let auto: &[_] = &[("HOLD", "auto"), ("FRESHNESS", "10m")];
    let cases = [
        (always, None, Count::RestedWindowOver),
        (auto, None, Count::RestedNothingDue),
        (always, Some(Fault::Throttled), Count::RestedFeedFailed),
        (always, Some(Fault::Panics), Count::RestedPanicked),
    ];
    for (more, fault, end) in cases {
        let settings = [("FEED_TABLE", "in memory"), ("ACCESS", "open")];
        let harness = Harness::with(&[&settings, more].concat());
        harness.change("A", "PLACED").await;
        harness.feed.inject([fault]);
        let events = harness.get(A, "0").await.finish().await;
        let metrics = &harness.metrics;
        assert_eq!(metrics.of(end), 1, "{end:?}");
        let ends: u64 = Count::ALL
            .into_iter()
            .filter(|it| it.name().starts_with("Rested") || it.name().starts_with("Ended"))
            .map(|it| metrics.of(it))
            .sum();
        assert_eq!(ends, 1, "{end:?}");
        let rest = events.last().unwrap().retry.unwrap();
        assert_eq!(ms(metrics.of(Count::RestTime)), rest, "{end:?}");
        assert_eq!(metrics.of(Count::CheckIns), 1);
        let failed = u64::from(end == Count::RestedFeedFailed);
        assert_eq!(metrics.of(Count::ReadsFailed), failed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_and_one_that_leaves_are_counted() {
    let harness = Harness::new();
    for n in 0..9 {
        harness.change("A", ["PAID", "PACKED"][n % 2]).await;
    }
    let mut slow = harness.get(A, "").await;
    slow.until("message").await;
    sleep(s(61)).await;
    slow.finish().await;
    assert_eq!(harness.metrics.of(Count::RestedSlowReader), 1);

    let harness = Harness::new();
    let mut leaves = harness.get(A, "").await;
    leaves.until("ready").await;
    leaves.chunk().await.unwrap();
    sleep(s(7)).await;
    drop(leaves);
    assert_eq!(harness.metrics.of(Count::StreamsOpened), 1);
    assert_eq!(ms(harness.metrics.of(Count::HeldTime)), s(7));
    assert_eq!(harness.metrics.of(Count::RestTime), 0);
}

#[tokio::test(start_paused = true)]
async fn resets_and_refusals_are_counted_by_their_reason() {
    let harness = Harness::new();
    harness.change("A", "PLACED").await;
    for cursor in ["?", "7-0000"] {
        harness.get(A, cursor).await.until("ready").await;
    }
    assert_eq!(harness.metrics.of(Count::ResetsUnknownCursor), 2);
    assert_eq!(harness.metrics.of(Count::ResetsTrimmed), 0);

    let issuer = Issuer::new(Algorithm::ES256, "k").unwrap();
    let jwks = issuer.jwks().unwrap();
    let closed = Harness::with(&[("FEED_TABLE", "in memory"), ("JWKS", &jwks)]);
    closed.respond(&request("GET", A, &[])).await;
    let claims = json!({ "orders": ["B"], "exp": (NOW + s(60)).as_secs() });
    let of_b = format!("Bearer {}", issuer.sign(&claims).unwrap());
    closed
        .respond(&request("GET", A, &[("authorization", &of_b)]))
        .await;
    closed.respond(&request("GET", "/", &[])).await;
    closed.respond(&request("PUT", A, &[])).await;
    closed.respond_to_event("no request").await;
    let expected = [
        (Count::Unauthorized, 1),
        (Count::Forbidden, 1),
        (Count::BadRequests, 3),
    ];
    check(&closed.metrics, &expected);

    // Nothing is sent, so no stream was opened.
    let harness = Harness::new();
    harness.respond(&request("HEAD", A, &[])).await;
    check(&harness.metrics, &[]);
}

/// A change of order A, which was written and appended before now.
async fn changed(harness: &Harness, n: u64, written: Duration, appended: Duration) {
    let now = harness.clock().epoch();
    let millis = |before: Duration| u64::try_from((now - before).as_millis()).unwrap();
    let change = Change {
        recorded_at: Some(millis(written)),
        ..change("A", n, ["PAID", "PACKED"][n as usize % 2])
    };
    let clock = Clock::starting_at(now - appended);
    append(&harness.feed, &change, &clock, RETENTION)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_that_of_a_client_that_was_waiting() {
    let harness = Harness::new();
    let delays =
        || [Delay::FeedDelay, Delay::ChangeDelay].map(|delay| harness.metrics.delays(delay));
    changed(&harness, 1, s(7000), s(6999)).await;
    changed(&harness, 2, s(9), s(8)).await;
    let mut stream = harness.get(A, "").await;
    stream.until("ready").await;
    assert_eq!(
        delays(),
        [[0; 0], [0; 0]],
        "a new visitor's history is not late"
    );
    // A poll, so the next one comes half a second later.
    stream.chunk().await.unwrap();
    sleep(ms(100)).await;
    changed(&harness, 3, ms(8), ms(3)).await;
    stream.until("message").await;
    let [feed, change] = delays();
    assert_eq!((feed.len(), change.len()), (1, 1));
    assert!((3..=503).contains(&feed[0]) && change[0] > feed[0]);
    let id = stream.until("message").await.last().unwrap().id.clone();
    drop(stream);

    // The client rests for 20 s.
    changed(&harness, 4, s(16), s(15)).await;
    harness.get(A, &id).await.until("message").await;
    let [feed, change] = delays();
    let near = |found: u64, expected: u64| found.abs_diff(expected) * 16 <= expected;
    assert!(near(feed[1], 15_000) && near(change[1], 16_000), "{feed:?}");

    // The client's computer was off for an hour.
    changed(&harness, 5, s(1801), s(1800)).await;
    changed(&harness, 6, s(2), s(1)).await;
    harness.get(A, &id).await.until("ready").await;
    let [feed, _] = delays();
    assert_eq!(
        feed.len(),
        4,
        "changes 4 and 6 of the last minute: {feed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_projector_counts_what_becomes_of_each_record() {
    let (metrics, feed) = (Metrics::default(), MemoryFeed::default());
    let projector = projector(&feed, &[]).with_metrics(metrics.clone());
    let paid = record("Orders", "A", 10, "PAID");
    let unreadable = with(
        record("Orders", "B", 11, "PAID"),
        "status",
        json!({ "L": [] }),
    );
    let private = with(
        record("Orders", "A", 12, "PAID"),
        "email",
        json!({ "S": "a@b.c" }),
    );
    let batch = [
        paid.clone(),
        unreadable,
        private,
        record("Orders", "C", 14, "PAID"),
    ];
    project_at(&projector, &batch, 30).await;
    check(
        &metrics,
        &[
            (Count::ChangesAppended, 2),
            (Count::RecordsWithoutChange, 1),
            (Count::RecordsPoison, 1),
        ],
    );
    let near = |found: Vec<u64>, expected: &[u64]| {
        let near = |(found, expected): (&u64, &u64)| found.abs_diff(*expected) * 16 <= *expected;
        assert!(
            found.len() == expected.len() && found.iter().zip(expected).all(near),
            "{found:?}"
        );
    };
    near(metrics.delays(Delay::AppendDelay), &[16_000, 20_000]);
    near(metrics.delays(Delay::OldestRecordAge), &[20_000]);

    // Another stream takes over, and the old one still delivers.
    let (metrics, feed) = (Metrics::default(), MemoryFeed::default());
    let projector = records::projector(&feed, &[]).with_metrics(metrics.clone());
    let of = |table, n, status| record(table, "A", n, status);
    project_at(&projector, &[of("Orders", 10, "PAID")], 30).await;
    project_at(&projector, &[of("Purchases", 20, "PACKED")], 30).await;
    project_at(&projector, &[of("Orders", 15, "SHIPPED")], 30).await;
    assert_eq!(metrics.of(Count::RecordsOfOlderStream), 1);

    let (metrics, feed) = (Metrics::default(), MemoryFeed::default());
    let projector = records::projector(&feed, &[]).with_metrics(metrics.clone());
    feed.inject([Some(Fault::Throttled)]);
    project_at(
        &projector,
        &[of("Orders", 10, "PAID"), of("Orders", 11, "PACKED")],
        30,
    )
    .await;
    check(&metrics, &[(Count::RecordsRetried, 1)]);

    let metrics = Metrics::default();
    let status = [("STATUS_ATTRIBUTE", "state")];
    let projector =
        records::projector(&MemoryFeed::default(), &status).with_metrics(metrics.clone());
    project_at(&projector, &[paid], 30).await;
    check(&metrics, &[(Count::BatchesRetried, 1)]);
}

/// A real binary.
fn function(bootstrap: &str, dynamo: &Dynamo) -> Builder {
    Function::builder(bootstrap)
        .env("ACCESS", "open")
        .env("HOLD", "always")
        .env("WINDOW", "1s")
        .env("FEED_TABLE", "OrderFeed")
        .env("STACK_NAME", "shop")
        .env("AWS_ENDPOINT_URL_DYNAMODB", dynamo.endpoint())
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .timeout(s(60))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binaries_write_metrics_and_name_the_trace_of_a_held_response() {
    let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
    create_tables(&dynamo.client()).await.unwrap();
    let projector = function(env!("CARGO_BIN_EXE_projector"), &dynamo);
    let projector = projector.start().await.unwrap();
    let batch = json!({ "Records": [record("Orders", "A", 10, "PAID")] });
    projector.invoke(batch.to_string().into()).await.unwrap();
    let line = projector.wait_for_log("CloudWatchMetrics").await;
    let line = serde_json::from_str(&line).unwrap();
    check_line(&line);
    assert_eq!(line["ChangesAppended"], 1);
    assert_eq!(line["Stack"], "shop");

    for metrics in ["on", "off"] {
        let stream = function(env!("CARGO_BIN_EXE_stream"), &dynamo).env("METRICS", metrics);
        let stream = stream.start().await.unwrap();
        for _ in 0..2 {
            let response = reqwest::get(format!("{}{A}", stream.url())).await.unwrap();
            assert!(response.text().await.unwrap().contains("event: rest"));
            // So the next request goes to the same process.
            stream.wait_for(|stats| stats.idle == 1).await;
        }
        if metrics == "on" {
            stream.wait_for_log("CloudWatchMetrics").await;
        }
        let ended = stream.wait_for_log("a held response has ended").await;
        let ended: Value = serde_json::from_str(&ended).unwrap();
        assert_eq!(ended["fields"]["end"], "RestedWindowOver");
        assert_eq!(ended["fields"]["changes"], 1);
        assert!(ended["fields"]["held_ms"].is_u64());
        let trace = ended["spans"][0]["xrayTraceId"].as_str().unwrap();
        assert!(trace.starts_with("Root=1-"), "{ended}");
        let logs = stream.logs();
        let lines = logs
            .iter()
            .filter(|line| line.contains("CloudWatchMetrics"));
        let lines: Vec<Value> = lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        match metrics {
            "on" => {
                check_line(&lines[0]);
                assert_eq!(lines.len(), 1, "one for the first minute");
                assert_eq!(lines[0]["RestedWindowOver"], 1);
            }
            _ => assert!(lines.is_empty()),
        }
    }
}
