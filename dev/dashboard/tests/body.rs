//! The dashboard of template.yaml is read whole, and what is not drawn is an error.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use dashboard::body::{Content, Graph, Row, Source, of_template, widgets};
use dashboard::samples::Metric;
use dashboard::statistic::Statistic;
use serde_json::{Value, json};

fn graph(title: &str) -> Graph {
    let widgets = widgets(&of_template("shop")).unwrap();
    let widget = widgets.into_iter().find(|it| it.title.starts_with(title));
    match widget.unwrap().content {
        Content::Graph(graph) => graph,
        Content::Alarms(_) => panic!("not a graph"),
    }
}

fn metric(row: &Row) -> (&Metric, Statistic) {
    match &row.source {
        Source::Metric(metric, statistic) => (metric, *statistic),
        Source::Expression(_) => panic!("an expression"),
    }
}

#[test]
fn every_widget_of_the_template_is_read() {
    let body: Value = serde_json::from_str(&of_template("shop")).unwrap();
    let titles = body["widgets"].as_array().unwrap().iter();
    let titles: Vec<_> = titles
        .map(|it| it["properties"]["title"].as_str().unwrap())
        .collect();
    let read = widgets(&body.to_string()).unwrap();
    assert_eq!(
        read.iter().map(|it| it.title.as_str()).collect::<Vec<_>>(),
        titles
    );
    let Content::Alarms(alarms) = &read[0].content else {
        panic!("the first widget shows the alarms");
    };
    assert!(alarms.contains(&"FeedUnavailableAlarm".to_owned()));
    assert_eq!(
        (read[1].x, read[1].y, read[1].width, read[1].height),
        (0, 3, 12, 6)
    );
}

#[test]
fn references_have_their_values_and_rows_their_options() {
    let late = graph("How late?");
    assert_eq!(
        (late.period, late.stacked, late.unit.as_str()),
        (60, false, "milliseconds")
    );
    let (of, statistic) = metric(&late.rows[2]);
    assert_eq!(
        (of.name.as_str(), of.value.as_str()),
        ("ChangeDelay", "shop")
    );
    assert_eq!(statistic, Statistic::Percentile(99.0));
    assert_eq!(late.rows[2].label, "99 of 100");
    let shown = graph("Are customers");
    assert_eq!(shown.right_unit.as_deref(), Some("check-ins a minute"));
    assert_eq!(
        shown.rows.iter().map(|row| row.right).collect::<Vec<_>>(),
        [false, false, true]
    );
    assert_eq!(metric(&shown.rows[0]).1, Statistic::Sum, "the widget's");
    let feed = graph("How late is the feed?");
    assert_eq!(metric(&feed.rows[2]).0.value, "ProjectorFunction");
    let cost = graph("At what cost?");
    assert_eq!(cost.rows.iter().filter(|row| row.visible).count(), 4);
    assert_eq!(metric(&cost.rows[9]).0.value, "FeedTable");
}

/// The first graph with one property replaced, or added.
fn with(path: &str, value: Value) -> String {
    let mut body: Value = serde_json::from_str(&of_template("shop")).unwrap();
    let (parent, name) = path.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(&format!("/widgets/1{parent}")).unwrap();
    match parent {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        object => object[name] = value,
    }
    body.to_string()
}

#[track_caller]
fn refused(path: &str, value: Value, reason: &str) {
    let error = widgets(&with(path, value)).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
}

#[test]
fn what_is_not_drawn_is_an_error_that_names_it() {
    let row = |options: Value| json!([["OrderStatusStream", "CheckIns", "Stack", "shop", options]]);
    refused("/type", json!("text"), "the type text is not supported");
    refused("/x", json!(13), "within 24 columns");
    refused("/properties/view", json!("gauge"), "unknown field `view`");
    refused(
        "/properties/stat",
        json!("Average"),
        "the statistic Average is not supported",
    );
    refused(
        "/properties/stat",
        json!("p101"),
        "the statistic p101 is not supported",
    );
    refused("/properties/period", json!(0), "the period is 0");
    refused("/properties/yAxis/left/min", json!(5), "must begin at 0");
    refused(
        "/properties/yAxis/left/max",
        json!(5),
        "unknown field `max`",
    );
    let option = |name: &str, value: &str| row(json!({ (name): value }));
    let metrics = "/properties/metrics";
    refused(
        metrics,
        option("yAxis", "middle"),
        "unknown variant `middle`",
    );
    refused(metrics, option("yAxis", "left"), "a right axis needs");
    refused(metrics, option("color2", "red"), "unknown field `color2`");
    refused("/properties/stacked", json!(true), "a right axis needs");
    refused(
        "/properties/metrics",
        json!([[".", "CheckIns", ".", "."]]),
        "is not supported",
    );
    refused(
        "/properties/metrics",
        json!([["OrderStatusStream", "CheckIns"]]),
        "is not supported",
    );
    let expression = json!([[{ "expression": "m1 - m2" }]]);
    let reason = r#"the expression "m1 - m2" is not supported from "- m2" on"#;
    let error = widgets(&with("/properties/metrics", expression)).unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), reason);
    assert!(
        error
            .to_string()
            .contains("Are customers seeing their orders?")
    );
    widgets(&with("/properties/period", json!(60))).unwrap();
}
