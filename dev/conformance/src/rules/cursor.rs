//! Where a client continues: at its cursor, or with the latest changes.

use super::Check::Requests;
use super::wire::{NAME_AN_ORDER, is_mark, is_zero, known, outline_is};
use super::{Rule, Scope, Verdict, events, expect, fail, skip};
use crate::server::{Server, percent_encoded, ready, unknown_order};
use crate::transcript::{Frame, Transcript};

/// The most changes of an order that a new visitor is shown.
const LATEST: usize = 100;

pub(super) const P14: Rule = Rule {
    id: "P14",
    scope: Scope::Any,
    title: "the server resumes after Last-Event-ID: what the client has seen does not come again",
    advice: "continue after the event with that id, or tell the client in your own way that you cannot",
    check: Requests(|server| Box::pin(resumes(server))),
};

async fn resumes(server: &Server) -> Verdict {
    let any_server = server.options.any_server;
    let Some((cursor, resumed)) = server.resumed().await else {
        return skip(match any_server {
            true => "no event came with an id of its own",
            false => NAME_AN_ORDER,
        });
    };
    let resumed = resumed.as_ref().map_err(String::clone)?;
    if any_server && resumed.status == 204 {
        // In the standard, 204 says that nothing more comes.
        return Ok(());
    }
    let held = Transcript::read(&server.held().await?.body);
    let event = held.resumable().map_or("message", Frame::event);
    let again = events(resumed)?
        .of(event)
        .any(|frame| frame.get("id") == Some(cursor));
    expect(!again, || {
        format!("after Last-Event-ID {cursor:?}, {cursor:?} came again")
    })
}

pub(super) const P19: Rule = Rule {
    id: "P19",
    scope: Scope::Contract,
    title: "the cursor may be in the query; the header is newer",
    advice: "read Last-Event-ID first, then lastEventId",
    check: Requests(|server| Box::pin(cursor_in_query(server))),
};

async fn cursor_in_query(server: &Server) -> Verdict {
    let whole = server.stream(&server.url(), None, ready).await;
    let whole = whole.map_or_else(
        |_| Transcript::default(),
        |seen| Transcript::read(&seen.body),
    );
    let cursors: Vec<_> = whole.of("message").filter_map(Frame::cursor).collect();
    let (Some(first), Some(last)) = (cursors.first(), cursors.last()) else {
        return skip(NAME_AN_ORDER);
    };
    let url = format!("{}?lastEventId={first}", server.url());
    let read = events(&server.stream(&url, None, ready).await?)?;
    let mut later = read.frames.iter().skip(1);
    let again = later.any(|frame| frame.event() == "message" && frame.get("id") == Some(first));
    expect(!again && !read.has("reset"), || {
        format!(
            "after lastEventId={first}, the events are {:?}",
            read.outline()
        )
    })?;
    let both = server.stream(&url, Some(last), ready).await?;
    outline_is(&both, |events| {
        events.starts_with(&["hello"]) && !events.contains(&"message") && !events.contains(&"reset")
    })
}

pub(super) const P20: Rule = Rule {
    id: "P20",
    scope: Scope::Contract,
    title: "an unreadable cursor: `hello` with `?`, then `reset`, then a replay",
    advice: "do not treat it as no cursor: the page would show changes twice",
    check: Requests(|server| Box::pin(unreadable_cursor(server))),
};

async fn unreadable_cursor(server: &Server) -> Verdict {
    let seen = server.stream(&server.url(), Some("rubbish"), ready).await?;
    is_reset(&events(&seen)?, Some("?"))
}

pub(super) const P21: Rule = Rule {
    id: "P21",
    scope: Scope::Contract,
    title: "a cursor ahead of history: `reset`; no cursor: the latest 100 changes, after `reset` if there are more",
    advice: "compare the cursor with the entry that it names; send all changes only to a client that resumes",
    check: Requests(|server| Box::pin(cursor_ahead(server))),
};

async fn cursor_ahead(server: &Server) -> Verdict {
    let url = server.url();
    let ahead = server.stream(&url, Some("999999999-0000"), ready).await?;
    let read = events(&ahead)?;
    is_reset(&read, None)?;
    latest(&read)?;
    latest(&events(server.held().await?)?)
}

fn is_reset(read: &Transcript, hello_id: Option<&str>) -> Verdict {
    let frames = known(read);
    let hello = frames.first().and_then(|frame| frame.get("id"));
    let Some(reset) = frames.get(1).filter(|frame| frame.event() == "reset") else {
        return fail(format!("the events are {:?}", read.outline()));
    };
    let data = reset.json().unwrap_or_default();
    let told = reset.get("id").is_some_and(is_zero)
        && data["reason"] == "unknown-cursor"
        && data["orders"]
            .as_array()
            .is_some_and(|orders| orders.len() == 1);
    let change = read.of("message").next();
    let replayed = change.is_none_or(|first| first.get("id").is_some());
    let said = hello_id.is_none_or(|id| hello == Some(id));
    expect(told && replayed && said, || {
        format!(
            "`hello` has the id {hello:?}, `reset` is {:?}",
            reset.fields
        )
    })
}

/// Whether a client without a cursor gets the latest changes, and a `reset` before them if there are others.
fn latest(read: &Transcript) -> Verdict {
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

pub(super) const P22: Rule = Rule {
    id: "P22",
    scope: Scope::Contract,
    title: "several orders share a connection; an id has a mark for each",
    advice: "join the marks with dots, in the URL's order",
    check: Requests(|server| Box::pin(several_orders(server))),
};

async fn several_orders(server: &Server) -> Verdict {
    let Some(order) = server.named_order().map(percent_encoded) else {
        return skip(NAME_AN_ORDER);
    };
    let (base, unknown) = (server.base(), unknown_order());
    let url = format!("{base}/orders/events?order={order}&order={unknown}");
    let read = events(&server.stream(&url, None, ready).await?)?;
    let last = read.frames.last().and_then(|frame| frame.get("id"));
    let last = last.unwrap_or_default();
    let marks: Vec<_> = last.split('.').collect();
    let kept = matches!(&marks[..], [a, b] if is_mark(a) && !is_zero(a) && is_zero(b));
    expect(kept, || {
        let outline = read.outline();
        format!("the events are {outline:?}, the last id is {last:?}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            // Changes after `ready` do not count.
            let text = format!(
                "event: hello\ndata: {{}}\nid: 0\n\n{told}{}event: ready\ndata: {{}}\nid: 9\n\n{}",
                changes.clone().collect::<String>(),
                changes.collect::<String>()
            );
            let verdict = latest(&Transcript::read(text.as_bytes()));
            assert_eq!(verdict.is_ok(), kept, "{reset} {seqs:?}");
        };
        check(false, 1..=100, true);
        check(false, 1..=101, false);
        check(true, 1401..=1500, true);
        check(true, 1400..=1500, false);
        check(false, 1401..=1500, false);
    }
}
