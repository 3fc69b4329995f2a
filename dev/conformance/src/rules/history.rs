//! An order's history on the wire: `hello`, changes, `ready`.

use serde_json::Value;

use super::Check::{Requests, Streams};
use super::wire::{NAME_AN_ORDER, is_mark, known, outline_is, seq, settled};
use super::{Rule, Scope, Verdict, each, expect, fail, skip, worst};
use crate::exchange::Exchange;
use crate::server::{Server, ready as is_ready, unknown_order};
use crate::transcript::{Frame, Transcript};

pub(super) const P15: Rule = Rule {
    id: "P15",
    scope: Scope::Contract,
    title: "a response begins with a comment and `hello`: event, retry, data, id",
    advice: "write them before you read the feed",
    check: Streams(|streams, _| each(streams, hello)),
};

fn hello(read: &Transcript) -> Verdict {
    let first = read.frames.first();
    let kept =
        first.is_some_and(|first| first.event() == "hello" && first.has(&["retry", "data", "id"]));
    expect(kept && read.begins_with_comment, || {
        format!(
            "begins with a comment: {}; the first frame is {first:?}",
            read.begins_with_comment
        )
    })
}

pub(super) const P16: Rule = Rule {
    id: "P16",
    scope: Scope::Contract,
    title: "a change is unnamed and one line of JSON; none is missing: seq and id go up together",
    advice: "seq counts 1, 2, 3 … in each order; the id is seq, a dash, four hex digits; `reset` says that earlier changes are gone",
    check: Streams(|streams, _| changes(streams)),
};

fn changes(streams: &[Transcript]) -> Verdict {
    if !streams.iter().any(|read| read.has("message")) {
        return skip(NAME_AN_ORDER);
    }
    each(streams, |read| {
        let each_one = read.of("message").map(|frame| {
            expect(is_change(frame), || {
                format!("a change is {:?}", frame.fields)
            })
        });
        worst(each_one.chain([in_step(read)]))
    })
}

/// Whether each change is the next one of its order. It compares the marks: a change moves exactly one of them, to its `seq`.
fn in_step(read: &Transcript) -> Verdict {
    let mut marks: Option<Vec<&str>> = None;
    let mut announced = false;
    for frame in known(read) {
        let id = frame.get("id").unwrap_or_default();
        let now: Vec<_> = id.split('.').collect();
        if frame.event() == "reset" {
            announced = true;
        }
        if frame.event() == "message" {
            let change = frame.json().unwrap_or_default();
            let may_begin = announced || change["previous"].is_null();
            let before = marks.take().unwrap_or_default();
            if !follows(&before, &now, may_begin) {
                return fail(format!(
                    "after {:?} came {:?}",
                    before.join("."),
                    frame.fields
                ));
            }
        }
        // `?` is not a cursor. A `reset` follows it.
        marks = now.iter().all(|mark| is_mark(mark)).then_some(now);
    }
    Ok(())
}

/// Whether exactly one mark moved: to the next number, or from zero to 1 or to the first change of a history that begins later.
fn follows(before: &[&str], now: &[&str], may_begin: bool) -> bool {
    let mut moved = before.iter().zip(now).filter(|(before, now)| before != now);
    let (Some((before, now)), None) = (moved.next(), moved.next()) else {
        return false;
    };
    match (seq(before), seq(now)) {
        (0, now) => now == 1 || now > 1 && may_begin,
        (before, now) => now == before.saturating_add(1),
    }
}

fn is_change(frame: &Frame) -> bool {
    let change = frame.json().unwrap_or_default();
    let id = frame.get("id").unwrap_or_default();
    let typed = change["orderId"].is_string()
        && change["seq"].is_u64()
        && change["status"].is_string()
        && (change["previous"].is_string() || change.get("previous") == Some(&Value::Null))
        && change["at"].is_string()
        && change["attributes"].is_object();
    let marked = id
        .split('.')
        .any(|mark| Some(seq(mark)) == change["seq"].as_u64());
    let unnamed = frame.get("event").is_none();
    unnamed && typed && marked && id.split('.').all(is_mark)
}

pub(super) const P17: Rule = Rule {
    id: "P17",
    scope: Scope::Contract,
    title: "`ready` once, after the replay, and then a comment, or `rest` at once",
    advice: "send it when everything was sent; then a line `:` to push it through buffers",
    check: Requests(|server| Box::pin(ready(server))),
};

async fn ready(server: &Server) -> Verdict {
    is_told_once(server.held().await?)
}

