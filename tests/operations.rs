//! `docs/operations.md` says what the functions count, and what to do about each alarm.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use dashboard::template::Template;
use order_status_stream::metrics::{Count, Delay};

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The metrics and their units.
fn metrics() -> BTreeSet<(String, String)> {
    let counts = Count::ALL.into_iter().map(|it| (it.name(), it.unit()));
    let delays = Delay::ALL.into_iter().map(|it| (it.name(), it.unit()));
    let all = counts.chain(delays);
    all.map(|(name, unit)| (name.to_owned(), unit.name().to_owned()))
        .collect()
}

#[test]
fn the_table_lists_exactly_the_metrics_that_are_written() {
    let docs = read("docs/operations.md");
    let section = docs.split("\n## Metrics\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let listed: BTreeSet<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            (cells[1].replace('`', ""), cells[2].to_owned())
        })
        .collect();
    assert_eq!(listed, metrics());
}

/// The resources of the template of a type, by name, with their lines.
fn resources(of_type: &str) -> Vec<(String, String)> {
    let template = read("template.yaml");
    let resources = template.split("\nResources:\n").nth(1).unwrap();
    let resources = resources.split("\nOutputs:\n").next().unwrap();
    let mut found = Vec::new();
    for line in resources.lines() {
        let name = line
            .strip_prefix("  ")
            .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
            .and_then(|line| line.strip_suffix(':'));
        match (name, found.last_mut()) {
            (Some(name), _) => found.push((name.to_owned(), String::new())),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    found.retain(|(_, text)| text.contains(&format!("    Type: {of_type}\n")));
    found
}

#[test]
fn each_alarm_has_a_section_with_something_to_do() {
    let docs = read("docs/operations.md");
    let alarms = docs.split("\n## Alarms\n").nth(1).unwrap();
    let alarms = alarms.split("\n## ").next().unwrap();
    let sections: Vec<_> = alarms.split("\n### ").skip(1).collect();
    let described = sections.iter().map(|section| {
        let title = section.lines().next().unwrap();
        // Something is said, and a command, another section or a parameter is named.
        assert!(section.len() > 150 && section.contains('`'), "{title}");
        title.replace('`', "")
    });
    let described: BTreeSet<_> = described.collect();
    let alarms = resources("AWS::CloudWatch::Alarm");
    assert!(alarms.len() > 15);
    assert_eq!(described, alarms.into_iter().map(|it| it.0).collect());
    // A link to a section names it.
    for link in docs.split("](#").skip(1) {
        let anchor = link.split(')').next().unwrap();
        let titles = docs.lines().filter(|line| line.starts_with('#'));
        let mut anchors = titles.map(|title| {
            let title = title.trim_start_matches('#').trim().to_lowercase();
            title.replace('`', "").replace(' ', "-")
        });
        assert!(anchors.any(|known| known == anchor), "#{anchor}");
    }
}

#[test]
fn alarms_and_the_dashboard_use_metrics_that_are_written() {
    let written: BTreeSet<_> = metrics().into_iter().map(|(name, _)| name).collect();
    let mut used = 0;
    let template = read("template.yaml");
    let lines: Vec<_> = template.lines().map(str::trim).collect();
    for (line, next) in lines.iter().zip(&lines[1..]) {
        let of_alarm = next.strip_prefix("MetricName: ");
        let of_alarm = of_alarm.filter(|_| line.ends_with("Namespace: OrderStatusStream"));
        let of_dashboard = line.strip_prefix("[\"OrderStatusStream\", \"");
        let of_dashboard = of_dashboard.and_then(|rest| rest.split('"').next());
        if let Some(name) = of_alarm.or(of_dashboard) {
            used += 1;
            assert!(written.contains(name), "no function writes {name}");
        }
    }
    let named = template.matches("OrderStatusStream").count();
    assert_eq!(used, named, "a use in another form is not checked");
    assert!(used > 5);
}

#[test]
fn the_commands_name_what_the_template_and_the_logs_have() {
    let (docs, template) = (read("docs/operations.md"), Template::read());
    let is_separator = |c: char| c.is_whitespace() || "`\"'()$;|=".contains(c);
    let words: Vec<_> = docs
        .split(is_separator)
        .filter(|it| !it.is_empty())
        .collect();
    let mut named = 0;
    for pair in words.windows(2) {
        let section = match pair[0] {
            "change" | "parameter" => "Parameters",
            "output" => "Outputs",
            "resource" | "errors" => "Resources",
            _ => continue,
        };
        // `NAME` stands for a name.
        let name = pair[1];
        if name.starts_with(|c: char| c.is_ascii_uppercase()) && name != "NAME" {
            named += 1;
            assert!(
                template.at(section).get(name).is_some(),
                "{} {name}",
                pair[0]
            );
        }
    }
    assert!(named > 50, "only {named} names were found");
    assert!(!docs.contains("--orders-table ORDERS"), "it is a variable");

    let code = code(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    for message in docs.split("$.fields.message = \"").skip(1) {
        let message = message.split('"').next().unwrap();
        let known = message.trim_matches('*');
        assert!(code.contains(known), "no log line is {message:?}");
    }
}

/// The text of all files below a folder.
fn code(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap();
    let text = entries.map(|entry| match entry.unwrap().path() {
        path if path.is_dir() => code(&path),
        path => fs::read_to_string(path).unwrap(),
    });
    text.collect()
}
