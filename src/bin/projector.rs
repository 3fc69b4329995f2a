//! The function behind the Orders table's stream, or behind a topic of Kafka. It only puts the library together.

use std::process::ExitCode;
use std::time::Duration;

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use order_status_stream::clock::Clock;
use order_status_stream::deadline::Deadline;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::lambda;
use order_status_stream::projector::{Input, Projector};
use order_status_stream::settings::ProjectorSettings;
use order_status_stream::telemetry;

/// The longest timeout that Lambda lets a function have.
const MAX_INVOCATION: Duration = Duration::from_secs(900);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    telemetry::start(variable);
    lambda::exit_code(run(variable).await)
}

async fn run(variable: impl Fn(&str) -> Option<String>) -> Result<(), Error> {
    let settings = ProjectorSettings::read(variable)?;
    let publisher = settings.publisher()?;
    let metrics = settings.metrics.start(telemetry::write_metrics);
    let feed = DynamoDbFeed::connect(settings.feed_table).await;
    feed.prepare(lambda::PREPARE_LIMIT).await;
    let projector = Projector::new(feed, settings.rules, settings.retention);
    let projector = projector.with_publisher(publisher).with_metrics(metrics);
    let projector = &projector.with_topic_generation(settings.topic_generation);
    lambda_runtime::run(service_fn(|event: LambdaEvent<Input>| async move {
        lambda::notice_closed_connections().await;
        let clock = Clock::system();
        let deadline = Deadline::at(event.context.deadline, &clock);
        let end = deadline.end(clock.start() + MAX_INVOCATION);
        match &event.payload {
            Input::Stream(batch) => Ok(projector.project(batch, &clock, end).await),
            Input::Kafka(batch) => {
                projector.project_kafka(batch, &clock, end).await?;
                Ok::<_, Error>(DynamoDbEventResponse::default())
            }
        }
    }))
    .await
}
