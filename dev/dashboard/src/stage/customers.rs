//! Customers with an `EventSource`, and requests that must be refused.

use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use local::issuer::{Issuer, IssuerError};
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::time::sleep;

use super::about;

/// The mean time between two requests that must be refused, in seconds.
const BETWEEN_INTRUDERS: f64 = 6.0;

/// Most tokens live for an hour. Every fourth one lives for a minute, so that some expire while a customer watches.
const LIFETIMES: [u64; 4] = [3600, 3600, 3600, 60];

/// Between the order and the page that shows it, in seconds.
const OPENING: f64 = 2.0;

#[derive(Clone)]
pub(super) struct Customers {
    client: Client,
    stream_url: String,
    issuer: Issuer,
}

/// What the client remembers of the last response.
#[derive(Debug, Default)]
struct Seen {
    last_event_id: String,
    retry: Duration,
    /// `end` or 204: nothing more is expected.
    finished: bool,
    expired: bool,
}

impl Customers {
    pub(super) fn new(stream_url: String, issuer: Issuer) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: Client::builder().no_proxy().build()?,
            stream_url,
            issuer,
        })
    }

    /// One or two customers watch an order until it is finished.
    pub(super) fn watch(&self, order: &str) {
        for _ in 0..=fastrand::usize(..2) {
            let (customers, order) = (self.clone(), order.to_owned());
            tokio::spawn(async move {
                sleep(about(OPENING)).await;
                customers.follow(&order).await
            });
        }
    }

    async fn follow(self, order: &str) -> Result<(), IssuerError> {
        let mut token = self.token(order)?;
        let mut seen = Seen::default();
        while !seen.finished {
            if self.visit(order, &token, &mut seen).await.is_err() {
                seen.retry = Duration::from_secs(1);
            }
            if seen.expired {
                token = self.token(order)?;
            }
            sleep(seen.retry).await;
        }
        Ok(())
    }

    fn token(&self, order: &str) -> Result<String, IssuerError> {
        let seconds = fastrand::choice(LIFETIMES).unwrap_or_default();
        let (token, _) = self.issuer.token(&[order], Duration::from_secs(seconds))?;
        Ok(token)
    }

    /// Reads one response to its end.
    async fn visit(&self, order: &str, token: &str, seen: &mut Seen) -> reqwest::Result<()> {
        let response = self.get(order, token, &seen.last_event_id).await?;
        seen.finished = response.status() == StatusCode::NO_CONTENT;
        seen.expired = response.status() == StatusCode::UNAUTHORIZED;
        if !response.status().is_success() {
            seen.retry = Duration::from_secs(1);
        }
        for line in response.text().await?.lines() {
            match line.split_once(": ") {
                Some(("id", id)) => id.clone_into(&mut seen.last_event_id),
                Some(("retry", retry)) => {
                    seen.retry = Duration::from_millis(retry.parse().unwrap_or(1_000));
                }
                Some(("event", "expired")) => seen.expired = true,
                // One in three comes back once more, as a page does that is loaded again.
                Some(("event", "end")) => seen.finished = fastrand::usize(..3) > 0,
                _ => {}
            }
        }
        Ok(())
    }

    async fn get(
        &self,
        order: &str,
        token: &str,
        last_event_id: &str,
    ) -> reqwest::Result<reqwest::Response> {
        let request = self
            .client
            .get(format!("{}/orders/{order}/events", self.stream_url));
        let request = request.bearer_auth(token);
        request.header("last-event-id", last_event_id).send().await
    }

    /// Sends requests that must be refused, for ever.
    pub(super) async fn intrude(&self) -> Result<Infallible, IssuerError> {
        let an_hour_ago = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            - Duration::from_secs(3600);
        let expired = json!({ "orders": ["A"], "exp": an_hour_ago.as_secs() });
        let expired = self.issuer.sign(&expired)?;
        let (other, _) = self.issuer.token(&["B"], Duration::from_secs(86_400))?;
        let (every, _) = self.issuer.token(&["*"], Duration::from_secs(86_400))?;
        let requests = [
            ("A", &expired, ""),
            ("A", &expired, ""),
            ("A", &other, ""),
            ("%E0", &every, ""),
            ("A", &every, "not-a-cursor"),
        ];
        loop {
            sleep(about(BETWEEN_INTRUDERS)).await;
            let Some((order, token, cursor)) = fastrand::choice(requests) else {
                continue;
            };
            // The answer of a stream is not read. What is refused is counted by the function.
            let _ = self.get(order, token, cursor).await;
        }
    }
}
