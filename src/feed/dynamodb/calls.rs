//! A limit of the calls in flight.
//!
//! Each call in flight has a connection of its own, and the client keeps a connection that it made. If 1,600 streams of a process
//! begin together, they would make 1,600 connections, each with the memory of a TLS session, and the database would see as many
//! handshakes.

use std::panic::resume_unwind;
use std::sync::Arc;

use futures_util::future::pending;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// With 5 ms for a call, 12,800 calls a second.
const IN_FLIGHT: usize = 64;

#[derive(Clone, Debug)]
pub(super) struct Calls(Arc<Semaphore>);

impl Default for Calls {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(IN_FLIGHT)))
    }
}

impl Calls {
    /// Makes a call once fewer than the limit are in flight.
    ///
    /// It runs in a task, because a session does not poll its reads while its client is slow: the call would keep its place. If
    /// the caller is dropped, so is the call, and a panic is the caller's.
    pub(super) async fn limited<T: Send + 'static>(
        &self,
        call: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let limit = Arc::clone(&self.0);
        let mut task = Aborted(tokio::spawn(async move {
            // The semaphore is never closed.
            let _place = limit.acquire_owned().await;
            call.await
        }));
        match (&mut task.0).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // The runtime ends, and so does this task.
            Err(_) => pending().await,
        }
    }
}

/// A task that ends with its caller.
struct Aborted<T>(JoinHandle<T>);

impl<T> Drop for Aborted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use tokio::time::{sleep, timeout};

    use super::*;

    const CALL: Duration = Duration::from_millis(5);

    #[tokio::test(start_paused = true)]
    async fn no_more_calls_than_the_limit_are_in_flight() {
        let (calls, flying) = (Calls::default(), Arc::new(AtomicUsize::new(0)));
        let call = |_| {
            let flying = Arc::clone(&flying);
            calls.limited(async move {
                let together = flying.fetch_add(1, Ordering::Relaxed) + 1;
                sleep(CALL).await;
                flying.fetch_sub(1, Ordering::Relaxed);
                together
            })
        };
        let together = join_all((0..10 * IN_FLIGHT).map(call)).await;
        assert_eq!(together.into_iter().max(), Some(IN_FLIGHT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_is_not_polled_keeps_no_place() {
        let calls = Calls::default();
        let mut callers: Vec<_> = (0..2 * IN_FLIGHT)
            .map(|_| Box::pin(calls.limited(sleep(CALL))))
            .collect();
        for caller in &mut callers {
            assert!(caller.now_or_never().is_none());
        }
        // Nobody polls them from here on.
        let last = timeout(10 * CALL, calls.limited(async { 7 })).await;
        assert_eq!(last, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_is_dropped_gives_its_place_back() {
        let calls = Calls::default();
        for _ in 0..2 * IN_FLIGHT {
            let begun = timeout(CALL, calls.limited(pending::<()>())).await;
            assert!(begun.is_err());
        }
        assert_eq!(calls.limited(async { 7 }).await, 7);
    }

    #[tokio::test]
    async fn a_panic_is_the_callers() {
        let calls = Calls::default();
        let panics = async { assert_eq!(1, 2, "of a call") };
        let caught = std::panic::AssertUnwindSafe(calls.limited(panics)).catch_unwind();
        assert!(caught.await.is_err());
    }
}
