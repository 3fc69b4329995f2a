//! Between `lambda_runtime` and the library: what both functions, or `stream` alone, need of Lambda.
//!
//! - [`EventTextLayer`]: the event as text, whatever it holds.
//! - [`DeliveryLayer`]: one failed response does not affect the others.
//! - [`answer`]: a response as the runtime takes it, streamed or whole.
//! - [`nodelay`]: a socket option that saves 40 ms for each response.

mod delivery;
mod event_text;
pub mod nodelay;
mod whole;

use std::process::ExitCode;
use std::time::Duration;

use http::Response;
use http_body_util::{BodyDataStream, BodyExt};
use lambda_runtime::{Error, FunctionResponse, MetadataPrelude, StreamResponse};
use serde_json::Value;

pub use delivery::{Delivery, DeliveryLayer};
pub use event_text::{EventText, EventTextLayer};

use crate::endpoint::Body;
use crate::request::Invoker;
use nodelay::NoDelay;

/// For what a function reads before its first event. Lambda starts a function again if its Init takes more than 10 s, and an event
/// may be waiting already.
pub const PREPARE_LIMIT: Duration = Duration::from_secs(2);

/// The exit code of a function, and a log line if it stopped because of an error.
pub fn exit_code(result: Result<(), Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "stopped");
            ExitCode::FAILURE
        }
    }
}

/// Lets the connections notice that they were closed, before an event is handled.
///
/// Lambda freezes a process between two events. Meanwhile DynamoDB may have closed the connection, but the next event may be read
/// first. A query over a closed connection fails, and uses up an attempt.
pub async fn notice_closed_connections() {
    // In the first turn, the event loop looks at the sockets. It wakes the tasks of closed connections, but polls the function
    // before them. In the second turn they run.
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
}

/// A response as the runtime takes it: streamed, or whole if the service that invoked the function does not stream.
///
/// To such a service, Lambda would give a streamed response as it is, with status and headers as text before the body.
pub async fn answer(
    response: Response<Body>,
    nodelay: Option<NoDelay>,
) -> FunctionResponse<Value, BodyDataStream<Body>> {
    let invoker = response.extensions().get::<Invoker>().copied();
    match invoker.filter(|invoker| !invoker.streams()) {
        Some(invoker) => FunctionResponse::BufferedResponse(whole::whole(response, invoker).await),
        None => FunctionResponse::StreamingResponse(streamed(response, nodelay)),
    }
}

/// A response as the runtime streams it. With `nodelay`, the connection that the response takes is set to send small chunks
/// without delay.
fn streamed(
    response: Response<Body>,
    mut nodelay: Option<NoDelay>,
) -> StreamResponse<BodyDataStream<Body>> {
    let (parts, body) = response.into_parts();
    // When the first chunk is taken, the connection exists.
    let body = body.map_frame(move |frame| {
        if let Some(nodelay) = nodelay.take() {
            nodelay.begin();
        }
        frame
    });
    StreamResponse {
        metadata_prelude: MetadataPrelude {
            status_code: parts.status,
            headers: parts.headers,
            // The endpoint sets none.
            cookies: Vec::new(),
        },
        stream: body.boxed_unsync().into_data_stream(),
    }
}
