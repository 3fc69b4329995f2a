//! The server of the demo page and of the shop's JSON API, on loopback.
//!
//! | request | response |
//! | --- | --- |
//! | `GET /config.json` | `{"streamUrl": "…", "customers": ["ada", "ben"]}` |
//! | `GET /token?orders=A,B` | `{"token": "…", "expiresAt": 1795372800000}`: gives access to these orders until then (epoch ms) |
//! | `GET /token?customer=ada` | the same for the customer's stream. With `&orders=A,B`, for these orders as well |
//! | `GET /orders` | `{"orders": [{"orderId": "…", "status": "…"}]}`, newest first, at most [`LISTED`] |
//! | `POST /orders` | 201, the new order |
//! | `POST /customers/{customer}/orders` | 201, the new order of this customer, which the shop moves on by itself |
//! | `POST /orders/{id}/advance`, `POST /orders/{id}/cancel` | 200, the order as it is now; 404, 409 |
//! | `GET /connections/{customer}/stream/…` | the stream function's response to the customer, which is counted and may be cut |
//! | `POST /connections/{customer}/cut`, `…/restore` | `{"cut": true}`: whether the customer is cut off now |
//! | `GET /bill` | the [bill](crate::bill::Bill) of the last minute |
//! | `POST /bill?visit=X&watching=ada,ben` | the same. It says that the page X is open and that these customers watch there |
//! | any other `GET` | a file of `web/` |
//!
//! Errors are `application/problem+json` (RFC 9457). Every page in the developer's browser can send requests to this server. So
//! it refuses requests for another host (DNS rebinding), and writes from another origin.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tower_http::services::ServeDir;

use crate::bill::{CUSTOMERS, Ledger, customer};
use crate::connections::Connections;
use crate::connections::breakable::{BreakableListener, Breaker};
use crate::connections::relay::{Relay, relay};
use crate::issuer::{Issuer, IssuerError};
use crate::shop::{Order, Shop, ShopError};

/// The most orders in a list.
pub const LISTED: usize = 12;

const TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);

#[derive(Clone, Debug)]
pub struct PageServer {
    pub shop: Shop,
    /// The URL of the stream function, such as `http://localhost:9000/lambda-url/stream`.
    pub stream_url: String,
    /// Makes the tokens. A real shop would check the customer first; here everyone gets a token.
    pub issuer: Issuer,
    /// The directory of the page's files.
    pub files: PathBuf,
    /// What the customers of the page use.
    pub ledger: Ledger,
    pub connections: Connections,
    /// Learns the ids of the orders that customers place.
    pub placed: mpsc::UnboundedSender<String>,
}

impl PageServer {
    /// Serves the page until the future is dropped.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let client = reqwest::Client::builder().no_proxy().build();
        let relay = Relay {
            client: client.map_err(io::Error::other)?,
            stream_url: self.stream_url.clone(),
            connections: self.connections.clone(),
            ledger: self.ledger.clone(),
        };
        let service = self.router(relay);
        let service = service.into_make_service_with_connect_info::<Breaker>();
        axum::serve(BreakableListener(listener), service).await
    }

    fn router(self, to_function: Relay) -> Router {
        let files = ServeDir::new(&self.files);
        let streams = Router::new()
            .route("/connections/{customer}/stream/{*path}", get(relay))
            .with_state(to_function);
        Router::new()
            .route("/config.json", get(config))
            .route("/token", get(token))
            .route("/orders", get(list).post(place))
            .route("/orders/{order_id}/advance", post(advance))
            .route("/orders/{order_id}/cancel", post(cancel))
            .route("/customers/{customer}/orders", post(place_for))
            .route("/connections/{customer}/{change}", post(connection))
            .route("/bill", get(bill).post(watch))
            .with_state(self)
            .merge(streams)
            .fallback_service(files)
            .layer(middleware::from_fn(guard))
    }
}

