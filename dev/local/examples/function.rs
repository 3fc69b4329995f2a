//! A function that does as it is told, for the tests of `local::runtime_api`.
//!
//! Behind Invoke (`INVOKE=1`), the event says what to do: see [`invoked`]. Behind the Function URL, the path does: see
//! [`requested`]. `/pipe` streams what a socket of the test's says, so that the test decides when each chunk goes out.

use std::{convert::Infallible, io::Write, process::exit};

use bytes::Bytes;
use futures_util::stream::unfold;
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use lambda_http::{Error, RequestExt, http::Response, service_fn};
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpStream};

type Streamed = UnsyncBoxBody<Bytes, Infallible>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    log("started");
    match std::env::var("FAIL_INIT").as_deref() {
        Ok("report") => return Ok(report_init_error()?),
        Ok(_) => exit(3),
        Err(_) => {}
    }
    if std::env::var_os("INVOKE").is_some() {
        lambda_runtime::run(service_fn(invoked)).await
    } else {
        lambda_http::run_with_streaming_response_concurrent(service_fn(requested)).await
    }
}

async fn invoked(event: LambdaEvent<Value>) -> Result<Value, Error> {
    match event.payload["do"].as_str() {
        Some("fail") => Err("as told".into()),
        Some("exit") => exit(7),
        Some("hang") => std::future::pending().await,
        _ => Ok(json!({
            "event": event.payload,
            "deadline": event.context.deadline,
            "name": event.context.env_config.function_name,
            "pid": std::process::id(),
            "variables": std::env::vars().collect::<Value>(),
        })),
    }
}

async fn requested(request: lambda_http::Request) -> Result<Response<Streamed>, Error> {
    match request.raw_http_path() {
        "/pipe" => {
            let parameters = request.query_string_parameters();
            let stage = TcpStream::connect(parameters.first("to").unwrap_or_default()).await?;
            Ok(Response::new(piped(stage)))
        }
        "/fail" => Err("as told".into()),
        "/exit" => exit(7),
        "/hang" => std::future::pending().await,
        _ => {
            let response = Response::builder().status(404);
            let response = response
                .header("vary", "a")
                .header("vary", "b")
                .header("set-cookie", "k=v");
            Ok(response.body(Full::from("nothing here").boxed_unsync())?)
        }
    }
}

/// What the test says, chunk by chunk, to its end. `exit` ends the process.
fn piped(stage: TcpStream) -> Streamed {
    let chunks = unfold(stage, async |mut stage| {
        let mut buffer = vec![0; 64 * 1024];
        let length = stage.read(&mut buffer).await.unwrap_or(0);
        buffer.truncate(length);
        match buffer.as_slice() {
            b"" => None,
            b"exit" => exit(7),
            _ => Some((Ok(Frame::data(buffer.into())), stage)),
        }
    });
    StreamBody::new(chunks).boxed_unsync()
}

/// Reports that the init phase failed, as a runtime would.
fn report_init_error() -> std::io::Result<()> {
    let mut runtime_api =
        std::net::TcpStream::connect(std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap_or_default())?;
    let error = r#"{"errorType":"Init.Told","errorMessage":"as told"}"#;
    write!(
        runtime_api,
        "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{error}",
        error.len()
    )?;
    std::io::copy(&mut runtime_api, &mut std::io::sink())?;
    Ok(())
}

fn log(line: &str) {
    let _ = writeln!(std::io::stdout(), "out: {line}");
    let _ = writeln!(std::io::stderr(), "err: {line}");
}
