//! A strict stand-in for AWS Lambda, for tests: real function binaries on one side, real HTTP clients on the other.
//!
//! ```text
//! client ──HTTP──▶ host ──▶ invocation ──▶ pool ──▶ environment ──▶ process
//!                             │                       │                │
//! test ──invoke───────────────┘                       └─▶ queue ◀── runtime_api (HTTP)
//! ```
//!
//! The modules in the order of a request. Each one uses only those below it:
//!
//! - `function`: the public handle of a deployed function,
//! - `host`: the Function URL, or a REST API of API Gateway. It listens, injects faults and sends responses to clients,
//! - `invocation`: one request, from the hand-over to a process until the end of its response,
//! - `pool`: the environments of a function. It starts a new one if none is idle,
//! - `environment`: one process and its lifetime,
//! - `runtime_api`: the HTTP protocol that the process speaks,
//! - `queue`: what a process may take, and where its responses go,
//! - `context`: settings, counts and logs, which all of them use.
//!
//! Emulators are usually more lenient than Lambda. This stand-in keeps these rules of the platform:
//!
//! - A process gets one request at a time, or as many as `AWS_LAMBDA_MAX_CONCURRENCY` says. If no process is idle,
//!   another one is started.
//! - The deadline is counted from the moment when the process takes the invocation. At the deadline the process is killed
//!   with SIGKILL, and the client's connection is closed without the last chunk.
//! - The function does not learn that its client has left. It is billed to the end of its response.
//! - An error before the response has begun is a 502. After that, the connection is cut.
//!
//! Only a stand-in can do these: [`Function::inject`], [`Function::kill`], [`Function::refuse_connections`].
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use lambda_stand_in::Function;
//!
//! let function = Function::builder("target/debug/stream").env("WINDOW", "2s").start().await?;
//! let response = reqwest::get(format!("{}/orders/A/events", function.url())).await?;
//! assert_eq!(function.stats().cold_starts, 1);
//! # Ok(())
//! # }
//! ```

mod builder;
mod clock;
mod context;
mod environment;
mod error;
mod function;
mod host;
mod invocation;
mod lock;
mod log;
mod pool;
mod prelude;
mod process_group;
mod queue;
mod runtime_api;
mod settings;
mod stats;

pub use builder::Builder;
pub use error::{FunctionError, InvokeError, StartError};
pub use function::Function;
pub use host::fault::Fault;
pub use process_group::{ProcessGroup, adopt_orphans};
pub use stats::Stats;
