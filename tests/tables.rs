//! Which items of a table are orders, where their values are, and what is told if a setting is wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/records.rs"]
mod records;

use order_status_stream::feed::memory::{Fault, MemoryFeed};
use order_status_stream::metrics::{Count, Metrics};
use order_status_stream::settings::{ProjectorSettings, StreamSettings};
use records::{Logs, log, project, projector, record, remove, sequence_number, statuses, with};
use serde_json::{Value, json};

const NONE: [String; 0] = [];
const CUSTOMERS: (&str, &str) = ("ORDER_KEY", "PK=CUSTOMER#{customerId},SK=ORDER#{orderId}");

/// A record of an item with this key.
fn keyed(keys: &Value, n: u64, status: &str) -> Value {
    let mut record = record("Shop", "replaced", n, status);
    record["dynamodb"]["Keys"] = keys.clone();
    record
}

fn item(partition: &str, sort: &str, n: u64, status: &str) -> Value {
    let keys = json!({ "PK": { "S": partition }, "SK": { "S": sort } });
    keyed(&keys, n, status)
}

fn others(count: u64) -> Vec<Value> {
    let cart = |n| item("CUSTOMER#7", &format!("CART#{n}"), n, "OPEN");
    (1..=count).map(cart).collect()
}

#[tokio::test(start_paused = true)]
async fn an_order_among_other_items() {
    let feed = MemoryFeed::default();
    let metrics = Metrics::default();
    let projector = projector(&feed, &[CUSTOMERS]).with_metrics(metrics.clone());
    let mut removal = remove("Shop", "replaced", 5);
    removal["dynamodb"]["Keys"] =
        item("CUSTOMER#7", "ORDER#A", 5, "GONE")["dynamodb"]["Keys"].clone();
    let records = [
        item("CUSTOMER#7", "ORDER#A", 1, "PLACED"),
        item("CUSTOMER#7", "ORDER#A#ITEM#1", 2, "PACKED"),
        item("CUSTOMER#7", "PROFILE", 3, "GOLD"),
        item("ORDER#A", "CUSTOMER#7", 4, "COPY"),
        removal,
    ];
    assert_eq!(project(&projector, &records).await, NONE);
    assert_eq!(statuses(&feed, "A"), ["PLACED", "REMOVED"]);
    assert_eq!(feed.entries().len(), 2);
    assert_eq!(metrics.of(Count::RecordsOfOtherItems), 3);
    assert_eq!(metrics.of(Count::RecordsPoison), 0);
}

#[tokio::test(start_paused = true)]
async fn a_number_is_a_key_if_the_pattern_is_a_placeholder_alone() {
    let check = async |order_key, keys: Value, expected: &[&str]| {
        let feed = MemoryFeed::default();
        let projector = projector(&feed, &[("ORDER_KEY", order_key)]);
        assert_eq!(project(&projector, &[keyed(&keys, 1, "PAID")]).await, NONE);
        let entries = feed.entries();
        let orders: Vec<_> = entries.iter().map(|entry| entry.order.as_str()).collect();
        assert_eq!(orders, expected, "{order_key} {keys}");
    };
    let number = |number: &str| json!({ "shop": { "S": "eu" }, "id": { "N": number } });
    check("shop={shop},id={orderId}", number("7.0"), &["7"]).await;
    check("shop={shop},id={orderId}", number("12"), &["12"]).await;
    check("shop={shop},id=7{orderId}", number("71"), &[]).await;
    let equal = json!({ "shop": { "S": "7" }, "id": { "N": "7" } });
    check("shop={orderId},id={orderId}", equal, &["7"]).await;
    check("shop={orderId},id={orderId}", number("7"), &[]).await;
}

