//! The page's server, over HTTP.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use local::bill::Ledger;
use local::connections::Connections;
use local::dynamo::{Dynamo, create_tables};
use local::issuer::Issuer;
use local::page::{LISTED, PageServer};
use local::shop::Shop;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A running server and its database.
struct TestServer {
    address: SocketAddr,
    client: Client,
    dynamo: Dynamo,
    /// The ids of the orders that customers have placed.
    placed: mpsc::UnboundedReceiver<String>,
    ledger: Ledger,
}

impl TestServer {
    async fn start() -> Self {
        let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
        create_tables(&dynamo.client()).await.unwrap();
        let (placed, orders) = mpsc::unbounded_channel();
        let ledger = Ledger::default();
        let server = PageServer {
            shop: Shop::new(dynamo.client()),
            stream_url: "http://localhost:9000/lambda-url/stream".to_owned(),
            issuer: Issuer::new(Algorithm::ES256, "local").unwrap(),
            files: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
            ledger: ledger.clone(),
            connections: Connections::default(),
            placed,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(server.serve(listener));
        let client = Client::builder().no_proxy().build().unwrap();
        Self {
            address,
            client,
            dynamo,
            placed: orders,
            ledger,
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.address))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        json_response(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str) -> (u16, Value) {
        json_response(self.request(Method::POST, path)).await
    }
}

/// Status and JSON body. It checks that the content type matches the status.
async fn json_response(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let json = if status.is_success() {
        "application/json"
    } else {
        "application/problem+json"
    };
    assert_eq!(response.headers()["content-type"], json);
    assert_eq!(response.headers()["cache-control"], "no-store");
    (status.as_u16(), response.json().await.unwrap())
}

/// `tests/access.rs` of the workspace shows that such a token gives access to these orders.
#[tokio::test]
async fn a_token_names_its_orders_and_says_when_it_ends() {
    let page = TestServer::start().await;
    let (status, body) = page.get("/token?orders=A,B%2F1").await;
    let claims = body["token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(status, 200);
    assert_eq!(claims["orders"], json!(["A", "B/1"]));
    assert_eq!(
        body["expiresAt"].as_u64().unwrap(),
        1000 * claims["exp"].as_u64().unwrap()
    );
}

/// `tests/demo_page.rs` of the workspace shows that it opens the customer's stream.
#[tokio::test]
async fn a_token_names_a_customer_and_no_order() {
    let page = TestServer::start().await;
    let (status, body) = page.get("/token?customer=ada").await;
    let claims = body["token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(status, 200);
    let expiry = body["expiresAt"].as_u64().unwrap() / 1000;
    assert_eq!(claims, json!({"sub": "ada", "exp": expiry}));
}

/// `make conformance CUSTOMER=1` needs such a token.
#[tokio::test]
async fn a_token_names_a_customer_and_orders() {
    let page = TestServer::start().await;
    let (status, body) = page.get("/token?customer=ada&orders=*").await;
    let claims = body["token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(status, 200);
    let expiry = body["expiresAt"].as_u64().unwrap() / 1000;
    let expected = json!({"sub": "ada", "orders": "*", "exp": expiry});
    assert_eq!(claims, expected);
}

#[tokio::test]
async fn an_order_of_a_customer_is_placed_and_the_shop_learns_of_it() {
    let mut page = TestServer::start().await;
    let (status, order) = page.post("/customers/ada/orders").await;
    let id = order["orderId"].as_str().unwrap();
    assert_eq!(
        (status, &order),
        (201, &json!({"orderId": id, "status": "PLACED"}))
    );
    assert_eq!(page.placed.try_recv().unwrap(), id);
    page.post("/orders").await;
    assert!(page.placed.try_recv().is_err(), "it is nobody's");
}

#[tokio::test]
async fn a_page_that_asks_for_the_bill_says_who_watches() {
    let page = TestServer::start().await;
    let (_, idle) = page.get("/bill").await;
    assert_eq!(idle["total"]["watchedMs"], 0);
    assert_eq!(idle["total"]["perMillionMinutes"], Value::Null);
    let asked = Instant::now();
    assert!(!page.ledger.is_watched(asked));
    let (status, first) = page.post("/bill?visit=v&watching=ada").await;
    assert_eq!(
        (status, &first["customers"]["ada"]["cut"]),
        (200, &json!(false))
    );
    // `tests/bill.rs` has what is counted then.
    assert!(page.ledger.is_watched(asked));
    let (status, _) = page.post("/bill?visit=v&watching=").await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn the_page_learns_the_url_of_the_stream_and_its_customers() {
    let page = TestServer::start().await;
    let config = json!({
        "streamUrl": "http://localhost:9000/lambda-url/stream",
        "customers": ["ada", "ben"],
    });
    assert_eq!(page.get("/config.json").await, (200, config));
}

#[tokio::test]
async fn an_order_is_placed_listed_advanced_and_finished() {
    let page = TestServer::start().await;
    let (status, order) = page.post("/orders").await;
    let id = order["orderId"].as_str().unwrap();
    assert_eq!(
        (status, &order),
        (201, &json!({"orderId": id, "status": "PLACED"}))
    );
    assert_eq!(page.get("/orders").await, (200, json!({"orders": [order]})));

    let advanced = page.post(&format!("/orders/{id}/advance")).await;
    assert_eq!(advanced, (200, json!({"orderId": id, "status": "PAID"})));
    let cancelled = page.post(&format!("/orders/{id}/cancel")).await;
    assert_eq!(
        cancelled,
        (200, json!({"orderId": id, "status": "CANCELLED"}))
    );

    let detail = format!("order {id} is CANCELLED, nothing comes after that");
    let conflict = json!({"title": "Conflict", "status": 409, "detail": detail});
    assert_eq!(
        page.post(&format!("/orders/{id}/advance")).await,
        (409, conflict.clone())
    );
    assert_eq!(
        page.post(&format!("/orders/{id}/cancel")).await,
        (409, conflict)
    );
    let unknown = json!({"title": "Not Found", "status": 404, "detail": "there is no order a b"});
    assert_eq!(page.post("/orders/a%20b/advance").await, (404, unknown));
}

#[tokio::test]
async fn no_more_than_twelve_orders_are_listed() {
    let page = TestServer::start().await;
    for _ in 0..LISTED + 1 {
        page.post("/orders").await;
    }
    assert_eq!(
        page.get("/orders").await.1["orders"]
            .as_array()
            .unwrap()
            .len(),
        LISTED
    );
}

#[tokio::test]
async fn an_unreachable_table_is_a_bad_gateway() {
    let TestServer {
        address,
        client,
        dynamo,
        ..
    } = TestServer::start().await;
    drop(dynamo);
    let (status, problem) = json_response(client.get(format!("http://{address}/orders"))).await;
    assert_eq!(
        (status, &problem["detail"]),
        (502, &json!("the orders table failed"))
    );
}

#[tokio::test]
async fn files_are_read_at_each_request() {
    let page = TestServer::start().await;
    let response = page.request(Method::GET, "/page.rs").send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(
        response.text().await.unwrap(),
        include_str!("../src/page.rs")
    );
    for outside in ["/../Cargo.toml", "/..%2fCargo.toml", "/none"] {
        assert_eq!(
            page.request(Method::GET, outside)
                .send()
                .await
                .unwrap()
                .status(),
            404,
            "{outside}"
        );
    }
}

#[tokio::test]
async fn requests_of_other_hosts_and_origins_are_refused() {
    let page = TestServer::start().await;
    let port = page.address.port();
    let send = async |method: Method, host: &str, origin: &str| {
        let request = page
            .request(method, "/orders")
            .header("host", host)
            .header("origin", origin);
        request.send().await.unwrap().status().as_u16()
    };
    let local = format!("localhost:{port}");
    let own = format!("http://{local}");
    assert_eq!(send(Method::POST, &local, &own).await, 201);
    assert_eq!(send(Method::GET, &local, "https://evil.example").await, 200);
    assert_eq!(
        send(Method::POST, &local, "https://evil.example").await,
        403
    );
    assert_eq!(
        send(Method::POST, &local, &format!("https://{local}")).await,
        403
    );
    assert_eq!(
        send(Method::POST, &local, "http://localhost:9999").await,
        403
    );
    assert_eq!(send(Method::POST, &local, "null").await, 403);
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:80",
        "evil@localhost",
    ] {
        assert_eq!(send(Method::GET, host, &own).await, 403, "{host}");
    }
    assert_eq!(
        page.get("/orders").await.1["orders"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
