//! The Function URL, or a REST API in its place: it accepts requests and streams responses,
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>, `InvokeMode` `RESPONSE_STREAM`.

pub(crate) mod cors;
mod cutter;
mod event;
pub(crate) mod fault;
pub(crate) mod port;
mod rest_event;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Either, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::invocation::{Invocation, Reading, ResponsePart};
use crate::lock::lock;
use crate::pool::Pool;
use cors::{Cors, is_preflight};
use cutter::{CuttableStream, Cutter};
use fault::{Fault, FaultChooser};

/// Why a client gets no response: its connection is closed instead.
#[derive(Debug, Error)]
enum HostError {
    #[error("connections are refused")]
    Refused,
    #[error(transparent)]
    Request(#[from] hyper::Error),
    #[error(transparent)]
    Event(#[from] serde_json::Error),
    #[error(transparent)]
    Http(#[from] http::Error),
}

type HostResult = Result<Response<Either<StreamedBody, Full<Bytes>>>, HostError>;

/// The Function URL of one function, or the REST API.
pub(crate) struct Host {
    pub(crate) pool: Arc<Pool>,
    /// The stage of the REST API, if there is one.
    pub(crate) stage: Option<String>,
    pub(crate) cors: Option<Cors>,
    pub(crate) faults: Mutex<VecDeque<Fault>>,
    pub(crate) chooser: Mutex<Option<FaultChooser>>,
    /// Whether requests on connections that clients kept open are refused.
    pub(crate) refusing: AtomicBool,
}

/// A client's connection.
struct Connection {
    host: Arc<Host>,
    address: SocketAddr,
    cutter: Cutter,
}

impl Host {
    pub(crate) fn new(pool: Pool, cors: Option<Cors>, stage: Option<String>) -> Self {
        Self {
            pool: Arc::new(pool),
            stage,
            cors,
            faults: Mutex::default(),
            chooser: Mutex::default(),
            refusing: AtomicBool::new(false),
        }
    }

    /// Accepts clients until the future is dropped.
    pub(crate) async fn listen(self: Arc<Self>, listener: TcpListener) {
        loop {
            if let Ok((stream, address)) = listener.accept().await {
                let serving = serve(Arc::clone(&self), stream, address);
                self.pool.context.spawn(serving);
            }
        }
    }

    /// The fault of a request, if it gets one. No lock is held while a chooser runs.
    async fn fault(&self, request: &Parts) -> Option<Fault> {
        let injected = lock(&self.faults).pop_front();
        if injected.is_some() {
            return injected;
        }
        let chooser = lock(&self.chooser).clone();
        chooser?(request).await
    }
}

async fn serve(host: Arc<Host>, stream: TcpStream, address: SocketAddr) {
    // Each chunk must be sent at once. This fails only if the client has left already.
    let _ = stream.set_nodelay(true);
    let (stream, cutter) = CuttableStream::new(stream);
    let connection = Connection {
        host,
        address,
        cutter,
    };
    let service = service_fn(|request| connection.respond(request));
    // It ends with an error if the connection was cut or the client left.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Connection {
    /// Adds CORS headers if the Function URL has CORS. The function's own CORS headers stay: both are sent, and browsers refuse
    /// a header that is there twice.
    async fn respond(&self, request: Request<Incoming>) -> HostResult {
        let Some(cors) = &self.host.cors else {
            return self.invoke(request).await;
        };
        let headers = cors.headers(&request);
        let mut response = match is_preflight(&request) {
            true => Response::new(Either::Right(Full::default())),
            false => self.invoke(request).await?,
        };
        for (name, value) in &headers {
            response.headers_mut().append(name, value.clone());
        }
        Ok(response)
    }

    async fn invoke(&self, request: Request<Incoming>) -> HostResult {
        if self.host.refusing.load(Ordering::Acquire) {
            return Err(HostError::Refused);
        }
        let (request, body) = request.into_parts();
        let (mut rate, mut cut_after) = (None, None);
        match self.host.fault(&request).await {
            Some(Fault::Refuse(status)) => return refuse(status),
            Some(Fault::SlowRead { bytes_per_second }) => rate = Some(bytes_per_second),
            Some(Fault::CutAfter { bytes, reset }) => cut_after = Some((bytes, reset)),
            None => {}
        }
        let body = body.collect().await?.to_bytes();
        let event = match &self.host.stage {
            Some(stage) => rest_event::from_request(&request, &body, self.address, stage),
            None => Some(event::from_request(&request, &body, self.address)),
        };
        let Some(event) = event else {
            return refuse(StatusCode::FORBIDDEN);
        };
        let payload = serde_json::to_vec(&event)?.into();
        let mut parts = Invocation::start(&self.host.pool, payload, Reading::Http(rate));
        let Some(ResponsePart::Head(head)) = parts.recv().await else {
            return refuse(StatusCode::BAD_GATEWAY);
        };
        let mut response = Response::new(Either::Left(StreamedBody {
            parts,
            cut_after,
            cutter: self.cutter.clone(),
        }));
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        Ok(response)
    }
}

/// A response of the platform itself.
fn refuse(status: StatusCode) -> HostResult {
    let message = match status {
        // The platform hides from clients what went wrong.
        StatusCode::BAD_GATEWAY => "Internal Server Error",
        other => other.canonical_reason().unwrap_or_default(),
    };
    let body = serde_json::json!({ "Message": message }).to_string();
    let response = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json");
    Ok(response.body(Either::Right(body.into()))?)
}

/// A response's body on its way to the client.
struct StreamedBody {
    parts: mpsc::Receiver<ResponsePart>,
    /// How many more bytes are sent before the connection is cut, and whether with RST.
    cut_after: Option<(u64, bool)>,
    cutter: Cutter,
}

impl StreamedBody {
    /// Cuts the connection instead of ending the response. The channel is closed so that the invocation sees that the client is
    /// gone.
    fn cut(&mut self, reset: bool) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.parts.close();
        self.cutter.cut(reset);
        Poll::Pending
    }
}

impl Body for StreamedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.cutter.is_cut() {
            return Poll::Pending;
        }
        if let Some((0, reset)) = self.cut_after {
            return self.cut(reset);
        }
        match ready!(self.parts.poll_recv(cx)) {
            Some(ResponsePart::Chunk(mut chunk)) => {
                if let Some((left, _)) = &mut self.cut_after {
                    chunk.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= chunk.len() as u64;
                }
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
            Some(ResponsePart::End(Ok(()))) => Poll::Ready(None),
            Some(ResponsePart::End(Err(_)) | ResponsePart::Head(_)) | None => self.cut(false),
        }
    }
}
