//! Lines and frames, in every stream that another rule requested.

use super::Check::Streams;
use super::{Rule, Scope, Verdict, advice, each, expect, fail, worst};
use crate::transcript::{Frame, Transcript};

pub(super) const P7: Rule = Rule {
    id: "P7",
    scope: Scope::Any,
    title: "UTF-8 without a byte order mark; each line ends with LF",
    advice: "end lines with LF: a CR at the end of a chunk may or may not be half of a CRLF",
    check: Streams(|streams, any_server| each(streams, |read| encoding(read, any_server))),
};

fn encoding(read: &Transcript, any_server: bool) -> Verdict {
    if let Some(fault) = &read.encoding {
        return fail(fault.clone());
    }
    let mark = expect(!read.byte_order_mark, || {
        "the stream begins with a byte order mark".to_owned()
    });
    let [lf, crlf, cr] = read.line_ends;
    let kinds = read.line_ends.iter().filter(|count| **count > 0).count();
    // HTTP itself ends lines with CRLF. A lone CR at a chunk's end makes some parsers wait for the next byte.
    let common = any_server && cr == 0;
    let ends = expect(kinds <= 1 && (common || crlf + cr == 0), || {
        format!("{lf} lines end with LF, {crlf} with CRLF, {cr} with CR")
    });
    advice(any_server, worst([mark, ends]))
}

pub(super) const P8: Rule = Rule {
    id: "P8",
    scope: Scope::Advice,
    title: "each line is a comment, event, data, id or retry",
    advice: "correct or remove the field: clients ignore it silently",
    check: Streams(|streams, _| {
        each(streams, |read| match read.strange.first() {
            Some(line) => fail(format!("a line is {line:?}")),
            None => Ok(()),
        })
    }),
};

pub(super) const P9: Rule = Rule {
    id: "P9",
    scope: Scope::Any,
    title: "each frame has data",
    advice: "add `data: {}`: browsers drop an event without data; some clients drop its retry or id, or dispatch an empty event",
    check: Streams(data),
};

fn data(streams: &[Transcript], any_server: bool) -> Verdict {
    // Every browser accepts a `retry` without data, and many servers send it.
    let bare_retry = |frame: &Frame| frame.names().iter().all(|name| *name == "retry");
    let has_data = |frame: &Frame| frame.has(&["data"]);
    worst([
        each_frame(streams, |frame| {
            has_data(frame) || any_server && bare_retry(frame)
        }),
        advice(any_server, each_frame(streams, has_data)),
    ])
}

pub(super) const P10: Rule = Rule {
    id: "P10",
    scope: Scope::Advice,
    title: "`id` is the last field of a frame",
    advice: "write id last: some clients store it when they read its line, and lose the event if the rest of the frame is cut off",
    check: Streams(|streams, _| {
        each_frame(streams, |frame| {
            frame.get("id").is_none() || frame.names().last() == Some(&"id")
        })
    }),
};

pub(super) const P11: Rule = Rule {
    id: "P11",
    scope: Scope::Any,
    title: "an id has only printable ASCII, so that a header can carry it",
    advice: "use only printable ASCII: clients send the id back as a header's value, and ignore an id with NUL",
    check: Streams(|streams, _| {
        let printable = |id: &str| id.bytes().all(|b| (0x20..0x7f).contains(&b));
        each_frame(streams, |frame| frame.get("id").is_none_or(printable))
    }),
};

pub(super) const P12: Rule = Rule {
    id: "P12",
    scope: Scope::Any,
    title: "`retry` is a number of milliseconds, from 1000 to 3600000",
    advice: "send 1000 or more: clients reuse the last `retry` during an outage, and a short one hammers the server; they ignore one that is not a number",
    check: Streams(retry),
};

/// Clients ignore a `retry` that is not a number. With a number that is too small or too large, any server harms only itself.
fn retry(streams: &[Transcript], any_server: bool) -> Verdict {
    let digits = |retry: &str| !retry.is_empty() && retry.bytes().all(|b| b.is_ascii_digit());
    let in_range = |retry: &str| {
        retry
            .parse()
            .is_ok_and(|retry| (1000..=3_600_000_u64).contains(&retry))
    };
    let all = |kept: &dyn Fn(&str) -> bool| {
        each_frame(streams, |frame| frame.get("retry").is_none_or(kept))
    };
    worst([all(&digits), advice(any_server, all(&in_range))])
}

pub(super) const P13: Rule = Rule {
    id: "P13",
    scope: Scope::Advice,
    title: "a comment is one line, without a blank line after it",
    advice: "remove the blank line: some clients dispatch a block without data as an empty message",
    check: Streams(|streams, _| {
        each(streams, |read| {
            expect(read.bare_comments == 0, || {
                format!("{} blocks have only comments", read.bare_comments)
            })
        })
    }),
};

fn each_frame(streams: &[Transcript], kept: impl Fn(&Frame) -> bool) -> Verdict {
    each(streams, |read| {
        let Some(frame) = read.frames.iter().find(|frame| !kept(frame)) else {
            return Ok(());
        };
        let fields = frame
            .fields
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.chars().take(40).collect::<String>()));
        fail(format!(
            "a frame is [{}]",
            fields.collect::<Vec<_>>().join(" | ")
        ))
    })
}
