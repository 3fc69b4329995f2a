//! No client stays away until its token has expired: it would be refused, and an `EventSource` gives up for good then.
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
use support::{Connection, NOW, Stage, deadline_after, outline, request};
use tokio::time::sleep;

const A: &str = "/orders/A/events";

/// How long before its token expires a client is back.
const LAST_SECONDS: Duration = Duration::from_secs(3);

static ISSUER: LazyLock<Issuer> = LazyLock::new(|| Issuer::new(Algorithm::ES256, "k").unwrap());

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn stage(settings: &[(&str, &str)]) -> Stage {
    let jwks = ISSUER.jwks().unwrap();
    let always = [("FEED_TABLE", "in memory"), ("JWKS", &*jwks)];
    Stage::with(&[&always, settings].concat())
}

/// A request with a token that expires at a time after the stage's beginning.
fn with_token(expires: Duration) -> Request {
    let claims = json!({ "orders": ["A"], "exp": (NOW + expires).as_secs_f64() });
    let token = ISSUER.sign(&claims).unwrap();
    request("GET", A, &[("authorization", &format!("Bearer {token}"))])
}

/// Every way in which a response ends.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// No change is due.
    Policy,
    /// The window ends, or the deadline comes.
    Window,
    /// The feed fails, after so many failures before.
    Throttled(u32),
    /// The feed fails while the response is held.
    ThrottledLater(u32),
    /// The session panics.
    Panic(u32),
    /// The feed does not answer.
    Hang,
    /// The client takes its time.
    SlowReader,
}

fn any_way() -> impl Strategy<Value = Way> {
    prop_oneof![
        Just(Way::Policy),
        Just(Way::Window),
        (0u32..7).prop_map(Way::Throttled),
        (0u32..7).prop_map(Way::ThrottledLater),
        (0u32..7).prop_map(Way::Panic),
        Just(Way::Hang),
        Just(Way::SlowReader),
    ]
}

async fn end_in_time(way: Way, expires: Duration, window: u64, deadline: Duration, seed: u64) {
    let hold = if matches!(way, Way::Policy) {
        "auto"
    } else {
        "always"
    };
    let window = format!("{window}s");
    let stage = stage(&[("HOLD", hold), ("FRESHNESS", "10m"), ("WINDOW", &window)]);
    for status in ["PLACED", "PAID", "SHIPPED"] {
        stage.change("A", status).await;
    }
    let fail = |failures: u32| vec![Some(Fault::Throttled); failures as usize];
    let failures = match way {
        Way::Throttled(failures) | Way::ThrottledLater(failures) | Way::Panic(failures) => failures,
        _ => 0,
    };
    stage.feed.inject(fail(failures));
    for _ in 0..failures {
        let request = with_token(Duration::from_secs(3600));
        Connection::new(stage.respond(&request).await)
            .finish()
            .await;
    }
    assert_eq!(stage.age(), Duration::ZERO);
    stage.feed.inject(match way {
        Way::Throttled(_) => vec![Some(Fault::Throttled)],
        Way::ThrottledLater(_) => vec![None, None, None, Some(Fault::Throttled)],
        Way::Panic(_) => vec![None, None, Some(Fault::Panics)],
        Way::Hang => vec![None, Some(Fault::Hangs)],
        _ => vec![],
    });
    let request = with_token(expires);
    let response = stage.respond_with(&request, deadline_after(deadline), seed);
    let mut page = Connection::new(response.await);
    if matches!(way, Way::SlowReader) {
        page.until("message").await;
        sleep(ms(seed % 60_000)).await;
    }
    let late = matches!(way, Way::SlowReader);
    let events = page.finish().await;
    let end = events.last().unwrap();
    let left = expires.saturating_sub(stage.age());
    match &*end.event {
        "rest" => {
            let retry = end.retry.unwrap();
            assert!(retry >= ms(1000), "{retry:?}");
            // A token's time is a floating-point number.
            assert!(
                retry + LAST_SECONDS <= left + ms(1),
                "{retry:?} of {left:?}"
            );
        }
        "expired" => assert!(left < LAST_SECONDS + ms(1001), "{left:?}"),
        other => panic!("{other}: {:?}", outline(&events)),
    }
    assert!(late || stage.age() <= expires + ms(1), "{:?}", stage.age());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn however_a_response_ends_its_client_is_back_before_its_token_expires(
        way in any_way(), expires in prop_oneof![0u64..10_000, 10_000u64..200_000], window in 1u64..60,
        deadline in 1000u64..100_000, seed: u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(end_in_time(way, ms(expires), window, ms(deadline), seed));
    }
}

/// The feed is not asked again: it failed. The heartbeat goes on.
#[tokio::test(start_paused = true)]
async fn in_bad_weather_a_tokens_last_seconds_are_held_without_a_look_at_the_feed() {
    let stage = stage(&[("HEARTBEAT", "1s")]);
    stage.change("A", "PLACED").await;
    stage.feed.inject([Some(Fault::Throttled)]);
    let mut page = Connection::new(stage.respond(&with_token(ms(3500))).await);
    page.until("hello").await;
    for second in 1..=3 {
        assert_eq!(page.chunk().await.unwrap(), ":\n");
        assert_eq!(stage.age(), ms(1000 * second));
    }
    let events = page.finish().await;
    assert_eq!(outline(&events), ["hello", "expired"]);
    assert!(stage.age() < ms(3502), "{:?}", stage.age());
}

#[tokio::test(start_paused = true)]
async fn a_response_that_cannot_be_held_until_then_says_expired_early() {
    let stage = stage(&[]);
    stage.change("A", "PLACED").await;
    // The deadline comes 2 s before the token expires.
    let request = with_token(ms(11_000));
    let response = stage.respond_within(ms(10_000), &request);
    let events = Connection::new(response.await).finish().await;
    assert_eq!(outline(&events), ["hello", "PLACED", "ready", "expired"]);
    assert_eq!(stage.age(), ms(9000));
}

/// While nobody can verify the token, its own word is good enough to come back in time. Nobody listens at port 1.
#[tokio::test]
async fn a_client_whose_keys_cannot_be_fetched_is_back_in_time() {
    for (expires, expected) in [(90, "rest"), (5, "rest"), (3, "expired"), (0, "expired")] {
        let stage = Stage::with(&[
            ("FEED_TABLE", "in memory"),
            ("JWKS", "https://[::1]:1/jwks.json"),
            ("JWT_ISSUER", "*"),
        ]);
        let expires = Duration::from_secs(expires);
        let response = stage.respond(&with_token(expires)).await;
        let events = Connection::new(response).finish().await;
        assert_eq!(outline(&events), ["hello", expected]);
        if let Some(retry) = events[1].retry.filter(|_| expected == "rest") {
            assert!(retry + LAST_SECONDS <= expires, "{retry:?}");
            assert!(events[1].data.ends_with(r#","unavailable":true}"#));
        }
    }
}
