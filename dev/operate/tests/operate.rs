//! The operator's command against an embedded DynamoDB, with the real projector between the tables.
#![allow(clippy::unwrap_used, reason = "tests")]

mod shop;

use std::collections::HashMap;
use std::fs;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use shop::{Shop, laws, summary};

#[tokio::test]
async fn a_backfill_brings_old_orders_into_the_feed_and_can_be_repeated() {
    let shop = Shop::new().await;
    shop.write("A", "PLACED").await;
    shop.project_until("A", "PLACED").await;
    shop.write("B", "PAID").await;

    let (lines, succeeded) = shop.check().await;
    assert_eq!((laws(&lines), succeeded), (vec![("B", "known")], false));

    assert_eq!(
        shop.backfill(&["--dry-run"]).await,
        summary(1, 1, 0, 0, true)
    );
    assert!(!shop.touched("B").await);
    assert_eq!(shop.backfill(&[]).await, summary(1, 1, 0, 0, false));
    assert!(shop.touched("B").await);
    shop.project_until("B", "PAID").await;
    assert_eq!(shop.backfill(&[]).await, summary(0, 2, 0, 0, false));
    assert_eq!(shop.backfill(&["--all"]).await, summary(2, 0, 0, 0, false));

    let (lines, succeeded) = shop.check().await;
    let expected = json!({ "entries": 2, "orders": 2, "findings": 0 });
    assert_eq!((lines, succeeded), (vec![expected], true));
}

#[tokio::test]
async fn a_list_may_contain_ids_that_do_not_exist_or_cannot_exist() {
    let shop = Shop::new().await;
    shop.write("A", "PLACED").await;
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("ids");
    fs::write(&list, " A \n\nnobody\n100%\n").unwrap();
    let summary_of_list = shop.backfill(&["--list", list.to_str().unwrap()]).await;
    assert_eq!(summary_of_list, summary(1, 0, 1, 1, false));
    // A touch creates no order.
    assert!(!shop.touched("nobody").await);
}

/// The documents are those that the stand-in for the event source mapping writes.
#[tokio::test]
async fn the_orders_of_failed_records_are_touched_even_if_they_have_a_log() {
    let shop = Shop::new().await;
    for id in ["A", "B"] {
        shop.write(id, "PLACED").await;
        shop.project_until(id, "PLACED").await;
    }
    let bucket = tempfile::tempdir().unwrap();
    // Each record is given up after its first failure: one of A and one of B.
    shop.give_up(bucket.path(), 2).await;
    shop.write("C", "PLACED").await;
    let bucket = bucket.path().to_str().unwrap();
    let touched = shop.backfill(&["--failed-records", bucket]).await;
    assert_eq!(touched, summary(2, 0, 0, 0, false));
    assert!(shop.touched("A").await && shop.touched("B").await && !shop.touched("C").await);
}

#[tokio::test]
async fn a_backfill_goes_on_after_its_checkpoint() {
    let shop = Shop::new().await;
    let ids = ["A", "B", "C"];
    for id in ids {
        shop.write(id, "PLACED").await;
    }
    let folder = tempfile::tempdir().unwrap();
    let (list, checkpoint) = (folder.path().join("ids"), folder.path().join("checkpoint"));
    fs::write(&list, ids.join("\n")).unwrap();
    let list = list.to_str().unwrap();
    let state = json!({ "of": format!("Orders {list}"), "last": "B" });
    fs::write(&checkpoint, state.to_string()).unwrap();
    let arguments = ["--list", list, "--checkpoint", checkpoint.to_str().unwrap()];
    assert_eq!(shop.backfill(&arguments).await, summary(1, 0, 0, 0, false));
    assert!(shop.touched("C").await && !shop.touched("B").await);
    assert!(
        !checkpoint.exists(),
        "a complete backfill has nothing to continue"
    );

    // A dry run reads the checkpoint, and leaves it.
    fs::write(&checkpoint, state.to_string()).unwrap();
    let dry_run = [&arguments[..], &["--dry-run"]].concat();
    assert_eq!(shop.backfill(&dry_run).await, summary(1, 0, 0, 0, true));
    assert!(checkpoint.exists());

    // A checkpoint of another backfill would skip orders.
    fs::write(&checkpoint, state.to_string()).unwrap();
    let other = ["backfill", "--orders-table", "Orders"];
    let output = shop.operate(&[&other[..], &arguments[2..]].concat()).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not a checkpoint of this backfill"));
}

