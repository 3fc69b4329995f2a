//! Lambda's Runtime API for one process, which says when what happened.
//!
//! The tests' stand-in for Lambda is stricter, but it relays each byte to an HTTP client. That time is not the function's.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::Result;

/// If a process does not answer within this time, the benchmark fails.
const LIMIT: Duration = Duration::from_secs(60);

/// The process's deadline. No response is held for so long.
const TIMEOUT: Duration = Duration::from_secs(120);

/// What a process did, and when.
enum Done {
    /// Asked for an event.
    Asked,
    /// Sent a part of its response.
    Sent(Bytes),
    /// Ended its response.
    Ended,
    /// Reported an error.
    Failed(String),
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("asked for an event"),
            Self::Sent(bytes) => write!(f, "sent {}", String::from_utf8_lossy(bytes)),
            Self::Ended => f.write_str("ended its response"),
            Self::Failed(error) => write!(f, "reported {error}"),
        }
    }
}

/// The Runtime API. A drop ends it.
pub(super) struct RuntimeApi {
    pub address: SocketAddr,
    events: mpsc::UnboundedSender<String>,
    done: mpsc::UnboundedReceiver<(Instant, Done)>,
    _server: JoinSet<()>,
}

/// One response, with the times of its parts.
#[derive(Debug)]
pub(super) struct Invocation {
    /// When the process got the event.
    pub given: Instant,
    /// The parts of the client's body, after the prelude. A response that is not streamed has no prelude.
    pub parts: Vec<(Instant, Bytes)>,
    pub ended: Instant,
}

struct Served {
    events: Mutex<mpsc::UnboundedReceiver<String>>,
    done: mpsc::UnboundedSender<(Instant, Done)>,
}

impl RuntimeApi {
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (events, served_events) = mpsc::unbounded_channel();
        let (served_done, done) = mpsc::unbounded_channel();
        let served = Arc::new(Served {
            events: Mutex::new(served_events),
            done: served_done,
        });
        let mut server = JoinSet::new();
        server.spawn(serve(listener, served));
        Ok(Self {
            address,
            events,
            done,
            _server: server,
        })
    }

    /// Waits until the process asks for an event, and returns when it did.
    pub(super) async fn asked(&mut self) -> Result<Instant> {
        match self.next().await? {
            (at, Done::Asked) => Ok(at),
            (_, done) => Err(format!("the process did not ask for an event, it {done}").into()),
        }
    }

    /// Gives the process an event, for which it has asked, and reads its response.
    pub(super) async fn invoke(&mut self, event: String) -> Result<Invocation> {
        let given = Instant::now();
        self.events.send(event)?;
        let (mut parts, mut prelude) = (Vec::new(), Some(Vec::new()));
        loop {
            match self.next().await? {
                (at, Done::Sent(bytes)) => match &mut prelude {
                    None => parts.push((at, bytes)),
                    Some(seen) => {
                        seen.extend_from_slice(&bytes);
                        if let Some(body) = after_prelude(seen) {
                            parts.extend((!body.is_empty()).then_some((at, body)));
                            prelude = None;
                        }
                    }
                },
                (ended, Done::Ended) => {
                    let whole = prelude.filter(|seen| !seen.is_empty());
                    parts.extend(whole.map(|seen| (ended, Bytes::from(seen))));
                    return Ok(Invocation {
                        given,
                        parts,
                        ended,
                    });
                }
                (_, done) => return Err(format!("the process did not respond, it {done}").into()),
            }
        }
    }

    async fn next(&mut self) -> Result<(Instant, Done)> {
        let done = tokio::time::timeout(LIMIT, self.done.recv()).await;
        let done = done.map_err(|_| "the process has hung, or ended; see what it printed")?;
        Ok(done.ok_or("the Runtime API has ended")?)
    }
}

/// The client's bytes: those after eight zeros.
fn after_prelude(bytes: &[u8]) -> Option<Bytes> {
    let at = bytes.windows(8).position(|window| window == [0; 8])?;
    Some(Bytes::copy_from_slice(&bytes[at + 8..]))
}

async fn serve(listener: TcpListener, served: Arc<Served>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let served = Arc::clone(&served);
        connections.spawn(async move {
            let service = service_fn(|request| served.route(request));
            // A connection that breaks is noticed where the end of the process is awaited.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Served {
    async fn route(
        &self,
        request: Request<Incoming>,
    ) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
        let (parts, mut body) = request.into_parts();
        let path = parts.uri.path();
        if parts.method == Method::GET && path.ends_with("/invocation/next") {
            self.tell(Done::Asked);
            return Ok(self.event().await);
        }
        let response = path.ends_with("/response");
        let mut text = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(bytes)) if response => self.tell(Done::Sent(bytes)),
                Ok(Ok(bytes)) => text.extend_from_slice(&bytes),
                Ok(Err(_)) => {}
                Err(error) => text.extend_from_slice(error.to_string().as_bytes()),
            }
        }
        self.tell(match response && text.is_empty() {
            true => Done::Ended,
            false => Done::Failed(String::from_utf8_lossy(&text).into_owned()),
        });
        let mut accepted = Response::new(Full::from(r#"{"status":"OK"}"#));
        *accepted.status_mut() = StatusCode::ACCEPTED;
        Ok(accepted)
    }

    fn tell(&self, done: Done) {
        // It fails if the benchmark does not wait any more.
        let _ = self.done.send((Instant::now(), done));
    }

    /// The next event, once there is one.
    async fn event(&self) -> Response<Full<Bytes>> {
        let event = self.events.lock().await.recv().await.unwrap_or_default();
        let deadline = SystemTime::now() + TIMEOUT;
        let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut response = Response::new(Full::from(event));
        let headers = [
            // Without it, the addon of `aws-lambda-ric` reads a null pointer.
            ("content-type", "application/json".to_owned()),
            (
                "lambda-runtime-aws-request-id",
                "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned(),
            ),
            (
                "lambda-runtime-deadline-ms",
                deadline.as_millis().to_string(),
            ),
            (
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:us-east-1:123456789012:function:stream".to_owned(),
            ),
        ];
        for (name, value) in headers {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}
