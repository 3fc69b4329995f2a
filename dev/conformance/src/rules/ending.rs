//! How a stream ends.

use serde_json::json;

use super::Check::Requests;
use super::wire::{known, outline_is, settled};
use super::{Rule, Scope, Verdict, events, expect, fail, skip};
use crate::exchange::{End, Seen};
use crate::server::Server;
use crate::transcript::Transcript;

const NAME_A_FINISHED_ONE: &str = "no finished order: set FINISHED to one";

pub(super) const P23: Rule = Rule {
    id: "P23",
    scope: Scope::Contract,
    title: "a finished order: its changes, `end` with an id that ends in ~, and the response ends",
    advice: "give `end` an id of its own: that of the last change, and ~",
    check: Requests(|server| Box::pin(end(server))),
};

async fn end(server: &Server) -> Verdict {
    let Some(seen) = server.finished().await else {
        return skip(NAME_A_FINISHED_ONE);
    };
    let seen = seen.as_ref().map_err(String::clone)?;
    let read = events(seen)?;
    let frames = known(&read);
    let Some((end, before)) = frames.split_last().filter(|(end, _)| end.event() == "end") else {
        return fail(format!("the events are {:?}", read.outline()));
    };
    let change = before.iter().rfind(|frame| frame.event() == "message");
    let change_id = change.and_then(|change| change.get("id"));
    let change_id = change_id.unwrap_or_default();
    let expected = change.and_then(|change| change.json()).map(|change| {
        let order = change["orderId"].as_str().unwrap_or_default();
        json!({ order: change["status"] })
    });
    let whole = seen.end == End::Whole;
    let kept = end.get("id") == Some(&format!("{change_id}~"))
        && end.json().map(|data| data["orders"].clone()) == expected;
    expect(kept && whole, || {
        let fields = &end.fields;
        format!("`end` is {fields:?} after {change_id:?}; the response ended properly: {whole}")
    })
}

pub(super) const P24: Rule = Rule {
    id: "P24",
    scope: Scope::Contract,
    title: "a client that received `end` gets 204 without a body",
    advice: "respond with 204: it is the only response that stops an EventSource for good",
    check: Requests(|server| Box::pin(after_end(server))),
};

async fn after_end(server: &Server) -> Verdict {
    let Some(seen) = resume_after(server, "end").await else {
        return skip(match server.options.finished {
            Some(_) => "no `end` came: see P23",
            None => NAME_A_FINISHED_ONE,
        });
    };
    let seen = seen?;
    expect(seen.status == 204 && seen.body.is_empty(), || {
        let (status, bytes) = (seen.status.as_u16(), seen.body.len());
        format!("the status is {status}, {bytes} bytes")
    })
}

pub(super) const P25: Rule = Rule {
    id: "P25",
    scope: Scope::Contract,
    title: "a client that was cut off before `end` gets `end`",
    advice: "respond with 204 only to a cursor with ~",
    check: Requests(|server| Box::pin(before_end(server))),
};

async fn before_end(server: &Server) -> Verdict {
    match resume_after(server, "message").await {
        Some(seen) => outline_is(&seen?, |events| events == ["hello", "end"]),
        None => skip(match server.options.finished {
            Some(_) => "no change came: see P23",
            None => NAME_A_FINISHED_ONE,
        }),
    }
}

/// The finished order's stream from the id of the last event of that type, if there is one.
async fn resume_after(server: &Server, event: &str) -> Option<Seen> {
    let finished = server.options.finished.as_ref()?;
    let whole = server.finished().await?.as_ref().ok()?;
    let read = Transcript::read(&whole.body);
    let id = read.of(event).last()?.get("id")?;
    let url = server.url_of(finished);
    Some(server.stream(&url, Some(id), |_| false).await)
}

pub(super) const P26: Rule = Rule {
    id: "P26",
    scope: Scope::Contract,
    title: "every other response ends with `rest`, with the same number in retry and data, or with `expired`",
    advice: "say when to come back, then end the response",
    check: Requests(|server| Box::pin(rest(server))),
};

async fn rest(server: &Server) -> Verdict {
    let seen = server.held().await?;
    if seen.end != End::Whole {
        return skip("the response did not end: wait longer with --patience SECONDS");
    }
    let read = Transcript::read(&seen.body);
    let frames = known(&read);
    let Some((rest, before)) = frames.split_last() else {
        return fail("no frame came".to_owned());
    };
    if rest.event() == "end" {
        return skip("the order is finished: set ORDER to one that is not");
    }
    let retry = rest.get("retry").unwrap_or_default();
    let same_number = rest
        .json()
        .is_some_and(|data| data["retry"].is_u64() && data["retry"].as_u64() == retry.parse().ok());
    let same_id = before
        .last()
        .is_some_and(|before| before.get("id").map(settled) == rest.get("id").map(settled));
    let says_when = match rest.event() {
        "rest" => same_number,
        // The token has expired. The client comes back with another one.
        event => event == "expired",
    };
    expect(says_when && same_id, || {
        format!("the last frame is {:?}", rest.fields)
    })
}
