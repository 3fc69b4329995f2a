//! The function's processes, and that none outlives the test.

use std::{io, path::Path, process::Stdio, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
};

/// Forward every line of every function to standard error where this variable is set.
const FORWARD: &str = "FUNCTION_LOGS";

/// The lines that the function's processes wrote, and the platform's own, in the order in which they were read.
#[derive(Clone)]
pub(super) struct Log {
    name: Arc<str>,
    forward: bool,
    pub(super) lines: watch::Sender<Vec<String>>,
}

/// One process group for all processes of a function.
///
/// Its leader is a shell that waits for the end of its standard input, then kills the group. The other end of that pipe
/// is held by this process alone, so it closes however this process ends: a panic, an exit that runs no destructor, or
/// SIGKILL. `kill_on_drop` covers none of the last two.
pub(super) struct Group {
    leader: Child,
}

impl Group {
    pub(super) fn new() -> io::Result<Self> {
        let mut leader = Command::new("sh");
        leader
            .args(["-c", "read -r _; kill -KILL 0"])
            .process_group(0);
        leader
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Self {
            leader: leader.spawn()?,
        })
    }

    /// Starts a process with these environment variables and no others but `PATH`.
    pub(super) fn spawn(
        &self,
        program: &Path,
        variables: impl IntoIterator<Item = (String, String)>,
        log: &Log,
    ) -> io::Result<Child> {
        let leader = self.leader.id().ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(program);
        command
            .process_group(i32::try_from(leader).map_err(io::Error::other)?)
            .kill_on_drop(true);
        command
            .env_clear()
            .envs(std::env::var("PATH").map(|path| ("PATH", path)))
            .envs(variables);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(log.clone().read(stdout));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(log.clone().read(stderr));
        }
        Ok(child)
    }
}

impl Log {
    pub(super) fn new(name: &str) -> Self {
        let forward = std::env::var_os(FORWARD).is_some();
        Self {
            name: name.into(),
            forward,
            lines: watch::Sender::new(Vec::new()),
        }
    }

    pub(super) fn push(&self, line: String) {
        if self.forward {
            use io::Write;
            // A closed standard error is no reason to fail a test.
            let _ = writeln!(io::stderr(), "{}: {line}", self.name);
        }
        self.lines.send_modify(|lines| lines.push(line));
    }

    async fn read(self, output: impl AsyncRead + Unpin) {
        let mut lines = BufReader::new(output).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            self.push(String::from_utf8_lossy(&line).into_owned());
        }
    }
}
