//! All requests of a run. What they mean is for [`rules`](crate::rules) to say.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;
use tokio::time::sleep;

use crate::Options;
use crate::exchange::{Ask, Seen, exchange};
use crate::rules::names_methods;
use crate::transcript::{Frame, Transcript};

/// Once it has begun, an answer that ends by itself takes no longer, unless something is wrong.
const SHORT: Duration = Duration::from_secs(20);

/// What a run has seen.
#[derive(Debug)]
pub struct Evidence {
    /// Only the rules of any server count.
    pub any_server: bool,
    /// The stream, to its end or the end of patience.
    pub held: Seen,
    /// The same, from the id of its first event with one on.
    pub resumed: Option<(String, Seen)>,
    /// What only this contract has.
    pub contract: Option<Contract>,
}

/// What is asked of a server of this contract.
#[derive(Debug)]
pub struct Contract {
    /// An order that nobody knows.
    pub unknown_order: Seen,
    /// With a cursor in the query.
    pub by_query: Option<(String, Seen)>,
    /// With one in the query and another in the header.
    pub by_both: Option<(String, Seen)>,
    /// With a cursor that is none.
    pub unreadable: Seen,
    /// With one that is ahead of all history.
    pub ahead: Seen,
    /// The order and an unknown one on one connection.
    pub several: Option<Seen>,
    /// A finished order.
    pub finished: Option<Finished>,
    /// Asked for JSON, and a stream from the cursor in it.
    pub snapshot: Option<(Seen, Option<Seen>)>,
    /// HEAD on the order's path.
    pub head: Seen,
    /// OPTIONS there.
    pub options: Seen,
    /// A path that is none.
    pub not_found: Seen,
    /// POST on the order's path.
    pub not_allowed: Seen,
    /// Requests that stay wrong.
    pub bad: Vec<(String, Seen)>,
    /// An order that was placed, watched and moved on.
    pub live: Option<Result<Live, String>>,
}

/// A finished order's ending.
#[derive(Debug)]
pub struct Finished {
    /// From the beginning.
    pub whole: Seen,
    /// From the cursor of `end`.
    pub told: Option<Seen>,
    /// From that of the last change.
    pub untold: Option<Seen>,
}

/// An order that changed while it was watched.
#[derive(Debug)]
pub struct Live {
    /// The statuses that the shop gave it, in order.
    pub statuses: Vec<String>,
    /// What its watcher got, in one response or, where the server rests, in several.
    pub watched: Vec<Seen>,
}

struct Questions<'a> {
    client: reqwest::Client,
    options: &'a Options,
}

/// Sends every request that the options allow.
///
/// # Errors
///
/// Where the HTTP client cannot be set up.
pub async fn gather(options: &Options) -> Result<Evidence, reqwest::Error> {
    let client = reqwest::Client::builder()
        // `exchange` follows them itself, as `EventSource` does.
        .redirect(reqwest::redirect::Policy::none())
        // Common firewalls refuse a request without one.
        .user_agent(concat!("conformance/", env!("CARGO_PKG_VERSION")))
        .build()?;
    let questions = Questions { client, options };
    if options.any_server {
        return Ok(questions.of_any_server(&options.url).await);
    }
    let order = options.order.as_deref();
    let order = order.map_or_else(nobodys_order, percent_encoded);
    let url = questions.url(&order);
    // Side by side, for the first is held as long as the server likes.
    let (mut evidence, contract) =
        tokio::join!(questions.of_any_server(&url), questions.of_contract(&order));
    evidence.any_server = false;
    evidence.contract = Some(contract);
    Ok(evidence)
}

