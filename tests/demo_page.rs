//! The demo page in real browsers, with everything behind it that `make run` starts, except the shop's own traffic: a visitor places
//! orders, cuts a connection and restores it. `dev/local/tests/` has the server's side, `web/test/demo-*.test.js` the page's.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[macro_use]
#[path = "support/browser.rs"]
mod browser_support;
#[path = "support/cloud.rs"]
mod cloud_support;
#[path = "support/http.rs"]
mod http_support;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use browser_support::{Browser, report_server, within_limit};
use cloud_support::Cloud;
use jsonwebtoken::Algorithm;
use lambda_stand_in::Function;
use local::bill::{CUSTOMERS, Ledger, count_read};
use local::connections::Connections;
use local::issuer::Issuer;
use local::meter::Meter;
use local::page::PageServer;
use local::shop::Shop;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The page and everything behind it.
struct Demo {
    url: String,
    stream: Function,
    /// What the database says about readings of customers' logs.
    read_units: Arc<Mutex<f64>>,
    _tasks: JoinSet<()>,
    _files: TempDir,
    _meter: Meter,
    _cloud: Cloud,
}

impl Demo {
    async fn start(reports: &str) -> Self {
        let cloud = Cloud::new().await;
        // The bill of a day: the test may take longer than a minute.
        let ledger = Ledger::over(Duration::from_secs(86_400));
        let read_units = Arc::new(Mutex::new(0.0));
        let (counted, units) = (ledger.clone(), Arc::clone(&read_units));
        let meter = Meter::start(cloud.dynamo.endpoint(), move |call| {
            count_read(&counted, call);
            if call.body.to_string().contains("%customer/") {
                *units.lock().unwrap() += call.units;
            }
        });
        let meter = meter.await.unwrap();
        let issuer = Issuer::new(Algorithm::ES256, "k").unwrap();
        let stream = cloud.guarded_stream(&issuer).env("MAX_REST", "2s");
        let stream = stream.env("AWS_ENDPOINT_URL_DYNAMODB", meter.endpoint());
        let stream = stream.env("JWT_CUSTOMER_CLAIM", "sub").start().await;
        let stream = stream.unwrap();
        let projector = cloud.projector(&cloud.dynamo.endpoint());
        let projector = projector.env("CUSTOMER_ATTRIBUTE", "customerId");
        let projector = Arc::new(projector.start().await.unwrap());
        let files = files(reports);
        let page = PageServer {
            shop: Shop::new(cloud.client.clone()),
            stream_url: stream.url(),
            issuer,
            files: files.path().to_owned(),
            ledger,
            connections: Connections::default(),
            placed: mpsc::unbounded_channel().0,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { page.serve(listener).await.unwrap() });
        let mapping = cloud.event_source(&projector);
        tasks.spawn(async move { mapping.run(std::future::pending()).await.unwrap() });
        Self {
            url,
            stream,
            read_units,
            _tasks: tasks,
            _files: files,
            _meter: meter,
            _cloud: cloud,
        }
    }

    async fn bill(&self) -> Value {
        self.send(Method::GET, "/bill").await
    }

    async fn send(&self, method: Method, path: &str) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.request(method, format!("{}{path}", self.url));
        request.send().await.unwrap().json().await.unwrap()
    }
}

/// The files of `web/`, and a script in the page that uses it.
fn files(reports: &str) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    for folder in ["", "demo", "order-stream"] {
        fs::create_dir_all(copy.path().join(folder)).unwrap();
        for entry in fs::read_dir(web.join(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_file() {
                fs::copy(
                    entry.path(),
                    copy.path().join(folder).join(entry.file_name()),
                )
                .unwrap();
            }
        }
    }
    let script = include_str!("pages/demo.js").replace("REPORTS", reports);
    let index = copy.path().join("index.html");
    let html = fs::read_to_string(&index).unwrap();
    let head = "<head>";
    assert!(html.contains(head));
    let html = html.replace(head, &format!("{head}<script>{script}</script>"));
    fs::write(index, html).unwrap();
    copy
}

