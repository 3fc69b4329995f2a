//! The program behind `make run`: what it says when it cannot start, and that nothing outlives it, whoever dies first.
//!
//! The stage asks `cargo` for its emulator before it starts anything. Here `cargo` is a script that never answers: it is a
//! member of the family like those that come after it, and needs neither the emulator nor the functions to be built.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe::{OpenOptions, Receiver};
use tokio::process::{Child, Command};

/// Starts another process, says its parent's id, and stays.
const CARGO: &str = "#!/bin/sh\nexec >\"$FAMILY\"\nsleep 1000 &\necho $PPID\nwait\n";

/// The running program, and a pipe that each process of it holds open.
struct Run {
    supervisor: Child,
    stage: Pid,
    family: BufReader<Receiver>,
    _directory: TempDir,
}

impl Run {
    async fn start() -> Self {
        let directory = with_cargo(CARGO);
        let fifo = directory.path().join("family");
        assert!(
            Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .await
                .unwrap()
                .success()
        );
        let mut family = BufReader::new(OpenOptions::new().open_receiver(&fifo).unwrap());
        // Keeps the pipe open until a process of the family does.
        let writer = OpenOptions::new().open_sender(&fifo).unwrap();
        let supervisor = program(&directory).env("FAMILY", &fifo).spawn().unwrap();
        let mut stage = String::new();
        family.read_line(&mut stage).await.unwrap();
        drop(writer);
        let stage = Pid::from_raw(stage.trim().parse().unwrap()).unwrap();
        Self {
            supervisor,
            stage,
            family,
            _directory: directory,
        }
    }

    fn supervisor(&self) -> Pid {
        Pid::from_raw(self.supervisor.id().unwrap().try_into().unwrap()).unwrap()
    }

    /// The program's exit code and output, once nothing of it is left.
    async fn extinct(mut self) -> (Option<i32>, String) {
        self.family
            .read_to_string(&mut String::new())
            .await
            .unwrap();
        output(self.supervisor).await
    }
}

/// A directory with a program `cargo`.
fn with_cargo(script: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let cargo = directory.path().join("cargo");
    fs::write(&cargo, script).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// The program, with the directory's `cargo`, and with ports that are never taken.
fn program(directory: &TempDir) -> Command {
    let path = std::env::var_os("PATH").unwrap();
    let directories = [directory.path().to_owned()]
        .into_iter()
        .chain(std::env::split_paths(&path));
    let directories: Vec<PathBuf> = directories.collect();
    let mut program = Command::new(env!("CARGO_BIN_EXE_local"));
    program.env("PATH", std::env::join_paths(directories).unwrap());
    for name in ["DYNAMODB_PORT", "PAGE_PORT", "FUNCTIONS_PORT"] {
        program.env(name, "0");
    }
    program
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    program
}

async fn output(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn signals_end_everything() {
    for (signal, said) in [
        (Signal::INT, "interrupted"),
        (Signal::TERM, "terminated"),
        (Signal::HUP, "hung up"),
    ] {
        let run = Run::start().await;
        kill_process(run.supervisor(), signal).unwrap();
        assert_eq!(
            run.extinct().await,
            (Some(0), format!("\n{said}: everything has ended\n"))
        );
    }
}

#[tokio::test]
async fn a_killed_supervisor_takes_everything_along() {
    let run = Run::start().await;
    kill_process(run.supervisor(), Signal::KILL).unwrap();
    assert_eq!(run.extinct().await, (None, String::new()));
}

#[tokio::test]
async fn a_killed_stage_takes_everything_along() {
    let run = Run::start().await;
    kill_process(run.stage, Signal::KILL).unwrap();
    let said = "\nerror: the stage ended: signal: 9 (SIGKILL)\n";
    assert_eq!(run.extinct().await, (Some(1), said.to_owned()));
}

#[tokio::test]
async fn ports_that_are_taken_are_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut program = program(&with_cargo(CARGO));
    program
        .env("PAGE_PORT", port.to_string())
        .env("DYNAMODB_PORT", "eighty");
    let said = format!(
        "\nerror: DYNAMODB_PORT is no port number\n       port {port} is taken by another program: end it \
         (`lsof -nP -iTCP:{port} -sTCP:LISTEN` tells which it is), or take another port (PAGE_PORT={})\n",
        port + 1
    );
    assert_eq!(output(program.spawn().unwrap()).await, (Some(1), said));
}

#[tokio::test]
async fn a_missing_tool_is_named() {
    let directory = with_cargo("#!/bin/sh\necho 'error: no such command' >&2\nexit 101\n");
    let said = "\nerror: cargo-lambda is missing: `make run` installs it into .tools/\n";
    let ended = output(program(&directory).spawn().unwrap()).await;
    assert_eq!(ended, (Some(1), said.to_owned()));
}

#[tokio::test]
async fn an_argument_is_refused() {
    let mut program = program(&with_cargo(CARGO));
    let said = "\nerror: this takes no arguments\n".to_owned();
    assert_eq!(
        output(program.arg("--help").spawn().unwrap()).await,
        (Some(1), said)
    );
}