/// A batch in which no item is an order is normal. A wrong attribute in `ORDER_KEY` is not.
#[tokio::test(start_paused = true)]
async fn a_wrong_key_attribute_blocks_and_a_batch_without_an_order_does_not() {
    let feed = MemoryFeed::default();
    assert_eq!(
        project(&projector(&feed, &[CUSTOMERS]), &others(3)).await,
        NONE
    );
    for (order_key, reason) in [
        (
            "pk=CUSTOMER#{customerId},SK=ORDER#{orderId}",
            "no attribute `pk`: check ORDER_KEY",
        ),
        (
            "PK=CUSTOMER#{orderId}",
            "ORDER_KEY must say which items are orders: its keys are PK, SK",
        ),
    ] {
        let logs = Logs::start();
        let records = [
            item("CUSTOMER#7", "ORDER#A", 1, "PLACED"),
            item("CUSTOMER#7", "ORDER#B", 2, "PLACED"),
        ];
        let failed = project(&projector(&feed, &[("ORDER_KEY", order_key)]), &records).await;
        assert_eq!(failed, [sequence_number(&records[0])]);
        let lines = logs.with("ERROR", "the settings do not fit the records");
        assert!(
            lines[0]["fields"]["reason"]
                .as_str()
                .unwrap()
                .contains(reason),
            "{lines:?}"
        );
    }
}

const NO_MATCH: &str = "no item matches ORDER_KEY";

#[tokio::test(start_paused = true)]
async fn a_pattern_that_no_item_matches_is_told_once() {
    let logs = Logs::start();
    let feed = MemoryFeed::default();
    let projector = projector(&feed, &[CUSTOMERS]);
    assert_eq!(project(&projector, &others(999)).await, NONE);
    assert_eq!(logs.with("ERROR", NO_MATCH), [] as [Value; 0]);
    assert_eq!(project(&projector, &others(1)).await, NONE);
    assert_eq!(project(&projector, &others(2000)).await, NONE);
    let lines = logs.with("ERROR", NO_MATCH);
    assert_eq!(lines.len(), 1, "once in a process");
    assert_eq!(lines[0]["fields"]["order_key"], CUSTOMERS.1);
    assert_eq!(lines[0]["fields"]["records"], 1000);
}

#[tokio::test(start_paused = true)]
async fn a_pattern_that_matched_once_is_right() {
    let logs = Logs::start();
    let feed = MemoryFeed::default();
    let one = [item("CUSTOMER#7", "ORDER#A", 1, "PLACED")];
    let first = projector(&feed, &[CUSTOMERS]);
    assert_eq!(
        project(&first, &[&others(5)[..], &one].concat()).await,
        NONE
    );
    assert_eq!(project(&first, &others(2000)).await, NONE);
    // Also in a new process, which knows it from the feed …
    assert_eq!(
        project(&projector(&feed, &[CUSTOMERS]), &others(2000)).await,
        NONE
    );
    // … and if the feed cannot be read.
    let elsewhere = MemoryFeed::default();
    elsewhere.inject([Some(Fault::Throttled)]);
    assert_eq!(
        project(&projector(&elsewhere, &[CUSTOMERS]), &others(2000)).await,
        NONE
    );
    assert_eq!(logs.with("ERROR", NO_MATCH), [] as [Value; 0]);
    // With another pattern it is told.
    let other = ("ORDER_KEY", "PK=CUSTOMER#{customerId},SK=O#{orderId}");
    assert_eq!(
        project(&projector(&feed, &[other]), &others(2000)).await,
        NONE
    );
    assert_eq!(logs.with("ERROR", NO_MATCH).len(), 1);
}

/// The rest of a key may be private.
#[tokio::test(start_paused = true)]
async fn a_poison_record_is_logged_with_its_order_only() {
    let logs = Logs::start();
    let feed = MemoryFeed::default();
    let email = "CUSTOMER#ada@example.com";
    let mut bad = item(email, "ORDER#B", 2, "PAID");
    bad["dynamodb"]["NewImage"] = json!({ "count": { "N": "7" } });
    let records = [item(email, "ORDER#A", 1, "PLACED"), bad];
    assert_eq!(
        project(&projector(&feed, &[CUSTOMERS]), &records).await,
        NONE
    );
    let lines = logs.with("ERROR", "poison record");
    assert_eq!(lines[0]["fields"]["order"], "B");
    assert!(!json!(lines).to_string().contains("ada"), "{lines:?}");
}

async fn shown(settings: &[(&str, &str)], status: Value) -> Option<(String, bool)> {
    let feed = MemoryFeed::default();
    let records = [with(record("Orders", "A", 1, "PLACED"), "state", status)];
    let settings = [settings, &[("STATUS_ATTRIBUTE", "state")]].concat();
    project(&projector(&feed, &settings), &records).await;
    let entry = log(&feed, "A").pop()?;
    Some((entry.status.as_str().to_owned(), entry.terminal))
}

