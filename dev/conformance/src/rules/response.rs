//! Head, beginning and end of a response.

use std::time::Duration;

use super::{Rule, Scope, Verdict, expect, of, worst};
use crate::evidence::Evidence;
use crate::exchange::{End, Exchange};
use crate::transcript::Transcript;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "P1",
        scope: Scope::Any,
        text: "a stream is answered 200, text/event-stream, in UTF-8; redirects are followed",
        advice: "browsers give up for good on any other status, type or charset; answer what passes by itself with 200 and `retry:`",
        check: status_and_type,
    },
    Rule {
        id: "P2",
        scope: Scope::Any,
        text: "bytes come at once, before there is an event to tell",
        advice: "write a comment as soon as the request is there, and flush it; look for a buffering or compressing proxy",
        check: first_bytes,
    },
    Rule {
        id: "P3",
        scope: Scope::Any,
        text: "nothing stores or rewrites it: cache-control, no content-encoding that was not accepted",
        advice: "send `cache-control: no-cache, no-store, no-transform`, each chunk when it is written, and no encoding",
        check: not_stored,
    },
    Rule {
        id: "P4",
        scope: Scope::Any,
        text: "CORS headers once at most",
        advice: "leave CORS to one owner: browsers refuse a header that is there twice",
        check: cors,
    },
    Rule {
        id: "P5",
        scope: Scope::Any,
        text: "a response ends whole, after a whole frame",
        advice: "end the body yourself before a timeout does, with a frame that was written to its blank line",
        check: clean_end,
    },
    Rule {
        id: "P6",
        scope: Scope::Any,
        text: "silence is broken by a comment: at 15 s; by any server within 60 s",
        advice: "write `:` and LF where nothing else was written for 15 s: proxies cut what is silent, often at 60 s",
        check: heartbeat,
    },
];

fn status_and_type(evidence: &Evidence) -> Verdict {
    of(&evidence.held, |seen| {
        let (status, media_type) = (seen.status.as_u16(), seen.media_type());
        if status != 200 || media_type != "text/event-stream" {
            let which = if [401, 403].contains(&status) {
                ": name a TOKEN that opens the order, or *; a redirect to another origin drops it"
            } else {
                ""
            };
            return Verdict::Fail(format!("it is {status}, {media_type}{which}"));
        }
        // Chromium and WebKit abort a stream of any other name, `utf8` included.
        let charset = seen.charset().filter(|charset| charset != "utf-8");
        charset.map_or(Verdict::Pass, |charset| {
            Verdict::Fail(format!("its charset is {charset}, not UTF-8"))
        })
    })
}

fn first_bytes(evidence: &Evidence) -> Verdict {
    of(&evidence.held, |seen| {
        expect(!seen.body.is_empty(), || {
            format!("no byte came ({:?})", seen.end)
        })
    })
}

fn not_stored(evidence: &Evidence) -> Verdict {
    let of_resumed = evidence.resumed.as_ref().map(|(_, seen)| seen);
    let seen = [Some(&evidence.held), of_resumed].into_iter().flatten();
    worst(seen.map(|seen| {
        of(seen, |seen| {
            let any_server = evidence.any_server;
            worst([encoding(seen), caching(seen, any_server), length(seen)])
        })
    }))
}

/// The requests name `identity` alone, so an encoding is one that the client cannot read.
fn encoding(seen: &Exchange) -> Verdict {
    let encoding = seen.list("content-encoding").unwrap_or_default();
    match encoding.to_ascii_lowercase().as_str() {
        "" | "identity" => Verdict::Pass,
        // It switches off compression in some frameworks, and clients ignore it.
        "none" => Verdict::Note("content-encoding is none, which is no encoding".to_owned()),
        _ => Verdict::Fail(format!(
            "content-encoding is {encoding}, and the request did not accept that"
        )),
    }
}

/// No client stumbles over a length. A length that is wrong cuts the response, which is P5.
fn length(seen: &Exchange) -> Verdict {
    match seen.header("content-length") {
        None => Verdict::Pass,
        Some(length) => Verdict::Note(format!(
            "content-length is {length}: the whole response was there before it was sent"
        )),
    }
}

fn caching(seen: &Exchange, any_server: bool) -> Verdict {
    let control = seen.list("cache-control").unwrap_or_default();
    let lower = control.to_ascii_lowercase();
    let directives: Vec<_> = lower.split(',').map(str::trim).collect();
    let has = |name: &str| directives.contains(&name);
    let mut missing = ["no-cache", "no-store", "no-transform"].to_vec();
    missing.retain(|name| !has(name));
    // A cache may answer later requests with a response of that kind.
    let fresh = has("public") || has("immutable") || directives.iter().any(|name| is_age(name));
    let nobody_reuses_it = has("no-cache") || has("no-store");
    let hardly_reused = !fresh && (any_server || has("private") || has("max-age=0"));
    if missing.is_empty() || any_server && nobody_reuses_it {
        Verdict::Pass
    } else if nobody_reuses_it || hardly_reused {
        Verdict::Note(format!(
            "cache-control is {control:?}, without {}",
            missing.join(", ")
        ))
    } else {
        Verdict::Fail(format!("cache-control is {control:?}"))
    }
}

/// A time, other than 0 s, for which a cache may reuse a response.
fn is_age(directive: &str) -> bool {
    let age = directive.split_once('=');
    age.is_some_and(|(name, age)| {
        ["max-age", "s-maxage"].contains(&name.trim()) && age.trim().trim_matches('"') != "0"
    })
}

fn cors(evidence: &Evidence) -> Verdict {
    of(&evidence.held, |seen| {
        let names = [
            "access-control-allow-origin",
            "access-control-allow-credentials",
        ];
        // Browsers join header fields of the same name with a comma. No origin has one.
        let twice = names.into_iter().find_map(|name| {
            let value = seen.list(name).filter(|value| value.contains(','))?;
            Some(format!("{name} is there more than once: {value}"))
        });
        twice.map_or(Verdict::Pass, Verdict::Fail)
    })
}

fn clean_end(evidence: &Evidence) -> Verdict {
    of(&evidence.held, |seen| match &seen.end {
        End::Cut(how) => Verdict::Fail(format!("it was cut off: {how}")),
        End::Whole => expect(Transcript::read(&seen.body).ends_on_boundary, || {
            format!("its last bytes are {:?}", tail(seen))
        }),
        End::StillOpen | End::OutOfPatience => {
            Verdict::Skip("it was still open: wait for longer with --patience SECONDS".to_owned())
        }
    })
}

fn tail(seen: &Exchange) -> String {
    String::from_utf8_lossy(&seen.body[seen.body.len().saturating_sub(40)..]).into_owned()
}

fn heartbeat(evidence: &Evidence) -> Verdict {
    // What the network adds is no fault of the server's.
    let limit = if evidence.any_server { 60 } else { 20 };
    of(&evidence.held, |seen| {
        expect(seen.longest_silence < Duration::from_secs(limit), || {
            format!("{} s passed without a byte", seen.longest_silence.as_secs())
        })
    })
}
