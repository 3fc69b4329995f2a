//! The dashboard and the budget.

use std::collections::BTreeSet;

use dashboard::template::Template;
use order_status_stream::metrics::{DIMENSION, NAMESPACE};
use order_status_stream::prices::{READ_UNIT, REQUEST, SECOND};
use serde_json::{Value, json};

/// The dashboard as CloudWatch gets it, with the names of resources in place of their values.
fn widgets() -> Vec<Value> {
    let template = Template::read();
    let body = template.at("Resources/Overview/Properties/DashboardBody");
    let body = template.value(body, &template.with_defaults(&[]));
    let body: Value = serde_json::from_str(body.as_str().unwrap()).unwrap();
    body["widgets"].as_array().unwrap().clone()
}

#[test]
fn it_shows_every_alarm_that_the_stack_always_has() {
    let template = Template::read();
    let resources = template.names("Resources").into_iter();
    let alarms = resources.filter(|name| {
        let resource = template.at(&format!("Resources/{name}"));
        let always = resource
            .get("Condition")
            .is_none_or(|it| it == "HasMetrics");
        resource["Type"] == "AWS::CloudWatch::Alarm" && always
    });
    let alarms: BTreeSet<_> = alarms.map(|name| format!("{name}.Arn")).collect();
    let shown = widgets()[0]["properties"]["alarms"].clone();
    let shown: BTreeSet<String> = serde_json::from_value(shown).unwrap();
    assert_eq!(shown, alarms);
    let conditions = template.at("Conditions/HasDashboard");
    let on = |name: &str| json!({ "Fn::Equals": [{ "Ref": name }, "on"] });
    let both = json!({ "Fn::And": [on("Metrics"), on("Dashboard")] });
    assert_eq!(
        conditions, &both,
        "without metrics, four alarms are missing"
    );
}

#[test]
fn each_graph_has_a_place_of_its_own_and_metrics_of_this_stack() {
    let widgets = widgets();
    let mut taken = BTreeSet::new();
    for widget in &widgets {
        let number = |name: &str| widget[name].as_u64().unwrap();
        for x in number("x")..number("x") + number("width") {
            assert!(x < 24, "{widget}");
            for y in number("y")..number("y") + number("height") {
                assert!(taken.insert((x, y)), "two widgets: {widget}");
            }
        }
    }
    for graph in &widgets[1..] {
        assert_eq!(graph["properties"]["region"], "AWS::Region");
        for metric in graph["properties"]["metrics"].as_array().unwrap() {
            let of_this_stack = match metric[0].as_str() {
                Some(NAMESPACE) => metric[2] == DIMENSION && metric[3] == "AWS::StackName",
                Some(_) => {
                    let of = ["StreamFunction", "ProjectorFunction", "FeedTable"];
                    of.contains(&metric[3].as_str().unwrap())
                }
                None => metric[0]["expression"].is_string(),
            };
            assert!(of_this_stack, "{metric}");
        }
    }
}

#[test]
fn the_cost_has_the_prices_of_the_policy() {
    let widgets = widgets();
    let cost = widgets
        .iter()
        .find(|it| it["properties"]["title"].as_str().unwrap().contains("cost"))
        .unwrap();
    assert_eq!(cost["properties"]["period"], 300, "12 of them are an hour");
    let metrics = cost["properties"]["metrics"].as_array().unwrap();
    let expressions = metrics.iter().filter_map(|it| it[0]["expression"].as_str());
    let a_million = |price: f64| (price * 1e10).round() / 1e4;
    let expected = [
        // A sum has no value while one of its metrics has none, such as the projector's if no order changes.
        format!(
            "12 * {} * (FILL(ms1, 0) + FILL(ms2, 0)) / 1000 / 1000000",
            a_million(SECOND)
        ),
        format!(
            "12 * {:.2} * (FILL(r1, 0) + FILL(r2, 0)) / 1000000",
            a_million(REQUEST)
        ),
        format!("12 * {} * reads / 1000000", a_million(READ_UNIT)),
        // `WRITE_UNIT` of `dev/cost/src/prices.rs`.
        "12 * 0.625 * writes / 1000000".to_owned(),
    ];
    assert_eq!(expressions.collect::<Vec<_>>(), expected);
}

#[test]
fn a_budget_needs_somebody_to_tell() {
    let template = Template::read();
    let given = [("Access", "open"), ("DailyBudget", "5")];
    let refusals = template.refusals(&template.with_defaults(&given));
    assert_eq!(refusals.len(), 1);
    assert!(refusals[0].contains("AlarmTopicArn is needed"));
    let topic = ("AlarmTopicArn", "arn:aws:sns:eu-west-1:123456789012:alarms");
    let given = [given[0], given[1], topic];
    let values = template.with_defaults(&given);
    assert_eq!(template.refusals(&values), Vec::<String>::new());
    let budget = template.at("Resources/Budget/Properties/Budget");
    let filters = json!({ "TagKeyValue": ["user:order-status-stream$AWS::StackName"] });
    assert_eq!(template.value(&budget["CostFilters"], &values), filters);
    let subscribers =
        template.at("Resources/Budget/Properties/NotificationsWithSubscribers/0/Subscribers");
    assert_eq!(template.value(subscribers, &values)[0]["Address"], topic.1);
    let condition = template.at("Resources/Budget/Condition");
    assert_eq!(condition, "HasBudget");
}
