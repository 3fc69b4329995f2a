//! Deviations of other servers and of the network, and the findings that the conformance runner must report.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "as in mod.rs")]

use crate::bad_server::{Fault, GOOD, Incoming};

pub type Headers = Vec<(String, String)>;

/// A fault, and the findings that are not a pass: if checked against the whole contract, and as any other server. `None` is
/// not checked.
pub struct Variant {
    pub fault: Fault,
    pub contract: Option<&'static str>,
    pub any: Option<&'static str>,
}

pub fn set(headers: &mut Headers, name: &str, value: &str) {
    without(headers, name);
    add(headers, name, value);
}

pub fn add(headers: &mut Headers, name: &str, value: &str) {
    headers.push((name.to_owned(), value.to_owned()));
}

pub fn without(headers: &mut Headers, name: &str) {
    headers.retain(|(header, _)| header != name);
}

/// Changes only frames of this type.
pub fn only(event: &str, chunk: &str, change: impl Fn(&str) -> String) -> Vec<u8> {
    let is_event = match event {
        "message" => chunk.starts_with("data: "),
        event => chunk.contains(&format!("event: {event}\n")),
    };
    if is_event {
        change(chunk).into()
    } else {
        chunk.into()
    }
}

/// Replaces the content type of each response.
fn types(headers: &mut Headers, stream: &str, json: &str, problem: &str) {
    for (name, value) in headers {
        if name == "content-type" {
            *value = match value.split(';').next() {
                Some("text/event-stream") => stream,
                Some("application/json") => json,
                _ => problem,
            }
            .to_owned();
        }
    }
}

/// Redirects to `/moved` and the same path. [`follow`] removes `/moved` again.
fn redirect(incoming: &Incoming, status: &mut u16, headers: &mut Headers, code: u16, to: &str) {
    if !incoming.target.starts_with("/moved") {
        *status = code;
        add(
            headers,
            "location",
            &format!("{to}/moved{}", incoming.target),
        );
    }
}

/// The same server with another host name, which makes it another origin.
fn elsewhere(incoming: &Incoming) -> String {
    format!("http://{}", incoming.host.replace("127.0.0.1", "localhost"))
}

fn follow(incoming: &mut Incoming) {
    if let Some(path) = incoming.target.strip_prefix("/moved") {
        incoming.path = path.to_owned();
    }
}

const fn both(fault: Fault, findings: &'static str) -> Variant {
    Variant {
        fault,
        contract: Some(findings),
        any: Some(findings),
    }
}

const fn each(fault: Fault, contract: &'static str, any: &'static str) -> Variant {
    Variant {
        fault,
        contract: Some(contract),
        any: Some(any),
    }
}

/// Checked only as any other server: rules of the contract would fail for other reasons.
const fn any(fault: Fault, findings: &'static str) -> Variant {
    Variant {
        fault,
        contract: None,
        any: Some(findings),
    }
}

/// Checked only against the whole contract.
const fn contract(fault: Fault, findings: &'static str) -> Variant {
    Variant {
        fault,
        contract: Some(findings),
        any: None,
    }
}

