//! An order's history on the wire: changes, marks, `ready`.

use serde_json::Value;

use super::contract::{NAME_AN_ORDER, known, rule, skip};
use super::{Rule, Verdict, each, expect, of, streams, worst};
use crate::evidence::Evidence;
use crate::exchange::Exchange;
use crate::transcript::{Frame, Transcript};

/// The most changes of an order that a new visitor is shown.
const LATEST: usize = 100;

pub(super) const RULES: &[Rule] = &[
    rule(
        "P16",
        "a change is unnamed, a line of JSON, and none is left out: seq and id are in step",
        "seq counts 1, 2, 3 … in each order; the id is seq, dash, four hex digits; `reset` says that earlier changes are gone",
        changes,
    ),
    rule(
        "P17",
        "`ready` once, after the replay, and a comment behind it or `rest` at once",
        "say it when all that there is was sent; then a line `:` to push it through buffers",
        ready,
    ),
];

fn changes(evidence: &Evidence) -> Verdict {
    if streams(evidence)
        .iter()
        .all(|read| read.of("message").count() == 0)
    {
        return skip(NAME_AN_ORDER);
    }
    each(evidence, |read| {
        let each_one = read.of("message").map(|frame| {
            expect(is_change(frame), || {
                format!("a change is {:?}", frame.fields)
            })
        });
        worst(each_one.chain([in_step(read)]))
    })
}

/// Whether each change is the next one of its order.
///
/// It reads the marks alone: exactly one of them moves with a change, to its `seq`.
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
                return Verdict::Fail(format!(
                    "after {:?} came {:?}",
                    before.join("."),
                    frame.fields
                ));
            }
        }
        // `?` is no cursor: what follows it is a matter of `reset`.
        marks = now.iter().all(|mark| is_mark(mark)).then_some(now);
    }
    Verdict::Pass
}

/// Whether one mark moved, to the next number; or from nothing, to 1 or to where a history may begin.
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

/// `"0" [ "-" 4HEXDIG ] / seq [ "-" 4HEXDIG ] [ "~" ]`
pub(super) fn is_mark(mark: &str) -> bool {
    let (number, tie) = match mark.split_once('-') {
        Some((number, tie)) => (number, Some(tie)),
        None => (mark, None),
    };
    let last = tie.unwrap_or(number);
    let ended = last.ends_with('~');
    let (number, tie) = match tie {
        Some(tie) => (number, tie.strip_suffix('~').unwrap_or(tie)),
        None => (number.strip_suffix('~').unwrap_or(number), "0000"),
    };
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let canonical = number == "0" && !ended || !number.starts_with('0');
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    digits && canonical && number.parse::<u64>().is_ok() && tie.len() == 4 && tie.bytes().all(hex)
}

/// A mark of which nothing was seen.
pub(super) fn is_zero(mark: &str) -> bool {
    is_mark(mark) && seq(mark) == 0
}

/// The number in a mark.
fn seq(mark: &str) -> u64 {
    let number = mark.split(['-', '~']).next().unwrap_or_default();
    number.parse().unwrap_or_default()
}

/// The cursor without what a mark of nothing may count.
pub(super) fn settled(cursor: &str) -> String {
    let marks = cursor.split('.');
    let marks = marks.map(|mark| if is_zero(mark) { "0" } else { mark });
    marks.collect::<Vec<_>>().join(".")
}

fn ready(evidence: &Evidence) -> Verdict {
    of(&evidence.held, |seen| {
        let read = Transcript::read(&seen.body);
        let frames = known(&read);
        let events: Vec<_> = frames.iter().map(|frame| frame.event()).collect();
        if events.last() == Some(&"end") && !events.contains(&"ready") {
            return skip("the order is finished: name one that is not with ORDER");
        }
        let last = frames.last().and_then(|last| last.json());
        if last.is_some_and(|data| data["unavailable"] == true) {
            return skip("the server says that it cannot read the order now");
        }
        // Once after the first replay, and once after each that begins later.
        let (mut due, mut before) = (true, None);
        for (at, frame) in read.frames.iter().enumerate() {
            let id = frame.get("id").map(settled);
            match frame.event() {
                "reset" => due = true,
                "ready" if due => {
                    due = false;
                    let pushed = is_pushed(seen, &read, at);
                    if !(frame.has(&["data"]) && id == before && pushed) {
                        return Verdict::Fail(format!(
                            "it is {:?}, a comment behind it: {pushed}",
                            frame.fields
                        ));
                    }
                }
                "ready" => return Verdict::Fail(format!("the events are {events:?}")),
                _ => {}
            }
            before = id.or(before);
        }
        expect(!due, || format!("the events are {events:?}"))
    })
}

