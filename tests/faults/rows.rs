//! The faults.

use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use http::StatusCode;
use lambda_stand_in::Fault;

use super::clock::wait_for_clock;
use super::feed_proxy::{FeedProxy, Trouble};
use super::http_support::Shut;
use super::mapping::{big_batches, put_into_log, put_junk, remove_from_log, repair};
use super::world::World;

/// What happens before or after the changes of a step are written. The first step is 0.
type Act = for<'a> fn(&'a World, usize) -> BoxFuture<'a, ()>;

pub struct Row {
    pub name: &'static str,
    /// Runs in `make test` too.
    pub quick: bool,
    /// The trouble of the feed from the second to the fourth step.
    pub trouble: Trouble,
    /// The clock of both functions can be moved.
    pub moves_clock: bool,
    /// How many changes are never shown, because their records were given up, and a newer state was shown instead.
    pub given_up: usize,
    pub before: Act,
    pub after: Act,
}

/// No fault. Each step begins when every watcher has received the one before.
const CALM: Row = Row {
    name: "none",
    quick: false,
    trouble: Trouble::None,
    moves_clock: false,
    given_up: 0,
    before: |_, _| Box::pin(async {}),
    after: |world, step| Box::pin(world.saw(step)),
};

/// The feed is in trouble for three steps, and each of them lasts until both functions have noticed.
const TROUBLED: Row = Row {
    before: |world, step| {
        Box::pin(async move {
            match step {
                1 => world.trouble(world.row.trouble),
                4 => world.trouble(Trouble::None),
                _ => {}
            }
        })
    },
    after: |world, step| {
        Box::pin(async move {
            if (1..4).contains(&step) {
                tokio::join!(
                    world.projectors_feed.troubled(1),
                    world.streams_feed.troubled(2)
                );
            } else {
                world.saw(step).await;
            }
        })
    },
    ..CALM
};

/// Two records of order A cannot be appended until they are 23 hours old. Then it works again, and the operator repairs the order.
const GIVEN_UP: Row = Row {
    given_up: 1,
    before: |world, step| {
        Box::pin(async move {
            if step == 2 {
                world.projectors_feed.set(Trouble::Order("A"));
            }
        })
    },
    ..CALM
};

