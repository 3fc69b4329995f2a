//! The floor: the least that a server of Server-Sent Events does. axum's `Sse` and a `tokio` channel for each order.
//!
//! It has no log of an order, no cursor and no permissions: a client that reconnects has lost what came meanwhile.

use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use axum::routing::{get, post};
use futures_util::{Stream, StreamExt, future, stream};
use tokio::net::TcpListener;
use tokio::sync::broadcast::{self, Receiver, Sender};

/// A watcher may be so many changes behind. After that it loses some.
const BEHIND: usize = 16;

type Orders = Arc<Mutex<HashMap<String, Sender<Arc<str>>>>>;

/// One thread, as the function has one.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut output = std::io::stdout();
    writeln!(output, "{}", listener.local_addr()?)?;
    output.flush()?;
    let app = Router::new()
        .route("/sub/{order}", get(watch))
        .route("/pub/{order}", post(publish))
        .with_state(Orders::default());
    Ok(axum::serve(listener, app).await?)
}

async fn watch(
    State(orders): State<Orders>,
    Path(order): Path<String>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let changes = sender(&orders, order).subscribe();
    let events = stream::unfold(changes, |mut changes: Receiver<Arc<str>>| async move {
        let change = changes.recv().await;
        Some((change, changes))
    });
    let events = events.take_while(|change| future::ready(change.is_ok()));
    let events =
        events.map(|change| Ok(Event::default().data(change.as_deref().unwrap_or_default())));
    Sse::new(events).keep_alive(KeepAlive::default())
}

async fn publish(State(orders): State<Orders>, Path(order): Path<String>, change: String) {
    // Nobody watches the order.
    let _ = sender(&orders, order).send(change.into());
}

fn sender(orders: &Orders, order: String) -> Sender<Arc<str>> {
    let mut orders = orders.lock().unwrap_or_else(PoisonError::into_inner);
    let sender = orders
        .entry(order)
        .or_insert_with(|| broadcast::channel(BEHIND).0);
    sender.clone()
}
