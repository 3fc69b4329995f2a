//! What this contract adds: frames, cursors, statuses.

use serde_json::{Value, json};

use super::history::{is_mark, is_zero, latest, settled};
use super::{Rule, Scope, Verdict, each, expect, of, stream, worst};
use crate::evidence::{Contract, Evidence, Finished};
use crate::exchange::{End, Exchange, Seen};
use crate::transcript::{Frame, Transcript};

pub(super) const fn rule(
    id: &'static str,
    text: &'static str,
    advice: &'static str,
    check: fn(&Evidence) -> Verdict,
) -> Rule {
    Rule {
        id,
        scope: Scope::Contract,
        text,
        advice,
        check,
    }
}

pub(super) const NAME_AN_ORDER: &str = "no order with changes: name one with ORDER";
const NAME_A_FINISHED_ONE: &str = "no finished order: name one with FINISHED";

pub(super) const RULES: &[Rule] = &[
    rule(
        "P15",
        "a response opens with a comment and `hello`: event, retry, data, id",
        "write it before the feed is asked",
        hello,
    ),
    rule(
        "P18",
        "an order that nobody knows is waited for: 200, ready",
        "an order without changes is not an error",
        unknown_order,
    ),
    rule(
        "P19",
        "the cursor may come in the query; the header is newer",
        "read Last-Event-ID first, then lastEventId",
        query,
    ),
    rule(
        "P20",
        "a cursor that cannot be read: `hello` with `?`, then `reset`, then a replay",
        "never let it pass as a beginning: the page would show changes twice",
        unreadable,
    ),
    rule(
        "P21",
        "a cursor that is ahead of history: `reset`; who has seen nothing: the latest 100 changes, after `reset` if there are more",
        "compare the cursor with the entry that it names; send all changes only to a client that resumes",
        ahead,
    ),
    rule(
        "P22",
        "several orders share a connection, and an id with a mark for each",
        "join the marks with dots, in the URL's order",
        several,
    ),
    rule(
        "P23",
        "a finished order: its changes, `end` with an id that ends in ~, and the end",
        "end has an id of its own",
        end,
    ),
    rule(
        "P24",
        "to a client that was told `end`: 204 without a body",
        "204 is the one answer that stops an EventSource for good",
        told,
    ),
    rule(
        "P25",
        "to one that was cut off before `end`: `end`",
        "answer 204 to a cursor with ~ alone",
        untold,
    ),
    rule(
        "P26",
        "every other end is `rest` with the same number in retry and data, or `expired`",
        "say when to come back, then end",
        rest,
    ),
    rule(
        "P27",
        "application/json is answered the newest change and a cursor to go on from",
        "negotiate on Accept: JSON only where text/event-stream is not accepted",
        snapshot,
    ),
    rule(
        "P28",
        "HEAD is GET without a body; OPTIONS names the methods",
        "answer both, without a 405",
        head_and_options,
    ),
    rule(
        "P29",
        "what stays wrong is 400, 404 or 405 as application/problem+json",
        "a body that says what is wrong, its status in it, and `allow` with 405",
        problems,
    ),
    rule(
        "P30",
        "changes reach a watcher as they happen, once and in order",
        "see what holds them back: the feed, or a buffer on the way",
        live,
    ),
];

fn contract(evidence: &Evidence, check: impl FnOnce(&Contract) -> Verdict) -> Verdict {
    match &evidence.contract {
        Some(contract) => check(contract),
        None => Verdict::Skip("not asked".to_owned()),
    }
}

pub(super) fn skip(why: &str) -> Verdict {
    Verdict::Skip(why.to_owned())
}

fn hello(evidence: &Evidence) -> Verdict {
    each(evidence, |read| {
        let first = read.frames.first();
        let kept = first.is_some_and(|first| {
            read.begins_with_comment
                && first.event() == "hello"
                && first.has(&["retry", "data", "id"])
        });
        expect(kept, || {
            format!(
                "a comment first: {}; the first frame is {first:?}",
                read.begins_with_comment
            )
        })
    })
}

