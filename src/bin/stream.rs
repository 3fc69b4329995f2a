//! The function behind the Function URL. Assembly only: see the library.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use http_body_util::BodyExt;
use lambda_http::http::{Response, Uri};
use lambda_http::lambda_runtime::layers::TracingLayer;
use lambda_http::{Error, Request, service_fn, streaming_runtime_concurrent};
use order_status_stream::clock::Clock;
use order_status_stream::delivery::DeliveryLayer;
use order_status_stream::endpoint::{Body, Endpoint};
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::settings::StreamSettings;
use order_status_stream::{nodelay, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    telemetry::start(variable);
    match run(variable).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "stopped");
            ExitCode::FAILURE
        }
    }
}

async fn run(variable: impl Fn(&str) -> Option<String>) -> Result<(), Error> {
    let settings = StreamSettings::read(&variable)?;
    let runtime_api = variable("AWS_LAMBDA_RUNTIME_API")
        .as_deref()
        .and_then(address);
    let feed = DynamoDbFeed::connect(settings.feed_table.clone()).await;
    let endpoint = Arc::new(Endpoint::new(feed, settings));
    let service = service_fn(move |request: Request| {
        let endpoint = Arc::clone(&endpoint);
        async move {
            // Boxed, for its type is deeper than the compiler likes to look.
            let response = endpoint.respond(&request, Clock::system(), fastrand::Rng::new());
            let response = Box::pin(response).await;
            Ok::<_, Error>(without_delay(response, runtime_api))
        }
    });
    streaming_runtime_concurrent(service)
        .layer(DeliveryLayer)
        .layer(TracingLayer::new())
        .run_concurrent()
        .await
}

/// The Runtime API's address, where it is given by number, as Lambda does.
fn address(runtime_api: &str) -> Option<SocketAddr> {
    runtime_api
        .parse::<Uri>()
        .ok()?
        .authority()?
        .as_str()
        .parse()
        .ok()
}

/// Once the first chunk is on its way, so is the connection that it takes.
fn without_delay(response: Response<Body>, runtime_api: Option<SocketAddr>) -> Response<Body> {
    let mut runtime_api = runtime_api;
    response.map(|body| {
        body.map_frame(move |frame| {
            if let Some(runtime_api) = runtime_api.take() {
                nodelay::set_on_connections_to(runtime_api);
            }
            frame
        })
        .boxed_unsync()
    })
}
