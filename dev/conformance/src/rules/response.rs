//! Head, beginning and end of a response.

use std::time::Duration;

use super::Check::Requests;
use super::{Remark, Rule, Scope, Verdict, expect, fail, skip, worst};
use crate::exchange::{End, Exchange};
use crate::server::Server;
use crate::transcript::Transcript;

pub(super) const P1: Rule = Rule {
    id: "P1",
    scope: Scope::Any,
    title: "a stream's response is 200, text/event-stream, UTF-8; redirects are followed",
    advice: "browsers stop for good at any other status, type or charset; respond to a temporary problem with 200 and `retry:`",
    check: Requests(|server| Box::pin(status_and_type(server))),
};

async fn status_and_type(server: &Server) -> Verdict {
    let seen = server.held().await?;
    let (status, media_type) = (seen.status.as_u16(), seen.media_type());
    if status != 200 || media_type != "text/event-stream" {
        let hint = match status {
            401 | 403 => {
                ": set TOKEN to a token for this order or for *; a redirect to another origin drops the token"
            }
            _ => "",
        };
        return fail(format!("the response is {status}, {media_type}{hint}"));
    }
    // Chromium and WebKit abort a stream of any other name, `utf8` included.
    match seen.charset().filter(|charset| charset != "utf-8") {
        Some(charset) => fail(format!("the charset is {charset}, not UTF-8")),
        None => Ok(()),
    }
}

pub(super) const P2: Rule = Rule {
    id: "P2",
    scope: Scope::Any,
    title: "the first bytes come at once, before there is an event",
    advice: "write a comment as soon as the request arrives, and flush it; look for a buffering or compressing proxy",
    check: Requests(|server| Box::pin(first_bytes(server))),
};

async fn first_bytes(server: &Server) -> Verdict {
    let seen = server.held().await?;
    expect(!seen.body.is_empty(), || {
        format!("no byte came ({:?})", seen.end)
    })
}

pub(super) const P3: Rule = Rule {
    id: "P3",
    scope: Scope::Any,
    title: "no cache stores the response and no proxy rewrites it: cache-control, and only an accepted content-encoding",
    advice: "send `cache-control: no-cache, no-store, no-transform`, no content-encoding, and each chunk as soon as it is written",
    check: Requests(|server| Box::pin(not_stored(server))),
};

async fn not_stored(server: &Server) -> Verdict {
    let any_server = server.options.any_server;
    let mut responses = vec![server.held().await?];
    if let Some((_, resumed)) = server.resumed().await {
        responses.push(resumed.as_ref().map_err(String::clone)?);
    }
    worst(
        responses
            .into_iter()
            .flat_map(|seen| [encoding(seen), caching(seen, any_server), length(seen)]),
    )
}

/// The requests accept only `identity`, so a client cannot read any other encoding.
pub(crate) fn encoding(seen: &Exchange) -> Verdict {
    let encoding = seen.list("content-encoding").unwrap_or_default();
    match encoding.to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(()),
        // It switches off compression in some frameworks, and clients ignore it.
        "none" => Err(Remark::Note(
            "content-encoding is `none`, which clients ignore".to_owned(),
        )),
        _ => fail(format!(
            "content-encoding is {encoding}, which the request did not accept"
        )),
    }
}

/// Clients can read a response with a length. A wrong length cuts the response, which is P5.
fn length(seen: &Exchange) -> Verdict {
    match seen.header("content-length") {
        None => Ok(()),
        Some(length) => Err(Remark::Note(format!(
            "content-length is {length}: the response was complete before it was sent"
        ))),
    }
}

pub(crate) fn caching(seen: &Exchange, any_server: bool) -> Verdict {
    let control = seen.list("cache-control").unwrap_or_default();
    let lower = control.to_ascii_lowercase();
    let directives: Vec<_> = lower.split(',').map(str::trim).collect();
    let has = |name: &str| directives.contains(&name);
    let mut missing = ["no-cache", "no-store", "no-transform"].to_vec();
    missing.retain(|name| !has(name));
    // A cache may answer later requests with such a response.
    let fresh = has("public") || has("immutable") || directives.iter().any(|name| is_age(name));
    let nobody_reuses_it = has("no-cache") || has("no-store");
    let hardly_reused = !fresh && (any_server || has("private") || has("max-age=0"));
    if missing.is_empty() || any_server && nobody_reuses_it {
        Ok(())
    } else if nobody_reuses_it || hardly_reused {
        Err(Remark::Note(format!(
            "cache-control is {control:?}, without {}",
            missing.join(", ")
        )))
    } else {
        fail(format!("cache-control is {control:?}"))
    }
}

/// Whether a cache may reuse a response for a time other than 0 s.
fn is_age(directive: &str) -> bool {
    let age = directive.split_once('=');
    age.is_some_and(|(name, age)| {
        ["max-age", "s-maxage"].contains(&name.trim()) && age.trim().trim_matches('"') != "0"
    })
}

pub(super) const P4: Rule = Rule {
    id: "P4",
    scope: Scope::Any,
    title: "each CORS header at most once",
    advice: "set CORS headers in one place: browsers refuse a header that comes twice",
    check: Requests(|server| Box::pin(cors(server))),
};

async fn cors(server: &Server) -> Verdict {
    let seen = server.held().await?;
    let names = [
        "access-control-allow-origin",
        "access-control-allow-credentials",
    ];
    // Browsers join header fields of the same name with a comma. No origin contains one.
    let twice = names.into_iter().find_map(|name| {
        let value = seen.list(name).filter(|value| value.contains(','))?;
        Some(format!("{name} came more than once: {value}"))
    });
    twice.map_or(Ok(()), fail)
}

pub(super) const P5: Rule = Rule {
    id: "P5",
    scope: Scope::Any,
    title: "a response ends properly, after a complete frame",
    advice: "end the body before a timeout does, after a frame with its blank line",
    check: Requests(|server| Box::pin(clean_end(server))),
};

async fn clean_end(server: &Server) -> Verdict {
    let seen = server.held().await?;
    match &seen.end {
        End::Cut(how) => fail(format!("the response was cut off: {how}")),
        End::Whole => expect(Transcript::read(&seen.body).ends_on_boundary, || {
            let tail = &seen.body[seen.body.len().saturating_sub(40)..];
            format!("the last bytes are {:?}", String::from_utf8_lossy(tail))
        }),
        End::StillOpen | End::OutOfPatience => {
            skip("the response was still open: wait longer with --patience SECONDS")
        }
    }
}

pub(super) const P6: Rule = Rule {
    id: "P6",
    scope: Scope::Any,
    title: "a comment breaks a silence of 15 s; for any server, one of 60 s",
    advice: "write `:` and LF if nothing else was written for 15 s: proxies cut silent connections, often after 60 s",
    check: Requests(|server| Box::pin(heartbeat(server))),
};

async fn heartbeat(server: &Server) -> Verdict {
    let silence = server.held().await?.longest_silence;
    is_heartbeat(silence, server.options.any_server)
}

fn is_heartbeat(silence: Duration, any_server: bool) -> Verdict {
    // 5 s more than the contract allows, because the network adds time.
    let limit = if any_server { 60 } else { 20 };
    expect(silence < Duration::from_secs(limit), || {
        format!("{} s passed without a byte", silence.as_secs())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_silence_fails() {
        for (seconds, any_server, kept) in [
            (19, false, true),
            (20, false, false),
            (59, true, true),
            (61, true, false),
        ] {
            let verdict = is_heartbeat(Duration::from_secs(seconds), any_server);
            assert_eq!(verdict.is_ok(), kept, "{seconds} s, {any_server}");
        }
    }
}