/// The types of frames that this contract has. Clients ignore all others, and so do the rules.
const TYPES: [&str; 7] = [
    "hello", "message", "reset", "ready", "end", "expired", "rest",
];

/// The frames of the contract, in their order.
pub(super) fn known(read: &Transcript) -> Vec<&Frame> {
    let frames = read.frames.iter();
    frames
        .filter(|frame| TYPES.contains(&frame.event()))
        .collect()
}

/// Judges the types of the events, in their order.
fn outline_is(seen: &Seen, expected: impl Fn(&[&str]) -> bool) -> Verdict {
    stream(seen, |read| {
        let outline: Vec<_> = known(read).into_iter().map(Frame::event).collect();
        expect(expected(&outline), || format!("the events are {outline:?}"))
    })
}

fn unknown_order(evidence: &Evidence) -> Verdict {
    contract(evidence, |contract| {
        outline_is(&contract.unknown_order, |events| {
            // A proxy may hand over what follows `ready` together with it.
            matches!(
                events,
                ["hello", "ready"] | ["hello", "ready", "rest" | "expired"]
            )
        })
    })
}

fn query(evidence: &Evidence) -> Verdict {
    contract(evidence, |contract| {
        let (Some((first, by_query)), Some((_, by_both))) = (&contract.by_query, &contract.by_both)
        else {
            return skip(NAME_AN_ORDER);
        };
        let query = stream(by_query, |read| {
            let again = read
                .frames
                .iter()
                .skip(1)
                .any(|frame| frame.event() == "message" && frame.get("id") == Some(first));
            expect(!again && !read.outline().contains(&"reset"), || {
                format!("from lastEventId={first} on came {:?}", read.outline())
            })
        });
        match query {
            Verdict::Pass => outline_is(by_both, |events| {
                events.starts_with(&["hello"])
                    && !events.contains(&"message")
                    && !events.contains(&"reset")
            }),
            fault => fault,
        }
    })
}

fn is_reset(read: &Transcript, hello_id: Option<&str>) -> Verdict {
    let frames = known(read);
    let hello = frames.first().and_then(|frame| frame.get("id"));
    let Some(reset) = frames.get(1).filter(|frame| frame.event() == "reset") else {
        return Verdict::Fail(format!("the events are {:?}", read.outline()));
    };
    let data = reset.json().unwrap_or_default();
    let told = reset.get("id").is_some_and(is_zero)
        && data["reason"] == "unknown-cursor"
        && data["orders"]
            .as_array()
            .is_some_and(|orders| orders.len() == 1);
    let replayed = read
        .of("message")
        .next()
        .is_none_or(|first| first.get("id").is_some());
    expect(
        told && replayed && hello_id.is_none_or(|id| hello == Some(id)),
        || format!("hello's id is {hello:?}, reset is {:?}", reset.fields),
    )
}

fn unreadable(evidence: &Evidence) -> Verdict {
    contract(evidence, |contract| {
        stream(&contract.unreadable, |read| is_reset(read, Some("?")))
    })
}

fn ahead(evidence: &Evidence) -> Verdict {
    contract(evidence, |contract| {
        worst([
            stream(&contract.ahead, |read| {
                worst([is_reset(read, None), latest(read)])
            }),
            stream(&evidence.held, latest),
        ])
    })
}

fn several(evidence: &Evidence) -> Verdict {
    contract(evidence, |contract| {
        let Some(several) = &contract.several else {
            return skip(NAME_AN_ORDER);
        };
        stream(several, |read| {
            let last = read
                .frames
                .last()
                .and_then(|frame| frame.get("id"))
                .unwrap_or_default();
            let marks: Vec<_> = last.split('.').collect();
            let kept = matches!(&marks[..], [a, b] if is_mark(a) && !is_zero(a) && is_zero(b));
            expect(kept, || {
                format!(
                    "the events are {:?}, the last id is {last:?}",
                    read.outline()
                )
            })
        })
    })
}