#[rustfmt::skip]
pub const VARIANTS: &[Variant] = &[
    // The head.
    both(Fault { name: "connection: keep-alive", head: |_, _, headers| {
        add(headers, "connection", "keep-alive");
        add(headers, "keep-alive", "timeout=5");
    }, ..GOOD }, ""),
    both(Fault { name: "connection: close", head: |_, _, headers| add(headers, "connection", "close"), ..GOOD }, ""),
    both(Fault { name: "a proxy's headers", head: |_, _, headers| for (name, value) in [
        ("via", "1.1 proxy.example"), ("date", "Tue, 24 Nov 2026 10:00:00 GMT"), ("server", "nginx"), ("alt-svc", "h3=\":443\""),
        ("vary", "Accept-Encoding, Origin"), ("set-cookie", "route=a; Path=/"), ("set-cookie", "b=c"), ("x-cache", "Miss"),
        ("strict-transport-security", "max-age=63072000"), ("age", "0"),
    ] { add(headers, name, value); }, ..GOOD }, ""),
    both(Fault { name: "a platform's CORS headers", head: |_, _, headers| for (name, value) in [
        ("access-control-allow-origin", "https://shop.example"), ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "date, x-request-id"), ("vary", "Origin"),
    ] { add(headers, name, value); }, ..GOOD }, ""),
    both(Fault { name: "CORS headers of two senders in one line", head: |_, _, headers| add(headers, "access-control-allow-origin", "*, *"), ..GOOD }, "P4 Fail"),
    both(Fault { name: "CORS credentials of two senders", head: |_, _, headers| for _ in 0..2 {
        add(headers, "access-control-allow-credentials", "true");
    }, ..GOOD }, "P4 Fail"),
    both(Fault { name: "header names in upper case", head: |_, _, headers| for (name, _) in headers { *name = name.to_uppercase(); }, ..GOOD }, ""),
    both(Fault { name: "content types in other case", head: |_, _, headers|
        types(headers, "Text/Event-Stream; Charset=UTF-8", "Application/JSON; Charset=utf-8", "Application/Problem+JSON"), ..GOOD }, ""),
    both(Fault { name: "no space, a quoted charset", head: |_, _, headers|
        types(headers, "text/event-stream;charset=\"utf-8\"", "application/json;charset=\"utf-8\"", "application/problem+json;x=y"), ..GOOD }, ""),
    both(Fault { name: "no charset", head: |_, _, headers| types(headers, "text/event-stream", "application/json", "application/problem+json"), ..GOOD }, ""),
    both(Fault { name: "a charset that browsers abort", head: |_, _, headers|
        types(headers, "text/event-stream; charset=iso-8859-1", "application/json", "application/problem+json"), ..GOOD }, "P1 Fail"),
    // Redirects.
    both(Fault { name: "301", request: follow, head: |incoming, status, headers| redirect(incoming, status, headers, 301, ""), ..GOOD }, ""),
    both(Fault { name: "302", request: follow, head: |incoming, status, headers| redirect(incoming, status, headers, 302, ""), ..GOOD }, ""),
    both(Fault { name: "303", request: follow, head: |incoming, status, headers| redirect(incoming, status, headers, 303, ""), ..GOOD }, ""),
    both(Fault { name: "307", request: follow, head: |incoming, status, headers| redirect(incoming, status, headers, 307, ""), ..GOOD }, ""),
    both(Fault { name: "308 to another origin", request: follow, head: |incoming, status, headers| redirect(incoming, status, headers, 308, &elsewhere(incoming)), ..GOOD }, ""),
    both(Fault { name: "the token follows within an origin", request: follow, head: |incoming, status, headers| {
        if incoming.authorization != "Bearer abc" { *status = 401; }
        redirect(incoming, status, headers, 307, "");
    }, ..GOOD }, ""),
    both(Fault { name: "the token does not follow to another origin", request: follow, head: |incoming, status, headers| {
        if incoming.target.starts_with("/moved") && !incoming.authorization.is_empty() { *status = 500; }
        redirect(incoming, status, headers, 307, &elsewhere(incoming));
    }, ..GOOD }, ""),
    any(Fault { name: "a redirect without a location", head: |_, status, _| *status = 302, ..GOOD }, "P1 Fail, P7 Skip, P8 Skip, P9 Skip, P10 Skip, P11 Skip, P12 Skip, P13 Skip, P14 Fail"),
    any(Fault { name: "a redirect to itself", head: |incoming, status, headers| {
        *status = 302;
        add(headers, "location", &incoming.target);
    }, ..GOOD }, "P1 Fail, P2 Fail, P3 Fail, P4 Fail, P5 Fail, P6 Fail, P7 Skip, P8 Skip, P9 Skip, P10 Skip, P11 Skip, P12 Skip, P13 Skip, P14 Skip"),
    // Caches and compression.
    both(Fault { name: "cache-control in another order, with more directives", head: |_, _, headers|
        set(headers, "cache-control", "private,NO-TRANSFORM,no-store,max-age=0,must-revalidate,no-cache"), ..GOOD }, ""),
    both(Fault { name: "cache-control in two lines", head: |_, _, headers| {
        set(headers, "cache-control", "no-cache");
        add(headers, "cache-control", "no-store, no-transform");
    }, ..GOOD }, ""),
    each(Fault { name: "no-store alone", head: |_, _, headers| set(headers, "cache-control", "no-store"), ..GOOD }, "P3 Note", ""),
    each(Fault { name: "no-cache alone", head: |_, _, headers| set(headers, "cache-control", "No-Cache"), ..GOOD }, "P3 Note", ""),
    both(Fault { name: "private", head: |_, _, headers| set(headers, "cache-control", "private, max-age=0"), ..GOOD }, "P3 Note"),
    any(Fault { name: "no cache-control", head: |_, _, headers| without(headers, "cache-control"), ..GOOD }, "P3 Note"),
    both(Fault { name: "cacheable", head: |_, _, headers| set(headers, "cache-control", "public, max-age=60"), ..GOOD }, "P3 Fail"),
    both(Fault { name: "cacheable in the browser", head: |_, _, headers| set(headers, "cache-control", "private, max-age=60"), ..GOOD }, "P3 Fail"),
    both(Fault { name: "a content length", collected: true, ..GOOD }, "P3 Note"),
    both(Fault { name: "content-encoding: identity", head: |_, _, headers| add(headers, "content-encoding", "Identity"), ..GOOD }, ""),
    both(Fault { name: "content-encoding: none, which is not an encoding", head: |_, _, headers| add(headers, "content-encoding", "none"), ..GOOD }, "P3 Note"),
    any(Fault { name: "an encoding that was not accepted", head: |_, _, headers| add(headers, "content-encoding", "gzip"), ..GOOD }, "P3 Fail"),
    // Lines.
    each(Fault { name: "a byte order mark", chunk: |_, chunk| only("hello", chunk, |hello| format!("\u{feff}{hello}")), ..GOOD }, "P7 Fail", "P7 Note"),
    each(Fault { name: "CRLF", chunk: |_, chunk| chunk.replace('\n', "\r\n").into(), ..GOOD }, "P7 Fail", ""),
    any(Fault { name: "CR", chunk: |_, chunk| chunk.replace('\n', "\r").into(), ..GOOD }, "P7 Note"),
    any(Fault { name: "CRLF among LF", chunk: |_, chunk| only("ready", chunk, |ready| ready.replace('\n', "\r\n")), ..GOOD }, "P7 Note"),
    any(Fault { name: "invalid UTF-8", chunk: |_, chunk| [&b":\xff\n"[..], chunk.as_bytes()].concat(), ..GOOD }, "P7 Fail"),
    both(Fault { name: "comments with text", chunk: |_, chunk| match chunk.strip_prefix(":\n") {
        Some(rest) => format!(": keep-alive, data: 1\n{rest}").into(),
        None => chunk.into(),
    }, ..GOOD }, ""),
    any(Fault { name: "comments with a blank line", chunk: |_, chunk| if chunk == ":\n" { b":\n\n".to_vec() } else { chunk.into() }, ..GOOD }, "P13 Note"),
    both(Fault { name: "more blank lines at the end", chunk: |_, chunk| only("rest", chunk, |rest| format!("{rest}\n\n")), ..GOOD }, ""),
    both(Fault { name: "no space after the colon", chunk: |_, chunk| chunk.replace(": ", ":").replace("\\\":", "\":").into(), ..GOOD }, ""),
    both(Fault { name: "several lines of data", chunk: |_, chunk| only("message", chunk, |change| change.replacen("data: {", "data: {\ndata: ", 1)), ..GOOD }, ""),
    any(Fault { name: "a misspelt field name", chunk: |_, chunk| only("ready", chunk, |ready| format!("evnet: x\n{ready}")), ..GOOD }, "P8 Note"),
    // Frames.
    any(Fault { name: "no retry", chunk: |_, chunk| {
        let lines = chunk.split_inclusive('\n').filter(|line| !line.starts_with("retry: "));
        lines.collect::<String>().into()
    }, ..GOOD }, ""),
    any(Fault { name: "a frame with only a retry", chunk: |_, chunk| only("hello", chunk, |hello| format!(":\nretry: 3000\n\n{hello}")), ..GOOD }, "P9 Note"),
    any(Fault { name: "a frame with only an id", chunk: |_, chunk| only("ready", chunk, |ready| ready.replace("event: ready\ndata: {}\n", "")), ..GOOD }, "P9 Fail"),
    any(Fault { name: "a retry that is too small", chunk: |_, chunk| only("hello", chunk, |hello| hello.replace("retry: 1", "retry: ")), ..GOOD }, "P12 Note"),
    any(Fault { name: "a retry that is not a number", chunk: |_, chunk| only("rest", chunk, |rest| rest.replace("retry: ", "retry: soon ")), ..GOOD }, "P12 Fail"),
    any(Fault { name: "an id with spaces", request: |incoming| incoming.cursor = incoming.cursor.replace(" of A", ""), chunk: |_, chunk|
        only("message", chunk, |change| format!("{} of A\n\n", change.trim_end())), ..GOOD }, ""),
    any(Fault { name: "an id that is not ASCII", request: |incoming| incoming.cursor = incoming.cursor.replace(" für A", ""), chunk: |_, chunk|
        only("message", chunk, |change| format!("{} für A\n\n", change.trim_end())), ..GOOD }, "P11 Fail"),
    any(Fault { name: "an empty id", chunk: |_, chunk| only("ready", chunk, |ready| {
        let (before, _) = ready.split_once("id:").unwrap();
        format!("{before}id\n\n")
    }), ..GOOD }, ""),
    any(Fault { name: "only named events", chunk: |_, chunk| only("message", chunk, |change| format!("event: update\n{change}")), ..GOOD }, ""),
    any(Fault { name: "only named events, and the cursor is ignored", request: |incoming| incoming.cursor.clear(), chunk: |_, chunk|
        only("message", chunk, |change| format!("event: update\n{change}")), ..GOOD }, "P14 Fail"),
    any(Fault { name: "204 for a client that comes back", head: |incoming, status, _| if !incoming.cursor.is_empty() { *status = 204; }, ..GOOD }, ""),
    // The contract: parts that clients ignore or never read.
    contract(Fault { name: "unknown members and frames", chunk: |_, chunk| {
        let chunk = chunk.replace("data: {}", "data: {\"x\":1}").replace("data: {\"", "data: {\"y\":null,\"");
        match chunk.contains("event: ready") || chunk.contains("event: rest") || chunk.contains("event: end") {
            true => format!("event: notice\ndata: x\n\n{chunk}").into(),
            false => chunk.into(),
        }
    }, ..GOOD }, ""),
    contract(Fault { name: "fields in another order, id last", chunk: |_, chunk| match chunk.split_once("\ndata: ") {
        Some((before, after)) if before.contains("event: ") => {
            let (data, id) = after.split_once('\n').unwrap();
            let (comment, fields) = before.split_at(before.find("event").unwrap());
            format!("{comment}data: {data}\n{fields}\n{id}").into()
        }
        _ => chunk.into(),
    }, ..GOOD }, ""),
    contract(Fault { name: "marks that count check-ins", request: |incoming| incoming.cursor = incoming.cursor.replace("0-0007", "0"), chunk: |_, chunk|
        only("ready", chunk, |ready| ready.replace("id: 0\n", "id: 0-0007\n").replace(".0\n", ".0-0007\n")), ..GOOD }, ""),
    contract(Fault { name: "a token that expires", chunk: |incoming, chunk| match incoming.path.contains("/A/") {
        true => only("rest", chunk, |rest| format!("event: expired\ndata: {{}}\n{}", &rest[rest.find("id: ").unwrap()..])),
        false => chunk.into(),
    }, ..GOOD }, ""),
    contract(Fault { name: "allow with every error", head: |_, status, headers| if *status >= 400 { set(headers, "allow", "GET, HEAD, OPTIONS"); }, ..GOOD }, ""),
    contract(Fault { name: "CORS headers instead of allow", head: |incoming, _, headers| if incoming.method == "OPTIONS" {
        without(headers, "allow");
        add(headers, "access-control-allow-methods", "GET,HEAD");
    }, ..GOOD }, ""),
    // A proxy answers requests that no client sends.
    contract(Fault { name: "a preflight of an origin that is not allowed", head: |incoming, _, headers| if incoming.method == "OPTIONS" && !incoming.origin.is_empty() {
        without(headers, "allow");
    }, ..GOOD }, ""),
    contract(Fault { name: "a proxy that forwards only GET", head: |incoming, status, headers| if incoming.method == "POST" {
        *status = 403;
        set(headers, "content-type", "text/html");
    }, ..GOOD }, "P29 Note"),
    contract(Fault { name: "a proxy that has other paths", head: |incoming, status, headers| if incoming.path == "/conformance" {
        *status = 200;
        set(headers, "content-type", "text/html");
    }, ..GOOD }, "P29 Note"),
    contract(Fault { name: "a firewall that refuses an unusual id", head: |incoming, status, headers| if incoming.path.contains("%0A") {
        *status = 403;
        set(headers, "content-type", "text/html; charset=utf-8");
    }, ..GOOD }, "P29 Note"),
    contract(Fault { name: "a change that a resumed stream skips", chunk: |incoming, chunk| match incoming.cursor.starts_with("1-") {
        true => only("message", chunk, |change| change.replace("\"seq\":2,", "\"seq\":3,").replace("id: 2-", "id: 3-")),
        false => chunk.into(),
    }, ..GOOD }, "P16 Fail"),
    contract(Fault { name: "a replay that begins late, without reset", chunk: |incoming, chunk| match incoming.path.contains("/F/") && chunk.contains("\"seq\":1,") {
        true => Vec::new(),
        false => chunk.into(),
    }, ..GOOD }, "P16 Fail"),
    contract(Fault { name: "a replay that begins late, after reset", chunk: |incoming, chunk| match incoming.path.contains("/F/") && chunk.contains("\"seq\":1,") {
        true => b"event: reset\ndata: {\"orders\":[\"F\"],\"reason\":\"trimmed\"}\nid: 0\n\n".to_vec(),
        false => chunk.into(),
    }, ..GOOD }, ""),
    contract(Fault { name: "an order id that is used again", chunk: |incoming, chunk| match incoming.path.contains("/F/") {
        true if chunk.contains("\"seq\":1,") => Vec::new(),
        true => chunk.replace("\"previous\":\"PAID\"", "\"previous\":null").into(),
        false => chunk.into(),
    }, ..GOOD }, ""),
];
