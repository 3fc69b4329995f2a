//! The conformance runner passes servers that keep the contract, and reports each fault of servers that do not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/bad_server.rs"]
mod bad_server;
#[path = "support/cloud.rs"]
mod cloud;
mod support;
#[path = "support/variants.rs"]
mod variants;

use std::sync::Arc;
use std::time::Duration;

use bad_server::{BadServer, Fault, GOOD};
use cloud::Cloud;
use conformance::Options;
use conformance::rules::{self, Finding, Remark};
use http::{Request, Response};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use jsonwebtoken::Algorithm;
use local::issuer::Issuer;
use local::page::PageServer;
use local::shop::Shop;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use variants::{VARIANTS, Variant, only, set, without};

/// The number of concurrent checks. With more, some would time out on a busy machine.
const AT_A_TIME: usize = 16;

fn options(url: &str) -> Options {
    Options {
        url: url.to_owned(),
        any_server: false,
        order: Some("A".to_owned()),
        finished: Some("F".to_owned()),
        token: None,
        customer: false,
        shop: Some(format!("{url}/shop")),
        patience: Duration::from_secs(60),
    }
}

async fn check(options: &Options) -> Vec<Finding> {
    // No system certificates, because loading them takes longer than the rest of a check.
    let client = reqwest::Client::builder().tls_certs_only([]);
    rules::check_with(client, options.clone()).await.unwrap()
}

