//! The server of the demo page and of the shop's JSON API, on loopback.
//!
//! | request | response |
//! | --- | --- |
//! | `GET /config.json` | `{"streamUrl": "…"}` |
//! | `GET /token?orders=A,B` | `{"token": "…", "expiresAt": 1795372800000}`: gives access to these orders until then (epoch ms) |
//! | `GET /orders` | `{"orders": [{"orderId": "…", "status": "…"}]}`, newest first, at most [`LISTED`] |
//! | `POST /orders` | 201, the new order |
//! | `POST /orders/{id}/advance`, `POST /orders/{id}/cancel` | 200, the order as it is now; 404, 409 |
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
use tower_http::services::ServeDir;

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
}

impl PageServer {
    /// Serves the page until the future is dropped.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        axum::serve(listener, self.router()).await
    }

    fn router(self) -> Router {
        let files = ServeDir::new(&self.files);
        Router::new()
            .route("/config.json", get(config))
            .route("/token", get(token))
            .route("/orders", get(list).post(place))
            .route("/orders/{order_id}/advance", post(advance))
            .route("/orders/{order_id}/cancel", post(cancel))
            .fallback_service(files)
            .layer(middleware::from_fn(guard))
            .with_state(self)
    }
}

async fn config(State(page): State<PageServer>) -> Response {
    Json(json!({"streamUrl": page.stream_url})).into_response()
}

#[derive(Deserialize)]
struct TokenQuery {
    /// Separated by commas.
    orders: String,
}

async fn token(
    State(page): State<PageServer>,
    Query(query): Query<TokenQuery>,
) -> Result<Response, IssuerError> {
    let orders: Vec<_> = query.orders.split(',').collect();
    let (token, expires) = page.issuer.token(&orders, TOKEN_LIFETIME)?;
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
