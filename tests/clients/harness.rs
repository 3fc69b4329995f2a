//! Orders for clients to follow, one for each cut, and the stream functions that show them.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "tests")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use lambda_stand_in::{Fault, Function};
use local::dynamo::{Dynamo, create_tables};
use order_status_stream::change::{Change, Position, Write};
use order_status_stream::clock::Clock;
use order_status_stream::feed::append;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::order::{OrderId, Status};
use serde_json::{Value, json};

/// Number of stream functions. A browser opens at most six connections to one of them.
const FUNCTIONS: usize = 6;

/// More than a client has open at a time, including those that were cut: they stay open, unread, until their window ends.
const REQUESTS_PER_PROCESS: usize = 128;

/// Long enough to send everything on a busy machine. Only clients that are cut in `rest` wait for it.
const WINDOW: &str = "8s";

/// Characters of two, three and four bytes. U+2028 ends a line for some parsers, but not in Server-Sent Events.
const NOTE: &str = "Käse\u{2028}🚚";

/// The order with which the responses are measured, before there are clients.
const SAMPLE: &str = "sample";

/// A reset comes after every byte, a FIN only after every seventh: FIN is milder, and 7 is not a divisor of a frame's length.
const FIN_EACH: usize = 7;

/// Where a client is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Which response is cut: 1 is the first.
    pub visit: usize,
    pub bytes: usize,
    pub reset: bool,
}

impl Cut {
    /// The fault for a visit. If the second response is cut, the first is cut too, before `rest`, because waiting for `rest`
    /// takes long. The two cuts at byte 0 are exceptions: their first response ends normally.
    fn at(self, visit: usize, rest_at: usize) -> Option<Fault> {
        let cut_after = |bytes: usize, reset| Fault::CutAfter {
            bytes: bytes as u64,
            reset,
        };
        if visit == self.visit {
            return Some(cut_after(self.bytes, self.reset));
        }
        (visit < self.visit && self.bytes > 0).then(|| cut_after(rest_at, self.reset))
    }
}

/// A feed that changes when clients come, and the functions that read it.
pub struct Harness {
    /// A cut's order is named after its index, in four digits.
    cuts: Vec<Cut>,
    functions: Vec<Function>,
    visits: Visits,
    _dynamo: Dynamo,
}

/// How many visits each order has had.
type Visits = Arc<Mutex<HashMap<String, usize>>>;

impl Harness {
    pub async fn new() -> Self {
        let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
        create_tables(&dynamo.client()).await.unwrap();
        let mut functions = Vec::new();
        for _ in 0..FUNCTIONS {
            functions.push(function(&dynamo).await);
        }
        let visits = Visits::default();
        let (cuts, rest_at) = cuts(&functions[0], &dynamo.client()).await;
        let last_change = write_first_changes(&dynamo.client(), cuts.len()).await;
        for function in &functions {
            let (client, visits, cuts) = (dynamo.client(), visits.clone(), cuts.clone());
            let last_change = last_change.clone();
            function.inject_by(move |request| {
                let order = order_of(request.uri.path()).to_owned();
                let visit = count(&visits, &order);
                let fault = cuts[order.parse::<usize>().unwrap()].at(visit, rest_at);
                let change = (visit == 2).then(|| of_order(&last_change, &order));
                let client = client.clone();
                async move {
                    if change.is_some() {
                        let put = client.put_item().table_name("OrderFeed");
                        put.set_item(change).send().await.unwrap();
                    }
                    fault
                }
            });
        }
        Self {
            cuts,
            functions,
            visits,
            _dynamo: dynamo,
        }
    }

    /// The URL that a client opens for each cut.
    pub fn urls(&self) -> Vec<String> {
        let functions = self.functions.iter().cycle();
        let urls = functions
            .zip(0..self.cuts.len())
            .map(|(function, n)| url(function, &order_name(n)));
        urls.collect()
    }

    /// Checks that the client has each change of the order once, in order, and nothing from before. Returns the cut's index.
    fn check(&self, report: &Value, may_give_up: fn(Cut) -> bool) -> usize {
        let order = order_of(report["url"].as_str().unwrap());
        let n = order.parse::<usize>().unwrap();
        let cut = self.cuts[n];
        let gave_up = report["gaveUp"].as_u64().unwrap_or_default();
        assert!(gave_up == 0 || may_give_up(cut), "{cut:?}");
        assert_eq!(report["changes"], changes(order), "{cut:?}");
        assert!(self.visits.lock().unwrap()[order] >= 2, "{cut:?}");
        n
    }

    /// Checks that each order is reported once, with the right changes.
    pub async fn check_all(
        &self,
        may_give_up: fn(Cut) -> bool,
        mut next_report: impl AsyncFnMut() -> Value,
    ) {
        let mut reported = vec![false; self.cuts.len()];
        for _ in 0..self.cuts.len() {
            let n = self.check(&next_report().await, may_give_up);
            assert!(!std::mem::replace(&mut reported[n], true));
        }
    }
}

