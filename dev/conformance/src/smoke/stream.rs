//! When the parts of a response arrive, and how it ends.

use std::time::Duration;

use super::stage::Stage;
use super::{Check, Outcome, seconds};
use crate::exchange::{End, Exchange};
use crate::rules::{expect, fail, skip};
use crate::transcript::Transcript;

/// The longest time for the first chunk: the function sends it before it reads the feed. The first request of the run has paid
/// for the cold start.
const FIRST_LIMIT: Duration = Duration::from_secs(3);

/// The longest time between `hello` and `ready`, for the newest changes of an order.
const READY_LIMIT: Duration = Duration::from_secs(3);

/// If the response goes on for this time after a chunk, the chunk was not collected with the end.
const HELD: Duration = Duration::from_secs(1);

/// What the network may add to a heartbeat.
const HEARTBEAT_MARGIN: Duration = Duration::from_secs(5);

const COLLECTED: &str = "the response ended at once, so a proxy that collects it cannot be seen: use a TOKEN for *, or deploy with HOLD=always";

pub(super) const FIRST_CHUNK: Check = Check {
    name: "first-chunk",
    title: "the first chunk comes at once",
    advice: "look for what collects the response: InvokeMode must be RESPONSE_STREAM, and a proxy must not buffer",
    run: |stage| Box::pin(first_chunk(stage)),
};

async fn first_chunk(stage: &Stage) -> Outcome {
    let seen = stage.held().await?;
    let Some(first) = when(seen, |read| read.has("hello")) else {
        return fail(format!("no `hello` came within {}", seconds(seen.took)));
    };
    let rest = seen.took.saturating_sub(first);
    expect(first < FIRST_LIMIT, || {
        format!(
            "it came after {}, and the end {} later",
            seconds(first),
            seconds(rest)
        )
    })?;
    if rest < HELD {
        return skip(COLLECTED);
    }
    Ok(format!(
        "after {}, and the end {} later",
        seconds(first),
        seconds(rest)
    ))
}

/// When the bytes up to a chunk satisfied a condition for the first time, from the request on.
fn when(seen: &Exchange, condition: impl Fn(&Transcript) -> bool) -> Option<Duration> {
    let mut arrivals = seen.arrivals.iter();
    let found = arrivals.find(|(_, length)| condition(&Transcript::read(&seen.body[..*length])));
    found.map(|(at, _)| *at)
}

pub(super) const SMALL_CHUNKS: Check = Check {
    name: "small-chunks",
    title: "small chunks are not held back",
    advice: "look for what waits for more bytes before it passes them on: a proxy's buffer, or compression",
    run: |stage| Box::pin(small_chunks(stage)),
};

async fn small_chunks(stage: &Stage) -> Outcome {
    let seen = stage.held().await?;
    let hello = when(seen, |read| read.has("hello"));
    let ready = when(seen, |read| read.has("ready"));
    let (Some(hello), Some(ready)) = (hello, ready) else {
        return fail(format!("no `ready` came within {}", seconds(seen.took)));
    };
    let (later, rest) = (ready.saturating_sub(hello), seen.took.saturating_sub(ready));
    expect(later < READY_LIMIT, || {
        format!(
            "`ready` came {} after `hello`, and the end {} later",
            seconds(later),
            seconds(rest)
        )
    })?;
    if rest < HELD {
        return skip(COLLECTED);
    }
    Ok(format!(
        "`ready` came {} after `hello`, and the end {} later",
        seconds(later),
        seconds(rest)
    ))
}

pub(super) const HEARTBEAT: Check = Check {
    name: "heartbeat",
    title: "a comment breaks each silence",
    advice: "look for what holds back or removes comments, and set HEARTBEAT below the idle timeout of every proxy",
    run: |stage| Box::pin(heartbeat(stage)),
};

async fn heartbeat(stage: &Stage) -> Outcome {
    let seen = stage.held().await?;
    let limit = stage.options.heartbeat + HEARTBEAT_MARGIN;
    let silence = seen.longest_silence;
    expect(silence < limit, || {
        format!("{} passed without a byte", seconds(silence))
    })?;
    if seen.took < limit {
        let took = seconds(seen.took);
        return skip(&format!(
            "the response ended after {took}, before a comment was due: deploy with HOLD=always to see it"
        ));
    }
    Ok(format!("the longest silence was {}", seconds(silence)))
}

pub(super) const END: Check = Check {
    name: "end",
    title: "a response ends with `rest`, completely and in time",
    advice: "look for what ends responses early: the timeout of the function, CloudFront or a proxy must be longer than WINDOW",
    run: |stage| Box::pin(end(stage)),
};

async fn end(stage: &Stage) -> Outcome {
    let seen = stage.held().await?;
    let took = seconds(seen.took);
    let read = Transcript::read(&seen.body);
    let last = read.frames.last().map_or("nothing", |last| last.event());
    match &seen.end {
        End::Cut(how) => fail(format!(
            "after {took} the connection broke, and the last event was {last}: {how}"
        )),
        End::StillOpen | End::OutOfPatience => skip(&format!(
            "the response was still open after {took}: set PATIENCE to more than WINDOW"
        )),
        End::Whole => {
            let kept = read.ends_on_boundary && ["rest", "expired", "end"].contains(&last);
            expect(kept, || {
                format!("after {took} the response ended, and the last event was {last}")
            })?;
            Ok(format!("{last} after {took}"))
        }
    }
}