fn finished(evidence: &Evidence, check: impl FnOnce(&Finished) -> Verdict) -> Verdict {
    contract(evidence, |contract| {
        contract
            .finished
            .as_ref()
            .map_or(skip(NAME_A_FINISHED_ONE), check)
    })
}

fn end(evidence: &Evidence) -> Verdict {
    finished(evidence, |finished| {
        stream(&finished.whole, |read| {
            let frames = known(read);
            let Some((end, before)) = frames.split_last().filter(|(end, _)| end.event() == "end")
            else {
                return Verdict::Fail(format!("the events are {:?}", read.outline()));
            };
            let change = before.iter().rfind(|frame| frame.event() == "message");
            let change_id = change
                .and_then(|change| change.get("id"))
                .unwrap_or_default();
            let status = change.and_then(|change| change.json()).map(|change| {
                (
                    change["orderId"].as_str().unwrap_or_default().to_owned(),
                    change["status"].clone(),
                )
            });
            let expected = status.map(|(order, status)| json!({ order: status }));
            let whole = finished
                .whole
                .as_ref()
                .is_ok_and(|seen| seen.end == End::Whole);
            let kept = end.get("id") == Some(&format!("{change_id}~"))
                && end.json().map(|data| data["orders"].clone()) == expected;
            expect(kept && whole, || {
                format!(
                    "end is {:?} after {change_id:?}, and the response ended: {whole}",
                    end.fields
                )
            })
        })
    })
}

fn told(evidence: &Evidence) -> Verdict {
    finished(evidence, |finished| {
        let Some(told) = &finished.told else {
            return skip("no `end` was told: see P23");
        };
        of(told, |seen| {
            expect(seen.status == 204 && seen.body.is_empty(), || {
                format!(
                    "the status is {}, {} bytes",
                    seen.status.as_u16(),
                    seen.body.len()
                )
            })
        })
    })
}

fn untold(evidence: &Evidence) -> Verdict {
    finished(evidence, |finished| match &finished.untold {
        Some(untold) => outline_is(untold, |events| events == ["hello", "end"]),
        None => skip("no change was told: see P23"),
    })
}

fn rest(evidence: &Evidence) -> Verdict {
    of(&evidence.held, |seen| {
        if seen.end != End::Whole {
            return skip("the response did not end: wait for longer with --patience SECONDS");
        }
        let read = Transcript::read(&seen.body);
        let frames = known(&read);
        let Some((rest, before)) = frames.split_last() else {
            return Verdict::Fail("there is no frame".to_owned());
        };
        if rest.event() == "end" {
            return skip("the order is finished: name one that is not with ORDER");
        }
        let retry = rest.get("retry").unwrap_or_default();
        let same_number = rest.json().is_some_and(|data| {
            data["retry"].is_u64() && data["retry"].as_u64() == retry.parse().ok()
        });
        let id = before
            .last()
            .is_some_and(|before| before.get("id").map(settled) == rest.get("id").map(settled));
        let says_when = match rest.event() {
            "rest" => same_number,
            // The token's end. The client comes back with another one.
            event => event == "expired",
        };
        expect(says_when && id, || {
            format!("the last frame is {:?}", rest.fields)
        })
    })
}

fn snapshot(evidence: &Evidence) -> Verdict {
    contract(evidence, |contract| {
        let Some((snapshot, resumed)) = &contract.snapshot else {
            return skip(NAME_AN_ORDER);
        };
        let answer = of(snapshot, |seen| {
            let json: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
            let kept = seen.status == 200
                && seen.media_type() == "application/json"
                && json["orders"]
                    .as_array()
                    .is_some_and(|orders| orders.len() == 1);
            expect(kept && json["cursor"].is_string(), || {
                format!(
                    "it is {}, {}: {json}",
                    seen.status.as_u16(),
                    seen.media_type()
                )
            })
        });
        match (answer, resumed) {
            (Verdict::Pass, Some(resumed)) => outline_is(resumed, |events| {
                !events.contains(&"reset") && !events.contains(&"message")
            }),
            (verdict, _) => verdict,
        }
    })
}

