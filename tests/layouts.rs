//! Layouts of orders tables that others have published, each with its settings: `events/layouts/`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/records.rs"]
mod records;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use local::event_source::admits;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::metrics::{Count, Metrics};
use order_status_stream::projector::{OrderKey, Projector};
use order_status_stream::settings::{ProjectorSettings, StreamSettings};
use records::{Logs, START, project};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A file of `events/layouts/`. Images are in DynamoDB's JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Layout {
    /// Who has published it.
    source: String,
    /// What was added to it here.
    #[serde(default)]
    note: String,
    settings: BTreeMap<String, String>,
    /// An order's item.
    before: Map<String, Value>,
    /// The same after a write.
    after: Map<String, Value>,
    /// What the page gets.
    change: Change,
    /// Items of the same table that are not orders.
    others: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    order: String,
    previous: String,
    status: String,
    at: String,
    terminal: bool,
    attributes: Value,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("events/layouts")
}

fn layouts() -> BTreeMap<String, Layout> {
    let files = fs::read_dir(folder())
        .unwrap()
        .map(|file| file.unwrap().path());
    files
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let layout = serde_json::from_slice(&fs::read(&path).unwrap());
            let layout = layout.unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, layout)
        })
        .collect()
}

impl Layout {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "FEED_TABLE" => Some("Feed".to_owned()),
            "ACCESS" => Some("open".to_owned()),
            name => self.settings.get(name).cloned(),
        }
    }

    /// A record of one of the table's items. `n` is its time in seconds, and its sequence number.
    fn record(
        &self,
        n: u64,
        old: Option<&Map<String, Value>>,
        new: Option<&Map<String, Value>>,
        key: &OrderKey,
    ) -> Value {
        let image = new.or(old).unwrap();
        let keys: Map<_, _> = key
            .attributes()
            .map(|name| (name.to_owned(), image[name].clone()))
            .collect();
        let event = match (old, new) {
            (None, _) => "INSERT",
            (_, None) => "REMOVE",
            _ => "MODIFY",
        };
        let mut record =
            records::record_of("Shop/stream/2026", "replaced", n, START + n, "replaced");
        record["eventName"] = json!(event);
        record["dynamodb"]["Keys"] = json!(keys);
        record["dynamodb"]["NewImage"] = json!(new.cloned().unwrap_or_default());
        if let Some(old) = old {
            record["dynamodb"]["OldImage"] = json!(old);
        }
        record
    }
}

async fn check(name: &str, layout: &Layout) {
    let settings = ProjectorSettings::read(|name| layout.variable(name)).unwrap();
    let key = settings.rules.key.clone();
    let others = layout.others.iter().zip(10..);
    let others: Vec<_> = others
        .map(|(item, n)| layout.record(n, None, Some(item), &key))
        .collect();
    let orders = [
        layout.record(1, None, Some(&layout.before), &key),
        layout.record(2, Some(&layout.before), Some(&layout.after), &key),
        layout.record(3, Some(&layout.after), None, &key),
    ];
    if let Some(filter) = key.filter() {
        for record in &orders {
            assert_eq!(
                admits(&filter, record),
                Ok(true),
                "{name}: the filter refuses {record}"
            );
        }
    }

    let (feed, metrics, logs) = (MemoryFeed::default(), Metrics::default(), Logs::start());
    let projector = Projector::new(feed.clone(), settings.rules, settings.retention);
    let projector = projector.with_metrics(metrics.clone());
    // The other items come first: they must not look as if the settings were wrong.
    let batch = [&others[..], &orders[..2]].concat();
    assert_eq!(
        project(&projector, &others).await,
        [] as [String; 0],
        "{name}"
    );
    assert_eq!(
        project(&projector, &batch).await,
        [] as [String; 0],
        "{name}"
    );
    let entries = feed.entries();
    assert_eq!(entries.len(), 2, "{name}: {entries:?}");
    let shown = &entries[1];
    let expected = &layout.change;
    assert_eq!(shown.order.as_str(), expected.order, "{name}");
    assert_eq!(
        shown.previous.as_ref().unwrap().as_str(),
        expected.previous,
        "{name}"
    );
    assert_eq!(shown.status.as_str(), expected.status, "{name}");
    assert_eq!(shown.at, expected.at, "{name}");
    assert_eq!(shown.terminal, expected.terminal, "{name}");
    assert_eq!(json!(shown.view), expected.attributes, "{name}");
    assert_eq!(
        metrics.of(Count::RecordsOfOtherItems),
        2 * others.len() as u64,
        "{name}"
    );
    assert_eq!(metrics.of(Count::RecordsPoison), 0, "{name}");
    assert_eq!(
        logs.with("ERROR", "poison record"),
        [] as [Value; 0],
        "{name}"
    );

    // The stream function hides no attribute that the projector shows.
    let stream = StreamSettings::read(|name| layout.variable(name)).unwrap();
    assert!(
        shown
            .view
            .keys()
            .all(|attribute| stream.public_attributes.contains(attribute)),
        "{name}"
    );

    assert_eq!(
        project(&projector, &orders[2..]).await,
        [] as [String; 0],
        "{name}"
    );
    assert_eq!(feed.entries()[2].status.as_str(), "REMOVED", "{name}");
}

#[tokio::test(start_paused = true)]
async fn twenty_published_layouts() {
    let layouts = layouts();
    assert!(layouts.len() >= 20, "{}", layouts.len());
    for (name, layout) in &layouts {
        check(name, layout).await;
    }
}

/// `ADDRESS` or `OWNER/REPOSITORY, FILE`, perhaps with a remark.
fn address(source: &str) -> String {
    let end = |text: &str| text.find([' ', ',', ';']).unwrap_or(text.len());
    let (first, rest) = source.split_at(end(source));
    match first.starts_with("https://") {
        true => first.to_owned(),
        false => {
            let file = rest.trim_start_matches([',', ' ']);
            format!(
                "https://github.com/{first}/blob/HEAD/{}",
                &file[..end(file)]
            )
        }
    }
}

#[test]
fn the_docs_list_each_layout_with_its_source_and_its_settings() {
    let docs = fs::read_to_string(folder().join("../../docs/tables.md")).unwrap();
    for (name, layout) in layouts() {
        let row = docs
            .lines()
            .find(|line| line.contains(&format!("layouts/{name}.json")));
        let row = row.unwrap_or_else(|| panic!("docs/tables.md does not list {name}"));
        assert!(
            !layout.source.is_empty() && layout.note.is_empty() | layout.note.ends_with('.'),
            "{name}"
        );
        let address = address(&layout.source);
        assert!(
            row.contains(&format!("]({address})")),
            "{name}: {address} is not in {row}"
        );
        for (setting, value) in &layout.settings {
            assert!(
                row.contains(&format!("`{setting}={value}`")),
                "{name}: {setting} is not in {row}"
            );
        }
    }
}
