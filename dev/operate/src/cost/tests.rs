#![allow(clippy::unwrap_used, reason = "tests")]

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

/// CloudWatch may divide its answer into pages, and a metric's values too.
#[test]
fn the_sums_of_all_pages_are_priced() {
    let deployment = deployment();
    let queries = queries(&deployment);
    let results = (0..queries.len()).map(|number| {
        MetricDataResult::builder()
            .id(format!("q{number}"))
            .values(400.0)
            .values(600.0)
            .build()
    });
    let page: Vec<_> = results.collect();
    let mut sums = Sums::default();
    sums.add(&queries, &page);
    sums.add(&queries, &page);
    let cost = sums.cost(&deployment);
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

#[test]
fn each_metric_is_asked_of_the_right_part() {
    let deployment = deployment();
    let asked: Vec<_> = queries(&deployment)
        .iter()
        .enumerate()
        .map(|numbered| {
            let query = query(numbered);
            let stat = query.metric_stat().unwrap();
            assert_eq!(stat.stat(), Some("Sum"));
            let metric = stat.metric().unwrap();
            let (namespace, name) = (metric.namespace().unwrap(), metric.metric_name().unwrap());
            let of = metric.dimensions()[0].value().unwrap();
            format!("{} {namespace}/{name} of {of}", query.id().unwrap())
        })
        .collect();
    let expected = [
        "q0 AWS/Lambda/Invocations of stream",
        "q1 AWS/Lambda/Duration of stream",
        "q2 AWS/Lambda/Invocations of projector",
        "q3 AWS/Lambda/Duration of projector",
        "q4 AWS/DynamoDB/ConsumedReadCapacityUnits of OrderFeed",
        "q5 AWS/DynamoDB/ConsumedWriteCapacityUnits of OrderFeed",
        "q6 OrderStatusStream/HeldTime of shop",
        "q7 OrderStatusStream/RestTime of shop",
    ];
    assert_eq!(asked, expected);
}

#[test]
fn without_metrics_of_the_functions_the_price_of_a_minute_is_missing() {
    let cost = Sums::default().cost(&deployment());
    assert_eq!(cost.watched_minutes, None);
    let text = cost.to_string();
    assert!(text.contains("total of 24 hours"), "{text}");
    assert!(!text.contains("watched"), "{text}");
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