fn is_told_once(seen: &Exchange) -> Verdict {
    let read = Transcript::read(&seen.body);
    let frames = known(&read);
    let events: Vec<_> = frames.iter().map(|frame| frame.event()).collect();
    if events.last() == Some(&"end") && !events.contains(&"ready") {
        return skip("the order is finished: set ORDER to one that is not");
    }
    let last = frames.last().and_then(|last| last.json());
    if last.is_some_and(|data| data["unavailable"] == true) {
        return skip("the server says that it cannot read the order now");
    }
    // Once after the first replay, and once after each replay that follows a later `reset`.
    let (mut due, mut before) = (true, None);
    for (at, frame) in read.frames.iter().enumerate() {
        let id = frame.get("id").map(settled);
        match frame.event() {
            "reset" => due = true,
            "ready" if due => {
                due = false;
                let pushed = is_pushed(seen, &read, at);
                expect(frame.has(&["data"]) && id == before && pushed, || {
                    format!(
                        "`ready` is {:?}; a comment or `rest` follows: {pushed}",
                        frame.fields
                    )
                })?;
            }
            "ready" => return fail(format!("the events are {events:?}")),
            _ => {}
        }
        before = id.or(before);
    }
    expect(!due, || format!("the events are {events:?}"))
}

/// Whether a comment or the end of the response pushes a frame through buffers.
fn is_pushed(seen: &Exchange, read: &Transcript, at: usize) -> bool {
    match read.frames.get(at + 1) {
        // The end of a response pushes what came before it through buffers.
        Some(next) if next.event() == "rest" && !pauses_after(seen, at) => true,
        Some(next) => next.after_comment,
        None => read.ends_with_comment,
    }
}

/// Whether no byte came for a while after a frame. The time before the frame does not matter.
fn pauses_after(seen: &Exchange, at: usize) -> bool {
    let mut before = seen.pauses.iter().map(|length| &seen.body[..*length]);
    before.any(|bytes| Transcript::read(bytes).frames.len() == at + 1)
}

pub(super) const P18: Rule = Rule {
    id: "P18",
    scope: Scope::Contract,
    title: "an order without changes gets 200 and `ready`, and is watched",
    advice: "do not respond with an error to an unknown order",
    check: Requests(|server| Box::pin(without_changes(server))),
};

async fn without_changes(server: &Server) -> Verdict {
    let url = server.url_of(&unknown_order());
    let seen = server.stream(&url, None, is_ready).await?;
    outline_is(&seen, |events| {
        // A proxy may deliver what follows `ready` together with it.
        matches!(
            events,
            ["hello", "ready"] | ["hello", "ready", "rest" | "expired"]
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::exchange::End;

    #[test]
    fn a_server_that_is_slow_before_ready_need_not_push_it() {
        let hello = ":\nevent: hello\nretry: 1000\ndata: {}\nid: 0\n\n";
        let ready = "event: ready\ndata: {}\nid: 0\n\n";
        let rest = "event: rest\nretry: 5000\ndata: {\"retry\":5000}\nid: 0-0001\n\n";
        for (paused_after, kept) in [(hello.len(), true), (hello.len() + ready.len(), false)] {
            let seen = Exchange {
                version: http::Version::HTTP_11,
                arrivals: Vec::new(),
                took: std::time::Duration::ZERO,
                status: http::StatusCode::OK,
                headers: http::HeaderMap::new(),
                body: [hello, ready, rest].concat().into(),
                end: End::Whole,
                longest_silence: Duration::from_secs(1),
                pauses: vec![paused_after],
            };
            assert_eq!(is_told_once(&seen).is_ok(), kept, "{paused_after}");
        }
    }

    /// Frames of one order, by their ids: `h` is a hello, `r` a reset, `c` a change, `n` the first change of a new history.
    fn check(outline: &str, kept: bool) {
        let frames = outline.split(' ').map(|part| {
            let (kind, id) = part.split_at(1);
            let seq = seq(id);
            match kind {
                "h" => format!("event: hello\ndata: {{}}\nid: {id}\n\n"),
                "r" => format!("event: reset\ndata: {{\"reason\":\"trimmed\"}}\nid: {id}\n\n"),
                "n" => format!("data: {{\"seq\":{seq},\"previous\":null}}\nid: {id}\n\n"),
                _ => format!("data: {{\"seq\":{seq},\"previous\":\"PAID\"}}\nid: {id}\n\n"),
            }
        });
        let read = Transcript::read(frames.collect::<String>().as_bytes());
        assert_eq!(in_step(&read).is_ok(), kept, "{outline}");
    }

    #[test]
    fn no_change_is_missing() {
        check("h0 n1-000a c2-000b c3-000c", true);
        check("h0-0004 n1-000a", true);
        check("h0 c2-000b", false);
        check("h0 r0 c7-000b c8-000c", true);
        check("h0 r0 c7-000b c9-000c", false);
        check("h0 n7-000b c8-000c", true);
        check("h3-000a c4-000b n5-000c", true);
        check("h3-000a c5-000b", false);
        check("h3-000a c3-000b", false);
        check("h3 c4-000b r0 c9-000b c10-000c", true);
        check("h? r0 n1-000a", true);
        check("h1-000a.0 c1-000a.1-000b", true);
        check("h1-000a.0 n2-000c.1-000b", false);
    }
}
