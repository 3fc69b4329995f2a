//! Where a client continues, and that it stops after the end.

use super::stage::{Stage, is_stream};
use super::{Check, Outcome};
use crate::rules::{Remark, expect, fail, skip};
use crate::server::ready;
use crate::transcript::{Frame, Transcript};

/// A cursor of a client that has seen nothing in five check-ins. The server repeats it in `hello`.
const SEEN_NOTHING: &str = "0-0005";

pub(super) const LAST_EVENT_ID: Check = Check {
    name: "last-event-id",
    title: "Last-Event-ID arrives, and nothing comes twice",
    advice: "let every proxy pass the header Last-Event-ID on, in CloudFront with an origin request policy such as AllViewerExceptHostHeader",
    run: |stage| Box::pin(last_event_id(stage)),
};

async fn last_event_id(stage: &Stage) -> Outcome {
    let Some(order) = &stage.options.order else {
        let url = stage.url().await?;
        resumes(stage, url, SEEN_NOTHING).await?;
        return Ok(
            "it was repeated in `hello`; set ORDER to see that no change comes twice".to_owned(),
        );
    };
    stage.url().await?;
    let url = stage.server.url_of(order);
    let seen = stage.stream(&url, None, ready).await?;
    let read = Transcript::read(&seen.body);
    let Some(cursor) = read.of("message").last().and_then(Frame::cursor) else {
        return fail(format!(
            "{order} has no changes: the response is {}, {:?}",
            seen.status.as_u16(),
            read.outline()
        ));
    };
    let resumed = resumes(stage, &url, cursor).await?;
    let first: Vec<_> = read.of("message").filter_map(Frame::cursor).collect();
    let mut again = resumed.of("message").filter_map(Frame::cursor);
    match again.find(|id| first.contains(id)) {
        Some(id) => fail(format!(
            "after Last-Event-ID {cursor}, the change {id} came again"
        )),
        None => Ok(format!(
            "after {cursor}, none of {} changes came again",
            first.len()
        )),
    }
}

/// Resumes after a cursor. `hello` repeats it.
async fn resumes(stage: &Stage, url: &str, cursor: &str) -> Result<Transcript, Remark> {
    let over = |bytes: &[u8]| ready(bytes) || Transcript::read(bytes).has("end");
    let seen = stage.stream(url, Some(cursor), over).await?;
    let read = Transcript::read(&seen.body);
    let hello = read.of("hello").next().and_then(Frame::cursor);
    expect(
        is_stream(&seen) && hello == Some(cursor) && !read.has("reset"),
        || {
            let (status, events) = (seen.status.as_u16(), read.outline());
            format!("Last-Event-ID was {cursor}, but `hello` has {hello:?}: {status}, {events:?}")
        },
    )?;
    Ok(read)
}

pub(super) const FINISHED: Check = Check {
    name: "finished",
    title: "204 to a client that has seen the end of an order",
    advice: "let nothing on the way replace a 204: it is the only response that stops an EventSource for good",
    run: |stage| Box::pin(finished(stage)),
};

async fn finished(stage: &Stage) -> Outcome {
    let Some(order) = &stage.options.finished else {
        return skip("set FINISHED to an order that is finished");
    };
    stage.url().await?;
    let url = stage.server.url_of(order);
    let seen = stage.stream(&url, None, |_| false).await?;
    let read = Transcript::read(&seen.body);
    let Some(cursor) = read.of("end").last().and_then(Frame::cursor) else {
        return fail(format!(
            "{order} is not finished: the events are {:?}",
            read.outline()
        ));
    };
    let seen = stage.stream(&url, Some(cursor), |_| true).await?;
    expect(seen.status == 204, || {
        format!("after {cursor}, the response is {}", seen.status.as_u16())
    })?;
    Ok(format!("after {cursor}"))
}
