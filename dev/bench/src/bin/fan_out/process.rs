//! A server's process: what it uses, and its end.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::Result;

/// A process and its children. It ends with this value.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = command.as_std().get_program().display().to_string();
        let child = command.kill_on_drop(true).spawn();
        let child = child.map_err(|error| format!("{name} does not start: {error}"))?;
        Ok(Self { child })
    }

    pub(crate) fn stdout(&mut self) -> Option<tokio::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// An error if the process has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => Err(format!("a server ended: {status}").into()),
            None => Ok(()),
        }
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        self.terminate();
        self.child.wait().await?;
        Ok(())
    }

    fn terminate(&self) {
        // The children too: a worker of nginx survives its master. A process that has ended cannot be told.
        for pid in self.pids().unwrap_or_default() {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
    }

    fn pids(&self) -> Result<Vec<u32>> {
        // Absent once its end was waited for: then the number may be another process's.
        let pid = self.child.id().ok_or("the server has ended")?;
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let children = children.split_whitespace().map(str::parse::<u32>);
        let mut pids = vec![pid];
        for child in children {
            pids.push(child?);
        }
        Ok(pids)
    }

    /// The time for which its threads ran, to the nanosecond.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut total = Duration::ZERO;
        for pid in self.pids()? {
            for task in fs::read_dir(format!("/proc/{pid}/task"))? {
                let path = task?.path().join("schedstat");
                match fs::read_to_string(path) {
                    Ok(text) => total += nanoseconds(&text)?,
                    // The thread has ended.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(total)
    }

    /// Its memory in bytes. What processes share is divided among them.
    pub(crate) fn memory(&self) -> Result<u64> {
        let mut total = 0;
        for pid in self.pids()? {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            let kilobytes = line.ok_or("the kernel does not tell Pss")?;
            total += kilobytes.trim().trim_end_matches(" kB").parse::<u64>()? * 1024;
        }
        Ok(total)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.terminate();
    }
}

/// The first number of `schedstat`.
fn nanoseconds(text: &str) -> Result<Duration> {
    let first = text.split_whitespace().next().unwrap_or_default();
    Ok(Duration::from_nanos(first.parse()?))
}