fn head_and_options(evidence: &Evidence) -> Verdict {
    contract(evidence, |contract| {
        let head = of(&contract.head, |seen| {
            let kept = seen.status == 200
                && seen.media_type() == "text/event-stream"
                && seen.body.is_empty();
            expect(kept, || {
                format!(
                    "HEAD is answered {}, {}, {} bytes",
                    seen.status.as_u16(),
                    seen.media_type(),
                    seen.body.len()
                )
            })
        });
        if head != Verdict::Pass {
            return head;
        }
        of(&contract.options, |seen| {
            let kept = seen.status.is_success() && names_methods(seen);
            expect(kept, || {
                format!(
                    "OPTIONS is answered {}, allow: {}",
                    seen.status.as_u16(),
                    methods(seen)
                )
            })
        })
    })
}

fn methods(seen: &Exchange) -> String {
    let allow = seen.list("allow");
    let allow = allow.or_else(|| seen.list("access-control-allow-methods"));
    allow.unwrap_or_else(|| "none".to_owned())
}

/// Whether an answer to OPTIONS says that the server may be asked by GET.
pub(crate) fn names_methods(seen: &Exchange) -> bool {
    let methods = methods(seen);
    methods.contains("GET") || methods == "*"
}

/// Whether a front has answered in the server's place: clients take that for weather, or never ask so.
fn is_of_a_front(seen: &Exchange, expected: u16) -> bool {
    let of_the_server = seen.media_type() == "application/problem+json";
    // No client posts, and none asks for a path of another site.
    let never_asked = expected != 400;
    !of_the_server && (never_asked || seen.status.as_u16() >= 400 && seen.status != expected)
}

fn problems(evidence: &Evidence) -> Verdict {
    contract(evidence, |contract| {
        let mut cases = vec![
            ("an unknown path", &contract.not_found, 404),
            ("POST", &contract.not_allowed, 405),
        ];
        cases.extend(
            contract
                .bad
                .iter()
                .map(|(what, seen)| (what.as_str(), seen, 400)),
        );
        let verdicts = cases.into_iter().map(|(what, seen, status)| {
            of(seen, |seen| {
                let problem: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
                let allowed = status != 405 || seen.headers.contains_key("allow");
                let kept = seen.status == status
                    && seen.media_type() == "application/problem+json"
                    && problem["status"] == status
                    && problem["detail"].is_string();
                let verdict = expect(kept && allowed, || {
                    format!(
                        "{what} is answered {}, {}, allow: {allowed}: {problem}",
                        seen.status.as_u16(),
                        seen.media_type()
                    )
                });
                match verdict {
                    Verdict::Fail(fault) if is_of_a_front(seen, status) => Verdict::Note(fault),
                    verdict => verdict,
                }
            })
        });
        worst(verdicts)
    })
}

fn live(evidence: &Evidence) -> Verdict {
    contract(evidence, |contract| match &contract.live {
        None => skip(
            "no order may be placed: where the demo shop runs, name it with SHOP (http://localhost:8080)",
        ),
        Some(Err(error)) => Verdict::Fail(format!("the shop: {error}")),
        Some(Ok(live)) => {
            let mut seen = Vec::new();
            for response in &live.watched {
                let answered = stream(response, |read| {
                    let changes = read.of("message").filter_map(Frame::json);
                    seen.extend(changes.map(|change| change["status"].clone()));
                    Verdict::Pass
                });
                if answered != Verdict::Pass {
                    return answered;
                }
            }
            expect(seen == live.statuses, || {
                let statuses = &live.statuses;
                format!("the shop said {statuses:?}, the watcher saw {seen:?}")
            })
        }
    })
}
