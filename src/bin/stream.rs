//! The function that answers requests. It only puts the library together.

use std::process::ExitCode;
use std::sync::Arc;

use lambda_runtime::layers::TracingLayer;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use order_status_stream::clock::Clock;
use order_status_stream::endpoint::Endpoint;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::invocation::Invocation;
use order_status_stream::lambda::nodelay::{self, NoDelay};
use order_status_stream::lambda::{self, DeliveryLayer, EventTextLayer};
use order_status_stream::settings::StreamSettings;
use order_status_stream::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    telemetry::start(variable);
    lambda::exit_code(run(variable).await)
}

async fn run(variable: impl Fn(&str) -> Option<String>) -> Result<(), Error> {
    let settings = StreamSettings::read(&variable)?;
    let runtime_api = variable("AWS_LAMBDA_RUNTIME_API");
    let address = runtime_api.as_deref().and_then(nodelay::address);
    let nodelay = address.map(NoDelay::new);
    let metrics = settings.metrics.start(telemetry::write_metrics);
    let feed = DynamoDbFeed::connect(settings.feed_table.clone()).await;
    let wake = settings.wake()?;
    let endpoint = Endpoint::new(feed, settings).with_wake(wake);
    let endpoint = Arc::new(endpoint.with_metrics(metrics.clone()));
    endpoint
        .prepare(lambda::PREPARE_LIMIT, &Clock::system())
        .await;
    let service = service_fn(move |event: LambdaEvent<String>| {
        let endpoint = Arc::clone(&endpoint);
        let nodelay = nodelay.clone();
        async move {
            lambda::notice_closed_connections().await;
            let deadline = event.context.deadline;
            let invocation = Invocation::new(Clock::system(), deadline, fastrand::Rng::new());
            // Boxed, because its type is nested deeper than the compiler allows.
            let response = Box::pin(endpoint.respond_to_event(&event.payload, invocation)).await;
            Ok::<_, Error>(lambda::answer(response, nodelay).await)
        }
    });
    Runtime::new(service)
        .layer(EventTextLayer)
        .layer(DeliveryLayer::new(metrics))
        .layer(TracingLayer::new())
        .run_concurrent()
        .await
}
