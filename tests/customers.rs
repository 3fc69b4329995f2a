//! A customer's stream: every order of a customer, new ones included, on one connection.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use eventsource_stream::Event;
use http_body_util::BodyExt;
use jsonwebtoken::Algorithm;
use lambda_runtime::FunctionResponse;
use local::issuer::Issuer;
use order_status_stream::change::{Change, Write};
use order_status_stream::clock::Clock;
use order_status_stream::customer::CustomerId;
use order_status_stream::feed::memory::{Fault, MemoryFeed};
use order_status_stream::feed::{Feed, LogId, append};
use order_status_stream::lambda::answer;
use order_status_stream::request::Request;
use serde_json::{Value, json};
use support::{Connection, Harness, NOW, RETENTION, change, change_of, outline, parse};

const ME: &str = "/customers/me/events";
const HOUR: Duration = Duration::from_secs(3600);
const DAY: u64 = 86_400;

/// A shop whose tokens name customers.
struct Shop {
    harness: Harness,
    issuer: Issuer,
    records: AtomicU64,
    /// How much later than now the next changes are appended.
    later: Duration,
}

impl Shop {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(settings: &[(&str, &str)]) -> Self {
        let issuer = Issuer::new(Algorithm::ES256, "k").unwrap();
        let jwks = issuer.jwks().unwrap();
        let all = [
            ("FEED_TABLE", "in memory"),
            ("JWKS", &*jwks),
            ("JWT_CUSTOMER_CLAIM", "customer"),
            ("TOKEN_STREAMS", "9999"),
            ("TOKEN_OPENINGS", "99999"),
        ];
        Self {
            harness: Harness::with(&[&all[..], settings].concat()),
            issuer,
            records: AtomicU64::new(1),
            later: Duration::ZERO,
        }
    }

    fn feed(&self) -> &MemoryFeed {
        &self.harness.feed
    }

    /// An order gets a status. It is this customer's.
    async fn change(&self, customer: &str, id: &str, status: &str) {
        let customer = CustomerId::new(customer);
        self.append(Change {
            customer,
            ..change(id, 0, status)
        })
        .await;
    }

    async fn append(&self, change: Change) {
        let n = self.records.fetch_add(1, Ordering::Relaxed);
        let change = Change {
            position: support::change("A", n, "X").position,
            ..change
        };
        let clock = Clock::starting_at(NOW + self.harness.age() + self.later);
        append(self.feed(), &change, &clock, RETENTION)
            .await
            .unwrap();
    }

    fn request(&self, method: &str, customer: &Value, headers: &[(&str, &str)]) -> Request {
        let exp = (NOW + self.harness.age() + 400 * 24 * HOUR).as_secs();
        let token = self
            .issuer
            .sign(&json!({ "customer": customer, "exp": exp }));
        let bearer = format!("Bearer {}", token.unwrap());
        let headers = [&[("authorization", &*bearer)], headers].concat();
        support::request(method, ME, &headers)
    }

    async fn get(&self, customer: &str, last_event_id: &str) -> Connection {
        let cursor = [("last-event-id", last_event_id)];
        let headers = if last_event_id.is_empty() {
            &[][..]
        } else {
            &cursor
        };
        let response = self
            .harness
            .respond(&self.request("GET", &json!(customer), headers))
            .await;
        assert_eq!(response.status(), 200);
        Connection::new(response)
    }

    /// All events of a response until `ready`.
    async fn until_ready(&self, customer: &str, last_event_id: &str) -> Vec<Event> {
        self.get(customer, last_event_id).await.until("ready").await
    }

    /// Deletes what has expired in a customer's log, as the table's TTL does.
    async fn sweep(&self, customer: &str, now: Duration) {
        let log = log_of(customer);
        for entry in self.feed().entries() {
            let expired = entry.expires_at.is_some_and(|at| at < now.as_secs());
            if expired && entry.log() == log {
                self.feed().delete(&log, entry.number());
            }
        }
    }
}

fn log_of(customer: &str) -> LogId {
    LogId::from(&CustomerId::new(customer).unwrap())
}

