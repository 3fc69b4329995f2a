//! A function for the tests of `lambda-stand-in`, which tell it what to do.
//!
//! With `INVOKE=1`, the event says what to do: see [`invoked`]. Otherwise the path of the request does: see [`requested`]. `/pipe`
//! streams what it reads from a socket of the test, so that the test decides when each chunk is sent.

use std::convert::Infallible;
use std::io::Write;
use std::process::exit;

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
        Some("fail") => Err("test error".into()),
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
            let pipe = TcpStream::connect(parameters.first("to").unwrap_or_default()).await?;
            Ok(Response::new(piped(pipe)))
        }
        "/fail" => Err("test error".into()),
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

/// Streams what the test writes. `exit` ends the process.
fn piped(pipe: TcpStream) -> Streamed {
    let chunks = unfold(pipe, async |mut pipe| {
        let mut buffer = vec![0; 64 * 1024];
        let length = pipe.read(&mut buffer).await.unwrap_or(0);
        buffer.truncate(length);
        match buffer.as_slice() {
            b"" => None,
            b"exit" => exit(7),
            _ => Some((Ok(Frame::data(buffer.into())), pipe)),
        }
    });
    StreamBody::new(chunks).boxed_unsync()
}

/// Reports that the init phase failed, as a Lambda runtime does.
fn report_init_error() -> std::io::Result<()> {
    let mut runtime_api =
        std::net::TcpStream::connect(std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap_or_default())?;
    let error = r#"{"errorType":"Init.Failed","errorMessage":"test error"}"#;
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
