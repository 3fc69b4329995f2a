//! Orders for clients to follow, one for each cut, and the functions that show them.
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

/// A browser opens no more than six connections to one of them.
const FUNCTIONS: usize = 6;

/// More than a client has at a time, with those that it was cut off from: they go on unread until their window ends.
const REQUESTS_PER_PROCESS: usize = 128;

/// So long that a busy machine shows all there is in it. Only those that are cut in `rest` wait for it.
const WINDOW: &str = "8s";

/// Characters of two bytes, of three and of four; one of them is a line's end to some, but not to Server-Sent Events.
const NOTE: &str = "Käse\u{2028}🚚";

/// The order that shows what a client is to be sent, before there are clients.
const RULE: &str = "rule";

/// A reset comes after each byte, the milder end by FIN after each of so many: not a divisor of a frame's length.
const FIN_EACH: usize = 7;

/// Where a client is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Of which response: 1 is the first.
    pub visit: usize,
    pub bytes: usize,
    pub reset: bool,
}

impl Cut {
    /// What befalls a visit. Where the second response is to be cut, the first is too, lest each waits for its `rest`; but
    /// for two, which see it end well.
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

/// A feed that is written as clients come, and the functions that read it.
pub struct Stage {
    /// The order of each is its index, in four digits.
    cuts: Vec<Cut>,
    functions: Vec<Function>,
    visits: Visits,
    _dynamo: Dynamo,
}

/// How many visits each order has had.
type Visits = Arc<Mutex<HashMap<String, usize>>>;

impl Stage {
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

    /// What a client opens for each cut.
    pub fn urls(&self) -> Vec<String> {
        let functions = self.functions.iter().cycle();
        let urls = functions
            .zip(0..self.cuts.len())
            .map(|(function, n)| url(function, &name(n)));
        urls.collect()
    }

    /// The client has what the order went through, each change once and in order, and nothing of what it had before.
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

    /// Each order is reported once and as it should be.
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

/// Every cut of the two responses, and where in the first `rest` begins. After the last byte the response's own end is missing.
async fn cuts(function: &Function, client: &Client) -> (Vec<Cut>, usize) {
    let feed = DynamoDbFeed::new(client.clone(), "OrderFeed");
    let (order, mut cuts) = (RULE, Vec::new());
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
fn name(cut: usize) -> String {
    format!("{cut:04}")
}

fn url(function: &Function, order: &str) -> String {
    format!(
        "{}/orders/{order}/events?lastEventId=unknown",
        function.url()
    )
}

/// Of a URL or its path.
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

/// Two changes are there when the client comes first, the last when it comes again.
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
            began: true,
            terminal: *status == "DELIVERED",
        };
        append(feed, &change, &Clock::system(), Duration::from_secs(86_400))
            .await
            .unwrap()
            .unwrap();
    }
}

/// An entry of the feed, as the table has it.
type Item = HashMap<String, AttributeValue>;

/// Copies the first two changes to an order for each cut, for a write through the feed is eight calls; returns the last one.
async fn write_first_changes(client: &Client, orders: usize) -> Item {
    let key = AttributeValue::S(RULE.to_owned());
    let rule = client
        .query()
        .table_name("OrderFeed")
        // The tombstone, whose number is 0, would say that the order is finished before its last change is there.
        .key_condition_expression("#order = :rule AND seq >= :first")
        .expression_attribute_names("#order", "order")
        .expression_attribute_values(":rule", key)
        .expression_attribute_values(":first", AttributeValue::N("1".to_owned()));
    let mut changes = rule.send().await.unwrap().items.unwrap();
    let last = changes.pop().unwrap();
    let put = |item| PutRequest::builder().set_item(Some(item)).build().unwrap();
    let puts: Vec<_> = (0..orders)
        .flat_map(|n| changes.iter().map(move |change| of_order(change, &name(n))))
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

/// All that an order went through, as the public gets it.
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