#[tokio::test]
async fn a_touch_writes_no_attribute_that_the_projector_reads() {
    let shop = Shop::new().await;
    for attribute in ["eta", "status", "orderId", "updatedAt", "customer"] {
        let arguments = [
            "backfill",
            "--orders-table",
            "Orders",
            "--attribute",
            attribute,
        ];
        let output = shop.operate(&arguments).await;
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(attribute));
    }
}

#[tokio::test]
async fn check_finds_what_was_damaged_by_hand() {
    let shop = Shop::new().await;
    for id in ["Cut", "Stale", "Gone", "Fine"] {
        for status in ["PLACED", "PAID", "PACKED"] {
            shop.write(id, status).await;
        }
        shop.project_until(id, "PACKED").await;
    }
    let key = |id: &str, seq: &str| {
        HashMap::from([
            ("order".to_owned(), AttributeValue::S(id.to_owned())),
            ("seq".to_owned(), AttributeValue::N(seq.to_owned())),
        ])
    };
    let feed = || shop.client.delete_item().table_name("OrderFeed");
    feed().set_key(Some(key("Cut", "2"))).send().await.unwrap();
    let put = shop.client.put_item().table_name("OrderFeed");
    put.set_item(Some(key("Alien", "1"))).send().await.unwrap();
    // The projector does not run any more.
    shop.write("Stale", "SHIPPED").await;
    let orders = shop.client.delete_item().table_name("Orders");
    let orders = orders.key("orderId", AttributeValue::S("Gone".to_owned()));
    orders.send().await.unwrap();

    let (lines, succeeded) = shop.check().await;
    let expected = vec![
        ("Alien", "readable"),
        ("Cut", "dense"),
        ("Gone", "exists"),
        ("Stale", "current"),
    ];
    assert_eq!((laws(&lines), succeeded), (expected, false));
}

#[tokio::test]
async fn check_finds_what_was_damaged_in_a_customers_log() {
    let shop = Shop::new().await;
    for id in ["A", "B", "D"] {
        shop.write_of(Some("C"), id, "PLACED").await;
        shop.project_until(id, "PLACED").await;
    }
    shop.write_of(Some("C"), "A", "PAID").await;
    shop.project_until("A", "PAID").await;
    shop.write_of(Some("C"), "E", "DELIVERED").await;
    shop.project_until("E", "DELIVERED").await;
    // A minute has passed since these entries were appended.
    for (log, seq) in [("A", 2), ("B", 1), ("%customer/C", 2), ("%customer/C", 4)] {
        let update = shop.client.update_item().table_name("OrderFeed");
        let update = update.key("order", AttributeValue::S(log.to_owned()));
        let update = update.key("seq", AttributeValue::N(seq.to_string()));
        let update = update.update_expression("SET appendedAt = appendedAt - :minute");
        let minute = AttributeValue::N("61000".to_owned());
        let update = update.expression_attribute_values(":minute", minute);
        update.send().await.unwrap();
    }
    let (lines, succeeded) = shop.check().await;
    assert_eq!((laws(&lines), succeeded), (vec![], true));

    let key = |seq: &str| {
        HashMap::from([
            (
                "order".to_owned(),
                AttributeValue::S("%customer/C".to_owned()),
            ),
            ("seq".to_owned(), AttributeValue::N(seq.to_owned())),
        ])
    };
    let delete = shop.client.delete_item().table_name("OrderFeed");
    delete.set_key(Some(key("2"))).send().await.unwrap();
    let update = shop.client.update_item().table_name("OrderFeed");
    let update = update
        .set_key(Some(key("1")))
        .update_expression("REMOVE expiresAt");
    update.send().await.unwrap();
    let (lines, succeeded) = shop.check().await;
    let expected = vec![
        ("%customer/C", "dense"),
        ("%customer/C", "expires"),
        ("B", "listed"),
    ];
    assert_eq!((laws(&lines), succeeded), (expected, false));
}

