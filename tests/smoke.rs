//! `make smoke` passes a deployment that does what it should, and names each property that a proxy on the way breaks.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/breaking_proxy.rs"]
mod breaking_proxy;
#[path = "support/cloud.rs"]
mod cloud;

use std::sync::Arc;
use std::time::Duration;

use breaking_proxy::{Break, BreakingProxy, GOOD, Passing};
use cloud::Cloud;
use conformance::rules::Remark;
use conformance::smoke::{CHECKS, Options, Smoke};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jsonwebtoken::Algorithm;
use lambda_stand_in::{Builder, Function};
use local::issuer::Issuer;
use local::page::PageServer;
use local::shop::Shop;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const SHOP_PAGE: &str = "https://shop.example";
const OTHER_PAGE: &str = "https://other.example";

/// The number of concurrent runs.
const AT_A_TIME: usize = 8;

/// The two functions with tokens and CORS, and the demo shop.
struct Deployment {
    cloud: Cloud,
    stream: Function,
    shop: String,
    /// For every order, and for `A`.
    every: String,
    one: String,
    _tasks: JoinSet<()>,
}

impl Deployment {
    /// Behind a Function URL that has CORS.
    async fn new() -> Self {
        Self::behind(|stream| stream.cors(SHOP_PAGE)).await
    }

    async fn behind(service: impl FnOnce(Builder) -> Builder) -> Self {
        let cloud = Cloud::new().await;
        let projector = cloud.projector(&cloud.dynamo.endpoint()).start().await;
        let projector = Arc::new(projector.unwrap());
        let issuer = Issuer::new(Algorithm::ES256, "local").unwrap();
        let token = |orders: &[&str]| issuer.token(orders, Duration::from_secs(3600)).unwrap().0;
        let (every, one) = (token(&["*"]), token(&["A"]));
        let stream = service(cloud.stream())
            .env("WINDOW", "9s")
            .env("HEARTBEAT", "1s")
            .env("ACCESS", "jwt")
            .env("JWKS", issuer.jwks().unwrap())
            // Twenty runs share a token and a process.
            .env("TOKEN_STREAMS", "9999")
            .env("TOKEN_OPENINGS", "99999")
            .max_concurrency(64)
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
        for (order, status) in [("A", "PLACED"), ("A", "PAID"), ("F", "DELIVERED")] {
            cloud.append(order, status).await;
        }
        Self {
            cloud,
            stream,
            shop,
            every,
            one,
            _tasks: tasks,
        }
    }

    fn options(&self, url: &str) -> Options {
        Options {
            url: url.to_owned(),
            order: Some("A".to_owned()),
            finished: Some("F".to_owned()),
            token: Some(self.every.clone()),
            shop: Some(self.shop.clone()),
            write: None,
            origin: Some(SHOP_PAGE.to_owned()),
            other_origin: Some(OTHER_PAGE.to_owned()),
            heartbeat: Duration::from_secs(1),
            patience: Duration::from_secs(25),
            json: false,
        }
    }
}

/// Only the URL.
fn bare(url: &str) -> Options {
    Options {
        url: url.to_owned(),
        order: None,
        finished: None,
        token: None,
        shop: None,
        write: None,
        origin: None,
        other_origin: None,
        heartbeat: Duration::from_secs(15),
        patience: Duration::from_secs(75),
        json: false,
    }
}

/// The checks that did not pass: name, `FAIL` or `skipped`, and what was seen.
async fn findings(options: Options) -> Vec<(&'static str, &'static str, String)> {
    let client = reqwest::Client::builder().tls_certs_only([]);
    let smoke = Smoke::start(client, options).await.unwrap();
    let findings: Vec<_> = smoke.findings().collect().await;
    assert_eq!(findings.len(), CHECKS.len());
    let found = findings.into_iter().filter_map(|finding| {
        let name = finding.check.name;
        match finding.outcome {
            Ok(_) => None,
            Err(Remark::Skip(why)) => Some((name, "skipped", why)),
            Err(Remark::Fail(seen) | Remark::Note(seen)) => Some((name, "FAIL", seen)),
        }
    });
    found.collect()
}

fn names(found: &[(&'static str, &'static str, String)], word: &str) -> Vec<&'static str> {
    let found = found.iter().filter(|(_, outcome, _)| *outcome == word);
    found.map(|(name, ..)| *name).collect()
}

