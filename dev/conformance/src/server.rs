//! The server under test. It sends the requests of all rules, and keeps the responses that several rules judge.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use reqwest::{Client, ClientBuilder};
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore};

use crate::Options;
use crate::exchange::{Exchange, Request, Seen, send};
use crate::rules::Remark;
use crate::transcript::Transcript;

/// The longest time to wait for a response that should end by itself soon after it began.
const SHORT: Duration = Duration::from_secs(20);

/// The most concurrent requests: one for the response that waits for its end, one for all others. Each takes a concurrent execution
/// from the server's visitors, and a new AWS account has ten.
const CONCURRENT: usize = 2;

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) options: Options,
    client: Client,
    /// The order in most requests: the one that was named, or an unknown one.
    order: String,
    permits: Semaphore,
    held: OnceCell<Seen>,
    resumed: OnceCell<Option<(String, Seen)>>,
    finished: OnceCell<Option<Seen>>,
    /// Each stream that was answered, by its URL and cursor.
    streams: Mutex<Vec<(String, Transcript)>>,
}

impl Server {
    /// Sends nothing yet.
    pub(crate) fn new(client: ClientBuilder, options: Options) -> reqwest::Result<Self> {
        let client = client
            // `send` follows redirects itself, as `EventSource` does.
            .redirect(reqwest::redirect::Policy::none())
            // Common firewalls refuse a request without a user agent.
            .user_agent(concat!("conformance/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            order: options.order.clone().unwrap_or_else(unknown_order),
            options,
            client,
            permits: Semaphore::new(CONCURRENT),
            held: OnceCell::new(),
            resumed: OnceCell::new(),
            finished: OnceCell::new(),
            streams: Mutex::default(),
        })
    }

    /// The URL that all paths of the contract are added to.
    pub(crate) fn base(&self) -> &str {
        self.options.url.trim_end_matches('/')
    }

    /// The URL of an order's stream.
    pub(crate) fn url_of(&self, order: &str) -> String {
        format!("{}/orders/{}/events", self.base(), percent_encoded(order))
    }

    /// The URL of the stream of the customer that the token names.
    pub(crate) fn customer_url(&self) -> String {
        format!("{}/customers/me/events", self.base())
    }

    /// The URL of the stream that most requests ask for.
    pub(crate) fn url(&self) -> String {
        match self.options.any_server {
            true => self.options.url.clone(),
            false => self.url_of(&self.order),
        }
    }

    /// The order of [`Self::url`], if it was named and so has changes.
    pub(crate) fn named_order(&self) -> Option<&str> {
        self.options.order.as_deref()
    }

    /// The whole stream, until the server ends it or patience ends.
    pub(crate) async fn held(&self) -> Result<&Exchange, Remark> {
        let ask = || async {
            let patience = self.options.patience;
            self.read_stream(&self.url(), None, |_| false, patience)
                .await
        };
        let seen = self.held.get_or_init(ask).await.as_ref();
        seen.map_err(|error| Remark::Fail(error.clone()))
    }

    /// The same stream, resumed from the id of one of its first events, and that id. `None` if there is no such event.
    pub(crate) async fn resumed(&self) -> Option<&(String, Seen)> {
        let ask = || async {
            let read = Transcript::read(&self.held().await.ok()?.body);
            let from = read.resumable()?;
            let cursor = from.cursor()?.to_owned();
            let one_event = |bytes: &[u8]| has(bytes, from.event()) || has(bytes, "ready");
            let seen = self.stream(&self.url(), Some(&cursor), one_event).await;
            Some((cursor, seen))
        };
        self.resumed.get_or_init(ask).await.as_ref()
    }

    /// The whole stream of the finished order, if one was named.
    pub(crate) async fn finished(&self) -> Option<&Seen> {
        let ask = || async {
            let url = self.url_of(self.options.finished.as_ref()?);
            Some(self.stream(&url, None, |_| false).await)
        };
        self.finished.get_or_init(ask).await.as_ref()
    }

    /// Reads a stream until `enough`.
    pub(crate) async fn stream(
        &self,
        url: &str,
        cursor: Option<&str>,
        enough: impl Fn(&[u8]) -> bool,
    ) -> Seen {
        let patience = SHORT.min(self.options.patience);
        self.read_stream(url, cursor, enough, patience).await
    }

    async fn read_stream(
        &self,
        url: &str,
        cursor: Option<&str>,
        enough: impl Fn(&[u8]) -> bool,
        patience: Duration,
    ) -> Seen {
        let request = Request {
            cursor,
            accept: "text/event-stream",
            patience,
            ..self.plain(Method::GET, url)
        };
        let seen = self.send(request, enough).await?;
        // The rules about every stream compare ids with the numbers of orders, and a customer's stream has numbers of its own.
        let is_customers = url.starts_with(&self.customer_url());
        if seen.status == 200 && seen.media_type() == "text/event-stream" && !is_customers {
            let key = format!("{url} {}", cursor.unwrap_or_default());
            let read = Transcript::read(&seen.body);
            let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            streams.push((key, read));
        }
        Ok(seen)
    }

    /// Reads a response that is not a stream.
    pub(crate) async fn request(&self, method: Method, url: &str, accept: &str) -> Seen {
        let request = Request {
            accept,
            ..self.plain(method, url)
        };
        self.send(request, |_| false).await
    }

    /// Sends OPTIONS as a browser does before a page of another origin may send a request.
    pub(crate) async fn preflight(&self, url: &str) -> Seen {
        let fields = [
            (ORIGIN, "https://conformance.example"),
            (ACCESS_CONTROL_REQUEST_METHOD, "GET"),
        ];
        let request = Request {
            fields: &fields,
            ..self.plain(Method::OPTIONS, url)
        };
        self.send(request, |_| false).await
    }

    /// A request with the token, for other fields to be set.
    pub(crate) fn plain<'a>(&'a self, method: Method, url: &'a str) -> Request<'a> {
        Request {
            url,
            method,
            cursor: None,
            accept: "*/*",
            token: self.options.token.as_deref(),
            fields: &[],
            patience: SHORT,
        }
    }

    pub(crate) async fn send(&self, request: Request<'_>, enough: impl Fn(&[u8]) -> bool) -> Seen {
        let _permit = self.permits.acquire().await;
        send(&self.client, request, enough).await
    }

    /// Sends a command to the demo shop.
    pub(crate) async fn command(&self, url: &str) -> reqwest::Result<Value> {
        self.client.post(url).send().await?.json().await
    }

    /// Each stream so far that was answered with 200, in an order that does not depend on time.
    pub(crate) fn streams(&self) -> Vec<Transcript> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.sort_by(|(one, _), (other, _)| one.cmp(other));
        streams.iter().map(|(_, read)| read.clone()).collect()
    }
}

/// An id, as it is written in a path or a query.
pub(crate) fn percent_encoded(id: &str) -> String {
    let encoded = id.bytes().map(|byte| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}

/// An order without changes.
pub(crate) fn unknown_order() -> String {
    format!("conformance-{:016x}", fastrand::u64(..))
}

/// Whether an event of that type came.
pub(crate) fn has(bytes: &[u8], event: &str) -> bool {
    Transcript::read(bytes).of(event).next().is_some()
}

/// Whether everything there was came.
pub(crate) fn ready(bytes: &[u8]) -> bool {
    has(bytes, "ready")
}
