//! From log lines to the lines of a graph, as CloudWatch would compute them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;

use dashboard::body::{Content, of_template, widgets};
use dashboard::expression::{Expression, Points};
use dashboard::graph::{Line, lines};
use dashboard::page::html;
use dashboard::samples::{Metric, Samples};
use dashboard::statistic::Statistic;
use order_status_stream::clock::Clock;
use order_status_stream::metrics::{Count, Delay, Metrics};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// 2026-11-22T17:40:30Z: not the beginning of a minute.
const START: u64 = 1_795_369_230_000;

#[test]
fn statistics_of_a_period() {
    let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
    let cases: [(&str, &[f64], Option<f64>); 11] = [
        ("Sum", &[], None),
        ("Sum", &[1.0, 2.0, 3.5], Some(6.5)),
        ("Maximum", &[], None),
        ("Maximum", &[1.0, 9.0, 3.0], Some(9.0)),
        ("p50", &[], None),
        ("p50", &[7.0], Some(7.0)),
        ("p50", &[3.0, 1.0, 2.0], Some(2.0)),
        ("p50", &hundred, Some(50.0)),
        ("p90", &hundred, Some(90.0)),
        ("p99", &hundred, Some(99.0)),
        ("p0", &hundred, Some(1.0)),
    ];
    for (name, values, expected) in cases {
        let statistic = Statistic::try_from(name.to_owned()).unwrap();
        assert_eq!(
            statistic.of(values.to_vec()),
            expected,
            "{name} of {values:?}"
        );
    }
}

fn points<const N: usize>(points: [(u64, f64); N]) -> Points {
    Points::from(points)
}

#[test]
fn expressions() {
    let rows = BTreeMap::from([
        ("m1".to_owned(), points([(0, 6.0), (1, 9.0)])),
        ("m_2".to_owned(), points([(1, 3.0), (2, 4.0)])),
        ("none".to_owned(), Points::new()),
    ]);
    let cases = [
        ("m1", points([(0, 6.0), (1, 9.0)])),
        ("2 * m1", points([(0, 12.0), (1, 18.0)])),
        ("m1/2/3", points([(0, 1.0), (1, 1.5)])),
        ("12 / m1", points([(0, 2.0), (1, 12.0 / 9.0)])),
        ("1 + 2 * m1", points([(0, 13.0), (1, 19.0)])),
        ("(1 + 2) * m1", points([(0, 18.0), (1, 27.0)])),
        // A period needs a value of every operand.
        ("m1 + m_2", points([(1, 12.0)])),
        ("m1 + none", Points::new()),
        ("FILL(m1, 0)", points([(0, 6.0), (1, 9.0), (2, 0.0)])),
        (
            "FILL( m1 ,0) + FILL(m_2,0.5)",
            points([(0, 6.5), (1, 12.0), (2, 4.0)]),
        ),
        (
            "0.5 * FILL(none, 2)",
            points([(0, 1.0), (1, 1.0), (2, 1.0)]),
        ),
    ];
    for (text, expected) in cases {
        let expression = Expression::parse(text).unwrap();
        assert_eq!(expression.evaluate(&rows, 3).unwrap(), expected, "{text}");
    }
    let unknown = Expression::parse("m1 + other").unwrap();
    assert_eq!(
        unknown.evaluate(&rows, 3).unwrap_err(),
        "no row has the id other"
    );
    let constant = Expression::parse("1 + 1").unwrap();
    assert_eq!(
        constant.evaluate(&rows, 3).unwrap_err(),
        "2 is not a time series"
    );
}

#[test]
fn an_expression_that_is_not_supported_says_where() {
    let cases = [
        ("m1 - m2", "- m2"),
        ("SUM([m1, m2])", "SUM([m1, m2])"),
        ("FILL(m1, REPEAT)", "REPEAT)"),
        ("FILL(m1)", ")"),
        ("(m1", ""),
        ("m1 m2", "m2"),
        ("1..2 * m1", "1..2 * m1"),
        ("m1 > 5", "> 5"),
        ("", ""),
    ];
    for (text, rest) in cases {
        let error = Expression::parse(text).unwrap_err();
        assert_eq!(
            (error.expression.as_str(), error.rest.as_str()),
            (text, rest)
        );
    }
}

fn line(seconds: u64, name: &str, value: serde_json::Value) -> String {
    let directive = json!({
        "Namespace": "OrderStatusStream",
        "Dimensions": [["Stack"]],
        "Metrics": [{ "Name": name, "Unit": "Count" }],
    });
    let metadata = json!({ "Timestamp": START + seconds * 1000, "CloudWatchMetrics": [directive] });
    json!({ "Stack": "shop", name: value, "_aws": metadata }).to_string()
}

fn metric(name: &str) -> Metric {
    Metric {
        namespace: "OrderStatusStream".to_owned(),
        name: name.to_owned(),
        dimension: "Stack".to_owned(),
        value: "shop".to_owned(),
    }
}

