//! Two builds of the functions beside each other: what a start, a check-in and a change of an order in a plain table cost in each.
//!
//! The processes of both builds get events in turns. So what else the machine does slows both.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use local::meter::Meter;
use serde_json::{Value, json};

use super::Result;
use super::feed::{Harness, SHORT};
use super::measure::event;
use super::process::{Process, Program};
use super::programs::function;
use super::ratios::Ratios;
use crate::report::aligned;

/// How often both are started. Each process has other addresses, which changes its CPU time by some per cent.
const STARTS: usize = 40;

/// The measurements of each process, and the events of one.
const TURNS: usize = 3;
const EVENTS: u32 = 48;

/// How many events come before.
const WARM_UP: u32 = 47;

/// A record of the orders table's stream. What differs from change to change is replaced.
const RECORD: &str = include_str!("../../../../events/stream-modify.json");
const STATUSES: [&str; 4] = ["PLACED", "PAID", "PACKED", "SHIPPED"];

/// What one of the functions is measured with.
struct Kind {
    binary: &'static str,
    what: &'static str,
    /// The event of this number. The first of a process is the first that it gets.
    event: fn(n: u32, is_first: bool) -> Result<String>,
    /// A part of each response.
    responds: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        binary: "stream",
        what: "check-in",
        event: |_, is_first| event(SHORT, if is_first { "" } else { "3" }),
        responds: "event: rest",
    },
    Kind {
        binary: "projector",
        what: "change",
        event: |n, _| change(n),
        responds: r#"{"batchItemFailures":[]}"#,
    },
];

/// Compares the functions of two folders, and returns a table.
///
/// # Errors
///
/// A function is missing, or does not respond as it should.
pub async fn compare(before: &Path, now: &Path) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let harness = Harness::new(folder.path()).await?;
    let mut lines = vec![["", "before", "now", "ratio", "half of the ratios"].map(str::to_owned)];
    for kind in KINDS {
        let mut comparison = Comparison {
            binaries: [before, now].map(|folder| folder.join(kind.binary)),
            harness: &harness,
            kind,
            events: 0,
        };
        lines.push(comparison.bytes()?);
        lines.push(comparison.calls().await?);
        lines.extend(comparison.times().await?);
    }
    Ok(aligned(&lines))
}

/// Both builds of one function.
struct Comparison<'a> {
    binaries: [PathBuf; 2],
    harness: &'a Harness,
    kind: Kind,
    /// How many events there were.
    events: u32,
}

/// CPU time in ms, and time in ms.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    cpu: f64,
    time: f64,
}

impl Spent {
    fn add(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.time += other.time;
    }

    /// Of the events of a turn.
    fn mean(self) -> Self {
        Self {
            cpu: self.cpu / f64::from(EVENTS),
            time: self.time / f64::from(EVENTS),
        }
    }
}

