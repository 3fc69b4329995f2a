//! Invocations with Invoke.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use lambda_stand_in::{Function, FunctionError, InvokeError, Stats};
use serde_json::Value;

use crate::harness::{NEVER, function};

fn epoch_ms() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis()
}

#[tokio::test]
async fn the_process_gets_the_event_the_deadline_and_lambdas_variables() {
    let function = function()
        .name("orders")
        .env("INVOKE", "1")
        .start()
        .await
        .unwrap();

    let before = epoch_ms();
    let response = function
        .invoke(Bytes::from_static(br#"{"k":"v"}"#))
        .await
        .unwrap();
    let after = epoch_ms();
    let response: Value = serde_json::from_slice(&response).unwrap();

    assert_eq!(response["event"]["k"], "v");
    assert_eq!(response["name"], "orders");
    let start = u128::from(response["deadline"].as_u64().unwrap()) - NEVER.as_millis();
    assert!(
        (before..=after).contains(&start),
        "{before} <= {start} <= {after}"
    );
    let variables = response["variables"].as_object().unwrap().keys();
    let expected = [
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_RUNTIME_API",
        "INVOKE",
        "PATH",
    ];
    assert!(variables.eq(expected));
}

#[tokio::test]
async fn each_kind_of_error_is_counted() {
    let function = function()
        .env("INVOKE", "1")
        .timeout(Duration::from_secs(1))
        .start()
        .await
        .unwrap();
    let invoke = async |what: &str| {
        function
            .invoke(format!(r#"{{"do":"{what}"}}"#).into())
            .await
    };

    assert!(invoke("nothing").await.is_ok());
    let Err(InvokeError::FunctionError(FunctionError { error_message, .. })) = invoke("fail").await
    else {
        panic!()
    };
    assert_eq!(error_message, "test error");
    let Err(InvokeError::Crashed { status }) = invoke("exit").await else {
        panic!()
    };
    assert_eq!(status, "exit status: 7");
    let Err(InvokeError::TimedOut { after }) = invoke("hang").await else {
        panic!()
    };
    assert_eq!(after, Duration::from_secs(1));

    let stats = function.stats();
    let Stats {
        completed,
        failed,
        crashed,
        timed_out,
        cold_starts,
        processes,
        ..
    } = stats;
    // An error of the function does not end its process. The crash and the timeout each end one.
    assert_eq!(
        (
            completed,
            failed,
            crashed,
            timed_out,
            cold_starts,
            processes
        ),
        (1, 1, 1, 1, 2, 0)
    );
    assert_eq!((stats.started, stats.in_flight()), (4, 0));
    assert!(stats.billed_ms >= 1000, "{stats:?}");
    assert!(
        function
            .logs()
            .iter()
            .any(|line| line.ends_with("Error: Task timed out after 1.00 seconds"))
    );
}

#[tokio::test]
async fn an_init_phase_that_fails_fails_the_invocation() {
    let silent = function().env("FAIL_INIT", "exit").start().await.unwrap();
    let Err(InvokeError::Crashed { status }) = silent.invoke(Bytes::new()).await else {
        panic!()
    };
    assert_eq!(status, "exit status: 3");
    assert_eq!(silent.stats().billed_ms, 0);

    let reported = function().env("FAIL_INIT", "report").start().await.unwrap();
    let Err(InvokeError::FunctionError(error)) = reported.invoke(Bytes::new()).await else {
        panic!()
    };
    assert_eq!(error.to_string(), "Init.Failed: test error");
}

#[tokio::test]
async fn a_process_answers_an_invocation_once_and_no_other() {
    let function = function().env("INVOKE", "1").start().await.unwrap();
    let response: Value =
        serde_json::from_slice(&function.invoke("{}".into()).await.unwrap()).unwrap();
    let runtime_api = response["variables"]["AWS_LAMBDA_RUNTIME_API"]
        .as_str()
        .unwrap();

    for end in ["response", "error"] {
        let url = format!("http://{runtime_api}/2018-06-01/runtime/invocation/unknown/{end}");
        let answer = reqwest::Client::new()
            .post(url)
            .body("{}")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 400);
        assert!(answer.text().await.unwrap().contains("InvalidRequestID"));
    }
}

#[tokio::test]
async fn a_missing_bootstrap_is_named() {
    let error = Function::builder("/no/such/bootstrap")
        .start()
        .await
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "no bootstrap at /no/such/bootstrap: build it first"
    );
}
