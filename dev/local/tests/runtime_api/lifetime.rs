//! When processes start, how many requests they get, and how they end.

use std::time::Duration;

use tokio::{io::AsyncWriteExt, process::Command};

use crate::stage::{Client, How, Stage, closed, function};

#[tokio::test]
async fn a_process_has_one_request_at_a_time_and_is_used_again() {
    let (function, stage) = (function().start().await.unwrap(), Stage::new().await);
    assert_eq!(function.stats().processes, 0);

    let (one, mut first) = stage.open(&function).await;
    let (two, mut second) = stage.open(&function).await;
    assert_eq!(
        (function.stats().cold_starts, function.stats().in_flight()),
        (2, 2)
    );
    first.shutdown().await.unwrap();
    second.shutdown().await.unwrap();
    assert_eq!(
        (one.end().await.how, two.end().await.how),
        (How::Whole, How::Whole)
    );

    for _ in 0..20 {
        assert_eq!(
            Client::get(&function, "/").await.end().await.how,
            How::Whole
        );
    }
    assert_eq!(
        (function.stats().cold_starts, function.stats().completed),
        (2, 22)
    );
}

#[tokio::test]
async fn with_max_concurrency_a_process_has_so_many() {
    let (function, stage) = (
        function().max_concurrency(3).start().await.unwrap(),
        Stage::new().await,
    );
    // All at once, while the process starts.
    let clients = tokio::join!(
        stage.open(&function),
        stage.open(&function),
        stage.open(&function)
    );
    assert_eq!(function.stats().cold_starts, 1);
    let fourth = stage.open(&function).await;
    assert_eq!(function.stats().cold_starts, 2);

    // Which ear is whose is not known of those that came together.
    let (clients, ears): (Vec<_>, Vec<_>) = [clients.0, clients.1, clients.2, fourth]
        .into_iter()
        .unzip();
    for mut ear in ears {
        ear.shutdown().await.unwrap();
    }
    for client in clients {
        assert_eq!(client.end().await.how, How::Whole);
    }
}

#[tokio::test]
async fn there_a_deadline_leaves_the_process_alive() {
    let timeout = Duration::from_secs(1);
    let function = function()
        .max_concurrency(2)
        .timeout(timeout)
        .start()
        .await
        .unwrap();
    let stage = Stage::new().await;
    let (client, mut ear) = stage.open(&function).await;
    assert_eq!(client.end().await.how, How::Cut);

    // The code goes on to the response's end, where it is told that it was late.
    ear.write_all(b"more").await.unwrap();
    ear.shutdown().await.unwrap();
    function
        .wait_for_log("invocation timed out or response was stale")
        .await;
    // Both pollers are good for a request again.
    let _other = stage.open(&function).await;
    assert_eq!(
        Client::get(&function, "/").await.end().await.how,
        How::Whole
    );
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
    let (function, stage) = (function().start().await.unwrap(), Stage::new().await);
    let (one, _ear) = stage.open(&function).await;
    let (two, _ear) = stage.open(&function).await;

    assert_eq!(function.kill().await, 2);
    assert_eq!(function.stats().processes, 0);
    assert_eq!(
        (one.end().await.how, two.end().await.how),
        (How::Cut, How::Cut)
    );
    assert_eq!(function.kill().await, 0);
    assert_eq!(
        Client::get(&function, "/").await.end().await.how,
        How::Whole
    );
}

#[tokio::test]
async fn both_outputs_are_logged_line_by_line() {
    let function = function().start().await.unwrap();
    assert_eq!(
        Client::get(&function, "/").await.end().await.how,
        How::Whole
    );
    assert_eq!(function.wait_for_log("out:").await, "out: started");
    assert_eq!(function.wait_for_log("err:").await, "err: started");
}

#[tokio::test]
async fn dropping_the_function_kills_its_processes_and_cuts_its_clients() {
    let (function, stage) = (function().start().await.unwrap(), Stage::new().await);
    let (client, ear) = stage.open(&function).await;
    drop(function);
    assert!(closed(ear).await);
    assert_eq!(client.end().await.how, How::Cut);
}

/// Where this process is killed, it drops nothing. With several pollers a process would not even end by itself:
/// `lambda_runtime` calls a Runtime API that is gone for ever.
#[tokio::test]
async fn no_process_outlives_the_one_that_started_it() {
    let stage = Stage::new().await;
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", "lifetime::for_ever", "--ignored"])
        .env("STAGE", &stage.path)
        .kill_on_drop(true);
    let mut test = test.spawn().unwrap();

    let ear = tokio::select! {
        ear = stage.ear() => ear,
        status = test.wait() => panic!("{status:?}"),
    };
    test.kill().await.unwrap();
    assert!(closed(ear).await);
}

#[tokio::test]
#[ignore = "the other process of the test above"]
async fn for_ever() {
    let Ok(path) = std::env::var("STAGE") else {
        return;
    };
    let function = function().max_concurrency(2).start().await.unwrap();
    Client::get(&function, &path).await.end().await;
}
