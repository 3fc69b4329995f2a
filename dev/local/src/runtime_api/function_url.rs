//! The Function URL: requests in, streamed responses out.
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>, `InvokeMode` `RESPONSE_STREAM`.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Either, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::{
    Fault, Shared,
    connection::{Connection, Knife},
    cors::is_preflight,
    event,
    invocation::Part,
    lock,
};

/// The client's connection is dropped instead of answered.
#[derive(Debug, Error)]
enum HangUp {
    #[error("connections are refused")]
    Refused,
    #[error(transparent)]
    Request(#[from] hyper::Error),
    #[error(transparent)]
    Event(#[from] serde_json::Error),
    #[error(transparent)]
    Http(#[from] http::Error),
}

type Reply = Result<Response<Either<StreamedBody, Full<Bytes>>>, HangUp>;

/// Accepts clients for as long as it is polled.
pub(super) async fn listen(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        if let Ok((stream, client)) = listener.accept().await {
            shared.spawn(serve(shared.clone(), stream, client));
        }
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream, client: SocketAddr) {
    // Each chunk is to leave at once. It fails only where the client has left already.
    let _ = stream.set_nodelay(true);
    let (connection, knife) = Connection::new(stream);
    let service = service_fn(|request| answer(&shared, request, client, knife.clone()));
    // It ends with an error where the connection was cut, or the client left.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(connection), service)
        .await;
}

/// Adds CORS where the Function URL has it. What the function says of it stays: both owners are heard, and browsers refuse
/// a header that is there twice.
async fn answer(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
    client: SocketAddr,
    knife: Knife,
) -> Reply {
    let Some(cors) = &shared.settings.cors else {
        return respond(shared, request, client, knife).await;
    };
    let headers = cors.headers(&request);
    let mut reply = match is_preflight(&request) {
        true => Response::new(Either::Right(Full::default())),
        false => respond(shared, request, client, knife).await?,
    };
    for (name, value) in &headers {
        reply.headers_mut().append(name, value.clone());
    }
    Ok(reply)
}

async fn respond(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
    client: SocketAddr,
    knife: Knife,
) -> Reply {
    if shared.refusing.load(Ordering::Acquire) {
        return Err(HangUp::Refused);
    }
    let (parts, body) = request.into_parts();
    let fault = fault(shared, &parts).await;
    let (mut bytes_per_second, mut cut_after) = (None, None);
    match fault {
        Some(Fault::Refuse(status)) => return refuse(status),
        Some(Fault::SlowRead {
            bytes_per_second: rate,
        }) => bytes_per_second = Some(rate),
        Some(Fault::CutAfter { bytes, reset }) => cut_after = Some((bytes, reset)),
        None => {}
    }
    let event = event::from_request(&parts, &body.collect().await?.to_bytes(), client);
    let mut response = shared.invoke(serde_json::to_vec(&event)?.into(), bytes_per_second);
    let Some(Part::Begin(head)) = response.recv().await else {
        return refuse(StatusCode::BAD_GATEWAY);
    };
    let mut reply = Response::new(Either::Left(StreamedBody {
        response,
        cut_after,
        knife,
    }));
    *reply.status_mut() = head.status;
    *reply.headers_mut() = head.headers;
    Ok(reply)
}

/// What befalls a request. No lock is held while a chooser takes its time.
async fn fault(shared: &Shared, request: &Parts) -> Option<Fault> {
    let injected = lock(&shared.faults).pop_front();
    if injected.is_some() {
        return injected;
    }
    let chooser = lock(&shared.chooser).clone();
    chooser?(request).await
}

/// An answer of the platform's own.
fn refuse(status: StatusCode) -> Reply {
    let message = match status {
        // What a client sees of whatever went wrong inside.
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
    response: mpsc::Receiver<Part>,
    /// How many more bytes before the connection is cut, and whether by RST.
    cut_after: Option<(u64, bool)>,
    knife: Knife,
}

impl StreamedBody {
    /// Ends the connection in place of the response. Closing the channel is how the invocation sees that the client is gone.
    fn cut(&mut self, reset: bool) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.response.close();
        self.knife.cut(reset);
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
        if self.knife.is_used() {
            return Poll::Pending;
        }
        if let Some((0, reset)) = self.cut_after {
            return self.cut(reset);
        }
        match std::task::ready!(self.response.poll_recv(cx)) {
            Some(Part::Chunk(mut chunk)) => {
                if let Some((left, _)) = &mut self.cut_after {
                    chunk.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= chunk.len() as u64;
                }
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
            Some(Part::End(Ok(()))) => Poll::Ready(None),
            Some(Part::End(Err(_)) | Part::Begin(_)) | None => self.cut(false),
        }
    }
}
