//! Child processes that end with this process, however it ends.
//!
//! The leader of the group is a shell that waits for the end of its standard input and then kills the group. Only this
//! process holds the other end of that pipe. So the pipe closes if this process panics, exits without running destructors,
//! or is killed with SIGKILL. `kill_on_drop` covers neither of the last two.
//!
//! The group is not the terminal's foreground group: Ctrl-C reaches this process only.
//!
//! A process that starts a session of its own leaves the group. `cargo lambda watch` does this with each function process
//! (seen with 1.9.2).

use std::io;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, wait};
use tokio::process::{Child, Command};

/// A process ends within milliseconds of SIGKILL, unless it hangs in the kernel.
const END_LIMIT: Duration = Duration::from_secs(5);

const END_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A process group that ends with this process. Dropping it kills its processes.
#[derive(Debug)]
pub struct ProcessGroup {
    _leader: Child,
    id: Pid,
}

impl ProcessGroup {
    /// Starts the leader.
    pub fn new() -> io::Result<Self> {
        let leader = Command::new("sh")
            .args(["-c", "read -r _; kill -KILL 0"])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let id = leader.id().and_then(|id| i32::try_from(id).ok());
        Ok(Self {
            _leader: leader,
            id: id.and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?,
        })
    }

    /// Starts a process in the group.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        command
            .process_group(self.id.as_raw_pid())
            .kill_on_drop(true)
            .spawn()
    }

    /// Kills all processes of the group at once, so that none of them sees another one end.
    pub fn kill(&self) {
        // It fails only if no process of the group is left.
        let _ = kill_process_group(self.id, Signal::KILL);
    }

    /// Kills the group, and returns once this process has no child left, neither its own nor one that it
    /// [adopted](adopt_orphans). It blocks for some milliseconds.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] if a process survives SIGKILL for five seconds.
    pub fn end(self) -> io::Result<()> {
        self.kill();
        let limit = Instant::now() + END_LIMIT;
        loop {
            match wait(WaitOptions::NOHANG) {
                Err(Errno::CHILD) => return Ok(()),
                Ok(None) if Instant::now() > limit => return Err(io::ErrorKind::TimedOut.into()),
                Ok(None) => thread::sleep(END_POLL_INTERVAL),
                // One child has ended, or a signal interrupted the call.
                Ok(Some(_)) | Err(_) => {}
            }
        }
    }
}

/// Makes this process the parent of descendants whose own parent has ended, so that [`ProcessGroup::end`] waits for them too.
/// Only Linux can do this; elsewhere it does nothing.
pub fn adopt_orphans() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}