async fn function(dynamo: &Dynamo) -> Function {
    Function::builder(env!("CARGO_BIN_EXE_stream"))
        .env("FEED_TABLE", "OrderFeed")
        .env("PUBLIC_ATTRIBUTES", "note")
        .env("ACCESS", "open")
        .env("HOLD", "always")
        .env("WINDOW", WINDOW)
        .env("POLL_INTERVAL", WINDOW)
        .env("AWS_ENDPOINT_URL_DYNAMODB", dynamo.endpoint())
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .timeout(Duration::from_secs(60))
        .max_concurrency(REQUESTS_PER_PROCESS)
        .cors("*")
        .start()
        .await
        .unwrap()
}

/// Every cut of the two responses, and where `rest` begins in the first. A cut after the last byte removes only the response's
/// end.
async fn cuts(function: &Function, client: &Client) -> (Vec<Cut>, usize) {
    let feed = DynamoDbFeed::new(client.clone(), "OrderFeed");
    let (order, mut cuts) = (SAMPLE, Vec::new());
    let (mut cursor, mut rest_at) = (None, 0);
    for visit in [1, 2] {
        before_visit(&feed, order, visit).await;
        let mut request = reqwest::Client::new().get(url(function, order));
        if let Some(cursor) = cursor {
            request = request.header("last-event-id", cursor);
        }
        let response = request.send().await.unwrap().text().await.unwrap();
        rest_at = response.find("event: rest").unwrap_or(rest_at);
        cursor = response
            .lines()
            .filter_map(|line| line.strip_prefix("id: "))
            .next_back()
            .map(str::to_owned);
        let cut = |reset| {
            move |bytes| Cut {
                visit,
                bytes,
                reset,
            }
        };
        cuts.extend((0..=response.len()).map(cut(true)));
        cuts.extend((0..=response.len()).step_by(FIN_EACH).map(cut(false)));
    }
    (cuts, rest_at)
}

/// The order of a cut.
fn order_name(cut: usize) -> String {
    format!("{cut:04}")
}

fn url(function: &Function, order: &str) -> String {
    format!(
        "{}/orders/{order}/events?lastEventId=unknown",
        function.url()
    )
}

/// The order in a URL or its path.
fn order_of(url: &str) -> &str {
    let (_, rest) = url.split_once("/orders/").unwrap();
    rest.split_once('/').unwrap().0
}

fn count(visits: &Visits, order: &str) -> usize {
    let mut visits = visits.lock().unwrap();
    let visit = visits.entry(order.to_owned()).or_default();
    *visit += 1;
    *visit
}

/// Appends two changes before the first visit, and the last one before the second.
async fn before_visit(feed: &DynamoDbFeed, order: &str, visit: usize) {
    let statuses: &[_] = match visit {
        1 => &[(1, "PAID"), (2, "SHIPPED")],
        2 => &[(3, "DELIVERED")],
        _ => &[],
    };
    for (n, status) in statuses {
        let change = Change {
            order: OrderId::try_from(order).unwrap(),
            position: Position::new("2026-11-22T00:00:00.000", &n.to_string()).unwrap(),
            status: Status::new(*status).unwrap(),
            view: [("note".to_owned(), json!(NOTE))].into_iter().collect(),
            at: Some("2026-11-22T17:40:00Z".to_owned()),
            recorded_at: None,
            write: Write::Modify,
            customer: None,
            began: true,
            terminal: *status == "DELIVERED",
        };
        append(feed, &change, &Clock::system(), Duration::from_secs(86_400))
            .await
            .unwrap()
            .unwrap();
    }
}

/// An entry of the feed, as a DynamoDB item.
type Item = HashMap<String, AttributeValue>;

/// Copies the sample's first two changes to an order for each cut, because an append to the feed takes eight calls. Returns
/// the last change.
async fn write_first_changes(client: &Client, orders: usize) -> Item {
    let key = AttributeValue::S(SAMPLE.to_owned());
    let sample = client
        .query()
        .table_name("OrderFeed")
        // Without the tombstone (number 0), because it would say that the order is finished before its last change exists.
        .key_condition_expression("#order = :sample AND seq >= :first")
        .expression_attribute_names("#order", "order")
        .expression_attribute_values(":sample", key)
        .expression_attribute_values(":first", AttributeValue::N("1".to_owned()));
    let mut changes = sample.send().await.unwrap().items.unwrap();
    let last = changes.pop().unwrap();
    let put = |item| PutRequest::builder().set_item(Some(item)).build().unwrap();
    let puts: Vec<_> = (0..orders)
        .flat_map(|n| {
            changes
                .iter()
                .map(move |change| of_order(change, &order_name(n)))
        })
        .map(|item| WriteRequest::builder().put_request(put(item)).build())
        .collect();
    for puts in puts.chunks(25) {
        let write = client.batch_write_item();
        let write = write.request_items("OrderFeed", puts.to_vec());
        write.send().await.unwrap();
    }
    last
}

fn of_order(change: &Item, order: &str) -> Item {
    let mut change = change.clone();
    change.insert("order".to_owned(), AttributeValue::S(order.to_owned()));
    change
}

/// All changes of an order, as clients receive them.
fn changes(order: &str) -> Value {
    let change = |seq: u64, previous: Value, status: &str| {
        json!({
            "orderId": order, "seq": seq, "previous": previous, "status": status,
            "at": "2026-11-22T17:40:00Z", "attributes": { "note": NOTE },
        })
    };
    json!([
        change(1, Value::Null, "PAID"),
        change(2, json!("PAID"), "SHIPPED"),
        change(3, json!("SHIPPED"), "DELIVERED"),
    ])
}
