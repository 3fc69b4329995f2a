//! Lines and frames.

use super::{Rule, Scope, Verdict, advice, each, expect, stream, worst};
use crate::evidence::Evidence;
use crate::transcript::{Frame, Transcript};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "P7",
        scope: Scope::Any,
        text: "UTF-8 without a byte order mark; one kind of line end, LF",
        advice: "end lines with LF alone: a CR at a chunk's end may or may not be half of a CRLF",
        check: |evidence| each(evidence, |read| encoding(read, evidence)),
    },
    Rule {
        id: "P8",
        scope: Scope::Advice,
        text: "lines are comments, event, data, id or retry",
        advice: "clients ignore any other field: a misspelt one is lost without a word",
        check: |evidence| {
            each(evidence, |read| {
                expect(read.strange.is_empty(), || {
                    format!("there is {:?}", read.strange[0])
                })
            })
        },
    },
    Rule {
        id: "P9",
        scope: Scope::Any,
        text: "each frame has data",
        advice: "add `data: {}`: browsers drop an event without data; some clients drop its retry or id, or dispatch it empty",
        check: data,
    },
    Rule {
        id: "P10",
        scope: Scope::Advice,
        text: "`id` is a frame's last field",
        advice: "write id last: a client that takes it when it reads its line loses the event that a cut leaves without its end",
        check: |evidence| {
            each_frame(evidence, |frame| {
                frame.get("id").is_none() || frame.names().last() == Some(&"id")
            })
        },
    },
    Rule {
        id: "P11",
        scope: Scope::Any,
        text: "an id holds no NUL and goes through a header: printable ASCII",
        advice: "clients ignore an id with NUL, and send the id back as a header's value",
        check: |evidence| {
            each_frame(evidence, |frame| {
                frame
                    .get("id")
                    .is_none_or(|id| id.bytes().all(|b| (0x20..0x7f).contains(&b)))
            })
        },
    },
    Rule {
        id: "P12",
        scope: Scope::Any,
        text: "`retry` is a number of milliseconds, 1000 to 3600000",
        advice: "a shorter one outlives its response and hammers during an outage; clients ignore one that is no number",
        check: retry,
    },
    Rule {
        id: "P13",
        scope: Scope::Advice,
        text: "a comment is a line, without a blank one after it",
        advice: "drop the blank line: some clients dispatch a block without data as an empty message",
        check: |evidence| {
            each(evidence, |read| {
                expect(read.bare_comments == 0, || {
                    format!("{} blocks are comments alone", read.bare_comments)
                })
            })
        },
    },
    Rule {
        id: "P14",
        scope: Scope::Any,
        text: "Last-Event-ID is heeded: what was seen does not come again",
        advice: "go on after the event of that id, or tell the client in a way of your own that you cannot",
        check: resume,
    },
];

fn encoding(read: &Transcript, evidence: &Evidence) -> Verdict {
    if let Some(fault) = &read.encoding {
        return Verdict::Fail(fault.clone());
    }
    let mark = expect(!read.byte_order_mark, || {
        "it begins with a byte order mark".to_owned()
    });
    let [lf, crlf, cr] = read.line_ends;
    let kinds = read.line_ends.iter().filter(|count| **count > 0).count();
    // What HTTP itself does; a lone CR at a chunk's end makes some parsers wait for what follows.
    let common = evidence.any_server && cr == 0;
    let ends = expect(kinds <= 1 && (common || crlf + cr == 0), || {
        format!("{lf} lines end with LF, {crlf} with CRLF, {cr} with CR")
    });
    advice(evidence, worst([mark, ends]))
}

fn data(evidence: &Evidence) -> Verdict {
    // Every browser takes a bare `retry`, and it is common.
    let bare_retry = |frame: &Frame| frame.names().iter().all(|name| *name == "retry");
    let any_server = evidence.any_server;
    worst([
        each_frame(evidence, |frame| {
            frame.has(&["data"]) || any_server && bare_retry(frame)
        }),
        advice(evidence, each_frame(evidence, |frame| frame.has(&["data"]))),
    ])
}

/// Clients ignore what is no number. A number that is too small or too great is the server's own risk.
fn retry(evidence: &Evidence) -> Verdict {
    let digits = |retry: &str| !retry.is_empty() && retry.bytes().all(|b| b.is_ascii_digit());
    let number = each_frame(evidence, |frame| frame.get("retry").is_none_or(digits));
    let in_range = each_frame(evidence, |frame| {
        let range = 1000..=3_600_000_u64;
        frame
            .get("retry")
            .is_none_or(|retry| retry.parse().is_ok_and(|retry| range.contains(&retry)))
    });
    worst([number, advice(evidence, in_range)])
}

fn each_frame(evidence: &Evidence, kept: impl Fn(&Frame) -> bool) -> Verdict {
    each(evidence, |read| {
        match read.frames.iter().find(|frame| !kept(frame)) {
            None => Verdict::Pass,
            Some(frame) => {
                let fields = frame.fields.iter().map(|(name, value)| {
                    format!("{name}: {}", value.chars().take(40).collect::<String>())
                });
                Verdict::Fail(format!(
                    "a frame is [{}]",
                    fields.collect::<Vec<_>>().join(" | ")
                ))
            }
        }
    })
}

fn resume(evidence: &Evidence) -> Verdict {
    let Some((cursor, resumed)) = &evidence.resumed else {
        let what = if evidence.any_server {
            "no events came that can be told from each other by an id"
        } else {
            "no order with changes: name one with ORDER"
        };
        return Verdict::Skip(what.to_owned());
    };
    if evidence.any_server
        && let Ok(seen) = resumed
        && seen.status == 204
    {
        // The standard's own way to say that nothing more comes.
        return Verdict::Pass;
    }
    let event = match &evidence.held {
        Ok(held) => Transcript::read(&held.body)
            .resumable()
            .map_or("message".to_owned(), |frame| frame.event().to_owned()),
        Err(_) => "message".to_owned(),
    };
    stream(resumed, |read| {
        let again = read.of(&event).any(|frame| frame.get("id") == Some(cursor));
        expect(!again, || {
            format!("from {cursor:?} on, {cursor:?} came again")
        })
    })
}