#[test]
fn values_are_sorted_into_the_complete_periods_of_the_log() {
    let log = [
        line(70, "CheckIns", json!(5)),
        r#"{"level":"INFO","fields":{"message":"no metrics"}}"#.to_owned(),
        line(0, "CheckIns", json!(1)),
        line(59, "CheckIns", json!(2)),
        line(60, "ChangeDelay", json!([7, 3])),
        line(125, "CheckIns", json!(9)),
    ];
    let samples = Samples::read(&log.join("\n")).unwrap();
    assert_eq!((samples.periods(60), samples.periods(300)), (2, 0));
    let check_ins = samples.by_period(&metric("CheckIns"), 60);
    assert_eq!(
        check_ins,
        BTreeMap::from([(0, vec![1.0, 2.0]), (1, vec![5.0])])
    );
    let delays = samples.by_period(&metric("ChangeDelay"), 60);
    assert_eq!(delays, BTreeMap::from([(1, vec![7.0, 3.0])]));
    assert!(samples.by_period(&metric("Forbidden"), 60).is_empty());
    assert_eq!(Samples::read("").unwrap().periods(60), 0);
}

#[test]
fn a_line_that_cloudwatch_would_ignore_is_an_error() {
    let valid = line(0, "CheckIns", json!(1));
    let broken = [
        (
            valid.replace("\"Stack\":\"shop\"", "\"Other\":\"shop\""),
            "Stack has no value",
        ),
        (
            valid.replace("\"CheckIns\":1", "\"Other\":1"),
            "CheckIns has no value",
        ),
        (line(0, "CheckIns", json!("many")), "CheckIns: "),
        (
            valid.replace("[[\"Stack\"]]", "[[\"Stack\",\"Function\"]]"),
            "one dimension",
        ),
        (
            valid.replace("\"Timestamp\"", "\"Time\""),
            "missing field `Timestamp`",
        ),
        (format!("{valid}}}"), "trailing characters"),
    ];
    for (line, reason) in broken {
        let error = Samples::read(&format!("{valid}\n{line}")).unwrap_err();
        assert_eq!(error.line, 2);
        assert!(error.reason.contains(reason), "{}", error.reason);
    }
}

/// The lines that the functions write are read, and a metric that is drawn has its unit's values.
#[test]
fn the_functions_own_lines_are_read() {
    let written: Arc<Mutex<Vec<String>>> = Arc::default();
    let output = Arc::clone(&written);
    let metrics = Metrics::written("shop", move |line| output.lock().unwrap().push(line));
    metrics.count(Count::CheckIns);
    for millis in [400, 100, 700] {
        metrics.record(Delay::ChangeDelay, Duration::from_millis(millis));
    }
    metrics.flush(&Clock::starting_at(Duration::from_millis(START)));
    let mut log = written.lock().unwrap().clone();
    log.push(line(60, "CheckIns", json!(1)));
    let samples = Samples::read(&log.join("\n")).unwrap();
    assert_eq!(samples.by_period(&metric("CheckIns"), 60)[&0], [1.0]);
    assert_eq!(samples.by_period(&metric("ChangeDelay"), 60)[&0].len(), 3);
    let found = graph("How late?", &samples);
    assert_eq!(
        found.iter().map(|it| it.points[&0]).collect::<Vec<_>>(),
        [400.0, 700.0, 700.0]
    );
}

fn graph(title: &str, samples: &Samples) -> Vec<Line> {
    let widgets = widgets(&of_template("shop")).unwrap();
    let widget = widgets
        .iter()
        .find(|it| it.title.starts_with(title))
        .unwrap();
    match &widget.content {
        Content::Graph(graph) => lines(graph, samples).unwrap(),
        Content::Alarms(_) => panic!("not a graph"),
    }
}

fn of_aws(seconds: u64, namespace: &str, of: (&str, &str), name: &str, value: f64) -> String {
    line(seconds, name, json!(value))
        .replace("OrderStatusStream", namespace)
        .replace("\"Stack\"", &format!("\"{}\"", of.0))
        .replace("\"shop\"", &format!("\"{}\"", of.1))
}

#[test]
fn the_cost_is_that_of_both_functions_also_while_one_is_not_invoked() {
    let stream = ("FunctionName", "StreamFunction");
    let projector = ("FunctionName", "ProjectorFunction");
    let log = [
        of_aws(10, "AWS/Lambda", stream, "Duration", 3e6),
        of_aws(310, "AWS/Lambda", stream, "Duration", 6e6),
        of_aws(320, "AWS/Lambda", projector, "Duration", 4e6),
        of_aws(0, "AWS/Lambda", stream, "Invocations", 1e6),
        line(610, "CheckIns", json!(1)),
    ];
    let cost = graph("At what cost?", &Samples::read(&log.join("\n")).unwrap());
    let time = &cost[0].points;
    assert!((time[&0] - 12.0 * 1.6667 * 3e3 / 1e6).abs() < 1e-9);
    assert!((time[&1] - 12.0 * 1.6667 * 10e3 / 1e6).abs() < 1e-9);
    let unknown: Vec<_> = cost.iter().map(|line| line.only_from_aws).collect();
    assert_eq!(
        unknown,
        [false, true, true, true],
        "the projector's invocations and the table"
    );
}

#[test]
fn the_page_says_what_only_aws_knows_and_what_has_no_value() {
    let log = [
        line(0, "Unauthorized", json!(3)),
        line(61, "Unauthorized", json!(1)),
    ];
    let samples = Samples::read(&log.join("\n")).unwrap();
    let page = html(&widgets(&of_template("shop")).unwrap(), &samples).unwrap();
    assert!(page.contains(">401 no valid token</li>"));
    assert!(page.contains(">403 other orders: none</li>"));
    assert!(page.contains(">429 Lambda's limit: from AWS only</li>"));
    assert!(page.contains("<span>FeedUnavailableAlarm</span>"));
    assert_eq!(page.matches("<svg").count(), 8);
}