#[tokio::test(start_paused = true)]
async fn a_status_is_a_string_a_number_or_a_boolean() {
    let status = |status: &str| Some((status.to_owned(), false));
    assert_eq!(shown(&[], json!({ "N": "3.0" })).await, status("3"));
    assert_eq!(shown(&[], json!({ "BOOL": true })).await, status("true"));
    assert_eq!(shown(&[], json!({ "NULL": true })).await, None);
    assert_eq!(shown(&[], json!({ "L": [] })).await, None);

    let names = [(
        "STATUS_NAMES",
        "1=PLACED,2=OUT FOR DELIVERY,true=Delivered,x = Y",
    )];
    assert_eq!(shown(&names, json!({ "N": "1.0" })).await, status("PLACED"));
    assert_eq!(
        shown(&names, json!({ "S": "2" })).await,
        status("OUT FOR DELIVERY")
    );
    assert_eq!(shown(&names, json!({ "S": "x" })).await, status("Y"));
    let delivered = shown(&names, json!({ "BOOL": true })).await;
    assert_eq!(
        delivered,
        Some(("Delivered".to_owned(), true)),
        "the name that is shown is terminal"
    );
}

/// A status without a name may be internal, so it is not shown. If a whole batch has none, the setting is probably wrong: the batch
/// waits for it.
#[tokio::test(start_paused = true)]
async fn a_status_without_a_name_is_told_and_not_shown() {
    let feed = MemoryFeed::default();
    let names = ("STATUS_NAMES", "1=PLACED,2=PAID");
    let state = |id, n, status: &str| {
        with(
            record("Orders", id, n, "X"),
            "status",
            json!({ "N": status }),
        )
    };
    let projector = projector(&feed, &[names]);
    assert_eq!(
        project(&projector, &[state("A", 1, "1"), state("B", 2, "7")]).await,
        NONE
    );
    assert_eq!(
        (statuses(&feed, "A").len(), statuses(&feed, "B").len()),
        (1, 0)
    );
    let logs = Logs::start();
    let batch = [state("A", 3, "7"), state("B", 4, "7")];
    assert_eq!(
        project(&projector, &batch).await,
        [sequence_number(&batch[0])]
    );
    let lines = logs.with("ERROR", "the settings do not fit the records");
    let reason = "the value of `status` has no name: check STATUS_NAMES";
    assert_eq!(lines[0]["fields"]["reason"], reason);
    let more = records::projector(&feed, &[("STATUS_NAMES", "1=PLACED,2=PAID,7=IN CUSTOMS")]);
    assert_eq!(project(&more, &batch).await, NONE);
    assert_eq!(statuses(&feed, "B"), ["IN CUSTOMS"]);
}

/// One order must not block its shard. But names that have never fit any record are probably wrong.
#[tokio::test(start_paused = true)]
async fn an_order_that_is_alone_is_skipped_if_the_names_have_fit_before() {
    let feed = MemoryFeed::default();
    let state = |n, status: &str| {
        with(
            record("Orders", "A", n, "X"),
            "status",
            json!({ "S": status }),
        )
    };
    let names = |names| projector(&feed, &[("STATUS_NAMES", names)]);
    let known = names("placed=PLACED");
    assert_eq!(project(&known, &[state(1, "placed")]).await, NONE);
    let unknown = [state(2, "paid")];
    let logs = Logs::start();
    assert_eq!(project(&known, &unknown).await, NONE);
    assert_eq!(logs.with("ERROR", "poison record").len(), 1);
    // With other names, it waits.
    let wrong = names("1=PLACED,2=PAID");
    assert_eq!(
        project(&wrong, &unknown).await,
        [sequence_number(&unknown[0])]
    );
    assert_eq!(
        project(&names("placed=PLACED,paid=PAID"), &unknown).await,
        NONE
    );
    assert_eq!(statuses(&feed, "A"), ["PLACED", "PAID"]);
}

