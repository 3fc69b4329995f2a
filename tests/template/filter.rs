//! The filter that the template makes of `OrderKey` is that of the code, and admits each record of an order.

use aws_lambda_events::event::dynamodb::EventRecord;
use local::event_source::admits;
use order_status_stream::projector::{OrderKey, Poison};
use proptest::prelude::*;
use serde_json::{Value, json};

use dashboard::template::Template;

const STREAM: &str =
    "arn:aws:dynamodb:eu-west-1:123456789012:table/Shop/stream/2026-11-22T00:00:00.000";

/// The pattern of the mapping's only filter. `None` if it has no filter.
fn of_template(template: &Template, order_key: &str) -> Option<Value> {
    let given = [("OrderKey", order_key), ("OrdersStreamArn", STREAM)];
    let values = template.with_defaults(&given);
    assert_eq!(template.refusals(&values), [JWKS_IS_NEEDED], "{order_key}");
    let criteria = template
        .at("Resources/ProjectorFunction/Properties/Events/Orders/Properties/FilterCriteria");
    let criteria = template.value(criteria, &values);
    if criteria == json!("AWS::NoValue") {
        return None;
    }
    let filters = criteria["Filters"].as_array().unwrap();
    assert_eq!(
        filters.len(),
        1,
        "a record is admitted if one of them admits it"
    );
    Some(serde_json::from_str(filters[0]["Pattern"].as_str().unwrap()).unwrap())
}

const JWKS_IS_NEEDED: &str = "Access is jwt, so Jwks or JwksUrl is needed. Choose open only if everybody who knows an order's id may watch it.";

#[track_caller]
fn check(order_key: &str, expected: &Value) {
    let template = Template::read();
    let filter = of_template(&template, order_key);
    assert_eq!(
        filter,
        OrderKey::parse(order_key).unwrap().filter(),
        "{order_key}"
    );
    assert_eq!(filter.unwrap_or_default(), *expected, "{order_key}");
}

#[test]
fn the_filter_has_the_text_before_the_first_placeholder_of_each_key() {
    let keys = |keys: Value| json!({ "dynamodb": { "Keys": keys } });
    let prefix = |prefix: &str| json!({ "S": [{ "prefix": prefix }] });
    check(
        "PK=ORDER#{orderId}",
        &keys(json!({ "PK": prefix("ORDER#") })),
    );
    check(
        "PK=CUSTOMER#{customerId},SK=ORDER#{orderId}",
        &keys(json!({ "PK": prefix("CUSTOMER#"), "SK": prefix("ORDER#") })),
    );
    check(
        "PK={orderId},SK=META",
        &keys(json!({ "SK": prefix("META") })),
    );
    check(
        "PK=orders,SK={orderId}",
        &keys(json!({ "PK": prefix("orders") })),
    );
    check("userId={userId},orderId={orderId}", &Value::Null);
    check("id={orderId}", &Value::Null);
}

/// A table whose whole key is the id is deployed as before there was a filter.
#[test]
fn without_an_order_key_there_is_no_filter() {
    let template = Template::read();
    let criteria = template
        .at("Resources/ProjectorFunction/Properties/Events/Orders/Properties/FilterCriteria");
    let values = template.with_defaults(&[]);
    assert_eq!(template.value(criteria, &values), json!("AWS::NoValue"));
    assert_eq!(OrderKey::whole("orderId").filter(), None);
}

fn any_pattern() -> impl Strategy<Value = String> {
    let text = "[A-Z#:_é -]{1,4}";
    let parts = prop::collection::vec(text, 1..3);
    (parts, any::<bool>(), any::<bool>(), "[+]?").prop_map(|(texts, starts, ends, plus)| {
        let names = ["{a}", &format!("{{b{plus}}}")];
        let mut pattern = String::new();
        if starts {
            pattern.push_str("{orderId}");
        }
        for (text, name) in texts.iter().zip(names) {
            pattern.push_str(&format!("{text}{name}"));
        }
        if ends {
            pattern.push('#');
        }
        pattern.trim().to_owned()
    })
}

/// Often with an id in both keys, in one, or alone.
fn any_order_key() -> impl Strategy<Value = String> {
    prop_oneof![
        any_pattern().prop_map(|sort| format!("PK=ORDER#{{orderId}},S K={sort}")),
        any_pattern().prop_map(|partition| format!("PK={partition},SK={{orderId}}")),
        any_pattern().prop_map(|partition| format!("pk={partition}x{{orderId}}")),
        (any_pattern(), "[A-Z]{1,4}")
            .prop_map(|(partition, sort)| format!("pk={partition},sk={sort}#{{orderId+}}")),
    ]
}

/// A key that often matches: the pattern's text, with texts in place of the placeholders.
fn key_of(pattern: &str, values: &[String]) -> String {
    let mut values = values.iter().cycle();
    let mut parts = pattern.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |key, part| {
        let text = part.split_once('}').map_or("", |(_, text)| text);
        format!("{key}{}{text}", values.next().unwrap())
    })
}

fn record(keys: &Value, event: &str) -> Value {
    let image = match event {
        "REMOVE" => json!({}),
        _ => keys.clone(),
    };
    json!({
        "eventName": event, "eventID": "1", "awsRegion": "eu-west-1", "eventSourceARN": STREAM,
        "dynamodb": {
            "ApproximateCreationDateTime": 1_795_369_200, "Keys": keys, "NewImage": image,
            "SequenceNumber": "1", "SizeBytes": 1, "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_filter_of_the_template_is_that_of_the_code(order_key in any_order_key()) {
        let template = Template::read();
        let key = OrderKey::parse(&order_key);
        prop_assume!(key.is_ok());
        prop_assert_eq!(of_template(&template, &order_key), key.unwrap().filter(), "{}", order_key);
    }

    #[test]
    fn the_filter_admits_each_record_of_an_order(
        order_key in any_order_key(),
        values in prop::collection::vec("[a-z0-9]{1,5}", 1..4),
        number in any::<bool>(),
    ) {
        let key = OrderKey::parse(&order_key);
        prop_assume!(key.is_ok());
        let key = key.unwrap();
        let mut keys = serde_json::Map::new();
        for part in order_key.split(',') {
            let (name, pattern) = part.split_once('=').unwrap();
            let value = match number && pattern.starts_with('{') && pattern.ends_with('}') {
                true => json!({ "N": "7" }),
                false => json!({ "S": key_of(pattern, &values) }),
            };
            keys.insert(name.to_owned(), value);
        }
        for event in ["INSERT", "MODIFY", "REMOVE"] {
            let record = record(&json!(keys), event);
            let read: EventRecord = serde_json::from_value(record.clone()).unwrap();
            // An invalid id is poison, which must be told.
            let is_order = matches!(key.order(&read.change.keys), Ok(Some(_)) | Err(Poison::OrderId { .. }));
            let admitted = key.filter().is_none_or(|filter| admits(&filter, &record).unwrap());
            prop_assert!(admitted || !is_order, "{} {}", order_key, record);
        }
    }
}