#[tokio::test]
async fn show_prints_a_customers_log() {
    let shop = Shop::new().await;
    shop.write_of(Some("C"), "A", "PLACED").await;
    shop.project_until("A", "PLACED").await;
    shop.write_of(Some("D"), "A", "PAID").await;
    shop.project_until("A", "PAID").await;
    let text = String::from_utf8(shop.operate(&["show", "%customer/C"]).await.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[0].contains("A 1  PLACED") && lines[0].ends_with("[superseded]"),
        "{text}"
    );
    assert!(
        lines[1].contains("A 2  ") && lines[1].ends_with("[no longer this customer's]"),
        "{text}"
    );
}

#[tokio::test]
async fn show_and_follow_print_the_log() {
    let shop = Shop::new().await;
    for status in ["PLACED", "DELIVERED"] {
        shop.write("A", status).await;
    }
    shop.project_until("A", "DELIVERED").await;
    for command in ["show", "follow"] {
        let (lines, succeeded) = shop.lines(&[command, "A"]).await;
        let statuses: Vec<_> = lines.iter().map(|line| line["status"].as_str()).collect();
        assert_eq!(statuses, [Some("PLACED"), Some("DELIVERED")]);
        assert!(succeeded);
    }
    let text = String::from_utf8(shop.operate(&["show", "A"]).await.stdout).unwrap();
    assert!(
        text.contains("DELIVERED (was PLACED)  eta=\"18:20\"  [terminal]"),
        "{text}"
    );
    let unknown = shop.operate(&["show", "B"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("B has no log"));
}

/// As in `operate show A | head -1`.
#[tokio::test]
async fn a_reader_that_leaves_ends_the_command_quietly() {
    let shop = Shop::new().await;
    shop.write("A", "PLACED").await;
    shop.project_until("A", "PLACED").await;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = shop.command(&["show", "A"]).stdout(writer).output().await;
    let output = output.unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let shop = Shop::new().await;
    for (arguments, expected) in [
        (
            &["check", "--orders-table", "Nothing"][..],
            "the table's name",
        ),
        (&["show", "100%"], "must not contain"),
        (&["check", "--rate", "0"], "from 0.01"),
    ] {
        let output = shop.operate(arguments).await;
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test]
async fn check_names_an_item_that_is_no_order_and_goes_on_after_an_unreadable_entry() {
    let shop = Shop::new().await;
    for id in ["Broken", "Fine"] {
        shop.write(id, "PLACED").await;
        shop.project_until(id, "PLACED").await;
    }
    let entry = |id: &str| {
        HashMap::from([
            ("order".to_owned(), AttributeValue::S(id.to_owned())),
            ("seq".to_owned(), AttributeValue::N("2".to_owned())),
        ])
    };
    let put = shop.client.put_item().table_name("OrderFeed");
    put.set_item(Some(entry("Broken"))).send().await.unwrap();
    let put = shop.client.put_item().table_name("Orders");
    let put = put.item("orderId", AttributeValue::S("NoStatus".to_owned()));
    put.send().await.unwrap();
    // The projector does not run any more, so this order waits behind the entry that cannot be read.
    shop.write("Broken", "PAID").await;

    let (lines, succeeded) = shop.check().await;
    assert_eq!(
        laws(&lines),
        [("Broken", "readable"), ("NoStatus", "order")]
    );
    assert_eq!(lines.last().unwrap()["findings"], 2);
    assert!(!succeeded);
}