/// A good deployment, with a token for every order and then with a token for one.
#[tokio::test(flavor = "multi_thread")]
async fn a_good_deployment_passes_every_check() {
    let deployment = Deployment::new().await;
    let url = deployment.stream.url();
    let found = findings(deployment.options(&url)).await;
    assert_eq!(names(&found, "FAIL"), [""; 0], "{found:#?}");
    assert_eq!(names(&found, "skipped"), ["tls", "other-order"]);

    // The command hands order and status over to this test, which writes them.
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let path = pipe.display().to_string();
    let reading = tokio::task::spawn_blocking(move || std::fs::read_to_string(pipe).unwrap());
    let writing = async {
        let written = reading.await.unwrap();
        let (order, status) = written.split_once(' ').unwrap();
        assert!(status.starts_with("SMOKE-"), "{status}");
        deployment.cloud.write(order, status).await;
    };
    let options = Options {
        token: Some(deployment.one.clone()),
        finished: None,
        shop: None,
        write: Some(format!("printf '%s %s' \"$ORDER\" \"$STATUS\" >'{path}'")),
        ..deployment.options(&url)
    };
    let ((), found) = tokio::join!(writing, findings(options));
    assert_eq!(names(&found, "FAIL"), [""; 0], "{found:#?}");
    assert_eq!(names(&found, "skipped"), ["tls", "finished"]);
}