async fn config(State(page): State<PageServer>) -> Response {
    Json(json!({"streamUrl": page.stream_url, "customers": CUSTOMERS})).into_response()
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TokenQuery {
    Customer {
        customer: String,
        /// Separated by commas.
        orders: Option<String>,
    },
    Orders {
        /// Separated by commas.
        orders: String,
    },
}

async fn token(
    State(page): State<PageServer>,
    Query(query): Query<TokenQuery>,
) -> Result<Response, IssuerError> {
    let (token, expires) = match &query {
        TokenQuery::Customer { customer, orders } => {
            let orders: Option<Vec<_>> = orders.as_ref().map(|ids| ids.split(',').collect());
            page.issuer
                .token_of(customer, orders.as_deref(), TOKEN_LIFETIME)?
        }
        TokenQuery::Orders { orders } => {
            let orders: Vec<_> = orders.split(',').collect();
            page.issuer.token(&orders, TOKEN_LIFETIME)?
        }
    };
    let expires = u64::try_from(expires.as_millis()).unwrap_or(u64::MAX);
    Ok(Json(json!({"token": token, "expiresAt": expires})).into_response())
}

impl IntoResponse for IssuerError {
    fn into_response(self) -> Response {
        problem(StatusCode::INTERNAL_SERVER_ERROR, &self.to_string())
    }
}

async fn list(State(page): State<PageServer>) -> Result<Response, ShopError> {
    let orders = page.shop.newest(LISTED).await?;
    Ok(Json(json!({"orders": orders})).into_response())
}

async fn place(State(page): State<PageServer>) -> Result<(StatusCode, Json<Order>), ShopError> {
    Ok((StatusCode::CREATED, Json(page.shop.place().await?)))
}

async fn place_for(
    State(page): State<PageServer>,
    Path(name): Path<String>,
) -> Result<Response, ShopError> {
    let Some(customer) = customer(&name) else {
        return Ok(unknown_customer(&name));
    };
    let order = page.shop.place_for(Some(customer)).await?;
    // Without a shop that moves orders, nobody learns of it.
    let _ = page.placed.send(order.order_id.clone());
    Ok((StatusCode::CREATED, Json(order)).into_response())
}

async fn connection(
    State(page): State<PageServer>,
    Path((name, change)): Path<(String, String)>,
) -> Response {
    let Some(customer) = customer(&name) else {
        return unknown_customer(&name);
    };
    let is_cut = match change.as_str() {
        "cut" => true,
        "restore" => false,
        _ => return problem(StatusCode::NOT_FOUND, "cut or restore"),
    };
    page.connections.cut(customer, is_cut);
    Json(json!({"cut": is_cut})).into_response()
}

async fn bill(State(page): State<PageServer>) -> Response {
    let mut bill = json!(page.ledger.bill(Instant::now()));
    for customer in CUSTOMERS {
        bill["customers"][customer]["cut"] = page.connections.is_cut(customer).into();
    }
    Json(bill).into_response()
}

#[derive(Deserialize)]
struct Watching {
    visit: String,
    /// Separated by commas. Nobody is watching if it is empty.
    watching: String,
}

async fn watch(State(page): State<PageServer>, Query(query): Query<Watching>) -> Response {
    let customers: Vec<_> = query.watching.split(',').filter_map(customer).collect();
    page.ledger.watch(&query.visit, &customers, Instant::now());
    bill(State(page)).await
}

fn unknown_customer(name: &str) -> Response {
    problem(
        StatusCode::NOT_FOUND,
        &format!("there is no customer {name}"),
    )
}

async fn advance(
    State(page): State<PageServer>,
    Path(order_id): Path<String>,
) -> Result<Json<Order>, ShopError> {
    Ok(Json(page.shop.advance(&order_id).await?))
}

async fn cancel(
    State(page): State<PageServer>,
    Path(order_id): Path<String>,
) -> Result<Json<Order>, ShopError> {
    Ok(Json(page.shop.cancel(&order_id).await?))
}

impl IntoResponse for ShopError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::Finished { .. } => StatusCode::CONFLICT,
            Self::Table(_) => StatusCode::BAD_GATEWAY,
        };
        problem(status, &self.to_string())
    }
}

/// Refuses requests that are not from the page. Forbids caching, because a developer changes the files.
async fn guard(request: Request, next: Next) -> Response {
    let refusal = refusal(request.method(), request.uri(), request.headers());
    let mut response = match refusal {
        Some(reason) => problem(StatusCode::FORBIDDEN, reason),
        None => next.run(request).await,
    };
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refusal(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
    let header = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    // HTTP/1.1 clients send the host in a header. Proxies and HTTP/2 clients send it in the URI.
    let host = uri
        .authority()
        .map(|authority| authority.as_str())
        .or_else(|| header(HOST))
        .unwrap_or_default();
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    if !matches!(name, "localhost" | "127.0.0.1") || !port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Some("this page is served to localhost only");
    }
    let own = format!("http://{host}");
    if !method.is_safe() && header(ORIGIN).is_some_and(|origin| origin != own) {
        return Some("another origin may not change orders");
    }
    None
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({"title": title, "status": status.as_u16(), "detail": detail}).to_string();
    (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response()
}
