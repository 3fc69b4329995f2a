//! A function's process, from before its first instruction.

use std::ffi::OsString;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, copy, sink};
use tokio::process::{Child, Command};

use super::Result;
use super::cgroup::Cgroup;
use super::runtime_api::RuntimeApi;

/// Joins the cgroup, if there is one, says so, and becomes the function.
const START: &str = r#"[ -z "$CGROUP" ] || echo $$ >"$CGROUP"; echo; exec "$@""#;

/// How a function is started.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub name: &'static str,
    pub command: Vec<OsString>,
    pub variables: Vec<(&'static str, OsString)>,
}

/// A running function. A drop kills it.
pub(super) struct Process {
    pub runtime_api: RuntimeApi,
    /// Just before `exec`.
    pub started: Instant,
    child: Child,
}

impl Process {
    pub(super) async fn start(program: &Program, cgroup: Option<&Cgroup>) -> Result<Self> {
        let runtime_api = RuntimeApi::start().await?;
        let mut child = Command::new("/bin/sh")
            .args(["-c", START, "sh"])
            .args(&program.command)
            .env_clear()
            .envs(program.variables.iter().cloned())
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api.address.to_string())
            .env("CGROUP", cgroup.map(Cgroup::processes).unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut output = child.stdout.take().ok_or("no standard output")?;
        output.read_u8().await?;
        let started = Instant::now();
        tokio::spawn(async move { copy(&mut output, &mut sink()).await });
        Ok(Self {
            runtime_api,
            started,
            child,
        })
    }

    fn id(&self) -> Result<u32> {
        Ok(self.child.id().ok_or("the process has ended")?)
    }

    /// Moves the process into a cgroup.
    pub(super) fn join(&self, cgroup: &Cgroup) -> Result<()> {
        Ok(fs::write(cgroup.processes(), self.id()?.to_string())?)
    }

    /// The CPU time of the threads that are alive.
    pub(super) fn cpu(&self) -> Result<Duration> {
        let mut total = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.id()?))? {
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            let nanoseconds = text.split(' ').next().unwrap_or_default();
            total += nanoseconds.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(total))
    }

    /// The peak of the process's memory, in MB.
    pub(super) fn peak_megabytes(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.ok_or("no VmHWM")?.trim().trim_end_matches(" kB");
        Ok(kilobytes.parse::<f64>()? / 1024.0)
    }

    /// Kills the process, and returns once it has ended.
    pub(super) async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}
