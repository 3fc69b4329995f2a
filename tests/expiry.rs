//! Each client comes back before its token expires. Otherwise it would get a 401, and an `EventSource` gives up on that.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::LazyLock;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use local::issuer::Issuer;
use order_status_stream::feed::memory::Fault;
use order_status_stream::request::Request;
use proptest::prelude::*;
use serde_json::json;
use support::{Connection, Harness, NOW, deadline_after, outline, request};
use tokio::time::sleep;

const A: &str = "/orders/A/events";

/// A client is back this long before its token expires.
const LAST_SECONDS: Duration = Duration::from_secs(3);

static ISSUER: LazyLock<Issuer> = LazyLock::new(|| Issuer::new(Algorithm::ES256, "k").unwrap());

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn harness(settings: &[(&str, &str)]) -> Harness {
    let jwks = ISSUER.jwks().unwrap();
    let always = [("FEED_TABLE", "in memory"), ("JWKS", &*jwks)];
    Harness::with(&[&always, settings].concat())
}

/// A request with a token that expires at a time since the harness started.
fn with_token(expires: Duration) -> Request {
    let claims = json!({ "orders": ["A"], "exp": (NOW + expires).as_secs_f64() });
    let token = ISSUER.sign(&claims).unwrap();
    request("GET", A, &[("authorization", &format!("Bearer {token}"))])
}

/// Every kind of end of a response.
#[derive(Clone, Copy, Debug)]
enum End {
    /// No change is due.
    Policy,
    /// The window ends, or the deadline is near.
    Window,
    /// The feed fails, after so many earlier failures.
    Throttled(u32),
    /// The feed fails while the response is held.
    ThrottledLater(u32),
    /// The session panics.
    Panic(u32),
    /// The feed does not respond.
    Hang,
    /// The client does not read for a while.
    SlowReader,
}

fn any_end() -> impl Strategy<Value = End> {
    prop_oneof![
        Just(End::Policy),
        Just(End::Window),
        (0u32..7).prop_map(End::Throttled),
        (0u32..7).prop_map(End::ThrottledLater),
        (0u32..7).prop_map(End::Panic),
        Just(End::Hang),
        Just(End::SlowReader),
    ]
}

async fn check_end(kind: End, expires: Duration, window: u64, deadline: Duration, seed: u64) {
    let hold = if matches!(kind, End::Policy) {
        "auto"
    } else {
        "always"
    };
    let window = format!("{window}s");
    let harness = harness(&[("HOLD", hold), ("FRESHNESS", "10m"), ("WINDOW", &window)]);
    for status in ["PLACED", "PAID", "SHIPPED"] {
        harness.change("A", status).await;
    }
    let fail = |failures: u32| vec![Some(Fault::Throttled); failures as usize];
    let failures = match kind {
        End::Throttled(failures) | End::ThrottledLater(failures) | End::Panic(failures) => failures,
        _ => 0,
    };
    harness.feed.inject(fail(failures));
    for _ in 0..failures {
        let request = with_token(Duration::from_secs(3600));
        Connection::new(harness.respond(&request).await)
            .finish()
            .await;
    }
    assert_eq!(harness.age(), Duration::ZERO);
    harness.feed.inject(match kind {
        End::Throttled(_) => vec![Some(Fault::Throttled)],
        End::ThrottledLater(_) => vec![None, None, None, Some(Fault::Throttled)],
        End::Panic(_) => vec![None, None, Some(Fault::Panics)],
        End::Hang => vec![None, Some(Fault::Hangs)],
        _ => vec![],
    });
    let request = with_token(expires);
    let response = harness.respond_with(&request, deadline_after(deadline), seed);
    let mut connection = Connection::new(response.await);
    // If the token has expired already, the response says so before any change.
    if matches!(kind, End::SlowReader) && expires > ms(1) {
        connection.until("message").await;
        sleep(ms(seed % 60_000)).await;
    }
    let late = matches!(kind, End::SlowReader);
    let events = connection.finish().await;
    let end = events.last().unwrap();
    let left = expires.saturating_sub(harness.age());
    match &*end.event {
        "rest" => {
            let retry = end.retry.unwrap();
            assert!(retry >= ms(1000), "{retry:?}");
            // 1 ms more, because a token's expiry is a floating-point number.
            assert!(
                retry + LAST_SECONDS <= left + ms(1),
                "{retry:?} of {left:?}"
            );
        }
        "expired" => assert!(left < LAST_SECONDS + ms(1001), "{left:?}"),
        other => panic!("{other}: {:?}", outline(&events)),
    }
    assert!(
        late || harness.age() <= expires + ms(1),
        "{:?}",
        harness.age()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_client_is_back_before_its_token_expires_after_every_kind_of_end(
        kind in any_end(), expires in prop_oneof![0u64..10_000, 10_000u64..200_000], window in 1u64..60,
        deadline in 1000u64..100_000, seed: u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(check_end(kind, ms(expires), window, ms(deadline), seed));
    }
}

/// The feed is not polled after a failure. Heartbeats continue.
#[tokio::test(start_paused = true)]
async fn if_the_feed_failed_the_last_seconds_of_a_token_are_held_without_a_poll() {
    let harness = harness(&[("HEARTBEAT", "1s")]);
    harness.change("A", "PLACED").await;
    harness.feed.inject([Some(Fault::Throttled)]);
    let mut connection = Connection::new(harness.respond(&with_token(ms(3500))).await);
    connection.until("hello").await;
    for second in 1..=3 {
        assert_eq!(connection.chunk().await.unwrap(), ":\n");
        assert_eq!(harness.age(), ms(1000 * second));
    }
    let events = connection.finish().await;
    assert_eq!(outline(&events), ["hello", "expired"]);
    assert!(harness.age() < ms(3502), "{:?}", harness.age());
}

#[tokio::test(start_paused = true)]
async fn a_response_that_cannot_be_held_sends_expired_early() {
    let harness = harness(&[]);
    harness.change("A", "PLACED").await;
    // The deadline comes 2 s before the token expires.
    let request = with_token(ms(11_000));
    let response = harness.respond_within(ms(10_000), &request);
    let events = Connection::new(response.await).finish().await;
    assert_eq!(outline(&events), ["hello", "PLACED", "ready", "expired"]);
    assert_eq!(harness.age(), ms(9000));
}

/// Without keys, the rest follows the expiry in the token, although it is not verified. No server listens at port 1.
#[tokio::test]
async fn a_client_whose_keys_cannot_be_fetched_is_back_in_time() {
    for (expires, expected) in [(90, "rest"), (5, "rest"), (3, "expired"), (0, "expired")] {
        let harness = Harness::with(&[
            ("FEED_TABLE", "in memory"),
            ("JWKS", "https://[::1]:1/jwks.json"),
            ("JWT_ISSUER", "*"),
        ]);
        let expires = Duration::from_secs(expires);
        let response = harness.respond(&with_token(expires)).await;
        let events = Connection::new(response).finish().await;
        assert_eq!(outline(&events), ["hello", expected]);
        if let Some(retry) = events[1].retry.filter(|_| expected == "rest") {
            assert!(retry + LAST_SECONDS <= expires, "{retry:?}");
            assert!(events[1].data.ends_with(r#","unavailable":true}"#));
        }
    }
}
