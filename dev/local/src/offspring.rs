//! A child process that is certain to end, with all that it started, when its parent does.
//!
//! The child leads a process group of its own, which what it starts belongs to: the terminal's Ctrl-C is for the parent
//! alone, and the parent ends the group. Should the parent be killed, a pipe between them breaks, and the child ends the
//! group ([`die_with_parent`]). Should the child be killed, what it started falls to the parent ([`adopt`]).
//!
//! What starts a session of its own escapes. `cargo lambda watch` does so with each function process, and leaves some
//! behind when it is told to terminate (seen with 1.9.2), which is why `main` starts those itself.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpgrp, kill_process_group, wait};
use tokio::process::{Child, ChildStdin, Command};

/// A process ends within milliseconds of SIGKILL, unless it hangs in the kernel.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks at those who have not ended.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The child, and the group it leads.
#[derive(Debug)]
pub struct Offspring {
    child: Child,
    group: Pid,
    /// The child reads it; it breaks when this process ends, however that happens.
    _lifeline: Option<ChildStdin>,
}

impl Offspring {
    /// Starts `command`, whose first act should be [`die_with_parent`].
    ///
    /// # Errors
    ///
    /// Where it cannot be started.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).process_group(0).spawn()?;
        let lifeline = child.stdin.take();
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let group = id.and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self {
            child,
            group,
            _lifeline: lifeline,
        })
    }

    /// Waits until the child has ended. Others of its group may still run.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses to wait.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends the whole group and returns when this process has no child left, its own or adopted. Blocks for some
    /// milliseconds.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] where something survives SIGKILL for five seconds.
    pub fn end(self) -> io::Result<()> {
        // Fails where none is left, which is as well.
        let _ = kill_process_group(self.group, Signal::KILL);
        let given_up = Instant::now() + PATIENCE;
        loop {
            match wait(WaitOptions::NOHANG) {
                Err(Errno::CHILD) => return Ok(()),
                Ok(None) if Instant::now() > given_up => return Err(io::ErrorKind::TimedOut.into()),
                Ok(None) => thread::sleep(LOOK_AGAIN),
                // One less, or interrupted.
                Ok(Some(_)) | Err(_) => {}
            }
        }
    }
}

/// Makes this process the parent of those whose parent ends before them. Linux alone can.
///
/// # Errors
///
/// Where the kernel refuses.
pub fn adopt() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// Ends this process and its group, which it must lead, when standard input ends. [`Offspring::start`] sees to both.
pub fn die_with_parent() {
    thread::spawn(|| {
        // An error is an end as well.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = kill_process_group(getpgrp(), Signal::KILL);
    });
}