/// Whether a comment or the response's end pushes a frame through buffers.
fn is_pushed(seen: &Exchange, read: &Transcript, at: usize) -> bool {
    match read.frames.get(at + 1) {
        // A response that ends at once pushes what it has by that.
        Some(next) if next.event() == "rest" && !pauses_after(seen, at) => true,
        Some(next) => next.after_comment,
        None => read.ends_with_comment,
    }
}

/// Whether nothing came for a while after a frame. What was slow before it says nothing of it.
fn pauses_after(seen: &Exchange, at: usize) -> bool {
    let mut before = seen.pauses.iter().map(|length| &seen.body[..*length]);
    before.any(|bytes| Transcript::read(bytes).frames.len() == at + 1)
}

/// Whether a client that has seen nothing is shown the latest changes, and told if they are not all.
pub(super) fn latest(read: &Transcript) -> Verdict {
    let (mut told, mut reason, mut first) = (0, None, None);
    for frame in known(read) {
        match frame.event() {
            "reset" => {
                let data = frame.json().unwrap_or_default();
                (told, reason, first) = (0, data["reason"].as_str().map(str::to_owned), None);
            }
            "message" => {
                told += 1;
                first = first.or_else(|| frame.json());
            }
            "ready" => break,
            _ => {}
        }
    }
    let begins = first.is_none_or(|first| first["seq"] == 1 || first["previous"].is_null());
    expect(told <= LATEST && (begins || reason.is_some()), || {
        format!("{told} changes came before `ready`, after a reset with the reason {reason:?}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks() {
        for mark in [
            "0", "0-0001", "0-ffff", "1", "1-0000", "12-9f2c", "12-9f2c~", "12~",
        ] {
            assert!(is_mark(mark), "{mark}");
        }
        for mark in [
            "",
            "?",
            "~",
            "0~",
            "0-0001~",
            "01",
            "01-0000",
            "-0000",
            "1-",
            "1-00",
            "1-00000",
            "1-9F2C",
            "+1",
            "1-+000",
            "18446744073709551616",
            "1-0000~~",
            "0-",
        ] {
            assert!(!is_mark(mark), "{mark}");
        }
        assert!(is_zero("0") && is_zero("0-0003") && !is_zero("3-0000") && !is_zero("?"));
        assert_eq!(settled("0-0003.4-0001~.0"), "0.4-0001~.0");
    }

    /// Frames of one order, by their ids; `r` is a reset, `n` a change that is its life's first.
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
        assert_eq!(in_step(&read) == Verdict::Pass, kept, "{outline}");
    }

    #[test]
    fn a_new_visitor_is_shown_the_latest() {
        let check = |reset: bool, seqs: std::ops::RangeInclusive<u64>, kept: bool| {
            let changes = seqs.clone().map(|seq| {
                let previous = if seq == 1 { "null" } else { "\"PAID\"" };
                format!("data: {{\"seq\":{seq},\"previous\":{previous}}}\nid: {seq}\n\n")
            });
            let told = match reset {
                true => "event: reset\ndata: {\"reason\":\"trimmed\"}\nid: 0\n\n",
                false => "",
            };
            // What comes after `ready` does not count.
            let text = format!(
                "event: hello\ndata: {{}}\nid: 0\n\n{told}{}event: ready\ndata: {{}}\nid: 9\n\n{}",
                changes.clone().collect::<String>(),
                changes.collect::<String>()
            );
            let verdict = latest(&Transcript::read(text.as_bytes()));
            assert_eq!(verdict == Verdict::Pass, kept, "{reset} {seqs:?}");
        };
        check(false, 1..=100, true);
        check(false, 1..=101, false);
        check(true, 1401..=1500, true);
        check(true, 1400..=1500, false);
        check(false, 1401..=1500, false);
    }

    #[test]
    fn none_is_left_out() {
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
