//! A process does what it can before its first event: then nobody waits for it. And it begins without gathering the CPU's jitter.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::net::SocketAddr;
use std::process::{Command as Signal, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use order_status_stream::lambda;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const STREAM: &str = env!("CARGO_BIN_EXE_stream");
const PROJECTOR: &str = env!("CARGO_BIN_EXE_projector");

/// If a process does not do what is expected, the test fails after this time instead of waiting.
const LIMIT: Duration = Duration::from_secs(60);

const NOTHING: &str = r#"{"Items":[],"Count":0,"ScannedCount":0}"#;

/// One connection to a server of the test.
struct Connection(BufReader<TcpStream>);

impl Connection {
    async fn accept(server: &TcpListener) -> Self {
        let accepted = timeout(LIMIT, server.accept()).await.unwrap();
        Self(BufReader::new(accepted.unwrap().0))
    }

    /// The next request: its head and its body.
    async fn request(&mut self) -> String {
        timeout(LIMIT, self.read()).await.unwrap()
    }

    async fn read(&mut self) -> String {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            assert_ne!(self.0.read_line(&mut text).await.unwrap(), 0, "{text}");
        }
        let head = text.to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).await.unwrap();
        text + &String::from_utf8(body).unwrap()
    }

    async fn respond(&mut self, headers: &str, body: &str) {
        let length = body.len();
        let response =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
        self.0.write_all(response.as_bytes()).await.unwrap();
    }
}

/// A function's process, DynamoDB and the Runtime API. The test plays the last two.
struct Process {
    child: Child,
    dynamo: TcpListener,
    runtime_api: TcpListener,
}

impl Process {
    async fn start(program: &str) -> Self {
        let dynamo = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let runtime_api = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = |server: &TcpListener| server.local_addr().unwrap().to_string();
        let variables = [
            ("ACCESS", "open".to_owned()),
            ("AWS_ACCESS_KEY_ID", "x".to_owned()),
            (
                "AWS_ENDPOINT_URL_DYNAMODB",
                format!("http://{}", address(&dynamo)),
            ),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
            ("AWS_LAMBDA_FUNCTION_NAME", "function".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
            ("AWS_LAMBDA_RUNTIME_API", address(&runtime_api)),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "x".to_owned()),
            ("FEED_TABLE", "OrderFeed".to_owned()),
        ];
        let child = Command::new(program)
            .env_clear()
            .envs(variables)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        Self {
            child: child.unwrap(),
            dynamo,
            runtime_api,
        }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        let sent = Signal::new("kill").args([name, &id]).status();
        assert!(sent.unwrap().success());
    }
}

/// Waits until the kernel has told a socket that its peer has closed the connection. This can take longer than the call that
/// closes it.
#[cfg(target_os = "linux")]
fn until_end_arrived(socket: SocketAddr) {
    const CLOSE_WAIT: &str = "08";
    let port = format!(":{:04X}", socket.port());
    let has_arrived = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields.len() > 3 && fields[1].ends_with(&port) && fields[3] == CLOSE_WAIT
    };
    let sockets = || fs::read_to_string("/proc/net/tcp").unwrap();
    while !sockets().lines().any(has_arrived) {
        std::thread::yield_now();
    }
}

/// The first events, and those after a freeze, reach a process that has a connection to DynamoDB.
#[track_caller]
fn assert_first_attempt(query: &str, partition: &str) {
    assert!(query.contains("DynamoDB_20120810.Query"), "{query}");
    assert!(query.contains(partition), "{query}");
    assert!(query.contains("attempt=1"), "{query}");
}

#[tokio::test]
async fn a_process_reads_from_dynamodb_before_it_asks_for_an_event() {
    for (program, partition) in [(STREAM, "%dwells"), (PROJECTOR, "%settings")] {
        let process = Process::start(program).await;
        let mut dynamo = Connection::accept(&process.dynamo).await;
        assert_first_attempt(&dynamo.request().await, partition);
        assert!(process.runtime_api.accept().now_or_never().is_none());
        dynamo.respond("", NOTHING).await;
        let mut runtime_api = Connection::accept(&process.runtime_api).await;
        let asked = runtime_api.request().await;
        assert!(
            asked.starts_with("GET /2018-06-01/runtime/invocation/next"),
            "{asked}"
        );
    }
}

#[tokio::test]
async fn without_dynamodb_a_process_asks_for_events_all_the_same() {
    for program in [STREAM, PROJECTOR] {
        let mut process = Process::start(program).await;
        process.dynamo = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut runtime_api = Connection::accept(&process.runtime_api).await;
        runtime_api.request().await;
    }
}

/// Lambda freezes a process between two events, and DynamoDB closes connections that are not used. A query that is sent over a
/// closed connection fails, and the SDK waits before it tries again.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_that_was_closed_during_a_freeze_costs_no_attempt() {
    let process = Process::start(STREAM).await;
    let mut dynamo = Connection::accept(&process.dynamo).await;
    dynamo.request().await;
    dynamo.respond("", NOTHING).await;
    let mut runtime_api = Connection::accept(&process.runtime_api).await;
    runtime_api.request().await;

    process.signal("-STOP");
    let socket = dynamo.0.get_ref().peer_addr().unwrap();
    drop(dynamo);
    until_end_arrived(socket);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let deadline = (now + LIMIT).as_millis();
    let headers = format!(
        "Lambda-Runtime-Aws-Request-Id: 1\r\nLambda-Runtime-Deadline-Ms: {deadline}\r\n\
         Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:stream\r\n"
    );
    let event = fs::read_to_string("events/url-first-visit.json").unwrap();
    runtime_api.respond(&headers, &event).await;
    process.signal("-CONT");

    let mut dynamo = Connection::accept(&process.dynamo).await;
    assert_first_attempt(&dynamo.request().await, "A-1001");
}

/// The freeze above seldom comes at the worst moment: when the next event can be read before the event loop has looked at the other
/// connections.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_end_of_a_connection_is_noticed_before_an_event_is_handled() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap();
    connection.set_nonblocking(true).unwrap();
    let mut connection = TcpStream::from_std(connection).unwrap();
    let (peer, socket) = server.accept().unwrap();
    let reading = tokio::spawn(async move { connection.read(&mut [0]).await });
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    drop(peer);
    until_end_arrived(socket);
    assert!(!reading.is_finished());
    lambda::notice_closed_connections().await;
    assert!(reading.is_finished());
}

/// A constant of the jitter library's self-test. It is also in a binary without symbols. The Makefile looks for it too.
const JITTER: [u8; 8] = [0xF1, 0x6E, 0x66, 0xC0, 0x43, 0x72, 0xB4, 0xA3];

/// See `.cargo/config.toml`: the jitter takes most of a cold start.
#[test]
fn the_functions_are_built_without_the_jitter_entropy_of_the_cpu() {
    for program in [STREAM, PROJECTOR] {
        let bytes = fs::read(program).unwrap();
        assert!(
            !bytes.windows(JITTER.len()).any(|window| window == JITTER),
            "{program}"
        );
    }
}