fn last_id(events: &[Event]) -> &str {
    &events.last().unwrap().id
}

/// The orders and statuses of the changes, and the other events.
fn told(events: &[Event]) -> Vec<String> {
    let told = events.iter().map(|event| {
        let data = change_of(event);
        match event.event.as_str() {
            "message" => format!(
                "{} {}",
                data["orderId"].as_str().unwrap(),
                data["status"].as_str().unwrap()
            ),
            "gone" => format!("{} gone", data["orderId"].as_str().unwrap()),
            other => other.to_owned(),
        }
    });
    told.collect()
}

#[tokio::test(start_paused = true)]
async fn a_first_visit_byte_for_byte() {
    let shop = Shop::new();
    shop.change("C", "A", "PLACED").await;
    shop.change("C", "A", "PAID").await;
    shop.change("C", "B", "PLACED").await;
    shop.change("D", "X", "PLACED").await;
    let mut connection = shop.get("C", "").await;
    connection.until("ready").await;
    assert_eq!(connection.chunk().await.unwrap(), ":\n");
    shop.change("D", "B", "PAID").await;
    connection.until("gone").await;
    assert_eq!(
        connection.text(),
        ":\n\
         event: hello\nretry: 1111\ndata: {}\nid: 0\n\n\
         data: {\"orderId\":\"A\",\"seq\":2,\"status\":\"PAID\",\"previous\":\"PLACED\",\
         \"at\":\"2026-11-22T17:40:00.123Z\",\"attributes\":{}}\nid: 2-9df1_\n\n\
         data: {\"orderId\":\"B\",\"seq\":1,\"status\":\"PLACED\",\"previous\":null,\
         \"at\":\"2026-11-22T17:40:00.123Z\",\"attributes\":{}}\nid: 3-1326_\n\n\
         event: ready\ndata: {}\nid: 3-1326\n\n\
         :\n\
         event: gone\ndata: {\"orderId\":\"B\",\"seq\":2}\nid: 4-d078\n\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_visitor_gets_the_newest_change_of_each_order() {
    let shop = Shop::new();
    for n in 0..120 {
        shop.change("C", &format!("O-{n}"), "PLACED").await;
        shop.change("C", "busy", &format!("S{n}")).await;
    }
    let events = shop.until_ready("C", "").await;
    let changes: Vec<_> = told(&events)
        .into_iter()
        .filter(|told| told.contains(' '))
        .collect();
    let expected: Vec<_> = (0..120).map(|n| format!("O-{n} PLACED")).collect();
    let busy = String::from("busy S119");
    assert_eq!(changes, [&expected[..], &[busy]].concat());
    // The cursor proves how far the log was read.
    let again = shop.until_ready("C", last_id(&events)).await;
    assert_eq!(told(&again), ["hello", "ready"]);
}

/// A hundred places, and the end.
fn cuts(bytes: usize) -> impl Iterator<Item = usize> {
    (0..bytes).step_by(bytes / 100).chain([bytes])
}

/// Of a log of several pages: the client resumes where it was cut off, before and after `ready`.
#[tokio::test(start_paused = true)]
async fn a_first_visit_that_is_cut_off_anywhere_is_continued() {
    let shop = Shop::new();
    for n in 0..60 {
        shop.change("C", &format!("O-{n}"), "PLACED").await;
        shop.change("C", &format!("O-{n}"), "PAID").await;
    }
    let mut whole = shop.get("C", "").await;
    whole.until("ready").await;
    check_cuts(&shop, "", whole.bytes()).await;
}

/// Cuts the response to a cursor of `C` at many bytes. A client that comes back gets exactly what it had not got.
async fn check_cuts(shop: &Shop, cursor: &str, bytes: &[u8]) {
    let all = told(&parse(bytes));
    for cut in cuts(bytes.len()) {
        let seen = parse(&bytes[..cut]);
        let id = seen.last().map_or(cursor, |event| &event.id);
        let rest = told(&shop.until_ready("C", id).await);
        let mut together = told(&seen);
        // Each response begins with `hello` and has a `ready`.
        together.retain(|line| line != "ready");
        together.extend(rest.into_iter().skip(usize::from(!seen.is_empty())));
        assert_eq!(together, all, "cut at {cut}");
    }
}

/// The ending does not expire earlier because of what follows it.
#[tokio::test(start_paused = true)]
async fn a_new_visitor_may_get_the_ending_of_an_order_before_its_return() {
    let shop = Shop::new();
    for status in ["PLACED", "DELIVERED", "RETURNED"] {
        shop.change("C", "A", status).await;
    }
    let events = shop.until_ready("C", "").await;
    assert_eq!(
        told(&events),
        ["hello", "A DELIVERED", "A RETURNED", "ready"]
    );
}

#[tokio::test(start_paused = true)]
async fn every_change_comes_once_and_in_order_after_any_cut() {
    let shop = Shop::new();
    shop.change("C", "A", "PLACED").await;
    let first = shop.until_ready("C", "").await;
    for n in 0..70 {
        shop.change("C", "A", &format!("A{n}")).await;
        shop.change("C", "B", &format!("B{n}")).await;
    }
    let mut whole = shop.get("C", last_id(&first)).await;
    whole.until("ready").await;
    assert_eq!(parse(whole.bytes()).len(), 142);
    check_cuts(&shop, last_id(&first), whole.bytes()).await;
}

#[tokio::test(start_paused = true)]
async fn an_order_that_changes_hands_disappears_for_the_one_and_appears_for_the_other() {
    let shop = Shop::new();
    shop.change("C", "A", "PLACED").await;
    let (c, d) = (
        shop.until_ready("C", "").await,
        shop.until_ready("D", "").await,
    );
    assert_eq!(told(&d), ["hello", "ready"]);
    shop.change("D", "A", "PAID").await;
    let resumed = shop.until_ready("C", last_id(&c)).await;
    assert_eq!(told(&resumed), ["hello", "A gone", "ready"]);
    let appeared = shop.until_ready("D", last_id(&d)).await;
    assert_eq!(told(&appeared), ["hello", "A PAID", "ready"]);
    // And back.
    shop.change("C", "A", "SHIPPED").await;
    let back = shop.until_ready("C", last_id(&resumed)).await;
    assert_eq!(told(&back), ["hello", "A SHIPPED", "ready"]);
    let left = shop.until_ready("D", last_id(&appeared)).await;
    assert_eq!(told(&left), ["hello", "A gone", "ready"]);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_order_is_shown_as_removed() {
    let shop = Shop::new();
    shop.change("C", "A", "PLACED").await;
    let seen = shop.until_ready("C", "").await;
    shop.append(Change {
        write: Write::Remove,
        terminal: true,
        ..change("A", 0, "REMOVED")
    })
    .await;
    let resumed = shop.until_ready("C", last_id(&seen)).await;
    assert_eq!(told(&resumed), ["hello", "A REMOVED", "ready"]);
}

/// The table deletes what has expired late and in any order. A client that misses a change is told so, and never otherwise.
#[tokio::test(start_paused = true)]
async fn a_client_that_missed_an_expired_change_gets_reset_and_each_order() {
    for is_deleted in [false, true] {
        let mut shop = Shop::new();
        shop.change("C", "A", "PLACED").await;
        let seen = shop.until_ready("C", "").await;
        for status in ["A1", "A2"] {
            shop.change("C", "A", status).await;
        }
        shop.change("C", "B", "DELIVERED").await;
        let near = shop.until_ready("C", last_id(&seen)).await;
        shop.later = Duration::from_secs(31 * DAY);
        shop.change("C", "D", "PLACED").await;
        tokio::time::advance(shop.later).await;
        shop.later = Duration::ZERO;
        if is_deleted {
            shop.sweep("C", NOW + shop.harness.age()).await;
        }
        let away = shop.until_ready("C", last_id(&seen)).await;
        assert_eq!(
            told(&away),
            ["hello", "reset", "A A2", "D PLACED", "ready"],
            "{is_deleted}"
        );
        let reset = &away[1];
        assert_eq!(reset.data, r#"{"orders":"*","reason":"trimmed"}"#);
        assert_eq!(reset.id, "0");
        // This client has missed nothing, but its last entry may be deleted.
        let near = told(&shop.until_ready("C", last_id(&near)).await);
        match is_deleted {
            false => assert_eq!(near, ["hello", "D PLACED", "ready"]),
            true => assert_eq!(near, ["hello", "reset", "A A2", "D PLACED", "ready"]),
        }
    }
}

/// The newest entry of a log shows how far the log reached. It remains, hidden, after its order is forgotten.
#[tokio::test(start_paused = true)]
async fn a_client_that_has_seen_everything_gets_no_reset_when_it_has_expired() {
    let shop = Shop::new();
    shop.change("C", "A", "PLACED").await;
    shop.change("C", "B", "DELIVERED").await;
    let seen = shop.until_ready("C", "").await;
    assert_eq!(told(&seen), ["hello", "A PLACED", "B DELIVERED", "ready"]);
    tokio::time::advance(Duration::from_secs(40 * DAY)).await;
    shop.sweep("C", NOW + shop.harness.age()).await;
    let resumed = shop.until_ready("C", last_id(&seen)).await;
    assert_eq!(told(&resumed), ["hello", "ready"]);
    let visitor = shop.until_ready("C", "").await;
    assert_eq!(told(&visitor), ["hello", "A PLACED", "ready"]);
    // The visitor's cursor is after the hidden entry, so it gets no reset either.
    assert_eq!(last_id(&visitor), last_id(&resumed));
    shop.change("C", "A", "PAID").await;
    let next = shop.until_ready("C", last_id(&visitor)).await;
    assert_eq!(told(&next), ["hello", "A PAID", "ready"]);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_is_not_of_this_log_gets_reset() {
    let shop = Shop::new();
    shop.change("C", "A", "PLACED").await;
    for (cursor, id) in [
        ("?", "?"),
        ("1-4273~", "?"),
        ("0.0", "?"),
        ("1-ffff", "1-ffff"),
        ("7-4273", "7-4273"),
    ] {
        let events = shop.until_ready("C", cursor).await;
        assert_eq!(
            told(&events),
            ["hello", "reset", "A PLACED", "ready"],
            "{cursor}"
        );
        assert_eq!(events[0].id, id);
        assert_eq!(
            events[1].data,
            r#"{"orders":"*","reason":"unknown-cursor"}"#
        );
    }
    // An order's stream does not know the cursor of a customer's.
    let harness = Harness::new();
    harness.change("A", "PLACED").await;
    let events = harness
        .get("/orders/A/events", "1-4273_")
        .await
        .until("ready")
        .await;
    assert_eq!(outline(&events), ["hello", "reset", "PLACED", "ready"]);
}

#[tokio::test(start_paused = true)]
async fn a_lagging_replica_causes_no_reset() {
    let shop = Shop::new();
    shop.change("C", "A", "PLACED").await;
    shop.change("C", "A", "PAID").await;
    let seen = shop.until_ready("C", "").await;
    shop.feed().freeze_replica();
    shop.change("C", "B", "PLACED").await;
    let lagging = shop.until_ready("C", last_id(&seen)).await;
    assert_eq!(told(&lagging), ["hello", "ready"]);
    // The client has seen more than the replica.
    let newest = shop.feed().newest(log_of("C")).await.unwrap().unwrap();
    let ahead = shop.until_ready("C", &newest.mark().to_string()).await;
    assert_eq!(told(&ahead), ["hello", "ready"]);
}

#[tokio::test(start_paused = true)]
async fn a_customers_stream_rests_and_never_ends() {
    let shop = Shop::with(&[("HOLD", "auto")]);
    shop.change("C", "A", "DELIVERED").await;
    let events = shop.get("C", "").await.finish().await;
    assert_eq!(told(&events), ["hello", "A DELIVERED", "ready", "rest"]);
    // No change is due.
    let retry = change_of(events.last().unwrap())["retry"].as_u64().unwrap();
    assert!((54_000..=66_000).contains(&retry), "{retry}");
    let again = shop.get("C", last_id(&events)).await.finish().await;
    assert_eq!(told(&again), ["hello", "ready", "rest"]);
    assert_eq!(last_id(&again), last_id(&events));
}

/// A check-in reads the newest entry only. It says which other orders are unfinished.
#[tokio::test(start_paused = true)]
async fn the_rest_depends_on_every_unfinished_order() {
    let shop = Shop::with(&[("HOLD", "auto")]);
    let rest = async |cursor: &str| {
        let events = shop.get("C", cursor).await.finish().await;
        let retry = change_of(events.last().unwrap())["retry"].as_u64().unwrap();
        (retry, last_id(&events).to_owned())
    };
    shop.change("C", "A", "PLACED").await;
    shop.change("C", "B", "DELIVERED").await;
    let (one, cursor) = rest("").await;
    assert!(one < 2_500, "{one}");
    let (check_in, _) = rest(&cursor).await;
    assert!(check_in < 2_500, "{check_in}");
    shop.change("C", "A", "DELIVERED").await;
    let (none, _) = rest(&cursor).await;
    assert!(none > 54_000, "{none}");
}

#[tokio::test(start_paused = true)]
async fn a_customer_without_orders_is_asked_for_less_and_less_often() {
    let shop = Shop::with(&[("HOLD", "auto")]);
    let mut cursor = "0".to_owned();
    for check_in in 1..=3 {
        let events = shop.get("C", &cursor).await.finish().await;
        assert_eq!(told(&events), ["hello", "ready", "rest"]);
        cursor = last_id(&events).to_owned();
        assert_eq!(cursor, format!("0-{check_in:04x}"));
    }
    shop.change("C", "A", "PLACED").await;
    let events = shop.until_ready("C", &cursor).await;
    assert_eq!(told(&events), ["hello", "A PLACED", "ready"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_any_order_is_sent_while_the_response_is_held() {
    let shop = Shop::new();
    shop.change("C", "A", "PLACED").await;
    let mut connection = shop.get("C", "").await;
    connection.until("ready").await;
    shop.change("C", "new", "PLACED").await;
    let events = connection.until("message").await;
    assert_eq!(told(&events)[3..], ["new PLACED"]);
    assert_eq!(shop.harness.age(), Duration::from_millis(500));
    // After `ready`, a mark is complete.
    assert!(!last_id(&events).contains('_'));
}

/// The first order changes several times between two polls. After `ready`, the client is owed each change.
#[tokio::test(start_paused = true)]
async fn the_first_changes_of_a_customer_are_sent_while_the_response_is_held() {
    let shop = Shop::new();
    let mut connection = shop.get("C", "").await;
    connection.until("ready").await;
    for status in ["PLACED", "PAID", "PACKED"] {
        shop.change("C", "A", status).await;
    }
    while told(&parse(connection.bytes())).len() < 5 {
        connection.chunk().await.unwrap();
    }
    let events = parse(connection.bytes());
    assert_eq!(
        told(&events),
        ["hello", "ready", "A PLACED", "A PAID", "A PACKED"]
    );
    assert!(events.iter().all(|event| !event.id.contains('_')));
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_fails_ends_the_response_with_rest() {
    let shop = Shop::new();
    shop.change("C", "A", "PLACED").await;
    shop.feed().inject([Some(Fault::Throttled)]);
    let events = shop.get("C", "").await.finish().await;
    assert_eq!(told(&events), ["hello", "rest"]);
    assert_eq!(change_of(&events[1])["unavailable"], true);
}

/// Both make one read, of one entry. `feed::customers` compares the sizes of the entries.
#[tokio::test(start_paused = true)]
async fn a_check_in_of_500_orders_costs_what_one_order_costs() {
    let shop = Shop::with(&[("HOLD", "auto")]);
    for n in 0..500 {
        let status = ["PLACED", "PAID", "PACKED", "SHIPPED"][n % 4];
        shop.change("C", &format!("O-{n:04}"), status).await;
    }
    shop.change("one", "single", "PLACED").await;
    // No change is due within seconds.
    tokio::time::advance(Duration::from_secs(DAY)).await;
    let check_in = async |customer: &str| {
        let first = shop.get(customer, "").await.finish().await;
        let calls = shop.feed().calls();
        let mut check_in = shop.get(customer, last_id(&first)).await;
        check_in.until("rest").await;
        (shop.feed().calls() - calls, check_in.bytes().len())
    };
    let ((one_read, one_sent), (reads, sent)) = (check_in("one").await, check_in("C").await);
    assert_eq!((one_read, reads), (1, 1));
    assert!(
        10 * sent <= 12 * one_sent,
        "{sent} bytes, {one_sent} for one order"
    );
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_shows_every_order_and_a_stream_continues_after_it() {
    let shop = Shop::new();
    let snapshot = async || {
        let request = shop.request("GET", &json!("C"), &[("accept", "application/json")]);
        let response = shop.harness.respond(&request).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    assert_eq!(snapshot().await, json!({ "orders": [], "cursor": "0" }));
    for n in 0..150 {
        shop.change("C", &format!("O-{n:03}"), "PLACED").await;
        shop.change("C", &format!("O-{n:03}"), "PAID").await;
    }
    shop.change("D", "O-007", "PAID").await;
    let shown = snapshot().await;
    let orders = shown["orders"].as_array().unwrap();
    assert_eq!(orders.len(), 149);
    assert!(
        orders
            .iter()
            .all(|order| order["status"] == "PAID" && order["seq"] == 2)
    );
    let cursor = shown["cursor"].as_str().unwrap();
    shop.change("C", "O-000", "SHIPPED").await;
    let events = shop.until_ready("C", cursor).await;
    assert_eq!(told(&events), ["hello", "O-000 SHIPPED", "ready"]);
}

/// The JSON of a snapshot that a service gets which does not stream, in a JSON object. A load balancer takes 1 MB.
async fn whole_snapshot(shop: &Shop, customer: &str) -> (String, usize) {
    let exp = (NOW + HOUR).as_secs();
    let token = shop
        .issuer
        .sign(&json!({ "customer": customer, "exp": exp }));
    let event = json!({
        "requestContext": { "elb": {} },
        "httpMethod": "GET",
        "path": ME,
        "headers": { "authorization": format!("Bearer {}", token.unwrap()) },
    });
    let response = shop.harness.respond_to_event(&event.to_string()).await;
    let FunctionResponse::BufferedResponse(whole) = answer(response, None).await else {
        panic!("it is streamed");
    };
    assert_eq!(whole["statusCode"], 200);
    let body = whole["body"].as_str().unwrap().to_owned();
    (body, whole.to_string().len())
}

/// 1,000 orders of more than a kilobyte. Each quote takes two bytes in the snapshot, and four in the load balancer's JSON.
#[tokio::test(start_paused = true)]
async fn a_snapshot_for_a_load_balancer_is_shorter_than_a_megabyte() {
    let shop = Shop::with(&[("PUBLIC_ATTRIBUTES", "note")]);
    for n in 0..1000 {
        shop.append(Change {
            customer: CustomerId::new("C"),
            view: [("note".to_owned(), json!("\"".repeat(500)))].into(),
            ..change(&format!("O-{n:04}"), 0, "PLACED")
        })
        .await;
    }
    let (body, bytes) = whole_snapshot(&shop, "C").await;
    assert!(bytes < 1_000_000, "{bytes}");
    assert!((498_000..=500_000).contains(&body.len()), "{}", body.len());
    let snapshot: Value = serde_json::from_str(&body).unwrap();
    let shown = snapshot["orders"].as_array().unwrap().len();
    let cursor = snapshot["cursor"].as_str().unwrap();
    assert!(cursor.starts_with(&format!("{shown}-")) && cursor.ends_with('_'));
    let events = shop.until_ready("C", cursor).await;
    let others = told(&events).into_iter().filter(|told| told.contains(' '));
    let expected: Vec<_> = (shown..1000).map(|n| format!("O-{n:04} PLACED")).collect();
    assert_eq!(others.collect::<Vec<_>>(), expected);
}

/// A log that takes longer to read than a response may take to begin. What was read in time is shown.
#[tokio::test(start_paused = true)]
async fn a_snapshot_of_a_log_that_takes_too_long_is_continued_by_the_stream() {
    let shop = Shop::new();
    for n in 0..950 {
        shop.change("C", &format!("O-{:03}", n % 475), &format!("S{n}"))
            .await;
    }
    let slow = |millis| Some(Fault::Slow(Duration::from_millis(millis)));
    for (faults, pages) in [
        (vec![slow(500); 10], 4),
        (vec![slow(2_800)], 1),
        (vec![None, None, Some(Fault::Hangs)], 2),
    ] {
        let unused = faults.len();
        let (calls, began) = (shop.feed().calls(), shop.harness.age());
        shop.feed().inject(faults);
        let request = shop.request("GET", &json!("C"), &[("accept", "application/json")]);
        let response = shop.harness.respond(&request).await;
        assert!(shop.harness.age() - began < Duration::from_secs(3));
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let snapshot: Value = serde_json::from_slice(&body).unwrap();
        let cursor = snapshot["cursor"].as_str().unwrap();
        // Each page but the first begins with the last entry of the one before.
        assert!(
            cursor.starts_with(&format!("{}-", 99 * pages + 1)) && cursor.ends_with('_'),
            "{cursor}"
        );
        // The faults that no call has met.
        let read = shop.feed().calls() - calls;
        for _ in read..unused {
            let _ = shop.feed().newest(log_of("C")).await;
        }
        let mut orders: Vec<_> = snapshot["orders"]
            .as_array()
            .unwrap()
            .iter()
            .map(line)
            .collect();
        let events = shop.until_ready("C", cursor).await;
        orders.extend(told(&events).into_iter().filter(|told| told.contains(' ')));
        orders.sort_unstable();
        let mut expected: Vec<_> = (475..950)
            .map(|n| format!("O-{:03} S{n}", n - 475))
            .collect();
        expected.sort_unstable();
        assert_eq!(orders, expected);
    }
}

/// As [`told`] tells it.
fn line(order: &Value) -> String {
    format!(
        "{} {}",
        order["orderId"].as_str().unwrap(),
        order["status"].as_str().unwrap()
    )
}

/// 30 orders of 100 KB do not fit in a snapshot of about a megabyte. Its cursor says so, and the stream sends the others.
#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_full_is_continued_by_the_stream() {
    let shop = Shop::with(&[("PUBLIC_ATTRIBUTES", "note")]);
    for n in 0..30 {
        let note = json!("x".repeat(100_000));
        shop.append(Change {
            customer: CustomerId::new("C"),
            view: [("note".to_owned(), note)].into(),
            ..change(&format!("O-{n:02}"), 0, "PLACED")
        })
        .await;
    }
    let request = shop.request("GET", &json!("C"), &[("accept", "application/json")]);
    let response = shop.harness.respond(&request).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let snapshot: Value = serde_json::from_slice(&body).unwrap();
    let shown = snapshot["orders"].as_array().unwrap().len();
    // A megabyte is 1,048,576 bytes.
    assert_eq!(shown, 10);
    let cursor = snapshot["cursor"].as_str().unwrap();
    assert!(cursor.ends_with('_'), "{cursor}");
    let events = shop.until_ready("C", cursor).await;
    assert_eq!(
        told(&events)
            .iter()
            .filter(|told| told.starts_with("O-"))
            .count(),
        30 - shown
    );
}

#[tokio::test(start_paused = true)]
async fn head_and_options_are_as_for_orders() {
    let shop = Shop::new();
    let head = shop
        .harness
        .respond(&shop.request("HEAD", &json!("C"), &[]))
        .await;
    assert_eq!(head.status(), 200);
    assert_eq!(
        head.headers()["content-type"],
        "text/event-stream; charset=utf-8"
    );
    assert!(
        head.into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );
    let options = shop
        .harness
        .respond(&support::request("OPTIONS", ME, &[]))
        .await;
    assert_eq!(
        (options.status().as_u16(), &options.headers()["allow"]),
        (200, &"GET, HEAD, OPTIONS".parse().unwrap())
    );
    let post = shop
        .harness
        .respond(&support::request("POST", ME, &[]))
        .await;
    assert_eq!(post.status(), 405);
}

#[tokio::test(start_paused = true)]
async fn only_a_token_that_names_a_customer_opens_a_customers_stream() {
    let shop = Shop::new();
    let status = async |customer: Value| {
        let response = shop
            .harness
            .respond(&shop.request("GET", &customer, &[]))
            .await;
        (
            response.status().as_u16(),
            response.headers().get("www-authenticate").cloned(),
        )
    };
    for customer in [json!("C"), json!("auth0|5f7c"), json!(7)] {
        assert_eq!(status(customer.clone()).await.0, 200, "{customer}");
    }
    let long = "x".repeat(129);
    for customer in [
        json!(null),
        json!(""),
        json!(["C"]),
        json!({}),
        json!(true),
        json!(1.5),
        json!("a\nb"),
        json!(long),
    ] {
        let (status, challenge) = status(customer.clone()).await;
        assert_eq!(status, 403, "{customer}");
        assert_eq!(challenge.unwrap(), r#"Bearer error="insufficient_scope""#);
    }
    let without = shop
        .harness
        .respond(&support::request("GET", ME, &[]))
        .await;
    assert_eq!(without.status(), 401);
    // The customer's token opens no order, because it names none.
    let exp = (NOW + HOUR).as_secs();
    let token = shop
        .issuer
        .sign(&json!({ "customer": "C", "exp": exp }))
        .unwrap();
    let bearer = format!("Bearer {token}");
    let order = support::request("GET", "/orders/A/events", &[("authorization", &bearer)]);
    assert_eq!(shop.harness.respond(&order).await.status(), 403);
}

#[tokio::test(start_paused = true)]
async fn a_number_and_a_text_of_its_digits_are_one_customer() {
    let shop = Shop::new();
    shop.change("7", "A", "PLACED").await;
    let response = shop
        .harness
        .respond(&shop.request("GET", &json!(7), &[]))
        .await;
    let events = Connection::new(response).until("ready").await;
    assert_eq!(told(&events), ["hello", "A PLACED", "ready"]);
}

/// Without the setting, and with open access, there is no such path.
#[tokio::test(start_paused = true)]
async fn a_customers_stream_is_opted_into() {
    for settings in [&[("JWT_CUSTOMER_CLAIM", "")][..], &[("ACCESS", "open")]] {
        let shop = Shop::with(settings);
        let response = shop
            .harness
            .respond(&shop.request("GET", &json!("C"), &[]))
            .await;
        assert_eq!(response.status(), 404);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(!detail.contains("customers"), "{detail}");
    }
    let shop = Shop::with(&[("BASE_PATH", "/api")]);
    for (path, status) in [
        ("/api/customers/me/events", 401),
        (ME, 404),
        ("/api/customers/C/events", 404),
    ] {
        let response = shop
            .harness
            .respond(&support::request("GET", path, &[]))
            .await;
        assert_eq!(response.status(), status, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_opens_too_much_is_told_to_rest() {
    let shop = Shop::with(&[("TOKEN_STREAMS", "1")]);
    shop.change("C", "A", "PLACED").await;
    let request = shop.request("GET", &json!("C"), &[]);
    let _first = shop.harness.respond(&request).await;
    let second = Connection::new(shop.harness.respond(&request).await)
        .finish()
        .await;
    assert_eq!(told(&second), ["hello", "rest"]);
    assert_eq!(last_id(&second), "0");
}

/// Who the customer is cannot be known without the keys, and nothing is read.
#[tokio::test(start_paused = true)]
async fn if_the_keys_cannot_be_fetched_the_stream_is_unavailable() {
    let issuer = ("JWT_ISSUER", "*");
    let shop = Shop::with(&[("JWKS", "https://127.0.0.1:1/jwks.json"), issuer]);
    let events = shop.get("C", "12-9f2c_").await.finish().await;
    assert_eq!(told(&events), ["hello", "rest"]);
    assert_eq!(change_of(&events[1])["unavailable"], true);
    assert_eq!(last_id(&events), "12-9f2c_");
    assert_eq!(shop.feed().calls(), 0);
}