fn failures(findings: &[Finding]) -> Vec<String> {
    let remarks = findings.iter().filter_map(|finding| {
        let remark = finding.verdict.as_ref().err()?;
        Some(format!("{} {remark:?}", finding.rule.id))
    });
    remarks.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_function_passes_every_rule() {
    let cloud = Cloud::new().await;
    let projector = cloud
        .projector(&cloud.dynamo.endpoint())
        .start()
        .await
        .unwrap();
    let projector = Arc::new(projector);
    let issuer = Issuer::new(Algorithm::ES256, "local").unwrap();
    let (token, _) = issuer.token(&["*"], Duration::from_secs(3600)).unwrap();
    let stream = cloud
        .stream()
        .env("WINDOW", "2s")
        .env("ACCESS", "jwt")
        .env("JWKS", issuer.jwks().unwrap())
        // The response to a preflight of another origin names no methods.
        .cors("https://shop.example")
        .start()
        .await
        .unwrap();
    let mut tasks = JoinSet::new();
    let event_source = cloud.event_source(&projector);
    tasks.spawn(async move {
        event_source.run(std::future::pending()).await.unwrap();
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shop = format!("http://{}", listener.local_addr().unwrap());
    let page = PageServer {
        shop: Shop::new(cloud.client.clone()),
        stream_url: stream.url(),
        files: "web".into(),
        issuer,
        ledger: Default::default(),
        connections: Default::default(),
        placed: tokio::sync::mpsc::unbounded_channel().0,
    };
    tasks.spawn(async move { page.serve(listener).await.unwrap() });
    for (order, status) in [
        ("A", "PLACED"),
        ("A", "PAID"),
        ("F", "PAID"),
        ("F", "DELIVERED"),
    ] {
        cloud.append(order, status).await;
    }
    let options = Options {
        shop: Some(shop),
        token: Some(token),
        ..options(&stream.url())
    };
    let findings = check(&options).await;
    assert_eq!(failures(&findings), [] as [&str; 0]);
    assert_eq!(findings.len(), 30, "every rule is checked");

    // The same checked as any other server, with only the URL of a stream.
    let any = Options {
        url: format!("{}/orders/A/events", stream.url()),
        any_server: true,
        ..options
    };
    let findings = check(&any).await;
    assert_eq!(failures(&findings), [] as [&str; 0]);
    assert_eq!(findings.len(), 14);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_without_its_option_is_skipped_with_a_reason() {
    let server = BadServer::start(GOOD).await;
    let bare = Options {
        order: None,
        finished: None,
        shop: None,
        ..options(&server.url)
    };
    let skipped = failures(&check(&bare).await);
    let ids: Vec<_> = skipped
        .iter()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        ids,
        [
            "P14", "P16", "P19", "P22", "P23", "P24", "P25", "P27", "P30"
        ]
    );
    assert!(
        skipped.iter().all(|line| line.contains("Skip")),
        "{skipped:?}"
    );
    assert!(
        skipped[0].contains("ORDER")
            && skipped[4].contains("FINISHED")
            && skipped[8].contains("SHOP")
    );
}

fn id_first(chunk: &str) -> String {
    let (before, id) = chunk.trim_end().rsplit_once('\n').unwrap();
    format!("{id}\n{before}\n\n")
}

#[rustfmt::skip]
const FAULTS: &[Fault] = &[
    Fault { name: "503 for a stream", rule: "P1", head: |_, status, _| *status = 503, ..GOOD },
    Fault { name: "HTML instead of a stream", rule: "P1", head: |_, _, headers| set(headers, "content-type", "text/html"), ..GOOD },
    Fault { name: "an empty body", rule: "P2", chunk: |_, _| Vec::new(), ..GOOD },
    Fault { name: "no cache-control", rule: "P3", head: |_, _, headers| without(headers, "cache-control"), ..GOOD },
    Fault { name: "a compressed response", rule: "P3", head: |_, _, headers| set(headers, "content-encoding", "gzip"), ..GOOD },
    Fault { name: "CORS headers of two senders", rule: "P4", head: |_, _, headers| {
        for _ in 0..2 { headers.push(("access-control-allow-origin".to_owned(), "*".to_owned())); }
    }, ..GOOD },
    Fault { name: "no last chunk", rule: "P5", cut: true, ..GOOD },
    Fault { name: "no blank line at the end", rule: "P5", chunk: |_, chunk| only("rest", chunk, |rest| rest.trim_end().to_owned() + "\n"), ..GOOD },
    Fault { name: "CRLF among LF", rule: "P7", chunk: |_, chunk| only("ready", chunk, |ready| ready.replace('\n', "\r\n")), ..GOOD },
    Fault { name: "not UTF-8", rule: "P7", chunk: |_, chunk| [&b":\xff\n"[..], chunk.as_bytes()].concat(), ..GOOD },
    Fault { name: "a misspelt field name", rule: "P8", chunk: |_, chunk| only("ready", chunk, |ready| format!("evnet: x\n{ready}")), ..GOOD },
    Fault { name: "no data", rule: "P9", chunk: |_, chunk| only("ready", chunk, |ready| ready.replace("data: {}\n", "")), ..GOOD },
    Fault { name: "the id before the data", rule: "P10", chunk: |_, chunk| only("message", chunk, id_first), ..GOOD },
    Fault { name: "NUL in an id", rule: "P11", chunk: |_, chunk| only("message", chunk, |change| change.replace("\nid: ", "\nid: \0")), ..GOOD },
    Fault { name: "a retry that is too small", rule: "P12", chunk: |_, chunk| only("hello", chunk, |hello| hello.replace("retry: 1", "retry: ")), ..GOOD },
    Fault { name: "a retry that is not a number", rule: "P12", chunk: |_, chunk| only("rest", chunk, |rest| rest.replace("retry: ", "retry: soon ")), ..GOOD },
    Fault { name: "comments with a blank line", rule: "P13", chunk: |_, chunk| if chunk == ":\n" { b":\n\n".to_vec() } else { chunk.into() }, ..GOOD },
    Fault { name: "a cursor that is ignored", rule: "P14", request: |incoming| incoming.cursor.clear(), ..GOOD },
    Fault { name: "no hello", rule: "P15", chunk: |_, chunk| only("hello", chunk, |_| String::new()), ..GOOD },
    Fault { name: "hello without a comment before it", rule: "P15", chunk: |_, chunk| only("hello", chunk, |hello| hello[2..].to_owned()), ..GOOD },
    Fault { name: "a change with a name", rule: "P16", chunk: |_, chunk| only("message", chunk, |change| format!("event: message\n{change}")), ..GOOD },
    Fault { name: "a change without its time", rule: "P16", chunk: |_, chunk| only("message", chunk, |change| change.replace("\"at\"", "\"when\"")), ..GOOD },
    Fault { name: "a missing change", rule: "P16", chunk: |_, chunk| only("message", chunk, |change| match change.contains("\"seq\":1,") {
        true => change.replace("\"seq\":1,", "\"seq\":9,").replace("id: 1-", "id: 9-"),
        false => change.to_owned(),
    }), ..GOOD },
    Fault { name: "no ready", rule: "P17", chunk: |_, chunk| only("ready", chunk, |_| String::new()), ..GOOD },
    Fault { name: "no comment after a burst", rule: "P17", chunk: |_, chunk| if chunk == ":\n" { Vec::new() } else { chunk.into() }, ..GOOD },
    Fault { name: "404 for an unknown order", rule: "P18", head: |incoming, status, _| if incoming.path.contains("/conformance-") { *status = 404; }, ..GOOD },
    Fault { name: "no cursor in the query", rule: "P19", request: |incoming| incoming.path = incoming.path.replace("?lastEventId=", "?x="), ..GOOD },
    Fault { name: "the query before the header", rule: "P19", request: |incoming| if incoming.path.contains("lastEventId") { incoming.cursor.clear(); }, ..GOOD },
    Fault { name: "an unreadable cursor that counts as absent", rule: "P20", request: |incoming| if incoming.cursor == "rubbish" { incoming.cursor.clear(); }, ..GOOD },
    Fault { name: "a hello after which a client would miss the reset", rule: "P20", chunk: |_, chunk| only("hello", chunk, |hello| hello.replace("id: ?", "id: 0")), ..GOOD },
    Fault { name: "no reset", rule: "P21", chunk: |_, chunk| only("reset", chunk, |_| String::new()), ..GOOD },
    Fault { name: "more than the latest page for a new visitor", rule: "P21", chunk: |_, chunk| only("message", chunk, |change| match change.contains("\"A\",\"seq\":2,") {
        true => change.repeat(100),
        false => change.to_owned(),
    }), ..GOOD },
    Fault { name: "one mark for two orders", rule: "P22", chunk: |incoming, chunk| match incoming.path.contains("?order=") {
        true => chunk.replace(".0\n\n", "\n\n").into(),
        false => chunk.into(),
    }, ..GOOD },
    Fault { name: "an end without ~", rule: "P23", chunk: |_, chunk| only("end", chunk, |end| end.replace('~', "")), ..GOOD },
    Fault { name: "no 204", rule: "P24", request: |incoming| incoming.cursor = incoming.cursor.replace('~', ""), ..GOOD },
    Fault { name: "204 too early", rule: "P25", request: |incoming| if incoming.path.contains("/F/") && incoming.cursor.starts_with('2') && !incoming.cursor.contains('~') {
        incoming.cursor.push('~');
    }, ..GOOD },
    Fault { name: "an end without rest", rule: "P26", chunk: |_, chunk| only("rest", chunk, |_| String::new()), ..GOOD },
    Fault { name: "a rest with two numbers", rule: "P26", chunk: |_, chunk| only("rest", chunk, |rest| rest.replace("{\"retry\":", "{\"retry\":1")), ..GOOD },
    Fault { name: "no snapshots", rule: "P27", request: |incoming| incoming.accept.clear(), ..GOOD },
    Fault { name: "a snapshot's cursor from the beginning", rule: "P27", chunk: |_, chunk| match chunk.split_once("\"cursor\":\"") {
        Some((before, _)) if chunk.starts_with('{') => format!("{before}\"cursor\":\"1\"}}").into(),
        _ if chunk.starts_with("{\"cursor\":\"") => format!("{{\"cursor\":\"1\",{}", chunk.split_once("\",").unwrap().1).into(),
        _ => chunk.into(),
    }, ..GOOD },
    Fault { name: "no HEAD", rule: "P28", head: |incoming, status, _| if incoming.method == "HEAD" { *status = 405; }, ..GOOD },
    Fault { name: "OPTIONS without methods", rule: "P28", head: |incoming, _, headers| if incoming.method == "OPTIONS" { without(headers, "allow"); }, ..GOOD },
    Fault { name: "problems in plain text", rule: "P29", head: |_, status, headers| if *status >= 400 { set(headers, "content-type", "text/plain"); }, ..GOOD },
    Fault { name: "405 without allow", rule: "P29", head: |incoming, _, headers| if incoming.method == "POST" { without(headers, "allow"); }, ..GOOD },
    Fault { name: "200 for eleven orders", rule: "P29", head: |incoming, status, _| if incoming.path.contains("order=10") { *status = 200; }, ..GOOD },
    Fault { name: "a change twice", rule: "P30", chunk: |_, chunk| only("message", chunk, |change| match change.contains("\"L\",\"seq\":2,") {
        true => change.repeat(2),
        false => change.to_owned(),
    }), ..GOOD },
];

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_bad_server_is_reported() {
    let server = BadServer::start(GOOD).await;
    assert_eq!(
        failures(&check(&options(&server.url)).await),
        [] as [&str; 0]
    );
    let mut checks = JoinSet::new();
    let permits = Arc::new(Semaphore::new(AT_A_TIME));
    for fault in FAULTS {
        let permits = Arc::clone(&permits);
        checks.spawn(async move {
            let _permit = permits.acquire().await.unwrap();
            let server = BadServer::start(*fault).await;
            let short = Options {
                patience: Duration::from_secs(8),
                ..options(&server.url)
            };
            (fault, failures(&check(&short).await))
        });
    }
    while let Some(checked) = checks.join_next().await {
        let (Fault { name, rule, .. }, failures) = checked.unwrap();
        let reported = failures
            .iter()
            .any(|line| line.starts_with(&format!("{rule} Fail")));
        assert!(
            reported,
            "{name} breaks {rule}, but {rule} did not fail: {failures:#?}"
        );
    }
}

/// The faults of a server that has customers' streams.
#[rustfmt::skip]
const CUSTOMER_FAULTS: &[Fault] = &[
    Fault { name: "a token that is not needed", rule: "P32", head: |incoming, status, _| if incoming.authorization.is_empty() { *status = 200; }, ..GOOD },
    Fault { name: "the customer in the path", rule: "P32", request: |incoming| incoming.path = incoming.path.replace("somebody", "me"), ..GOOD },
    Fault { name: "an order twice", rule: "P33", chunk: |_, chunk| only("message", chunk, |change| change.repeat(2)), ..GOOD },
    Fault { name: "no mark of an incomplete visit", rule: "P33", chunk: |_, chunk| chunk.replace('_', "").into(), ..GOOD },
    Fault { name: "everything again", rule: "P34", request: |incoming| if incoming.path.contains("customers") && incoming.cursor.contains('-') { incoming.cursor.clear(); }, ..GOOD },
    Fault { name: "another order after the cursor", rule: "P34", chunk: |incoming, chunk| match incoming.cursor.contains('-') { true => chunk.replace("\"orderId\":\"", "\"orderId\":\"x").into(), false => chunk.into() }, ..GOOD },
    Fault { name: "an unreadable cursor counts as no cursor", rule: "P34", request: |incoming| if incoming.cursor == "rubbish" { incoming.cursor.clear(); }, ..GOOD },
    Fault { name: "204 for a customer", rule: "P36", head: |incoming, status, _| if incoming.path.contains("customers") && incoming.cursor.ends_with('~') { *status = 204; }, ..GOOD },
    Fault { name: "end of a customer", rule: "P36", chunk: |_, chunk| chunk.replace("event: rest", "event: end").into(), ..GOOD },
    Fault { name: "a snapshot without orders", rule: "P37", chunk: |_, chunk| chunk.split_once("\"orders\":[{").map_or(chunk.to_owned(), |(head, _)| format!("{head}\"orders\":[]}}")).into(), ..GOOD },
    Fault { name: "a snapshot that is an error", rule: "P37", head: |incoming, status, _| if incoming.path.contains("customers") && incoming.accept == "application/json" { *status = 404; }, ..GOOD },
    Fault { name: "a snapshot without a cursor", rule: "P37", chunk: |_, chunk| chunk.replace("\"cursor\"", "\"position\"").into(), ..GOOD },
];

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_customers_stream_is_reported() {
    let issuer = Issuer::new(Algorithm::ES256, "k").unwrap();
    let exp = (support::NOW + Duration::from_secs(3600)).as_secs();
    let token = issuer
        .sign(&json!({ "orders": "*", "customer": "C", "exp": exp }))
        .unwrap();
    let failures_of = async |fault: Fault| {
        let server = BadServer::start_with_customers(fault, &issuer.jwks().unwrap()).await;
        let options = Options {
            token: Some(token.clone()),
            customer: true,
            patience: Duration::from_secs(8),
            ..options(&server.url)
        };
        failures(&check(&options).await)
    };
    assert_eq!(failures_of(GOOD).await, [] as [&str; 0]);
    for fault in CUSTOMER_FAULTS {
        let failures = failures_of(*fault).await;
        let Fault { name, rule, .. } = fault;
        let reported = failures
            .iter()
            .any(|line| line.starts_with(&format!("{rule} Fail")));
        assert!(
            reported,
            "{name} breaks {rule}, but {rule} did not fail: {failures:#?}"
        );
    }
}

/// The findings that are not a pass, in the order of the rules.
fn findings(findings: &[Finding]) -> String {
    let words = findings.iter().filter_map(|finding| {
        let word = match finding.verdict {
            Ok(()) => return None,
            Err(Remark::Note(_)) => "Note",
            Err(Remark::Skip(_)) => "Skip",
            Err(Remark::Fail(_)) => "Fail",
        };
        Some(format!("{} {word}", finding.rule.id))
    });
    words.collect::<Vec<_>>().join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_variant_of_a_server_gets_exactly_its_findings() {
    let mut checks = JoinSet::new();
    let permits = Arc::new(Semaphore::new(AT_A_TIME));
    for Variant {
        fault,
        contract,
        any,
    } in VARIANTS
    {
        for (expected, any_server) in [(contract, false), (any, true)] {
            let Some(expected) = expected else { continue };
            let permits = Arc::clone(&permits);
            checks.spawn(async move {
                let _permit = permits.acquire().await.unwrap();
                let server = BadServer::start(*fault).await;
                let base = options(&server.url);
                let options = Options {
                    any_server,
                    url: match any_server {
                        true => format!("{}/orders/A/events", base.url),
                        false => base.url.clone(),
                    },
                    token: Some("abc".to_owned()),
                    patience: Duration::from_secs(20),
                    ..base
                };
                let found = check(&options).await;
                (fault.name, any_server, *expected, found)
            });
        }
    }
    let mut wrong = Vec::new();
    while let Some(checked) = checks.join_next().await {
        let (name, any_server, expected, found) = checked.unwrap();
        if findings(&found) != expected {
            wrong.push(format!(
                "{name}, any server {any_server}, expected {expected:?}: {:#?}",
                failures(&found)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A server that speaks only HTTP/2 and sends a stream. Returns its URL and its certificate.
async fn http2_server(tasks: &mut JoinSet<()>) -> (String, reqwest::Certificate) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = certified.cert.der().clone();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let mut tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "https://localhost:{}/",
        listener.local_addr().unwrap().port()
    );
    tasks.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = acceptor.accept(stream).await.unwrap();
        let service = service_fn(|request: Request<_>| async move {
            let stream = Response::builder()
                .header("content-type", "text/event-stream")
                .header("cache-control", "no-cache");
            match request.headers().contains_key("last-event-id") {
                true => stream.status(204).body(String::new()),
                false => stream.body(":\nretry: 3000\ndata: x\nid: 1\n\n".to_owned()),
            }
        });
        let connection = http2::Builder::new(TokioExecutor::new());
        let served = connection.serve_connection(TokioIo::new(stream), service);
        served.await.ok();
    });
    let certificate = reqwest::Certificate::from_der(&certificate).unwrap();
    (url, certificate)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_only_http2_is_checked() {
    let mut tasks = JoinSet::new();
    let (url, certificate) = http2_server(&mut tasks).await;
    let client = reqwest::Client::builder().tls_certs_only([certificate]);
    let options = Options {
        any_server: true,
        ..options(&url)
    };
    let found = rules::check_with(client, options).await.unwrap();
    // The one chunk has a length.
    assert_eq!(findings(&found), "P3 Note", "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_may_have_any_name() {
    let server = BadServer::start(GOOD).await;
    let named = Options {
        order: Some("#1 a+b&c?d/e".to_owned()),
        finished: Some("#2 é".to_owned()),
        ..options(&server.url)
    };
    assert_eq!(failures(&check(&named).await), [] as [&str; 0]);
}
