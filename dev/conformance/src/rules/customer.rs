//! A customer's stream, if the server has them.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::Value;

use super::Check::Requests;
use super::wire::known;
use super::{Rule, Scope, Verdict, events, expect, fail, skip};
use crate::server::{Server, ready};
use crate::transcript::{Frame, Transcript};

pub(super) const P32: Rule = Rule {
    id: "P32",
    scope: Scope::Customer,
    title: "a customer's stream opens for the customer that the token names, and for nobody else",
    advice: "take the customer from the verified token, never from the URL",
    check: Requests(|server| Box::pin(access(server))),
};

async fn access(server: &Server) -> Verdict {
    let url = server.customer_url();
    events(&server.stream(&url, None, ready).await?)?;
    let mut request = server.plain(Method::GET, &url);
    (request.token, request.accept) = (None, "text/event-stream");
    let without = server.send(request, |_| false).await?.status;
    expect(without == 401, || {
        format!("without a token, the status is {without}")
    })?;
    let other = format!("{}/customers/somebody/events", server.base());
    let other = server
        .request(Method::GET, &other, "text/event-stream")
        .await?
        .status;
    expect(other == 404, || {
        format!("for another name than `me`, the status is {other}")
    })
}

pub(super) const P33: Rule = Rule {
    id: "P33",
    scope: Scope::Customer,
    title: "a new visitor gets the newest change of each order; ids end with `_` until `ready`",
    advice: "leave out what is superseded, and say in the cursor that the client has not seen everything",
    check: Requests(|server| Box::pin(first_visit(server))),
};

async fn first_visit(server: &Server) -> Verdict {
    let read = events(&server.stream(&server.customer_url(), None, ready).await?)?;
    let mut orders = BTreeMap::new();
    for frame in known(&read).into_iter().skip(1) {
        let id = frame.get("id").unwrap_or_default();
        match frame.event() {
            "ready" => {
                expect(!id.contains('_'), || format!("the id of `ready` is {id:?}"))?;
                return match orders.is_empty() {
                    true => skip("the customer has no orders"),
                    false => Ok(()),
                };
            }
            "message" => {
                expect(id.ends_with('_') && !id.contains('.'), || {
                    format!("a change has the id {id:?}")
                })?;
                let (order, seq) = change(&frame.json().unwrap_or_default());
                // An order's ending may come before what changed after it.
                let before = orders.insert(order.clone(), seq);
                expect(before.is_none_or(|before| before < seq), || {
                    format!("change {seq} of {order} came after change {before:?}")
                })?;
            }
            other => return fail(format!("`{other}` came before `ready`")),
        }
    }
    fail("`ready` did not come".to_owned())
}

pub(super) const P34: Rule = Rule {
    id: "P34",
    scope: Scope::Customer,
    title: "the changes after the cursor; `reset` of `\"*\"` if the cursor cannot be read",
    advice: "number the changes of all the customer's orders without a gap, and compare the cursor with the entry that it names",
    check: Requests(|server| Box::pin(cursor(server))),
};

async fn cursor(server: &Server) -> Verdict {
    let url = server.customer_url();
    let first = events(&server.stream(&url, None, ready).await?)?;
    let cursors: Vec<_> = first.frames.iter().filter_map(Frame::cursor).collect();
    let all = changes(&first);
    for (count, cursor) in cursors.iter().enumerate().skip(1).take(3) {
        let (seen, unseen) = all.split_at(count.min(all.len()));
        let resumed = events(&server.stream(&url, Some(cursor), ready).await?)?;
        let came = changes(&resumed);
        // An order may change between the two requests.
        let has = |(order, seq): &Change| came.iter().any(|it| it.0 == *order && it.1 >= *seq);
        let kept = unseen.iter().all(has) && !came.iter().any(|change| seen.contains(change));
        expect(!resumed.has("reset") && kept, || {
            format!("after {cursor:?}, the changes are {came:?}, and before {all:?}")
        })?;
    }
    let unreadable = events(&server.stream(&url, Some("rubbish"), ready).await?)?;
    let reset = unreadable.of("reset").next().and_then(Frame::json);
    expect(reset.is_some_and(|data| data["orders"] == "*"), || {
        format!(
            "after an unreadable cursor, the events are {:?}",
            unreadable.outline()
        )
    })
}

pub(super) const P36: Rule = Rule {
    id: "P36",
    scope: Scope::Customer,
    title: "a customer's stream never ends: no `end`, no 204",
    advice: "send `rest`, because another order may come",
    check: Requests(|server| Box::pin(never_ends(server))),
};

async fn never_ends(server: &Server) -> Verdict {
    let url = server.customer_url();
    let whole = events(&server.stream(&url, None, |_| false).await?)?;
    expect(!whole.has("end"), || {
        format!("the events are {:?}", whole.outline())
    })?;
    let last = whole.frames.iter().filter_map(Frame::cursor).next_back();
    let ended = format!("{}~", last.unwrap_or("1"));
    let status = server.stream(&url, Some(&ended), ready).await?.status;
    expect(status == 200, || {
        format!("after {ended:?}, the status is {status}")
    })
}

pub(super) const P37: Rule = Rule {
    id: "P37",
    scope: Scope::Customer,
    title: "the snapshot of a customer, from whose cursor a stream continues",
    advice: "answer `accept: application/json` with the newest change of each order and the cursor after them",
    check: Requests(|server| Box::pin(snapshot(server))),
};

async fn snapshot(server: &Server) -> Verdict {
    let url = server.customer_url();
    let first = events(&server.stream(&url, None, ready).await?)?;
    let seen = server
        .request(Method::GET, &url, "application/json")
        .await?;
    let snapshot: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    let (status, media_type) = (seen.status.as_u16(), seen.media_type());
    let kept = status == 200 && media_type == "application/json";
    let (Some(orders), Some(cursor), true) = (
        snapshot["orders"].as_array(),
        snapshot["cursor"].as_str(),
        kept,
    ) else {
        return fail(format!(
            "the response is {status}, {media_type}: {snapshot}"
        ));
    };
    let shown: Vec<_> = orders.iter().map(change).collect();
    let read: Transcript = events(&server.stream(&url, Some(cursor), ready).await?)?;
    let after = changes(&read);
    expect(
        !read.has("reset") && !after.iter().any(|change| shown.contains(change)),
        || {
            format!(
                "after the snapshot's cursor, the events are {:?}",
                read.outline()
            )
        },
    )?;
    let together: BTreeSet<_> = shown.iter().chain(&after).map(|(order, _)| order).collect();
    let visited = changes(&first);
    let missing = visited.iter().find(|(order, _)| !together.contains(order));
    expect(missing.is_none(), || {
        format!("neither the snapshot nor the stream after it has the order of {missing:?}")
    })
}

/// An order's id, and the number of its change.
type Change = (String, u64);

fn changes(read: &Transcript) -> Vec<Change> {
    let data = read.of("message").filter_map(Frame::json);
    data.map(|data| change(&data)).collect()
}

fn change(data: &Value) -> Change {
    let order = data["orderId"].as_str().unwrap_or_default();
    (order.to_owned(), data["seq"].as_u64().unwrap_or_default())
}