#[tokio::test(start_paused = true)]
async fn terminal_statuses_are_compared_without_case_and_shown_as_they_are() {
    for (status, terminal) in [
        ("DELIVERED", true),
        ("delivered", true),
        ("Canceled", true),
        ("CANCELED", true),
        ("cancelled", true),
        ("Out for delivery", false),
    ] {
        let found = shown(&[], json!({ "S": status })).await;
        assert_eq!(found, Some((status.to_owned(), terminal)));
    }
    let own = [("TERMINAL_STATUSES", "ZUGESTELLT,Été")];
    assert!(shown(&own, json!({ "S": "zugestellt" })).await.unwrap().1);
    assert!(shown(&own, json!({ "S": "ÉTÉ" })).await.unwrap().1);
    assert!(!shown(&own, json!({ "S": "DELIVERED" })).await.unwrap().1);
}

#[tokio::test(start_paused = true)]
async fn paths_lead_into_an_item_and_names_are_the_publics() {
    let settings = [
        ("STATUS_ATTRIBUTE", "data.states[0].name"),
        ("UPDATED_AT_ATTRIBUTE", "data.times.changed"),
        (
            "PUBLIC_ATTRIBUTES",
            "carrier=shipping.carrier,first=items[0].name,a.b,shipping.weight,absent=data.nothing",
        ),
    ];
    let image = json!({
        "data": { "M": {
            "states": { "L": [{ "M": { "name": { "S": "PAID" } } }, { "S": "PLACED" }] },
            "times": { "M": { "changed": { "S": "2026-11-22T17:40:00Z" } } },
        } },
        "shipping": { "M": { "carrier": { "S": "DHL" }, "weight": { "N": "1.50" }, "address": { "S": "private" } } },
        "items": { "L": [{ "M": { "name": { "S": "Tea" } } }] },
        "a.b": { "S": "a name with a dot" },
    });
    let mut record = record("Orders", "A", 1, "X");
    record["dynamodb"]["NewImage"] = image.clone();
    // What is not shown has changed.
    record["dynamodb"]["OldImage"] = image;
    record["dynamodb"]["OldImage"]["shipping"]["M"]["address"] = json!({ "S": "before" });
    let feed = MemoryFeed::default();
    assert_eq!(project(&projector(&feed, &settings), &[record]).await, NONE);
    let entry = log(&feed, "A").pop().unwrap();
    assert_eq!(
        (entry.status.as_str(), entry.at.as_str()),
        ("PAID", "2026-11-22T17:40:00.000Z")
    );
    let expected = json!({ "carrier": "DHL", "first": "Tea", "a.b": "a name with a dot", "shipping.weight": 1.5 });
    assert_eq!(json!(entry.view), expected);
    assert!(!entry.begins);

    // The stream function filters by the same names.
    let variable = |name: &str| match name {
        "FEED_TABLE" => Some("Feed".to_owned()),
        "ACCESS" => Some("open".to_owned()),
        name => settings
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned()),
    };
    let stream = StreamSettings::read(variable).unwrap();
    let names: Vec<_> = stream
        .public_attributes
        .iter()
        .map(String::as_str)
        .collect();
    assert_eq!(
        names,
        ["a.b", "absent", "carrier", "first", "shipping.weight"]
    );
}

const ABSENT: &str = "no order has these attributes of PUBLIC_ATTRIBUTES";

#[tokio::test(start_paused = true)]
async fn a_public_attribute_that_no_order_has_is_told_once() {
    let logs = Logs::start();
    let feed = MemoryFeed::default();
    let settings = [("PUBLIC_ATTRIBUTES", "eta,carrier=shiping.carrier,note")];
    let projector = projector(&feed, &settings);
    let changes = |from: u64, count: u64| {
        let change = |n| {
            with(
                record("Orders", &format!("A{n}"), n, "PAID"),
                "eta",
                json!({ "S": "18:20" }),
            )
        };
        (from..from + count).map(change).collect::<Vec<_>>()
    };
    let late = with(
        record("Orders", "late", 1, "PAID"),
        "note",
        json!({ "S": "fragile" }),
    );
    assert_eq!(project(&projector, &[late]).await, NONE);
    assert_eq!(project(&projector, &changes(2, 998)).await, NONE);
    assert_eq!(logs.with("WARN", ABSENT), [] as [Value; 0]);
    assert_eq!(project(&projector, &changes(2000, 1500)).await, NONE);
    let lines = logs.with("WARN", ABSENT);
    assert_eq!(lines.len(), 1, "once in a process");
    assert_eq!(lines[0]["fields"]["attributes"], "carrier");
}