impl Comparison<'_> {
    fn bytes(&self) -> Result<[String; 5]> {
        let mut bytes = [0.0; 2];
        for (bytes, binary) in bytes.iter_mut().zip(&self.binaries) {
            #[allow(clippy::cast_precision_loss, reason = "some millions")]
            let length = fs::metadata(binary)?.len() as f64;
            *bytes = length;
        }
        let what = format!("bytes of `{}`", self.kind.binary);
        Ok(Ratios::of(vec![bytes]).line(&what, 0))
    }

    /// The calls to DynamoDB, without those for dwell times: their number depends on what was learned before.
    async fn calls(&mut self) -> Result<[String; 5]> {
        let seen: Arc<Mutex<Vec<f64>>> = Arc::default();
        let counted = Arc::clone(&seen);
        let meter = Meter::start(self.harness.dynamo.endpoint(), move |call| {
            if !call.body.to_string().contains("%dwells") {
                counted
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(call.units);
            }
        });
        let meter = meter.await?;
        let mut both = [0.0; 2];
        for (place, calls) in both.iter_mut().enumerate() {
            let mut program = self.program(place);
            let endpoint = OsString::from(meter.endpoint());
            program
                .variables
                .push(("AWS_ENDPOINT_URL_DYNAMODB", endpoint));
            let mut process = self.start(&program).await?.1;
            // The first event also looks for what processes look for once.
            self.repeat(&mut process, WARM_UP).await?;
            seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
            self.repeat(&mut process, EVENTS).await?;
            let count = seen.lock().unwrap_or_else(PoisonError::into_inner).len();
            *calls = f64::from(u32::try_from(count)?) / f64::from(EVENTS);
            process.kill().await?;
        }
        let what = format!("calls to DynamoDB of a {}", self.kind.what);
        Ok(Ratios::of(vec![both]).line(&what, 2))
    }

    async fn times(&mut self) -> Result<Vec<[String; 5]>> {
        let programs = [self.program(0), self.program(1)];
        let (mut starts, mut firsts, mut cpu, mut times) = (vec![], vec![], vec![], vec![]);
        for round in 0..STARTS {
            let (mut start, mut first) = ([0.0; 2], [0.0; 2]);
            let mut processes = [const { None }; 2];
            for place in order(round) {
                let (spent, mut process) = self.start(&programs[place]).await?;
                start[place] = spent.cpu;
                first[place] = self.invoke(&mut process, true).await?.cpu;
                self.repeat(&mut process, WARM_UP).await?;
                processes[place] = Some(process);
            }
            starts.push(start);
            firsts.push(first);
            for _ in 0..TURNS {
                let both = self.turn(&mut processes).await?;
                cpu.push(both.map(|spent| spent.cpu * 1e3));
                times.push(both.map(|spent| spent.time));
            }
            for process in processes.into_iter().flatten() {
                process.kill().await?;
            }
        }
        let Kind { binary, what, .. } = self.kind;
        Ok(vec![
            Ratios::of(starts).line(&format!("CPU of `{binary}` until ready, ms"), 2),
            Ratios::of(firsts).line("CPU of its first event, ms", 2),
            Ratios::of(cpu).line(&format!("CPU of a {what}, µs"), 0),
            Ratios::of(times).line(&format!("a {what}, ms"), 2),
        ])
    }

    /// The mean of each process. After each event it is the other's turn, so that both have the same conditions.
    async fn turn(&mut self, processes: &mut [Option<Process>; 2]) -> Result<[Spent; 2]> {
        let mut sums = [Spent::default(); 2];
        for event in 0..EVENTS as usize {
            for place in order(event) {
                let process = processes[place].as_mut().ok_or("not started")?;
                let spent = self.invoke(process, false).await?;
                sums[place].add(spent);
            }
        }
        Ok(sums.map(Spent::mean))
    }

    fn program(&self, place: usize) -> Program {
        function(self.kind.binary, self.harness, &self.binaries[place])
    }

    /// A process that has asked for its first event.
    async fn start(&self, program: &Program) -> Result<(Spent, Process)> {
        let mut process = Process::start(program, None).await?;
        process.runtime_api.asked().await?;
        let cpu = process.cpu()?.as_secs_f64() * 1e3;
        Ok((Spent { cpu, time: 0.0 }, process))
    }

    async fn repeat(&mut self, process: &mut Process, times: u32) -> Result<()> {
        for _ in 0..times {
            self.invoke(process, false).await?;
        }
        Ok(())
    }

    /// One event, until the process asks for the next. The time is until its response has ended.
    async fn invoke(&mut self, process: &mut Process, is_first: bool) -> Result<Spent> {
        self.events += 1;
        let event = (self.kind.event)(self.events, is_first)?;
        let (cpu, given) = (process.cpu()?, Instant::now());
        let response = process.runtime_api.invoke(event).await?;
        let time = response.ended - given;
        process.runtime_api.asked().await?;
        let cpu = process.cpu()?.saturating_sub(cpu);
        let parts = response.parts.iter().flat_map(|(_, bytes)| bytes.to_vec());
        let body = String::from_utf8_lossy(&parts.collect::<Vec<u8>>()).into_owned();
        if !body.contains(self.kind.responds) {
            return Err(format!("{} responded {body:?}", self.kind.binary).into());
        }
        Ok(Spent {
            cpu: cpu.as_secs_f64() * 1e3,
            time: time.as_secs_f64() * 1e3,
        })
    }
}

/// Which of two is the first, in turns.
fn order(turn: usize) -> [usize; 2] {
    match turn % 2 {
        0 => [0, 1],
        _ => [1, 0],
    }
}

/// A record of an order that has had up to three changes.
fn change(n: u32) -> Result<String> {
    let status = |n: u32| json!({ "S": STATUSES[n as usize % STATUSES.len()] });
    let mut event: Value = serde_json::from_str(RECORD)?;
    let record = &mut event["Records"][0];
    record["eventID"] = format!("{n:032x}").into();
    let change = &mut record["dynamodb"];
    change["ApproximateCreationDateTime"] = SystemTime::UNIX_EPOCH.elapsed()?.as_secs().into();
    change["SequenceNumber"] = format!("{n:028}").into();
    let order = json!({ "S": format!("P-{}", n / 4) });
    for item in ["Keys", "NewImage", "OldImage"] {
        change[item]["orderId"] = order.clone();
    }
    change["OldImage"]["status"] = status(n + 3);
    change["NewImage"]["status"] = status(n);
    Ok(event.to_string())
}
