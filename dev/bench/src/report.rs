//! One table of all rows, in Markdown that is readable in a terminal too.

use std::thread;
use std::time::SystemTime;

use crate::rows::Row;

/// What a reader must know to judge the numbers.
const METHOD: &str = include_str!("method.md");

const HEADER: [&str; 5] = ["", "order-status-stream", "other", "ratio", ""];

/// The table of these rows. The rows of a group stand together, in the order in which the groups first appear.
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec![HEADER.map(str::to_owned)];
    let mut groups: Vec<&str> = Vec::new();
    for row in rows {
        if !groups.contains(&row.group.as_str()) {
            groups.push(&row.group);
        }
    }
    for group in groups {
        lines.push([
            format!("**{group}**"),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
        ]);
        lines.extend(rows.iter().filter(|row| row.group == group).flat_map(cells));
    }
    aligned(&lines)
}

/// The text of `docs/performance.md`.
pub fn document(table: &str) -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let date = now.split('T').next().unwrap_or_default();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    format!(
        "# Performance\n\nWritten by `make bench` on {date}, on a machine with {cores} cores that ran everything. Not \
         measured on AWS.\n\nThe ratio is ours to theirs, so less is better for us. Where it is above one, the table says \
         that we lose.\n\n{table}\n{METHOD}"
    )
}

/// The lines of a row: one for each of the others, or one.
fn cells(row: &Row) -> Vec<[String; 5]> {
    let what = match row.unit.is_empty() {
        true => row.what.clone(),
        false => format!("{}, {}", row.what, row.unit),
    };
    let ours = row.ours.map(number).unwrap_or_default();
    let skipped = row
        .skipped
        .as_ref()
        .map(|reason| format!("not measured: {reason}"));
    let notes: Vec<&str> = [row.note.as_str(), skipped.as_deref().unwrap_or_default()]
        .into_iter()
        .filter(|note| !note.is_empty())
        .collect();
    let note = notes.join("; ");
    if row.others.is_empty() {
        return vec![[what, ours, String::new(), String::new(), note]];
    }
    let lines = row
        .others
        .iter()
        .enumerate()
        .map(|(place, (name, &value))| {
            let [what, ours, note] = match place {
                0 => [what.clone(), ours.clone(), note.clone()],
                _ => Default::default(),
            };
            let ratio = row.ours.map(|ours| ratio(ours, value)).unwrap_or_default();
            [
                what,
                ours,
                format!("{name}: {}", number(value)),
                ratio,
                note,
            ]
        });
    lines.collect()
}

/// `ours / other`, as a reader says it.
fn ratio(ours: f64, other: f64) -> String {
    let loses = if ours > other { ", we lose" } else { "" };
    match other / ours {
        times if times >= 1.95 => format!("1/{times:.0}"),
        times => format!("{:.*} times{loses}", digits(times.recip()), times.recip()),
    }
}

/// With three digits that count, or all digits before the point.
fn number(value: f64) -> String {
    let digits = digits(value);
    format!("{value:.digits$}")
}

fn digits(value: f64) -> usize {
    match value.abs() {
        0.0 => 0,
        value if value < 0.0995 => 3,
        value if value < 0.995 => 2,
        value if value < 99.5 => 1,
        _ => 0,
    }
}

/// A Markdown table whose columns stand under each other.
pub(crate) fn aligned(lines: &[[String; 5]]) -> String {
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    for (place, line) in lines.iter().enumerate() {
        let cells = line
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("| {cell:width$} "));
        text.extend(cells);
        text.push_str("|\n");
        if place == 0 {
            text.extend(widths.map(|width| format!("| {} ", "-".repeat(width.max(3)))));
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_said_as_a_reader_says_them() {
        let cases = [
            (231.0, 5123.0, "1/22"),
            (1.0, 1.9, "0.53 times"),
            (10.0, 10.0, "1.0 times"),
            (7.0, 5.0, "1.4 times, we lose"),
            (500.0, 5.0, "100 times, we lose"),
        ];
        for (ours, other, expected) in cases {
            assert_eq!(ratio(ours, other), expected);
        }
    }

    #[test]
    fn rows_of_a_group_stand_together_and_each_other_has_a_line() {
        let rows = [
            Row::new("cold", "first change", "ms")
                .ours(231.0)
                .other("Node.js", 5123.0)
                .note("TLS"),
            Row::new("fan-out", "receipt, p99", "ms")
                .ours(7.0)
                .other("axum", 5.0)
                .other("nchan", 14.0),
            Row::new("cold", "at 7 %", "ms").skipped("no cgroup"),
            Row::new("cold", "Node.js", "").skipped("no npm"),
        ];
        let expected = "\
|                  | order-status-stream | other         | ratio              |                         |
| ---------------- | ------------------- | ------------- | ------------------ | ----------------------- |
| **cold**         |                     |               |                    |                         |
| first change, ms | 231                 | Node.js: 5123 | 1/22               | TLS                     |
| at 7 %, ms       |                     |               |                    | not measured: no cgroup |
| Node.js          |                     |               |                    | not measured: no npm    |
| **fan-out**      |                     |               |                    |                         |
| receipt, p99, ms | 7.0                 | axum: 5.0     | 1.4 times, we lose |                         |
|                  |                     | nchan: 14.0   | 1/2                |                         |
";
        assert_eq!(table(&rows), expected);
    }
}