/// What the page shows is the server's number, as it is rounded on the page.
#[track_caller]
fn same(shown: &Value, counted: &Value, unit: f64, rounding: f64) {
    let shown: f64 = shown.as_str().unwrap().parse().unwrap();
    let counted = counted.as_f64().unwrap() / unit;
    assert!(
        (shown - counted).abs() <= rounding * 0.501,
        "{shown} {counted}"
    );
}

/// The page may have got another bill after the one that it shows.
fn is_shown(shown: &Value, bill: &Value) -> bool {
    let requests = bill["total"]["requests"].to_string();
    let watched = bill["total"]["watchedMs"].as_f64().unwrap() / 60_000.0;
    let watched_shown: f64 = shown["watched"][2].as_str().unwrap().parse().unwrap();
    shown["requests"][2] == requests && (watched_shown - watched).abs() <= 0.00501
}

/// The numbers on the page are those of the server.
#[track_caller]
fn assert_shows_the_bill(report: &Value) {
    assert_eq!(report["type"], "bill");
    let shown = &report["shown"];
    let bills = report["bills"].as_array().unwrap();
    let bill = bills.iter().find(|bill| is_shown(shown, bill)).unwrap();
    let customers = &bill["customers"];
    let parts = [&customers["ada"], &customers["ben"], &bill["total"]];
    for (nth, part) in parts.into_iter().enumerate() {
        let price = &part["perMillionMinutes"]["total"];
        same(&shown["requests"][nth], &part["requests"], 1.0, 0.0);
        same(&shown["held"][nth], &part["heldMs"], 1000.0, 0.1);
        same(&shown["reads"][nth], &part["readUnits"], 1.0, 0.1);
        same(&shown["price"][nth], price, 1.0, 0.01);
    }
    assert_eq!(shown["total"], shown["price"][2]);
}

/// When nobody can watch any more, the bill is what the functions and the database counted.
async fn assert_counted(demo: &Demo) {
    for customer in CUSTOMERS {
        let cut = format!("/connections/{customer}/cut");
        demo.send(Method::POST, &cut).await;
    }
    let stats = demo.stream.wait_for(|stats| stats.in_flight() == 0).await;
    let bill = demo.bill().await;
    assert_eq!(bill["total"]["requests"], stats.started);
    assert!(bill["total"]["heldMs"].as_u64().unwrap() >= stats.billed_ms);
    let read_units = *demo.read_units.lock().unwrap();
    assert!(read_units > 0.0);
    assert_eq!(bill["total"]["readUnits"], read_units);
}

async fn a_visitor_places_orders_and_a_cut_connection_misses_nothing(browser: Browser) {
    let (reporter, mut reports) = report_server(vec![]).await;
    let demo = Demo::start(&format!("{}/report", reporter.url)).await;
    let Some(window) = browser.open(&format!("{}/", demo.url)).await else {
        return;
    };
    let mut next = async || reports.recv().await.unwrap();

    let placed = json!({"type": "placed", "ada": "Placed", "ben": "Placed", "apart": true});
    assert_eq!(next().await, placed);

    let cut = json!({"type": "cut", "switch": "false", "other": "true", "pill": "Cut off"});
    assert_eq!(next().await, cut);

    // Ada's order has changed three times, and another one was placed, but her page cannot know.
    let meanwhile = json!({"type": "meanwhile", "ada": "Placed", "cards": 1, "state": "cut"});
    assert_eq!(next().await, meanwhile);

    let back = next().await;
    assert_eq!(back["labels"], json!(["Placed", "Shipped"]));
    assert_eq!(back["counters"], json!(["5", "0", "0"]));
    assert_eq!(back["switch"], "true");
    let sentence = back["sentence"].as_str().unwrap();
    assert!(
        sentence.ends_with("s: 4 changes caught up, no change missed."),
        "{sentence}"
    );
    let said = back["said"].as_array().unwrap();
    for (nth, text) in ["Ada: order ", "Ben: order ", "Ada is cut off."]
        .iter()
        .enumerate()
    {
        assert!(said[nth].as_str().unwrap().starts_with(text), "{said:?}");
    }

    assert_shows_the_bill(&next().await);
    drop(window);
    assert_counted(&demo).await;
}

in_each_browser!(a_visitor_places_orders_and_a_cut_connection_misses_nothing);
