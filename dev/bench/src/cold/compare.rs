//! Two builds of the functions beside each other: what a start, a check-in and a change of an order in a plain table cost in each.
//!
//! The processes of both builds get events in turns. So what else the machine does slows both.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
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

/// The measurements of each process, and the events of one: a multiple of the changes of an order.
const TURNS: usize = 3;
const EVENTS: u32 = 48;

/// How many events come after the first, and before what is measured.
const WARM_UP: u32 = 47;

/// A record of the orders table's stream. What differs from change to change is replaced.
const RECORD: &str = include_str!("../../../../events/stream-modify.json");
const STATUSES: [&str; 4] = ["PLACED", "PAID", "PACKED", "SHIPPED"];

/// What one of the functions is measured with.
struct Kind {
    binary: &'static str,
    what: &'static str,
    /// The event with this number, from 0, of a process.
    event: fn(process: u32, n: u32) -> Result<String>,
    /// A part of each response.
    responds: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        binary: "stream",
        what: "check-in",
        event: |_, n| event(SHORT, if n == 0 { "" } else { "3" }),
        responds: "event: rest",
    },
    Kind {
        binary: "projector",
        what: "change",
        event: change,
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
            processes: 0,
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
    /// How many were started.
    processes: u32,
}

/// A process that has asked for its next event.
struct Running {
    process: Process,
    /// Another for each process, so that no order has changes of two.
    number: u32,
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
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let meter = Meter::start(self.harness.dynamo.endpoint(), move |call| {
            let is_dwell = call.body.to_string().contains("%dwells");
            counted.fetch_add(u32::from(!is_dwell), Ordering::Relaxed);
        });
        let meter = meter.await?;
        let mut both = [0.0; 2];
        for (place, mean) in both.iter_mut().enumerate() {
            let mut program = self.program(place);
            let endpoint = OsString::from(meter.endpoint());
            let variables = &mut program.variables;
            variables.push(("AWS_ENDPOINT_URL_DYNAMODB", endpoint));
            let mut running = self.start(&program).await?.1;
            self.repeat(&mut running, WARM_UP).await?;
            calls.store(0, Ordering::Relaxed);
            self.repeat(&mut running, EVENTS).await?;
            *mean = f64::from(calls.load(Ordering::Relaxed)) / f64::from(EVENTS);
            running.process.kill().await?;
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
                let (cpu, mut running) = self.start(&programs[place]).await?;
                start[place] = cpu;
                first[place] = self.invoke(&mut running).await?.cpu;
                self.repeat(&mut running, WARM_UP).await?;
                processes[place] = Some(running);
            }
            starts.push(start);
            firsts.push(first);
            for _ in 0..TURNS {
                let both = self.turn(&mut processes).await?;
                cpu.push(both.map(|spent| spent.cpu * 1e3));
                times.push(both.map(|spent| spent.time));
            }
            for running in processes.into_iter().flatten() {
                running.process.kill().await?;
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

    /// The mean of each process. After each event it is the other's turn, so that both have the same conditions. Who is first changes
    /// after all changes of an order, because these cost different amounts.
    async fn turn(&self, processes: &mut [Option<Running>; 2]) -> Result<[Spent; 2]> {
        let mut sums = [Spent::default(); 2];
        for event in 0..EVENTS as usize {
            for place in order(event / STATUSES.len()) {
                let running = processes[place].as_mut().ok_or("not started")?;
                let spent = self.invoke(running).await?;
                sums[place].add(spent);
            }
        }
        Ok(sums.map(Spent::mean))
    }

    fn program(&self, place: usize) -> Program {
        function(self.kind.binary, self.harness, &self.binaries[place])
    }

    /// A process, and the CPU time until it asked for its first event, in ms.
    async fn start(&mut self, program: &Program) -> Result<(f64, Running)> {
        let mut process = Process::start(program, None).await?;
        process.runtime_api.asked().await?;
        let cpu = process.cpu()?.as_secs_f64() * 1e3;
        self.processes += 1;
        let running = Running {
            process,
            number: self.processes,
            events: 0,
        };
        Ok((cpu, running))
    }

    async fn repeat(&self, running: &mut Running, times: u32) -> Result<()> {
        for _ in 0..times {
            self.invoke(running).await?;
        }
        Ok(())
    }

    /// One event, until the process asks for the next. The time is until its response has ended.
    async fn invoke(&self, running: &mut Running) -> Result<Spent> {
        let event = (self.kind.event)(running.number, running.events)?;
        running.events += 1;
        let process = &mut running.process;
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
fn change(process: u32, n: u32) -> Result<String> {
    let status = |n: u32| json!({ "S": STATUSES[n as usize % STATUSES.len()] });
    let mut event: Value = serde_json::from_str(RECORD)?;
    let record = &mut event["Records"][0];
    record["eventID"] = format!("{n:032x}").into();
    let change = &mut record["dynamodb"];
    change["ApproximateCreationDateTime"] = SystemTime::UNIX_EPOCH.elapsed()?.as_secs().into();
    change["SequenceNumber"] = format!("{n:028}").into();
    let order = json!({ "S": format!("P-{process}-{}", n / 4) });
    for item in ["Keys", "NewImage", "OldImage"] {
        change[item]["orderId"] = order.clone();
    }
    change["OldImage"]["status"] = status(n + 3);
    change["NewImage"]["status"] = status(n);
    Ok(event.to_string())
}
