//! An order that changes while it is watched.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use super::Check::Requests;
use super::{Remark, Rule, Scope, Verdict, events, expect, fail, skip};
use crate::server::{Server, percent_encoded};
use crate::transcript::{Frame, Transcript};

/// A new order's first change, and two more.
const CHANGES: usize = 3;

pub(super) const P30: Rule = Rule {
    id: "P30",
    scope: Scope::Contract,
    title: "changes reach a watching client as they happen, once and in order",
    advice: "find what delays them: the feed, or a buffer on the way",
    check: Requests(|server| Box::pin(live(server))),
};

/// Places an order and watches it. Moves it on once the watcher has caught up, and again after each change that it sees.
async fn live(server: &Server) -> Verdict {
    let Some(shop) = &server.options.shop else {
        return skip(
            "no order can be placed: if the demo shop runs, set SHOP to it (http://localhost:8080)",
        );
    };
    let shop = shop.trim_end_matches('/');
    let placed = command(server, &format!("{shop}/orders")).await?;
    let Some(order) = placed["orderId"].as_str() else {
        return fail("the shop: the response has no orderId".to_owned());
    };
    let advance = format!("{shop}/orders/{}/advance", percent_encoded(order));
    let mut statuses = vec![status(&placed)];
    let seen_so_far = AtomicUsize::new(0);
    let watching = async {
        let watched = watch(server, &server.url_of(order), &seen_so_far).await;
        // The shop waits for nothing any more.
        seen_so_far.store(usize::MAX, Ordering::Relaxed);
        watched
    };
    let moving = async {
        for wanted in 1..CHANGES {
            while seen_so_far.load(Ordering::Relaxed) < wanted {
                sleep(Duration::from_millis(50)).await;
            }
            let moved = command(server, &advance).await?;
            statuses.push(status(&moved));
        }
        Ok(())
    };
    // Side by side, because the client may see a change before the shop has responded.
    let (watched, ()) = tokio::try_join!(watching, moving)?;
    expect(watched == statuses, || {
        format!("the shop set {statuses:?}, the client saw {watched:?}")
    })
}

async fn command(server: &Server, url: &str) -> Result<Value, Remark> {
    let answer = server.command(url).await;
    answer.map_err(|error| Remark::Fail(format!("the shop: {error}")))
}

fn status(change: &Value) -> String {
    change["status"].as_str().unwrap_or("none").to_owned()
}

/// Watches until all changes came, and comes back when a `rest` says so. Returns their statuses.
///
/// `seen_so_far` counts changes only once the watcher knows that there are no others.
async fn watch(
    server: &Server,
    url: &str,
    seen_so_far: &AtomicUsize,
) -> Result<Vec<String>, Remark> {
    // The time for the first response does not count: other rules may be using the server.
    let mut give_up = None;
    let (mut statuses, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let enough = |bytes: &[u8]| {
            let read = Transcript::read(bytes);
            let count = statuses.len() + read.of("message").count();
            if read.has("ready") {
                seen_so_far.store(count, Ordering::Relaxed);
            }
            count >= CHANGES
        };
        let seen = server.stream(url, cursor.as_deref(), enough).await?;
        let read = events(&seen)?;
        let give_up = *give_up.get_or_insert_with(|| Instant::now() + server.options.patience);
        let changes = read.of("message").filter_map(Frame::json);
        statuses.extend(changes.map(|change| status(&change)));
        let rest = read.frames.last().filter(|last| last.event() == "rest");
        let go_on = statuses.len() < CHANGES && Instant::now() < give_up;
        let Some(rest) = rest.filter(|_| go_on) else {
            return Ok(statuses);
        };
        cursor = rest.get("id").map(str::to_owned);
        let retry = rest.get("retry").and_then(|retry| retry.parse().ok());
        sleep(Duration::from_millis(retry.unwrap_or_default())).await;
    }
}