/// A batch that comes again has no new changes.
#[tokio::test(start_paused = true)]
async fn changes_that_come_again_are_not_counted_for_that() {
    let logs = Logs::start();
    let feed = MemoryFeed::default();
    let projector = projector(&feed, &[("PUBLIC_ATTRIBUTES", "eta")]);
    let batch: Vec<_> = (1..=600)
        .map(|n| record("Orders", &format!("A{n}"), n, "PAID"))
        .collect();
    feed.inject([Some(Fault::Throttled)]);
    assert_ne!(project(&projector, &batch).await, NONE);
    assert_eq!(project(&projector, &batch).await, NONE);
    assert_eq!(logs.with("WARN", ABSENT), [] as [Value; 0]);
    assert_eq!(project(&projector, &batch[..400]).await, NONE);
    let lines = logs.with("WARN", ABSENT);
    assert_eq!(lines[0]["fields"]["changes"], 1000);
}

#[test]
fn a_wrong_setting_says_what_to_do() {
    let check = |settings: &[(&str, &str)], expected: &str| {
        let variable = |name: &str| match name {
            "FEED_TABLE" => Some("Feed".to_owned()),
            name => settings
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned()),
        };
        let error = ProjectorSettings::read(variable).unwrap_err().to_string();
        assert_eq!(error, format!("invalid environment: {expected}"));
    };
    let key = |value, reason: &str| {
        check(
            &[("ORDER_KEY", value)],
            &format!("ORDER_KEY is {value:?}: {reason}"),
        )
    };
    key(
        "PK",
        "\"PK\" must be an attribute, = and a pattern, such as PK=ORDER#{orderId}",
    );
    key(
        "PK={orderId}, SK=META",
        "\" SK\" must not begin or end with a space",
    );
    key(
        "PK=ORDER#{id}",
        "it must contain {orderId}, which stands for the order's id",
    );
    key(
        "PK={orderId},PK=META",
        "its two parts must have different attributes",
    );
    key("PK={orderId", "the pattern of PK has { without }");
    key(
        "A={orderId},B={b},C={c}",
        "it must have at most two parts, of the partition key and of the sort key, such as PK=CUSTOMER#{customerId},SK=ORDER#{orderId}",
    );
    check(
        &[("ORDER_KEY", "PK={orderId}"), ("ORDER_ID_ATTRIBUTE", "id")],
        "ORDER_KEY and ORDER_ID_ATTRIBUTE are both set. Set only one of them",
    );
    let form = "it must be an attribute, or a placeholder of ORDER_KEY other than {orderId}";
    for (value, reason) in [
        ("{orderId}", form),
        ("{}", form),
        ("{customerId+}", form),
        ("{shopId}", "ORDER_KEY has no placeholder {shopId}"),
    ] {
        let key = ("ORDER_KEY", "PK=CUSTOMER#{customerId},SK={orderId}");
        check(
            &[key, ("CUSTOMER_ATTRIBUTE", value)],
            &format!("CUSTOMER_ATTRIBUTE is {value:?}: {reason}"),
        );
    }
    check(
        &[("PUBLIC_ATTRIBUTES", "[\"eta\"]")],
        "PUBLIC_ATTRIBUTES is \"[\\\"eta\\\"]\", it must be names or paths on one line, separated by commas, such as eta,carrier=shipping.carrier, without quotes",
    );
    for text in ["a[0]=a[0]", "a[0]=b", "=a"] {
        check(
            &[("PUBLIC_ATTRIBUTES", text)],
            &format!(
                "PUBLIC_ATTRIBUTES is {text:?}, it must be names or paths on one line, separated by commas, such as eta,carrier=shipping.carrier, without quotes"
            ),
        );
    }
    check(
        &[("PUBLIC_ATTRIBUTES", "a=b,a=c")],
        "PUBLIC_ATTRIBUTES contains \"a\" twice",
    );
    check(
        &[("STATUS_NAMES", "1")],
        "STATUS_NAMES is \"1\", it must be values and names on one line, separated by commas, such as 1=PLACED,2=PAID, without quotes and brackets",
    );
}
