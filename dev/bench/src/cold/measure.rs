//! The measurements of one program.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Result;
use super::cgroup::Cgroup;
use super::feed::{LONG, MISSED, SHORT};
use super::process::{Process, Program};
use super::runtime_api::Invocation;

/// The beginning of a change.
const CHANGE: &[u8] = br#"data: {"orderId""#;

/// The number of check-ins and of long responses behind each figure of a warm process.
const CHECK_INS: u32 = 1000;
const LONG_RESPONSES: u32 = 20;

/// How many of them come before, because a process that compiles itself becomes faster.
const WARM_UP: u32 = 300;

/// A first visit, as a browser sends it.
const EVENT: &str = include_str!("../../../../events/url-first-visit.json");

/// The middle and the slowest of some times, in ms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub median: f64,
    pub worst: f64,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let ms = |time: Option<&Duration>| time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
        Self {
            median: ms(times.get(times.len() / 2)),
            worst: ms(times.last()),
        }
    }
}

/// The first response of a new process.
#[derive(Debug)]
pub(super) struct Cold {
    pub init: Times,
    pub init_cpu: Times,
    pub first_byte: Times,
    pub first_change: Times,
    pub event_cpu: Times,
    /// From before `exec`.
    pub change: Times,
}

/// A process that has served many requests.
#[derive(Debug)]
pub(super) struct Warm {
    /// In ms.
    pub check_in: f64,
    /// In µs.
    pub check_in_cpu: f64,
    /// In µs.
    pub frame_cpu: f64,
    pub megabytes: f64,
}

/// When a process joins a cgroup.
pub(super) enum Limit<'a> {
    FromStart(&'a Cgroup),
    /// Once it has asked for its first event.
    FromEvent(&'a Cgroup),
    /// Never.
    None,
}

/// Starts the program some times.
pub(super) async fn cold(program: &Program, limit: &Limit<'_>, times: usize) -> Result<Cold> {
    let mut seen: [Vec<Duration>; 6] = Default::default();
    // The first start reads the program from the disk.
    first_response(program, limit).await?;
    for _ in 0..times {
        for (all, one) in seen.iter_mut().zip(first_response(program, limit).await?) {
            all.push(one);
        }
    }
    let [init, init_cpu, first_byte, first_change, event_cpu, change] = seen.map(Times::of);
    Ok(Cold {
        init,
        init_cpu,
        first_byte,
        first_change,
        event_cpu,
        change,
    })
}

/// In the order of the fields of [`Cold`].
async fn first_response(program: &Program, limit: &Limit<'_>) -> Result<[Duration; 6]> {
    let at_start = match limit {
        Limit::FromStart(cgroup) => Some(*cgroup),
        Limit::FromEvent(_) | Limit::None => None,
    };
    let mut process = Process::start(program, at_start).await?;
    let asked = process.runtime_api.asked().await?;
    if let Limit::FromEvent(cgroup) = limit {
        process.join(cgroup)?;
    }
    let init_cpu = process.cpu()?;
    let response = process.runtime_api.invoke(event(SHORT, "")?).await?;
    let event_cpu = process.cpu()?.saturating_sub(init_cpu);
    let first_byte = response.parts.first().ok_or("an empty response")?.0;
    let first_change = first_change(&response)?;
    let times = [
        asked - process.started,
        init_cpu,
        first_byte - response.given,
        first_change - response.given,
        event_cpu,
        (asked - process.started) + (first_change - response.given),
    ];
    process.kill().await?;
    Ok(times)
}

/// Measures a process that is not limited.
pub(super) async fn warm(program: &Program) -> Result<Warm> {
    let mut process = Process::start(program, None).await?;
    let check_in = event(SHORT, "3")?;
    repeat(&mut process, &check_in, WARM_UP, 0).await?;
    let (check_in, check_in_cpu) = repeat(&mut process, &check_in, CHECK_INS, 0).await?;
    let long = event(LONG, "1")?;
    repeat(&mut process, &long, LONG_RESPONSES / 2, MISSED).await?;
    let (_, long_cpu) = repeat(&mut process, &long, LONG_RESPONSES, MISSED).await?;
    let megabytes = process.peak_megabytes()?;
    process.kill().await?;
    Ok(Warm {
        check_in: Times::of(check_in).median,
        check_in_cpu: check_in_cpu.as_secs_f64() * 1e6 / f64::from(CHECK_INS),
        frame_cpu: long_cpu.as_secs_f64() * 1e6 / f64::from(LONG_RESPONSES * MISSED),
        megabytes,
    })
}

/// Invokes a process some times. Returns how long each response took, and the CPU time of all.
async fn repeat(
    process: &mut Process,
    event: &str,
    times: u32,
    changes: u32,
) -> Result<(Vec<Duration>, Duration)> {
    let mut all = Vec::new();
    let mut cpu = None;
    for _ in 0..times {
        process.runtime_api.asked().await?;
        if cpu.is_none() {
            cpu = Some(process.cpu()?);
        }
        let begun = Instant::now();
        let response = process.runtime_api.invoke(event.to_owned()).await?;
        all.push(response.ended - begun);
        let seen = count(&response);
        if seen != changes {
            return Err(format!("{seen} changes instead of {changes}").into());
        }
    }
    let spent = process.cpu()?.saturating_sub(cpu.unwrap_or_default());
    Ok((all, spent))
}

pub(super) fn event(order: &str, cursor: &str) -> Result<String> {
    let mut event: Value = serde_json::from_str(EVENT)?;
    event["rawPath"] = format!("/orders/{order}/events").into();
    event["requestContext"]["http"]["path"] = event["rawPath"].clone();
    if !cursor.is_empty() {
        event["headers"]["last-event-id"] = cursor.into();
    }
    Ok(event.to_string())
}

/// When the first change was complete enough to recognise.
fn first_change(response: &Invocation) -> Result<Instant> {
    let mut text = Vec::new();
    for (at, bytes) in &response.parts {
        text.extend_from_slice(bytes);
        if text.windows(CHANGE.len()).any(|window| window == CHANGE) {
            return Ok(*at);
        }
    }
    Err(format!("no change in {}", String::from_utf8_lossy(&text)).into())
}

fn count(response: &Invocation) -> u32 {
    let text: Vec<u8> = response
        .parts
        .iter()
        .flat_map(|(_, bytes)| bytes.to_vec())
        .collect();
    let text = String::from_utf8_lossy(&text);
    let changes = text.matches(&*String::from_utf8_lossy(CHANGE)).count();
    u32::try_from(changes).unwrap_or(u32::MAX)
}
