//! Head, beginning and end of a response.

use std::time::Duration;

use super::{Rule, Scope, Verdict, expect, of};
use crate::evidence::Evidence;
use crate::exchange::{End, Exchange};
use crate::transcript::Transcript;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "P1",
        scope: Scope::Any,
        text: "a stream is answered 200, text/event-stream",
        advice: "browsers give up for good on any other status or type; answer what passes by itself with 200 and `retry:`",
        check: status_and_type,
    },
    Rule {
        id: "P2",
        scope: Scope::Any,
        text: "bytes come at once, before there is an event to tell",
        advice: "write a comment as soon as the request is there, and flush it; look for a buffering or compressing proxy",
        check: first_bytes,
    },
    Rule {
        id: "P3",
        scope: Scope::Any,
        text: "nothing stores, rewrites or collects it: cache-control, no content-length, no content-encoding",
        advice: "send `cache-control: no-cache, no-store, no-transform`, and neither length nor encoding",
        check: not_stored,
    },
    Rule {
        id: "P4",
        scope: Scope::Any,
        text: "no `connection` or `keep-alive` header, CORS headers once at most",
        advice: "leave hop-by-hop headers to the server, and CORS to one owner: browsers refuse a header that is there twice",
        check: headers,
    },
    Rule {
        id: "P5",
        scope: Scope::Any,
        text: "a response ends whole, after a whole frame",
        advice: "end the body yourself before a timeout does, with a frame that was written to its blank line",
        check: clean_end,
    },
    Rule {
        id: "P6",
        scope: Scope::Any,
        text: "silence is broken by a comment: at 15 s; by any server within 60 s",
        advice: "write `:` and LF where nothing else was written for 15 s: proxies cut what is silent, often at 60 s",
        check: heartbeat,
    },
];

fn status_and_type(evidence: &Evidence) -> Verdict {
    of(&evidence.held, |seen| {
        let (status, media_type) = (seen.status.as_u16(), seen.media_type());
        expect(status == 200 && media_type == "text/event-stream", || {
            let which = if [401, 403].contains(&status) {
                ": name a TOKEN that opens the order, or *"
            } else {
                ""
            };
            format!("it is {status}, {media_type}{which}")
        })
    })
}

fn first_bytes(evidence: &Evidence) -> Verdict {
    of(&evidence.held, |seen| {
        expect(!seen.body.is_empty(), || {
            format!("no byte came ({:?})", seen.end)
        })
    })
}

fn not_stored(evidence: &Evidence) -> Verdict {
    of(&evidence.held, |seen| {
        let control = seen.header("cache-control").unwrap_or("none");
        let stored = !["no-cache", "no-store"]
            .iter()
            .any(|word| control.contains(word));
        let collected = ["content-length", "content-encoding"]
            .into_iter()
            .find(|name| seen.headers.contains_key(*name));
        let all = ["no-cache", "no-store", "no-transform"]
            .iter()
            .all(|word| control.contains(word));
        match collected {
            Some(name) => Verdict::Fail(format!("it has {name}")),
            None => expect(if evidence.any_server { !stored } else { all }, || {
                format!("cache-control is {control}")
            }),
        }
    })
}

fn headers(evidence: &Evidence) -> Verdict {
    of(&evidence.held, |seen| {
        let hop = ["connection", "keep-alive"]
            .into_iter()
            .find(|name| seen.headers.contains_key(*name));
        let cors = seen
            .headers
            .get_all("access-control-allow-origin")
            .iter()
            .count();
        match hop {
            Some(name) => Verdict::Fail(format!(
                "it has {name}: {}",
                seen.header(name).unwrap_or_default()
            )),
            None => expect(cors <= 1, || {
                format!("it has access-control-allow-origin {cors} times")
            }),
        }
    })
}

fn clean_end(evidence: &Evidence) -> Verdict {
    of(&evidence.held, |seen| match &seen.end {
        End::Cut(how) => Verdict::Fail(format!("it was cut off: {how}")),
        End::Whole => expect(Transcript::read(&seen.body).ends_on_boundary, || {
            format!("its last bytes are {:?}", tail(seen))
        }),
        End::StillOpen | End::OutOfPatience => {
            Verdict::Skip("it was still open: wait for longer with --patience SECONDS".to_owned())
        }
    })
}

fn tail(seen: &Exchange) -> String {
    String::from_utf8_lossy(&seen.body[seen.body.len().saturating_sub(40)..]).into_owned()
}

fn heartbeat(evidence: &Evidence) -> Verdict {
    // What the network adds is no fault of the server's.
    let limit = if evidence.any_server { 60 } else { 20 };
    of(&evidence.held, |seen| {
        expect(seen.longest_silence < Duration::from_secs(limit), || {
            format!("{} s passed without a byte", seen.longest_silence.as_secs())
        })
    })
}
