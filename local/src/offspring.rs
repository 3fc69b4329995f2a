//! Processes that are certain to end, with all that they started, when the one that wanted them does.
//!
//! `cargo lambda watch` starts each function instance in a session of its own: the terminal's Ctrl-C and signals to a
//! process group do not reach them, and when it is told to terminate it leaves some behind (seen with 1.9.2). So a
//! [`Kept`] process runs under a *keeper*, a second process of this program, which adopts whatever the kept one started and
//! ends it all when the kept one ends, or when the pipe from the process that wanted it breaks. That happens even on
//! SIGKILL. If the keeper is killed, its offspring falls to that process, which ends it with [`end_all`].
//!
//! Adoption (`PR_SET_CHILD_SUBREAPER`) is Linux's. Elsewhere, a process whose parent was killed first can be missed.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};
use tokio::process::{Child, ChildStdin};

mod table;

/// How long [`end_all`] takes before it gives up. A process ends within milliseconds of SIGKILL, unless it hangs in the
/// kernel.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks at the process table.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The first argument that makes this program a keeper.
pub const KEEP: &str = "keep";

/// Why a process could not be kept or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OffspringError {
    /// The command cannot be started.
    #[error("{0} cannot be started")]
    Start(String, #[source] io::Error),
    /// The operating system refused to tell of processes.
    #[error("the processes cannot be looked after")]
    Look(#[from] io::Error),
    /// Processes that survived SIGKILL.
    #[error("still running: {0:?}")]
    Survivors(Vec<i32>),
}

/// A process under a keeper. Dropped, it ends.
#[derive(Debug)]
pub struct Kept {
    keeper: Child,
    /// The keeper reads it, and ends everything when it breaks.
    _lifeline: Option<ChildStdin>,
}

impl Kept {
    /// Starts `command`; `keeper` is the program whose `main` hands [`KEEP`] to [`keep`]. Standard input is empty.
    ///
    /// # Errors
    ///
    /// Where the keeper cannot be started. Where `command` cannot be, the keeper says so and ends with status 1.
    pub fn start(keeper: &Path, command: &Command) -> Result<Self, OffspringError> {
        let mut keeping = tokio::process::Command::new(keeper);
        keeping.arg(KEEP).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => keeping.env(name, value),
                None => keeping.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            keeping.current_dir(directory);
        }
        // Out of the terminal's foreground group: Ctrl-C is for the one that wanted it.
        let keeper = keeping.stdin(Stdio::piped()).process_group(0).spawn();
        let mut keeper = keeper.map_err(|error| cannot_start(keeping.as_std(), error))?;
        let lifeline = keeper.stdin.take();
        Ok(Self { keeper, _lifeline: lifeline })
    }

    /// The keeper's process id.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.keeper.id()
    }

    /// Waits until the process has ended and nothing that it started is left.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses to wait.
    pub async fn ended(&mut self) -> Result<ExitStatus, OffspringError> {
        Ok(self.keeper.wait().await?)
    }
}

/// The keeper: runs a command until it ends or standard input does, then ends all that it started.
///
/// # Errors
///
/// Where the command cannot be started, or something survives.
pub fn keep<S: AsRef<OsStr>>(program: S, arguments: impl IntoIterator<Item = S>) -> Result<ExitCode, OffspringError> {
    adopt()?;
    let mut command = Command::new(program);
    let kept = command.args(arguments).stdin(Stdio::null()).spawn();
    let mut kept = kept.map_err(|error| cannot_start(&command, error))?;
    thread::spawn(|| {
        // An error ends the lifeline as well as its end does.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        // The main thread waits for the kept process, and then ends what this may have missed.
        for process in descendants().unwrap_or_default() {
            let _ = kill_process(process, Signal::KILL);
        }
    });
    let status = kept.wait()?;
    end_all()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn cannot_start(command: &Command, error: io::Error) -> OffspringError {
    OffspringError::Start(command.get_program().display().to_string(), error)
}

/// Makes this process the parent of those whose parent ends before them.
///
/// # Errors
///
/// Where the kernel refuses.
pub fn adopt() -> Result<(), OffspringError> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(getpid())).map_err(io::Error::from)?;
    Ok(())
}

/// Ends every process that descends from this one, and returns when none is left.
///
/// # Errors
///
/// [`OffspringError::Survivors`] where some are left after five seconds.
pub fn end_all() -> Result<(), OffspringError> {
    let given_up = Instant::now() + PATIENCE;
    loop {
        reap();
        let left = descendants()?;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > given_up {
            return Err(OffspringError::Survivors(left.into_iter().map(Pid::as_raw_pid).collect()));
        }
        for process in left {
            // It may have ended since.
            let _ = kill_process(process, Signal::KILL);
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Takes note of all children that have ended, so that they leave the process table.
fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

fn descendants() -> io::Result<Vec<Pid>> {
    Ok(table::descendants(getpid(), &table::read()?))
}
