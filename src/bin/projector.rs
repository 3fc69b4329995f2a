//! The function behind the Orders table's stream. Assembly only: see the library.

use std::process::ExitCode;

use aws_lambda_events::event::dynamodb::Event;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use order_status_stream::clock::Clock;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::hold::held_for;
use order_status_stream::projector::Projector;
use order_status_stream::settings::ProjectorSettings;
use order_status_stream::telemetry;

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
    let settings = ProjectorSettings::read(variable)?;
    let feed = DynamoDbFeed::connect(settings.feed_table).await;
    let projector = &Projector::new(feed, settings.rules, settings.retention);
    lambda_runtime::run(service_fn(|event: LambdaEvent<Event>| async move {
        let clock = Clock::system();
        let end =
            clock.start() + held_for(MAX_INVOCATION, clock.remaining(event.context.deadline), 0.0);
        Ok::<_, Error>(projector.project(&event.payload, &clock, end).await)
    }))
    .await
}

/// Lambda's own limit.
const MAX_INVOCATION: std::time::Duration = std::time::Duration::from_secs(900);