#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    Row { quick: true, ..CALM },
    Row { name: "the projector is killed before a call takes effect", quick: true,
        before: |world, step| Box::pin(async move { shut(&world.projectors_feed, step, false) }),
        after: |world, step| Box::pin(kill_the_projector(world, step)), ..CALM },
    Row { name: "the projector is killed after a call took effect",
        before: |world, step| Box::pin(async move { shut(&world.projectors_feed, step, true) }),
        after: |world, step| Box::pin(kill_the_projector(world, step)), ..CALM },
    Row { name: "the stream is killed at a call",
        before: |world, step| Box::pin(async move { shut(&world.streams_feed, step, step % 2 == 0) }),
        after: |world, step| Box::pin(kill_the_stream(world, step)), ..CALM },
    Row { name: "the stream is killed while responses are held",
        after: |world, step| Box::pin(async move { world.saw(step).await; world.stream.kill().await; }), ..CALM },
    Row { name: "a deployment replaces all processes", quick: true,
        after: |world, step| Box::pin(async move {
            tokio::join!(world.projector.kill(), world.stream.kill());
            world.saw(step).await;
        }), ..CALM },
    Row { name: "the feed is throttled", quick: true, trouble: Trouble::Throttled, ..TROUBLED },
    Row { name: "the feed fails", trouble: Trouble::Failing, ..TROUBLED },
    Row { name: "the feed is slow", trouble: Trouble::Slow(Duration::from_millis(700)), ..TROUBLED },
    Row { name: "the feed is unreachable", trouble: Trouble::Unreachable, ..TROUBLED },
    Row { name: "the tables contain items that cannot be read",
        before: |world, step| Box::pin(strange_items(world, step)), ..CALM },
    Row { name: "batches come again, and answers are lost",
        before: |world, _| Box::pin(async { world.delivery.repeats.store(true, Ordering::Relaxed) }), ..CALM },
    Row { name: "the stream of orders is read again from its beginning",
        before: |world, step| Box::pin(async move { if step == 3 { world.read_from(world.stream_arn.clone()); } }), ..CALM },
    Row { name: "the clock of the records jumps",
        before: |world, _| Box::pin(async { world.delivery.clock_jumps.store(true, Ordering::Relaxed) }), ..CALM },
    Row { name: "the clock of the functions jumps", moves_clock: true,
        before: |world, step| Box::pin(async move {
            let clock = world.clock.as_ref().unwrap();
            clock.set(["+0", "+1h", "+1h", "-1h", "-1h", "+0"][step]);
        }),
        after: |world, step| Box::pin(async move {
            world.saw(step).await;
            let hours = [0, 1, 1, -1, -1, 0][step];
            wait_for_clock(&world.stream, TimeDelta::hours(hours)).await;
        }), ..CALM },
    Row { name: "the stream of orders is created again (new ARN)", quick: true,
        before: |world, step| Box::pin(async move {
            if step == 2 || step == 4 {
                let arn = world.database.new_stream().await;
                world.switch_to(arn).await;
            }
        }), ..CALM },
    Row { name: "the orders table is restored",
        before: |world, step| Box::pin(async move {
            if step == 3 {
                world.stop_reading();
                let arn = world.database.restore().await;
                world.switch_to(arn).await;
            }
        }), ..CALM },
    Row { name: "responses are cut",
        before: |world, _| Box::pin(async { cut_responses(world) }), ..CALM },
    Row { name: "the platform refuses requests",
        before: |world, _| Box::pin(refuse(world)), ..CALM },
    Row { name: "the key set is gone, and new processes need it",
        before: |world, step| Box::pin(async move {
            if step == 1 || step == 4 {
                world.keys_gone.store(step == 1, Ordering::Relaxed);
                world.stream.kill().await;
            }
        }),
        after: |world, step| Box::pin(async move {
            if (1..4).contains(&step) {
                world.stream.wait_for_log("key set could not be fetched").await;
            } else {
                world.saw(step).await;
            }
        }), ..CALM },
    Row { name: "shards split in mid-stream", quick: true,
        before: |world, step| Box::pin(async move { if step == 0 { world.read_sharded().await; } }),
        after: |world, step| Box::pin(async move {
            let stream = world.sharded.lock().unwrap().clone().unwrap();
            if step % 2 == 0 { stream.split() } else { stream.roll() }
            if step % 3 == 2 { world.saw(step).await; }
        }), ..CALM },
    Row { name: "a big batch kills the projector",
        before: |world, step| Box::pin(async move { if step == 0 { world.stop_reading(); } }),
        after: |world, step| Box::pin(big_batches(world, step)), ..CALM },
    Row { name: "the own log of one order cannot be read",
        before: |world, step| Box::pin(async move {
            match step {
                1 => put_into_log(world, "A").await,
                4 => remove_from_log(world, "A").await,
                _ => {}
            }
        }),
        // Until then, all others see theirs.
        after: |world, step| Box::pin(async move {
            let missing = if (1..4).contains(&step) { step } else { 0 };
            world.saw_all_but(missing, step).await;
            if missing > 0 { world.projector.wait_for_log("will be retried").await; }
        }), ..CALM },
    Row { name: "records are given up and backfilled",
        after: |world, step| Box::pin(async move {
            let bucket = world.bucket.path().to_str().unwrap();
            repair(world, step, &["--failed-records", bucket]).await;
        }), ..GIVEN_UP },
    Row { name: "the bucket refuses records that are given up",
        before: |world, step| Box::pin(async move {
            if step == 0 { std::fs::remove_dir(world.bucket.path()).unwrap(); }
            (GIVEN_UP.before)(world, step).await;
        }),
        after: |world, step| Box::pin(async move {
            repair(world, step, &["--all"]).await;
            let refused = *world.metrics.destination_delivery_failures.borrow();
            assert_eq!(refused >= 2, step >= 3, "{refused} documents were refused");
        }), ..GIVEN_UP },
];

/// Holds the calls back, from a later one with each step.
fn shut(feed: &FeedProxy, step: usize, after_effect: bool) {
    feed.gate.shut(Shut {
        at_call: step + 1,
        after_effect,
    });
}

async fn kill_the_projector(world: &World, step: usize) {
    world.projectors_feed.gate.reached().await;
    world.projector.kill().await;
    world.projectors_feed.gate.open();
    world.saw(step).await;
}

async fn kill_the_stream(world: &World, step: usize) {
    world.streams_feed.gate.reached().await;
    world.stream.kill().await;
    world.streams_feed.gate.open();
    world.saw(step).await;
}

/// Items of other orders that no function can read. They are written after a first change, because before that the settings might
/// be wrong.
async fn strange_items(world: &World, step: usize) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let status = match step {
        0 => return feed_junk(world).await,
        1 => AttributeValue::Null(true),
        2 => AttributeValue::L(vec![text("PAID")]),
        3 => text(""),
        4 => AttributeValue::N("7".to_owned()),
        _ => text(&"x".repeat(300_000)),
    };
    world.database.put("strange", status).await;
}

async fn feed_junk(world: &World) {
    for (n, order) in ["junk", "A~", "B.C"].into_iter().enumerate() {
        put_junk(world, order, n).await;
    }
}

/// Two of three responses, until all is over.
fn cut_responses(world: &World) {
    world.stream.inject_by(|_| async {
        let (bytes, reset) = (fastrand::u64(..900), fastrand::bool());
        (fastrand::u8(..3) > 0).then_some(Fault::CutAfter { bytes, reset })
    });
}

/// Breaks all responses, and refuses the next requests.
async fn refuse(world: &World) {
    let refusals = [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE];
    let refusals = refusals.into_iter().cycle().map(Fault::Refuse);
    world.stream.inject(refusals.take(6));
    world.stream.kill().await;
}
