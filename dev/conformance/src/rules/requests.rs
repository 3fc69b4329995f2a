//! Requests for something else than a stream, and requests that are refused.

use http::Method;
use serde_json::Value;

use super::Check::Requests;
use super::wire::{NAME_AN_ORDER, outline_is};
use super::{Remark, Rule, Scope, Verdict, expect, skip, worst};
use crate::exchange::Exchange;
use crate::server::{Server, ready};

pub(super) const P27: Rule = Rule {
    id: "P27",
    scope: Scope::Contract,
    title: "application/json is answered the newest change and a cursor to go on from",
    advice: "negotiate on Accept: JSON only where text/event-stream is not accepted",
    check: Requests(|server| Box::pin(snapshot(server))),
};

async fn snapshot(server: &Server) -> Verdict {
    if server.named_order().is_none() {
        return skip(NAME_AN_ORDER);
    }
    let url = server.url();
    let seen = server
        .request(Method::GET, &url, "application/json")
        .await?;
    let json: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    let (status, media_type) = (seen.status.as_u16(), seen.media_type());
    let orders = json["orders"].as_array().map_or(0, Vec::len);
    let kept = status == 200 && media_type == "application/json" && orders == 1;
    let Some(cursor) = json["cursor"].as_str().filter(|_| kept) else {
        return super::fail(format!("it is {status}, {media_type}: {json}"));
    };
    let resumed = server.stream(&url, Some(cursor), ready).await?;
    outline_is(&resumed, |events| {
        !events.contains(&"reset") && !events.contains(&"message")
    })
}

pub(super) const P28: Rule = Rule {
    id: "P28",
    scope: Scope::Contract,
    title: "HEAD is GET without a body; OPTIONS names the methods",
    advice: "answer both, without a 405",
    check: Requests(|server| Box::pin(head_and_options(server))),
};

async fn head_and_options(server: &Server) -> Verdict {
    let url = server.url();
    let seen = server
        .request(Method::HEAD, &url, "text/event-stream")
        .await?;
    let (status, media_type, bytes) = (seen.status.as_u16(), seen.media_type(), seen.body.len());
    let kept = status == 200 && media_type == "text/event-stream" && bytes == 0;
    expect(kept, || {
        format!("HEAD is answered {status}, {media_type}, {bytes} bytes")
    })?;
    // A front may respond only to preflights. Another front does not list methods for an origin that it does not know.
    let seen = match server.preflight(&url).await {
        Ok(seen) if seen.status.is_success() && lists_get(&seen) => seen,
        _ => server.request(Method::OPTIONS, &url, "*/*").await?,
    };
    expect(seen.status.is_success() && lists_get(&seen), || {
        let (status, allow) = (seen.status.as_u16(), methods(&seen));
        format!("OPTIONS is answered {status}, allow: {allow}")
    })
}

fn methods(seen: &Exchange) -> String {
    let allow = seen.list("allow");
    let allow = allow.or_else(|| seen.list("access-control-allow-methods"));
    allow.unwrap_or_else(|| "none".to_owned())
}

fn lists_get(seen: &Exchange) -> bool {
    let methods = methods(seen);
    methods.contains("GET") || methods == "*"
}

pub(super) const P29: Rule = Rule {
    id: "P29",
    scope: Scope::Contract,
    title: "what stays wrong is 400, 404 or 405 as application/problem+json",
    advice: "a body that says what is wrong, its status in it, and `allow` with 405",
    check: Requests(|server| Box::pin(refusals(server))),
};

async fn refusals(server: &Server) -> Verdict {
    let base = server.base();
    let eleven: String = (0..11).map(|n| format!("order={n}&")).collect();
    let wrong = [
        ("an unknown path", format!("{base}/conformance"), 404),
        ("POST", server.url(), 405),
        ("an empty order id", format!("{base}/orders//events"), 400),
        (
            "an order id of 129 characters",
            server.url_of(&"a".repeat(129)),
            400,
        ),
        (
            "an order id with a control character",
            server.url_of("a\nb"),
            400,
        ),
        ("an order id with %", server.url_of("a%25"), 400),
        ("no order", format!("{base}/orders/events"), 400),
        (
            "eleven orders",
            format!("{base}/orders/events?{eleven}"),
            400,
        ),
        (
            "an order twice",
            format!("{base}/orders/events?order=A&order=A"),
            400,
        ),
    ];
    let mut verdicts = Vec::new();
    for (what, url, status) in wrong {
        let method = if status == 405 {
            Method::POST
        } else {
            Method::GET
        };
        let seen = server.request(method, &url, "*/*").await;
        verdicts.push(match seen {
            Ok(seen) => is_problem(what, &seen, status),
            Err(error) => Err(Remark::Fail(error)),
        });
    }
    worst(verdicts)
}

fn is_problem(what: &str, seen: &Exchange, status: u16) -> Verdict {
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
        Err(Remark::Fail(fault)) if is_from_front(seen, status) => Err(Remark::Note(fault)),
        verdict => verdict,
    }
}

/// Whether a front responded for the server, and no client is harmed: clients retry after such a response, or never send such a
/// request.
fn is_from_front(seen: &Exchange, expected: u16) -> bool {
    let from_server = seen.media_type() == "application/problem+json";
    // No client sends POST or requests a path of another site.
    let never_sent = expected != 400;
    !from_server && (never_sent || seen.status.as_u16() >= 400 && seen.status != expected)
}
