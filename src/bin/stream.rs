//! The function behind the Function URL. Assembly only: see the library.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use http::{Response, Uri};
use http_body_util::BodyExt;
use lambda_runtime::layers::TracingLayer;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use order_status_stream::clock::Clock;
use order_status_stream::delivery::DeliveryLayer;
use order_status_stream::endpoint::{Body, Endpoint};
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::runtime::{EventTextLayer, streamed};
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
    let service = service_fn(move |event: LambdaEvent<String>| {
        let endpoint = Arc::clone(&endpoint);
        async move {
            let (deadline, random) = (event.context.deadline, fastrand::Rng::new());
            let response =
                endpoint.respond_to_event(&event.payload, deadline, Clock::system(), random);
            // Boxed, for its type is deeper than the compiler likes to look.
            let response = Box::pin(response).await;
            Ok::<_, Error>(streamed(without_delay(response, runtime_api)))
        }
    });
    Runtime::new(service)
        .layer(EventTextLayer)
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
