//! Requests for something else than a stream, and requests that are refused.

use http::Method;
use serde_json::Value;

use super::Check::Requests;
use super::wire::{NAME_AN_ORDER, outline_is};
use super::{Remark, Rule, Scope, Verdict, expect, fail, skip, worst};
use crate::exchange::Exchange;
use crate::server::{Server, ready};

pub(super) const P27: Rule = Rule {
    id: "P27",
    scope: Scope::Contract,
    title: "a request for application/json gets the newest change and a cursor to resume from",
    advice: "send JSON only to a client that does not accept text/event-stream",
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
        return fail(format!("the response is {status}, {media_type}: {json}"));
    };
    let resumed = server.stream(&url, Some(cursor), ready).await?;
    outline_is(&resumed, |events| {
        !events.contains(&"reset") && !events.contains(&"message")
    })
}

pub(super) const P28: Rule = Rule {
    id: "P28",
    scope: Scope::Contract,
    title: "HEAD is GET without a body; OPTIONS lists the methods",
    advice: "respond to both, not with 405",
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
        format!("the response to HEAD is {status}, {media_type}, {bytes} bytes")
    })?;
    // Some proxies respond only to preflights. Others list no methods for an origin that they do not know.
    let seen = match server.preflight(&url).await {
        Ok(seen) if seen.status.is_success() && lists_get(&seen) => seen,
        _ => server.request(Method::OPTIONS, &url, "*/*").await?,
    };
    expect(seen.status.is_success() && lists_get(&seen), || {
        let (status, allow) = (seen.status.as_u16(), methods(&seen));
        format!("the response to OPTIONS is {status}, allow: {allow}")
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
    title: "a permanent error is 400, 404 or 405, as application/problem+json",
    advice: "send a body with the reason and the status, and `allow` with 405",
    check: Requests(|server| Box::pin(refusals(server))),
};

async fn refusals(server: &Server) -> Verdict {
    let base = server.base();
    let several = |query: &str| format!("{base}/orders/events{query}");
    let eleven: String = (0..11).map(|n| format!("order={n}&")).collect();
    let long = "a".repeat(129);
    let bad_requests = [
        ("an empty order id", server.url_of("")),
        ("an order id of 129 characters", server.url_of(&long)),
        ("a control character in an order id", server.url_of("a\nb")),
        ("% in an order id", server.url_of("a%25")),
        ("no order", several("")),
        ("eleven orders", several(&format!("?{eleven}"))),
        ("an order twice", several("?order=A&order=A")),
    ];
    let unknown = format!("{base}/conformance");
    let mut verdicts = vec![
        refusal(server, Method::GET, "an unknown path", &unknown, 404).await,
        refusal(server, Method::POST, "POST", &server.url(), 405).await,
    ];
    for (what, url) in bad_requests {
        verdicts.push(refusal(server, Method::GET, what, &url, 400).await);
    }
    worst(verdicts)
}

async fn refusal(server: &Server, method: Method, what: &str, url: &str, status: u16) -> Verdict {
    let seen = server.request(method, url, "*/*").await?;
    let problem: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    let allowed = status != 405 || seen.headers.contains_key("allow");
    let kept = seen.status == status
        && seen.media_type() == "application/problem+json"
        && problem["status"] == status
        && problem["detail"].is_string();
    let verdict = expect(kept && allowed, || {
        format!(
            "the response to {what} is {}, {}, allow: {allowed}: {problem}",
            seen.status.as_u16(),
            seen.media_type()
        )
    });
    match verdict {
        Err(Remark::Fail(fault)) if is_from_proxy(&seen, status) => Err(Remark::Note(fault)),
        verdict => verdict,
    }
}

/// Whether a proxy responded for the server, and no client is harmed: clients retry after such a response, or never send such a
/// request.
fn is_from_proxy(seen: &Exchange, expected: u16) -> bool {
    let from_server = seen.media_type() == "application/problem+json";
    // No client sends POST or requests a path of another site.
    let never_sent = expected != 400;
    !from_server && (never_sent || seen.status.as_u16() >= 400 && seen.status != expected)
}
