#![allow(clippy::unwrap_used, reason = "tests")]

use aws_sdk_cloudwatch::operation::get_metric_data::{GetMetricDataInput, GetMetricDataOutput};
use aws_sdk_cloudwatch::types::MetricDataResult;
use aws_smithy_mocks::{mock, mock_client};

use super::*;

fn deployment() -> Deployment {
    Deployment {
        stream_function: "stream".to_owned(),
        projector_function: Some("projector".to_owned()),
        feed_table: "OrderFeed".to_owned(),
        stack: Some("shop".to_owned()),
        memory: 128.0,
        hours: 24,
    }
}

/// What was asked: namespace, metric and dimension of each id.
fn asked(input: &GetMetricDataInput) -> Vec<(String, String, String)> {
    let metric = |query: &MetricDataQuery| {
        let metric = query.metric_stat().unwrap().metric().unwrap();
        (
            query.id().unwrap().to_owned(),
            format!(
                "{}/{}",
                metric.namespace().unwrap(),
                metric.metric_name().unwrap()
            ),
            metric.dimensions()[0].value().unwrap().to_owned(),
        )
    };
    input.metric_data_queries().iter().map(metric).collect()
}

/// Two pages, because CloudWatch may divide its answer. Each query gets 1,000 in each.
#[tokio::test]
async fn the_sums_of_all_pages_are_priced() {
    let page = |token: Option<&str>| {
        let results = (0..8).map(|number| {
            MetricDataResult::builder()
                .id(format!("q{number}"))
                .values(400.0)
                .values(600.0)
                .build()
        });
        GetMetricDataOutput::builder()
            .set_metric_data_results(Some(results.collect()))
            .set_next_token(token.map(str::to_owned))
            .build()
    };
    let first = mock!(Client::get_metric_data)
        .match_requests(|input| input.next_token().is_none())
        .then_output(move || page(Some("more")));
    let second = mock!(Client::get_metric_data)
        .match_requests(|input| input.next_token() == Some("more"))
        .then_output(move || page(None));
    let client = mock_client!(aws_sdk_cloudwatch, [&first, &second]);
    let cost = cost(&client, &deployment(), SystemTime::now())
        .await
        .unwrap();
    // Two functions, two pages.
    assert!((cost.requests - 4_000.0).abs() < 1e-9);
    assert!((cost.gb_seconds - 0.5).abs() < 1e-9);
    assert!((cost.read_units - 2_000.0).abs() < 1e-9);
    assert!((cost.write_units - 2_000.0).abs() < 1e-9);
    let minutes = 4_000.0 / 60_000.0;
    assert!((cost.watched_minutes.unwrap() - minutes).abs() < 1e-9);
    let usd = 4_000.0 * 0.2e-6 + 0.5 * 13.3334e-6 + 2_000.0 * 0.125e-6 + 2_000.0 * 0.625e-6;
    assert!((cost.total_usd - usd).abs() < 1e-9, "{cost}");
    let million = cost.usd_per_million_minutes.unwrap();
    assert!((million - usd / minutes * 1e6).abs() < 1e-6);
}

#[tokio::test]
async fn each_metric_is_asked_of_the_right_part() {
    let rule = mock!(Client::get_metric_data)
        .match_requests(|input| {
            let asked = asked(input);
            let expected = [
                ("AWS/Lambda/Invocations", "stream"),
                ("AWS/Lambda/Duration", "stream"),
                ("AWS/Lambda/Invocations", "projector"),
                ("AWS/Lambda/Duration", "projector"),
                ("AWS/DynamoDB/ConsumedReadCapacityUnits", "OrderFeed"),
                ("AWS/DynamoDB/ConsumedWriteCapacityUnits", "OrderFeed"),
                ("OrderStatusStream/HeldTime", "shop"),
                ("OrderStatusStream/RestTime", "shop"),
            ];
            let hours = input.end_time().unwrap().secs() - input.start_time().unwrap().secs();
            hours == 24 * 3600
                && asked
                    .iter()
                    .map(|(_, metric, of)| (metric.as_str(), of.as_str()))
                    .eq(expected)
        })
        .then_output(|| GetMetricDataOutput::builder().build());
    let client = mock_client!(aws_sdk_cloudwatch, [&rule]);
    let cost = cost(&client, &deployment(), SystemTime::now())
        .await
        .unwrap();
    assert_eq!(cost.watched_minutes, None);
    let text = cost.to_string();
    assert!(
        text.contains("total of 24 hours") && !text.contains("watched"),
        "{text}"
    );
}

#[test]
fn twice_the_memory_costs_twice_the_duration() {
    let sums = Sums {
        milliseconds: 1e9,
        ..Sums::default()
    };
    let of = |memory| {
        let deployment = Deployment {
            memory,
            ..deployment()
        };
        sums.cost(&deployment).duration_usd
    };
    assert!((of(256.0) - 2.0 * of(128.0)).abs() < 1e-9);
}
