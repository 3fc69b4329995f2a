//! Many streams in one process: a failure of one does not affect the others, and the process keeps its capacity.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/cloud.rs"]
mod cloud;

use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cloud::Cloud;
use lambda_stand_in::{Builder, Fault, Function, Stats};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

const WORKERS: usize = 4;

/// A lost worker never asks for an invocation. After this time, the test fails instead of waiting.
const LIMIT: Duration = Duration::from_secs(60);

fn concurrent(cloud: &Cloud) -> Builder {
    cloud.stream().max_concurrency(WORKERS)
}

/// A client of a stream. It disconnects if it is dropped.
struct StreamReader {
    response: reqwest::Response,
    seen: String,
}

impl StreamReader {
    async fn open(function: &Function) -> Self {
        let url = format!("{}/orders/A/events", function.url());
        let response = reqwest::get(url).await.unwrap();
        assert_eq!(response.status(), 200);
        Self {
            response,
            seen: String::new(),
        }
    }

    async fn until(&mut self, text: &str) {
        while !self.seen.contains(text) {
            let chunk = self.response.chunk().await.unwrap();
            let chunk = chunk.unwrap_or_else(|| panic!("ended before {text}: {}", self.seen));
            self.seen.push_str(&String::from_utf8_lossy(&chunk));
        }
    }

    async fn ready(function: &Function) -> Self {
        let mut reader = Self::open(function).await;
        reader.until("event: ready").await;
        reader
    }
}

async fn wait_for(function: &Function, condition: impl FnMut(&Stats) -> bool) {
    let waited = timeout(LIMIT, function.wait_for(condition)).await;
    assert!(waited.is_ok(), "{:?}", function.stats());
}

/// Checks that there can be as many streams as workers, still in the first process.
async fn check_capacity(function: &Function, held: usize) {
    let mut readers = Vec::new();
    for _ in held..WORKERS {
        readers.push(StreamReader::ready(function).await);
    }
    let stats = function.stats();
    assert_eq!((stats.cold_starts, stats.processes), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_use_up_no_worker() {
    let cloud = Cloud::new().await;
    let function = concurrent(&cloud)
        .env("HEARTBEAT", "1s")
        .propagate_disconnect(true)
        .start()
        .await
        .unwrap();
    let mut survivor = StreamReader::ready(&function).await;
    for round in 1..=3 {
        let mut leaving = Vec::new();
        for _ in 1..WORKERS {
            leaving.push(StreamReader::ready(&function).await);
        }
        drop(leaving);
        let broken = round * (WORKERS as u64 - 1);
        // Each worker asks for the next invocation after it noticed.
        wait_for(&function, |stats| {
            stats.disconnected == broken && stats.idle == WORKERS - 1
        })
        .await;
    }
    let warnings = function.logs();
    let warnings = warnings
        .iter()
        .filter(|line| line.contains("a response was not sent"));
    assert_eq!(warnings.count(), 3 * (WORKERS - 1));
    check_capacity(&function, 1).await;
    cloud.append("A", "PLACED").await;
    survivor.until("PLACED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_readers_do_not_delay_others() {
    let cloud = Cloud::new().await;
    let function = concurrent(&cloud)
        .timeout(Duration::from_secs(4))
        .start()
        .await
        .unwrap();
    let stall = Fault::SlowRead {
        bytes_per_second: 0,
    };
    function.inject([stall; WORKERS - 1]);
    let mut stalled = Vec::new();
    for _ in 1..WORKERS {
        stalled.push(StreamReader::open(&function).await);
    }
    let mut reader = StreamReader::ready(&function).await;
    cloud.append("A", "PLACED").await;
    reader.until("PLACED").await;
    reader.until("event: rest").await;
    // Lambda ends them at the deadline. The process goes on, because it serves other streams.
    wait_for(&function, |stats| {
        stats.timed_out == WORKERS as u64 - 1 && stats.idle == WORKERS
    })
    .await;
    assert_eq!(function.stats().processes, 1);
    check_capacity(&function, 0).await;
}

/// A Runtime API that hands out invocations, and neither reads nor answers the responses. It reports each request for an
/// invocation.
async fn never_reads(listener: TcpListener, invocations: usize, asked: mpsc::UnboundedSender<()>) {
    let (mut connections, mut handed_out) = (JoinSet::new(), 0);
    let (requests, mut requested) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let requests = requests.clone();
                connections.spawn(async move { next_request(stream, &requests).await });
            }
            Some(mut stream) = requested.recv() => {
                asked.send(()).unwrap();
                if handed_out < invocations {
                    handed_out += 1;
                    hand_out(&mut stream, handed_out).await;
                    let requests = requests.clone();
                    connections.spawn(async move { next_request(stream, &requests).await });
                } else {
                    connections.spawn(async move {
                        let _held = stream;
                        std::future::pending().await
                    });
                }
            }
        }
    }
}

/// Passes on a connection that asks for an invocation. One that sends a response is held and not read.
async fn next_request(mut stream: TcpStream, requests: &mpsc::UnboundedSender<TcpStream>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    if head.starts_with(b"GET ") {
        requests.send(stream).unwrap();
    } else {
        std::future::pending::<()>().await;
    }
}

async fn hand_out(stream: &mut TcpStream, id: usize) {
    let event = include_str!("../events/url-first-visit.json");
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(2);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nlambda-runtime-aws-request-id: {id}\r\n\
         lambda-runtime-deadline-ms: {}\r\nlambda-runtime-invoked-function-arn: arn\r\n\r\n",
        event.len(),
        deadline.as_millis()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(event.as_bytes()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_free_at_the_deadline_if_nobody_reads_its_response() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let runtime_api = listener.local_addr().unwrap().to_string();
    let (asked, mut asks) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(never_reads(listener, WORKERS, asked));
    let unreachable = "http://127.0.0.1:9";
    let variables = [
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.as_str()),
        ("AWS_LAMBDA_FUNCTION_NAME", "stream"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_MAX_CONCURRENCY", &WORKERS.to_string()),
        ("FEED_TABLE", "OrderFeed"),
        ("ACCESS", "open"),
        ("AWS_ENDPOINT_URL_DYNAMODB", unreachable),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
    ];
    let _process = Command::new(env!("CARGO_BIN_EXE_stream"))
        .env_clear()
        .envs(variables)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // Each worker asks twice.
    for _ in 0..2 * WORKERS {
        let asked = timeout(LIMIT, asks.recv()).await;
        assert!(asked.is_ok(), "a worker is lost");
    }
}
