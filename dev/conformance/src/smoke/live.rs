//! From a write to its frame.

use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::stage::{Stage, is_stream};
use super::{Check, Outcome, seconds};
use crate::rules::{Remark, fail, skip};
use crate::server::percent_encoded;
use crate::transcript::{Frame, Transcript};

pub(super) const WRITE: Check = Check {
    name: "write",
    title: "a write reaches a watching client",
    advice: "read the projector's log, and look whether the event source mapping is enabled and ORDER_ID_ATTRIBUTE (or ORDER_KEY) and STATUS_ATTRIBUTE fit the table",
    run: |stage| Box::pin(write(stage)),
};

/// Who writes.
enum Writer<'a> {
    /// The demo shop moves its order on.
    Shop { advance: String },
    /// A shell command writes the named order.
    Command(&'a str),
}

async fn write(stage: &Stage) -> Outcome {
    stage.url().await?;
    let (order, writer) = match (
        &stage.options.shop,
        &stage.options.write,
        &stage.options.order,
    ) {
        (Some(shop), ..) => placed(stage, shop.trim_end_matches('/')).await?,
        (None, Some(command), Some(order)) => (order.clone(), Writer::Command(command)),
        _ => {
            return skip(
                "set WRITE to a command that writes ORDER, or SHOP to the demo shop if it runs",
            );
        }
    };
    let patience = stage.options.patience;
    match timeout(patience, measure(stage, &order, &writer)).await {
        Ok(outcome) => outcome,
        Err(_) => fail(format!(
            "no change of {order} came within {}",
            seconds(patience)
        )),
    }
}

/// Places an order in the demo shop.
async fn placed<'a>(stage: &Stage, shop: &str) -> Result<(String, Writer<'a>), Remark> {
    let placed = command(stage, &format!("{shop}/orders")).await?;
    let Some(order) = placed["orderId"].as_str() else {
        return fail("the shop: the response has no orderId".to_owned());
    };
    let advance = format!("{shop}/orders/{}/advance", percent_encoded(order));
    Ok((order.to_owned(), Writer::Shop { advance }))
}

async fn command(stage: &Stage, url: &str) -> Result<Value, Remark> {
    let answer = stage.server.command(url).await;
    answer.map_err(|error| Remark::Fail(format!("the shop: {error}")))
}

/// What the watching client tells the writer, and when it saw the write.
#[derive(Debug, Default)]
struct Watched {
    /// The number of changes before the write: the order that the shop has just placed has one, which may not be in the feed yet.
    expected: usize,
    /// The changes that it has seen, once it knows that there are no others.
    caught_up: watch::Sender<Option<usize>>,
    /// The number of responses so far.
    responses: AtomicUsize,
    /// When the change came, and in which response.
    seen: OnceLock<(Instant, usize)>,
}

async fn measure(stage: &Stage, order: &str, writer: &Writer<'_>) -> Outcome {
    let watched = Watched {
        expected: usize::from(matches!(writer, Writer::Shop { .. })),
        ..Watched::default()
    };
    let writing = async {
        let mut caught_up = watched.caught_up.subscribe();
        // It cannot fail: `watched` holds the sender.
        let _ = caught_up
            .wait_for(|seen| seen.is_some_and(|seen| seen >= watched.expected))
            .await;
        let response = watched.responses.load(Ordering::Relaxed);
        let started = Instant::now();
        match writer {
            Writer::Shop { advance } => drop(command(stage, advance).await?),
            Writer::Command(text) => shell(text, order).await?,
        }
        Ok((response, started, Instant::now()))
    };
    let url = stage.server.url_of(order);
    let ((response, started, ended), (seen, seen_in)) =
        tokio::try_join!(writing, watch_order(stage, &url, &watched))?;
    let from_start = seconds(seen.saturating_duration_since(started));
    let from_end = seconds(seen.saturating_duration_since(ended));
    let held = match seen_in == response {
        true => "in the response that was held",
        false => "when the client came back",
    };
    Ok(match writer {
        Writer::Shop { .. } => format!("{from_start} from the write to the frame, {held}"),
        Writer::Command(_) => {
            format!(
                "{from_end} from the end of the command to the frame, {from_start} from its start, {held}"
            )
        }
    })
}

/// Watches until a change comes after those that were there, and comes back when a `rest` says so.
async fn watch_order(
    stage: &Stage,
    url: &str,
    watched: &Watched,
) -> Result<(Instant, usize), Remark> {
    let (mut count, mut cursor) = (0, None::<String>);
    loop {
        let response = 1 + watched.responses.fetch_add(1, Ordering::Relaxed);
        let enough = |bytes: &[u8]| take(&Transcript::read(bytes), count, response, watched);
        let seen = stage.stream(url, cursor.as_deref(), enough).await?;
        if !is_stream(&seen) {
            return fail(format!("the response is {}", seen.status.as_u16()));
        }
        if let Some(seen) = watched.seen.get() {
            return Ok(*seen);
        }
        let read = Transcript::read(&seen.body);
        count += read.of("message").count();
        let last = read.frames.last();
        cursor = last.and_then(Frame::cursor).map(str::to_owned).or(cursor);
        let retry = last
            .and_then(|last| last.get("retry"))
            .and_then(|retry| retry.parse().ok());
        sleep(Duration::from_millis(retry.unwrap_or(1000))).await;
    }
}

/// Takes what came so far. Returns whether it contains a change that was written after the client had caught up.
fn take(read: &Transcript, before: usize, response: usize, watched: &Watched) -> bool {
    let count = before + read.of("message").count();
    let known = *watched.caught_up.borrow();
    if known.is_some_and(|known| known >= watched.expected && count > known) {
        watched.seen.get_or_init(|| (Instant::now(), response));
        return true;
    }
    if read.has("ready") {
        watched.caught_up.send_replace(Some(count));
    }
    false
}

/// Runs the command of the user. Its environment has `ORDER` and `STATUS`.
async fn shell(text: &str, order: &str) -> Result<(), Remark> {
    let status = format!("SMOKE-{:04x}", fastrand::u16(..));
    let mut command = Command::new("sh");
    command
        .args(["-c", text])
        .env("ORDER", order)
        .env("STATUS", status);
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let output =
        output.map_err(|error| Remark::Fail(format!("the command cannot be started: {error}")))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let errors = String::from_utf8_lossy(&output.stderr);
            let last = errors.trim_end().lines().last().unwrap_or_default();
            fail(format!("the command ended with {}: {last}", output.status))
        }
    }
}
