//! The program behind `make run`: its errors at the start, and that no process is left after it.
//!
//! First of all the program runs `cargo lambda --version`. Here `cargo` is a script that never ends. It stands for all processes
//! that the program starts, so the tests need neither the emulator nor the functions.
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

/// Starts another process, writes a line, and waits for ever.
const CARGO: &str = "#!/bin/sh\nexec >\"$PIPE\"\nsleep 1000 &\necho started\nwait\n";

/// The running program, and a pipe that its processes keep open.
struct RunningProgram {
    program: Child,
    pipe: BufReader<Receiver>,
    _directory: TempDir,
}

impl RunningProgram {
    async fn start() -> Self {
        let directory = with_cargo(CARGO);
        let fifo = directory.path().join("pipe");
        assert!(
            Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .await
                .unwrap()
                .success()
        );
        let mut pipe = BufReader::new(OpenOptions::new().open_receiver(&fifo).unwrap());
        // Keeps the pipe open until the script does.
        let writer = OpenOptions::new().open_sender(&fifo).unwrap();
        let program = program(&directory).env("PIPE", &fifo).spawn().unwrap();
        pipe.read_line(&mut String::new()).await.unwrap();
        drop(writer);
        Self {
            program,
            pipe,
            _directory: directory,
        }
    }

    fn kill(&self, signal: Signal) {
        let id = self.program.id().unwrap().try_into().unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// The program's exit code and output, once none of its processes is left.
    async fn end(mut self) -> (Option<i32>, String) {
        self.pipe.read_to_string(&mut String::new()).await.unwrap();
        output(self.program).await
    }
}

/// A directory with this script as `cargo`.
fn with_cargo(script: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let cargo = directory.path().join("cargo");
    fs::write(&cargo, script).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// The program, with the directory's `cargo`, and with ports that are always free.
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
    for (signal, text) in [
        (Signal::INT, "interrupted"),
        (Signal::TERM, "terminated"),
        (Signal::HUP, "hung up"),
    ] {
        let running = RunningProgram::start().await;
        running.kill(signal);
        let text = format!("\n{text}: everything has ended\n");
        assert_eq!(running.end().await, (Some(0), text));
    }
}

#[tokio::test]
async fn no_process_is_left_if_the_program_is_killed() {
    let running = RunningProgram::start().await;
    running.kill(Signal::KILL);
    assert_eq!(running.end().await, (None, String::new()));
}

#[tokio::test]
async fn ports_in_use_are_named() {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [dynamodb, page] = listeners.each_ref().map(|listener| {
        let port = listener.local_addr().unwrap().port();
        (port, port + 1)
    });
    let mut program = program(&with_cargo(CARGO));
    program
        .env("PAGE_PORT", page.0.to_string())
        .args(["--dynamodb-port", &dynamodb.0.to_string()]);
    let line = |name: &str, (port, other): (u16, u16)| {
        format!(
            "port {port} is in use by another program: end it (`lsof -nP -iTCP:{port} -sTCP:LISTEN` shows which one it is), \
             or choose another port ({name}={other})\n"
        )
    };
    let (first, second) = (line("DYNAMODB_PORT", dynamodb), line("PAGE_PORT", page));
    let text = format!("\nerror: {first}       {second}");
    assert_eq!(output(program.spawn().unwrap()).await, (Some(1), text));
}

#[tokio::test]
async fn a_broker_without_kafka_is_refused_before_anything_starts() {
    let mut program = program(&with_cargo(CARGO));
    program.args(["--broker", "localhost:9092"]);
    let text = "\nerror: BROKER is only for Kafka: add SOURCE=kafka, or leave it out\n";
    let ended = output(program.spawn().unwrap()).await;
    assert_eq!(ended, (Some(1), text.to_owned()));
}

#[tokio::test]
async fn a_missing_tool_is_named() {
    let directory = with_cargo("#!/bin/sh\necho 'error: no such command' >&2\nexit 101\n");
    let text = "\nerror: cargo-lambda is missing: `make run` installs it into .tools/\n";
    let ended = output(program(&directory).spawn().unwrap()).await;
    assert_eq!(ended, (Some(1), text.to_owned()));
}

#[tokio::test]
async fn invalid_arguments_are_explained() {
    for (arguments, variable, text) in [
        (["token", ""], "0", "name the orders: make token ORDERS=A,B"),
        (
            ["token", "A"],
            "eighty",
            "invalid value 'eighty' for '--page-port <PAGE_PORT>'",
        ),
        (["--port", "1"], "0", "unexpected argument '--port' found"),
    ] {
        let mut program = program(&with_cargo(CARGO));
        program.args(arguments).env("PAGE_PORT", variable);
        let (code, output) = output(program.spawn().unwrap()).await;
        assert_eq!(code, Some(2));
        assert!(output.contains(text), "{text} in {output}");
    }
}

#[tokio::test]
async fn help_names_arguments_and_variables() {
    let mut program = program(&with_cargo(CARGO));
    let (code, output) = output(program.arg("--help").spawn().unwrap()).await;
    assert_eq!(code, Some(0));
    for text in ["token", "--page-port", "[env: PAGE_PORT=", "Ctrl-C"] {
        assert!(output.contains(text), "{text} in {output}");
    }
}