/// An id as a path and a query take it.
fn percent_encoded(id: &str) -> String {
    let encoded = id.bytes().map(|byte| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}

fn nobodys_order() -> String {
    format!("conformance-{:016x}", fastrand::u64(..))
}

fn anything(_: &[u8]) -> bool {
    false
}

fn ready(bytes: &[u8]) -> bool {
    has(bytes, "ready")
}

fn has(bytes: &[u8], event: &str) -> bool {
    Transcript::read(bytes)
        .frames
        .iter()
        .any(|frame| frame.event() == event)
}

impl Questions<'_> {
    fn url(&self, order: &str) -> String {
        let base = self.options.url.trim_end_matches('/');
        format!("{base}/orders/{order}/events")
    }

    async fn ask(
        &self,
        method: Method,
        url: &str,
        cursor: Option<&str>,
        accept: &str,
        enough: impl Fn(&[u8]) -> bool,
        patience: Duration,
    ) -> Seen {
        let ask = Ask {
            url: url.to_owned(),
            method,
            cursor,
            accept,
            token: self.options.token.as_deref(),
            is_preflight: false,
            patience,
        };
        exchange(&self.client, ask, enough).await
    }

    /// A stream, until `enough`.
    async fn stream(
        &self,
        url: &str,
        cursor: Option<&str>,
        enough: impl Fn(&[u8]) -> bool,
    ) -> Seen {
        self.ask(
            Method::GET,
            url,
            cursor,
            "text/event-stream",
            enough,
            SHORT.min(self.options.patience),
        )
        .await
    }

    /// An answer that is no stream.
    async fn whole(&self, method: Method, url: &str, accept: &str) -> Seen {
        self.ask(method, url, None, accept, anything, SHORT).await
    }

    /// What OPTIONS is answered: to a preflight, which some fronts answer alone, or else to a plain request, for a front that
    /// does not know the origin names no methods to it.
    async fn methods(&self, url: &str) -> Seen {
        let ask = Ask {
            url: url.to_owned(),
            method: Method::OPTIONS,
            cursor: None,
            accept: "*/*",
            token: self.options.token.as_deref(),
            is_preflight: true,
            patience: SHORT,
        };
        let preflight = exchange(&self.client, ask, anything).await;
        match &preflight {
            Ok(seen) if seen.status.is_success() && names_methods(seen) => preflight,
            _ => self.whole(Method::OPTIONS, url, "*/*").await,
        }
    }

    async fn of_any_server(&self, url: &str) -> Evidence {
        let patience = self.options.patience;
        let held = self
            .ask(
                Method::GET,
                url,
                None,
                "text/event-stream",
                anything,
                patience,
            )
            .await;
        let resumed = match transcript(&held).resumable() {
            Some(from) => {
                let one_event = |bytes: &[u8]| has(bytes, from.event()) || has(bytes, "ready");
                let cursor = from.cursor().unwrap_or_default();
                let seen = self.stream(url, Some(cursor), one_event).await;
                Some((cursor.to_owned(), seen))
            }
            None => None,
        };
        Evidence {
            any_server: true,
            held,
            resumed,
            contract: None,
        }
    }

    async fn of_contract(&self, order: &str) -> Contract {
        let url = self.url(order);
        let known = self.options.order.is_some();
        let first = self.stream(&url, None, ready).await;
        let cursors = cursors(&first);
        let by_query = match cursors.first() {
            Some(cursor) => Some((
                cursor.clone(),
                self.stream(&format!("{url}?lastEventId={cursor}"), None, ready)
                    .await,
            )),
            None => None,
        };
        let by_both = match (cursors.first(), cursors.last()) {
            (Some(first), Some(last)) => Some((
                last.clone(),
                self.stream(&format!("{url}?lastEventId={first}"), Some(last), ready)
                    .await,
            )),
            _ => None,
        };
        let several = format!(
            "{}/orders/events?order={order}&order={}",
            self.options.url.trim_end_matches('/'),
            nobodys_order()
        );
        Contract {
            unknown_order: self.stream(&self.url(&nobodys_order()), None, ready).await,
            by_query,
            by_both,
            unreadable: self.stream(&url, Some("rubbish"), ready).await,
            ahead: self.stream(&url, Some("999999999-0000"), ready).await,
            several: if known {
                Some(self.stream(&several, None, ready).await)
            } else {
                None
            },
            finished: match &self.options.finished {
                Some(finished) => Some(self.finished(&self.url(&percent_encoded(finished))).await),
                None => None,
            },
            snapshot: if known {
                Some(self.snapshot(&url).await)
            } else {
                None
            },
            head: self.whole(Method::HEAD, &url, "text/event-stream").await,
            options: self.methods(&url).await,
            not_found: self
                .whole(
                    Method::GET,
                    &format!("{}/conformance", self.options.url.trim_end_matches('/')),
                    "*/*",
                )
                .await,
            not_allowed: self.whole(Method::POST, &url, "*/*").await,
            bad: self.bad().await,
            live: match &self.options.shop {
                Some(shop) => Some(self.live(shop.trim_end_matches('/')).await),
                None => None,
            },
        }
    }

    async fn finished(&self, url: &str) -> Finished {
        let whole = self.stream(url, None, anything).await;
        let transcript = transcript(&whole);
        let id = |event| {
            transcript
                .of(event)
                .last()
                .and_then(|frame| frame.get("id"))
                .map(str::to_owned)
        };
        let (end, change) = (id("end"), id("message"));
        let told = match &end {
            Some(end) => Some(self.stream(url, Some(end), anything).await),
            None => None,
        };
        let untold = match &change {
            Some(change) => Some(self.stream(url, Some(change), anything).await),
            None => None,
        };
        Finished {
            whole,
            told,
            untold,
        }
    }

    async fn snapshot(&self, url: &str) -> (Seen, Option<Seen>) {
        let snapshot = self.whole(Method::GET, url, "application/json").await;
        let json: Option<Value> = snapshot
            .as_ref()
            .ok()
            .and_then(|seen| serde_json::from_slice(&seen.body).ok());
        let resumed = match json.as_ref().and_then(|json| json["cursor"].as_str()) {
            Some(cursor) => Some(self.stream(url, Some(cursor), ready).await),
            None => None,
        };
        (snapshot, resumed)
    }

    async fn bad(&self) -> Vec<(String, Seen)> {
        let base = self.options.url.trim_end_matches('/');
        let eleven: String = (0..11).map(|n| format!("order={n}&")).collect();
        let requests = [
            ("an empty order id", format!("{base}/orders//events")),
            ("an order id of 129 characters", self.url(&"a".repeat(129))),
            ("an order id with a control character", self.url("a%0Ab")),
            ("an order id with %", self.url("a%2525")),
            ("no order", format!("{base}/orders/events")),
            ("eleven orders", format!("{base}/orders/events?{eleven}")),
            (
                "an order twice",
                format!("{base}/orders/events?order=A&order=A"),
            ),
        ];
        let mut bad = Vec::new();
        for (what, url) in requests {
            bad.push((what.to_owned(), self.whole(Method::GET, &url, "*/*").await));
        }
        bad
    }

    /// Places an order, watches it, and moves it on once the watcher has caught up, and again at each change that it sees.
    async fn live(&self, shop: &str) -> Result<Live, String> {
        let placed = self.tell(&format!("{shop}/orders")).await?;
        let order = placed["orderId"]
            .as_str()
            .ok_or("the shop's answer has no orderId")?
            .to_owned();
        let mut statuses = vec![placed["status"].as_str().unwrap_or_default().to_owned()];
        let told = AtomicUsize::new(0);
        let url = self.url(&percent_encoded(&order));
        let watching = async {
            let watched = self.watch(&url, 3, &told).await;
            // Nothing is waited for any more.
            told.store(usize::MAX, Ordering::Relaxed);
            Ok::<_, String>(watched)
        };
        let moving = async {
            for wanted in 1..=2 {
                while told.load(Ordering::Relaxed) < wanted {
                    sleep(Duration::from_millis(50)).await;
                }
                let moved = self
                    .tell(&format!(
                        "{shop}/orders/{}/advance",
                        percent_encoded(&order)
                    ))
                    .await?;
                statuses.push(moved["status"].as_str().unwrap_or_default().to_owned());
            }
            Ok(())
        };
        // Both, for the watcher may see a change before the shop has answered.
        let (watched, ()) = tokio::try_join!(watching, moving)?;
        Ok(Live { statuses, watched })
    }

    /// Watches until so many changes were told, and comes back when a `rest` says so. `told` counts those of which the watcher
    /// knows that they are all there is.
    async fn watch(&self, url: &str, changes: usize, told: &AtomicUsize) -> Vec<Seen> {
        let give_up = Instant::now() + self.options.patience;
        let (mut responses, mut cursor, mut before) = (Vec::new(), None::<String>, 0);
        loop {
            let enough = |bytes: &[u8]| {
                let read = Transcript::read(bytes);
                let so_far = before + read.of("message").count();
                if read.of("ready").count() > 0 {
                    told.store(so_far, Ordering::Relaxed);
                }
                so_far >= changes
            };
            let seen = self.stream(url, cursor.as_deref(), enough).await;
            let read = transcript(&seen);
            before += read.of("message").count();
            responses.push(seen);
            let rest = read.frames.last().filter(|last| last.event() == "rest");
            let Some(rest) = rest.filter(|_| before < changes && Instant::now() < give_up) else {
                return responses;
            };
            cursor = rest.get("id").map(str::to_owned);
            let retry = rest.get("retry").and_then(|retry| retry.parse().ok());
            sleep(Duration::from_millis(retry.unwrap_or_default())).await;
        }
    }

    async fn tell(&self, url: &str) -> Result<Value, String> {
        let answer = self
            .client
            .post(url)
            .send()
            .await
            .map_err(|error| error.to_string())?;
        answer.json().await.map_err(|error| error.to_string())
    }
}

/// The body of an answer, where there was one.
fn transcript(seen: &Seen) -> Transcript {
    let body = seen.as_ref().map(|seen| &seen.body[..]);
    Transcript::read(body.unwrap_or_default())
}

/// The ids of the changes.
fn cursors(seen: &Seen) -> Vec<String> {
    transcript(seen)
        .of("message")
        .filter_map(Frame::cursor)
        .map(str::to_owned)
        .collect()
}
