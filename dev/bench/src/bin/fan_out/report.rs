//! The rows of the table, for 64, 1,600 and 10,000 watchers.

use bench::rows::Row;

use super::Result;
use super::measure::{Delays, Own, base_memory, own, shared};
use super::server::Kind;
use super::tools::{open_files, say};

const WATCHERS: [usize; 3] = [64, 1_600, 10_000];

/// Files that a process needs besides its sockets.
const OTHER_FILES: usize = 200;

/// What was measured of a server, or why it was not.
type Measured = (Kind, std::result::Result<(Own, Delays), String>);

/// Measures with these numbers of watchers, or with the usual ones.
pub(crate) async fn run(numbers: &[&str]) -> Result<()> {
    let mut watchers = WATCHERS.to_vec();
    if !numbers.is_empty() {
        let numbers: std::result::Result<_, _> =
            numbers.iter().map(|number| number.parse()).collect();
        watchers = numbers?;
    }
    for streams in watchers {
        let group = format!("fan-out, {streams} watchers");
        let files = open_files()?;
        if files < streams + OTHER_FILES {
            let reason = format!("a process may open {files} files here (ulimit -n)");
            Row::new(&group, "everything", "")
                .skipped(&reason)
                .record()?;
            continue;
        }
        let mut measured = Vec::new();
        for kind in Kind::ALL {
            say(&format!("{group}: {}", kind.name()));
            let result = measure(kind, streams)
                .await
                .map_err(|error| error.to_string());
            say(&format!("{result:?}"));
            measured.push((kind, result));
        }
        for row in rows(&group, &measured) {
            row.record()?;
        }
    }
    Ok(())
}

async fn measure(kind: Kind, streams: usize) -> Result<(Own, Delays)> {
    let base = base_memory(kind).await?;
    let own = own(kind, streams, base).await?;
    let shared = shared(kind, streams).await?;
    Ok((own, shared))
}

fn rows(group: &str, measured: &[Measured]) -> Vec<Row> {
    let row = |what: &str, unit: &str, value: fn(&Own, &Delays) -> f64| {
        let mut row = Row::new(group, what, unit);
        for (kind, result) in measured {
            match (kind, result) {
                (Kind::Ours, Ok((own, shared))) => row = row.ours(value(own, shared)),
                (_, Ok((own, shared))) => row = row.other(kind.name(), value(own, shared)),
                (_, Err(reason)) => row = row.skipped(&format!("{}: {reason}", kind.name())),
            }
        }
        row
    };
    let appended = |of: fn(&Own, &Delays) -> [f64; 2]| match measured.first() {
        Some((Kind::Ours, Ok((own, shared)))) => {
            let [p50, p99] = of(own, shared);
            format!("from the append on: p50 {p50:.1} ms, p99 {p99:.1} ms")
        }
        _ => String::new(),
    };
    vec![
        row(
            "one change to all, until received, p50",
            "ms",
            |_, shared| shared.p50,
        )
        .note(&appended(|_, shared| shared.appended)),
        row(
            "one change to all, until received, p99",
            "ms",
            |_, shared| shared.p99,
        ),
        row(
            "one change to all, until the last has it",
            "ms",
            |_, shared| shared.last,
        ),
        row("a change to each, until received, p50", "ms", |own, _| {
            own.delays.p50
        })
        .note(&appended(|own, _| own.delays.appended)),
        row("a change to each, until received, p99", "ms", |own, _| {
            own.delays.p99
        }),
        row("one change to all, CPU a frame", "µs", |_, shared| {
            shared.cpu
        }),
        row("a change to each, CPU a frame", "µs", |own, _| {
            own.delays.cpu
        }),
        row("memory a stream", "KB", |own, _| own.memory / 1024.0),
        row("nothing changes, of a core", "%", |own, _| own.idle),
    ]
}