/// The function sends the CORS headers itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_rest_api_passes_every_check() {
    let behind = |stream: Builder| stream.rest_api("live").env("ALLOWED_ORIGINS", SHOP_PAGE);
    let deployment = Deployment::behind(behind).await;
    let url = format!("{}/live", deployment.stream.url());
    let found = findings(deployment.options(&url)).await;
    assert_eq!(names(&found, "FAIL"), [""; 0], "{found:#?}");
    assert_eq!(names(&found, "skipped"), ["tls", "other-order"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_without_its_option_is_skipped_with_a_reason() {
    let cloud = Cloud::new().await;
    let stream = cloud.stream().env("HOLD", "auto").start().await.unwrap();
    let found = findings(bare(&stream.url())).await;
    assert_eq!(names(&found, "FAIL"), [""; 0], "{found:#?}");
    let skipped = [
        ("tls", "http"),
        ("no-token", "TOKEN"),
        ("wrong-token", "TOKEN"),
        ("other-order", "TOKEN"),
        ("origin", "ORIGIN"),
        ("preflight", "ORIGIN"),
        ("finished", "FINISHED"),
        ("write", "WRITE"),
        ("heartbeat", "HOLD=always"),
    ];
    let named: Vec<_> = skipped.iter().map(|(name, _)| *name).collect();
    assert_eq!(names(&found, "skipped"), named);
    for ((name, _, why), (_, word)) in found.iter().zip(skipped) {
        assert!(why.contains(word), "{name}: {why}");
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

fn is_stream(status: StatusCode, headers: &HeaderMap) -> bool {
    status == 200
        && headers
            .get("content-type")
            .is_some_and(|value| value == "text/event-stream; charset=utf-8")
}

#[rustfmt::skip]
const BREAKS: &[Break] = &[
    Break { name: "a proxy that collects a response", fails: &["first-chunk", "heartbeat"], body: Passing::Collected, ..GOOD },
    Break { name: "a proxy that waits for more bytes", fails: &["small-chunks", "heartbeat"], body: Passing::AfterFirstCollected, ..GOOD },
    Break { name: "a late first chunk", fails: &["first-chunk"], body: Passing::Delayed(Duration::from_secs(4)), ..GOOD },
    Break { name: "no comments", fails: &["heartbeat"], body: Passing::WithoutChunk(":\n"), ..GOOD },
    Break { name: "no last chunk", fails: &["end"], body: Passing::Cut, ..GOOD },
    Break { name: "no last event", fails: &["end"], body: Passing::Without("event: rest"), ..GOOD },
    Break { name: "Last-Event-ID is removed", fails: &["last-event-id", "finished"], request: |headers, _| drop(headers.remove("last-event-id")), ..GOOD },
    Break { name: "200 instead of 204", fails: &["finished"], head: |_, status, _| if *status == 204 { *status = StatusCode::OK; }, ..GOOD },
    Break { name: "no changes", fails: &["last-event-id", "write"], body: Passing::Without("\"seq\":"), ..GOOD },
    Break { name: "502 for a stream", fails: &["stream"], head: |_, status, headers| if is_stream(*status, headers) { *status = StatusCode::BAD_GATEWAY; }, ..GOOD },
    Break { name: "a response that may be cached", fails: &["cache"], head: |_, _, headers| set(headers, "cache-control", "public, max-age=60"), ..GOOD },
    Break { name: "a compressed response", fails: &["cache"], head: |_, _, headers| set(headers, "content-encoding", "gzip"), ..GOOD },
    Break { name: "no CORS", fails: &["origin", "preflight"], head: |_, _, headers| drop(headers.remove("access-control-allow-origin")), ..GOOD },
    Break { name: "CORS twice", fails: &["origin", "preflight"], head: |_, _, headers| {
        headers.append("access-control-allow-origin", HeaderValue::from_static(SHOP_PAGE));
    }, ..GOOD },
    Break { name: "a wildcard with credentials", fails: &["origin", "other-origin", "preflight"], head: |_, _, headers| {
        set(headers, "access-control-allow-origin", "*");
        set(headers, "access-control-allow-credentials", "true");
    }, ..GOOD },
    Break { name: "every origin", fails: &["other-origin"], head: |_, _, headers| set(headers, "access-control-allow-origin", "*"), ..GOOD },
    Break { name: "no preflight", fails: &["preflight"], head: |method, status, _| if method == Method::OPTIONS { *status = StatusCode::FORBIDDEN; }, ..GOOD },
    Break { name: "a preflight without last-event-id", fails: &["preflight"], head: |_, _, headers| if headers.contains_key("access-control-allow-headers") {
        set(headers, "access-control-allow-headers", "authorization");
    }, ..GOOD },
    Break { name: "a token that the proxy adds", fails: &["no-token"], request: |headers, token| {
        let token = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        headers.entry("authorization").or_insert(token);
    }, ..GOOD },
    Break { name: "a 401 of the proxy", fails: &["no-token", "wrong-token"], head: |_, status, headers| if *status == 401 { set(headers, "content-type", "text/html"); }, ..GOOD },
];

/// Gives every client the token for every order.
const OPEN: Break = Break {
    name: "open access",
    fails: &["no-token", "wrong-token", "other-order"],
    request: |headers, token| {
        let token = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        headers.insert("authorization", token);
    },
    ..GOOD
};

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_property_of_a_deployment_fails_its_check() {
    let deployment = Deployment::new().await;
    let permits = Semaphore::new(AT_A_TIME);
    let runs = BREAKS.iter().chain([&OPEN, &GOOD]).map(|fault| {
        let (deployment, permits) = (&deployment, &permits);
        async move {
            let _permit = permits.acquire().await.unwrap();
            let target = deployment.stream.url();
            let proxy = BreakingProxy::start(&target, &deployment.every, *fault).await;
            let mut options = deployment.options(&proxy.url);
            match fault.body {
                // A change would come with the end of a response, and three responses take longer than the patience.
                Passing::Collected | Passing::AfterFirstCollected => options.shop = None,
                _ if fault.name == OPEN.name => options.token = Some(deployment.one.clone()),
                _ => {}
            }
            let found = findings(options).await;
            (fault, found)
        }
    });
    let runs = futures_util::future::join_all(runs).await;
    let wrong = runs
        .iter()
        .filter(|(fault, found)| names(found, "FAIL") != fault.fails);
    let wrong = wrong.map(|(fault, found)| format!("{}: {found:#?}", fault.name));
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_reached_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = reqwest::Client::builder().tls_certs_only([]);
    let error = Smoke::start(client, bare(&url)).await.unwrap_err();
    assert!(
        error.starts_with(&format!("no response from {url}/orders/")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_knows_is_a_finding() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            acceptor.accept(stream).await.ok();
        }
    });
    let found = findings(bare(&format!("https://localhost:{port}"))).await;
    assert_eq!(names(&found, "FAIL")[..2], ["stream", "tls"], "{found:#?}");
    assert!(
        found[1].2.contains("there is no response") && found[2].2.contains("certificate"),
        "{found:#?}"
    );
}
