//! What the pure parts of a frame cost: its bytes, and the cursor that is its id.
#![allow(missing_docs, reason = "a benchmark")]

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::Path;

use bench::rows::Row;
use criterion::Criterion;
use order_status_stream::cursor::Cursor;
use order_status_stream::frame::{Event, EventId, Frame};

const GROUP: &str = "encoder";
const FRAME: &str = "a change of 200 bytes into a frame";
const LARGE: &str = "a change of 100 KB into a frame";
const FORMAT: &str = "the cursor of 8 orders into text";
const PARSE: &str = "the cursor of 8 orders from text";
const CURSOR: &str = "12-9f2c.3-0001.0-0007.4096-ffff.1-abcd.2-1234~.77-00ff.8-c0de";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut criterion = Criterion::default()
        .output_directory(folder.path())
        .configure_from_args();
    let cursor = Cursor::parse(CURSOR, 8).ok_or("not a cursor of 8 orders")?;
    let mut group = criterion.benchmark_group(GROUP);
    for (what, bytes) in [(FRAME, 200), (LARGE, 100_000)] {
        let frame = frame(bytes)?;
        group.bench_function(what, |bencher| bencher.iter(|| black_box(&frame).encode()));
    }
    group.bench_function(FORMAT, |bencher| {
        bencher.iter(|| black_box(&cursor).to_string());
    });
    group.bench_function(PARSE, |bencher| {
        bencher.iter(|| Cursor::parse(black_box(CURSOR), 8));
    });
    group.finish();
    criterion.final_summary();
    if std::env::var_os("BENCH_ROWS").is_some() {
        for what in [FRAME, LARGE, FORMAT, PARSE] {
            let row = Row::new(GROUP, what, "µs");
            row.ours(median(folder.path(), what)? / 1e3).record()?;
        }
    }
    Ok(())
}

/// A change of one order, with its id.
fn frame(bytes: usize) -> Result<Frame, Box<dyn Error>> {
    let cursor = Cursor::parse("3-9f2c", 1).ok_or("not a cursor")?;
    let empty = r#"{"orderId":"A-1001","seq":3,"status":"SHIPPED","n":""}"#.len();
    let data = format!(
        r#"{{"orderId":"A-1001","seq":3,"status":"SHIPPED","n":"{}"}}"#,
        "x".repeat(bytes - empty)
    );
    Ok(Frame::new(Event::Change, data).id(EventId::Cursor(cursor)))
}

/// In nanoseconds, from the file that criterion writes.
fn median(folder: &Path, what: &str) -> Result<f64, Box<dyn Error>> {
    let file = folder.join(GROUP).join(what).join("new/estimates.json");
    let estimates: serde_json::Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    let median = estimates["median"]["point_estimate"].as_f64();
    Ok(median.ok_or("criterion wrote no median")?)
}
