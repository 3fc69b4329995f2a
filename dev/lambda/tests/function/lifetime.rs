//! When processes start, how many requests they get, and how they end.

use std::time::Duration;

use tokio::{io::AsyncWriteExt, process::Command};

use crate::harness::{Ending, Harness, RawClient, assert_responds, closed, function, start};

#[tokio::test]
async fn a_process_has_one_request_at_a_time_and_is_used_again() {
    let (function, harness) = start(function()).await;
    assert_eq!(function.stats().processes, 0);

    let (one, mut first) = harness.open(&function).await;
    let (two, mut second) = harness.open(&function).await;
    assert_eq!(
        (function.stats().cold_starts, function.stats().in_flight()),
        (2, 2)
    );
    first.shutdown().await.unwrap();
    second.shutdown().await.unwrap();
    assert_eq!(
        (one.end().await.ending, two.end().await.ending),
        (Ending::Whole, Ending::Whole)
    );

    for _ in 0..20 {
        assert_responds(&function).await;
    }
    assert_eq!(
        (function.stats().cold_starts, function.stats().completed),
        (2, 22)
    );
}

#[tokio::test]
async fn max_concurrency_limits_the_requests_of_a_process() {
    let (function, harness) = start(function().max_concurrency(3)).await;
    // All of them arrive while the process starts.
    let clients = tokio::join!(
        harness.open(&function),
        harness.open(&function),
        harness.open(&function)
    );
    assert_eq!(function.stats().cold_starts, 1);
    let fourth = harness.open(&function).await;
    assert_eq!(function.stats().cold_starts, 2);

    // It is not known which of these pipes belongs to which client.
    let (clients, pipes): (Vec<_>, Vec<_>) = [clients.0, clients.1, clients.2, fourth]
        .into_iter()
        .unzip();
    for mut pipe in pipes {
        pipe.shutdown().await.unwrap();
    }
    for client in clients {
        assert_eq!(client.end().await.ending, Ending::Whole);
    }
}

#[tokio::test]
async fn with_max_concurrency_a_deadline_does_not_end_the_process() {
    let timeout = Duration::from_secs(1);
    let function = function()
        .max_concurrency(2)
        .timeout(timeout)
        .start()
        .await
        .unwrap();
    let harness = Harness::new().await;
    let (client, mut pipe) = harness.open(&function).await;
    assert_eq!(client.end().await.ending, Ending::Cut);

    // The code goes on to the end of its response. Then it learns that it was late.
    pipe.write_all(b"more").await.unwrap();
    pipe.shutdown().await.unwrap();
    function
        .wait_for_log("invocation timed out or response was stale")
        .await;
    // Both pollers take requests again.
    let _other = harness.open(&function).await;
    assert_responds(&function).await;
    let stats = function.stats();
    assert_eq!(
        (
            stats.timed_out,
            stats.completed,
            stats.cold_starts,
            stats.processes
        ),
        (1, 1, 1, 1)
    );
}

#[tokio::test]
async fn kill_ends_every_process_at_once() {
    let (function, harness) = start(function()).await;
    let (one, _pipe) = harness.open(&function).await;
    let (two, _pipe) = harness.open(&function).await;

    assert_eq!(function.kill().await, 2);
    assert_eq!(function.stats().processes, 0);
    assert_eq!(
        (one.end().await.ending, two.end().await.ending),
        (Ending::Cut, Ending::Cut)
    );
    assert_eq!(function.kill().await, 0);
    assert_responds(&function).await;
}

#[tokio::test]
async fn both_outputs_are_logged_line_by_line() {
    let function = function().start().await.unwrap();
    assert_responds(&function).await;
    assert_eq!(function.wait_for_log("out:").await, "out: started");
    assert_eq!(function.wait_for_log("err:").await, "err: started");
}

#[tokio::test]
async fn dropping_the_function_kills_its_processes_and_cuts_its_clients() {
    let (function, harness) = start(function()).await;
    let (client, pipe) = harness.open(&function).await;
    drop(function);
    assert!(closed(pipe).await);
    assert_eq!(client.end().await.ending, Ending::Cut);
}

/// A process that is killed runs no destructors. With several pollers, a function's process would not end by itself, because
/// `lambda_runtime` calls a Runtime API that is gone again and again.
#[tokio::test]
async fn no_process_outlives_the_one_that_started_it() {
    let harness = Harness::new().await;
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", "lifetime::run_for_ever", "--ignored"])
        .env("PIPE_PATH", &harness.path)
        .kill_on_drop(true);
    let mut test = test.spawn().unwrap();

    let pipe = tokio::select! {
        pipe = harness.pipe() => pipe,
        status = test.wait() => panic!("{status:?}"),
    };
    test.kill().await.unwrap();
    assert!(closed(pipe).await);
}

#[tokio::test]
#[ignore = "the other process of the test above"]
async fn run_for_ever() {
    let Ok(path) = std::env::var("PIPE_PATH") else {
        return;
    };
    let function = function().max_concurrency(2).start().await.unwrap();
    RawClient::get(&function, &path).await.end().await;
}
