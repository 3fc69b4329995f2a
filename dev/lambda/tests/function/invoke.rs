//! Invocations with Invoke.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use lambda_stand_in::{Function, Stats};
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
        // The runtime's, of the header of the invocation.
        "_X_AMZN_TRACE_ID",
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
        let payload = format!(r#"{{"do":"{what}"}}"#);
        function.invoke(payload.into()).await
    };

    assert!(invoke("nothing").await.is_ok());
    for (what, expected) in [
        ("fail", ": test error"),
        ("exit", "Runtime exited with error: exit status: 7"),
        ("hang", "Task timed out after 1.00 seconds"),
    ] {
        let error = invoke(what).await.unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
        let line = format!("Error: {error}");
        let logs = function.logs();
        assert!(logs.iter().any(|other| other.ends_with(&line)), "{logs:?}");
    }

    let stats = function.stats();
    assert!(stats.billed_ms >= 1000, "{stats:?}");
    // An error of the function does not end its process. The crash and the timeout each end one.
    let expected = Stats {
        started: 4,
        completed: 1,
        failed: 1,
        crashed: 1,
        timed_out: 1,
        cold_starts: 2,
        billed_ms: stats.billed_ms,
        ..Stats::default()
    };
    assert_eq!(stats, expected);
    assert_eq!(stats.in_flight(), 0);
}

#[tokio::test]
async fn an_init_phase_that_fails_fails_the_invocation() {
    for (failure, expected) in [
        ("exit", "Runtime exited with error: exit status: 3"),
        ("report", "function error: Init.Failed: test error"),
    ] {
        let function = function().env("FAIL_INIT", failure).start().await.unwrap();
        let error = function.invoke(Bytes::new()).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(function.stats().billed_ms, 0);
    }
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
