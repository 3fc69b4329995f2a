//! A request, and every byte that came back.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method, StatusCode};

/// How a response ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With HTTP's own mark of an end.
    Whole,
    /// Without.
    Cut(String),
    /// It went on when enough was seen.
    StillOpen,
    /// It went on when patience ended.
    OutOfPatience,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body, as far as it was read.
    pub body: Vec<u8>,
    /// How it ended.
    pub end: End,
    /// The longest time without a byte.
    pub longest_silence: Duration,
}

/// A response, or why there is none.
pub type Seen = Result<Exchange, String>;

/// A request to be sent.
#[derive(Debug)]
pub struct Ask<'a> {
    /// Where.
    pub url: String,
    /// How.
    pub method: Method,
    /// `last-event-id`
    pub cursor: Option<&'a str>,
    /// `accept`
    pub accept: &'a str,
    /// `authorization: Bearer`
    pub token: Option<&'a str>,
    /// How long the response is read.
    pub patience: Duration,
}

/// Sends a request and reads the response until `enough`, its end, or the end of patience.
pub async fn exchange(
    client: &reqwest::Client,
    ask: Ask<'_>,
    enough: impl Fn(&[u8]) -> bool,
) -> Seen {
    let preflight = ask.method == Method::OPTIONS;
    let mut request = client
        .request(ask.method, &ask.url)
        .header("accept", ask.accept);
    if preflight {
        // As a browser asks; a front that answers in the server's place answers nothing else.
        request = request
            .header("origin", "https://conformance.example")
            .header("access-control-request-method", "GET");
    }
    if let Some(cursor) = ask.cursor {
        request = request.header("last-event-id", cursor);
    }
    if let Some(token) = ask.token {
        request = request.bearer_auth(token);
    }
    let deadline = tokio::time::Instant::now() + ask.patience;
    let answered = tokio::time::timeout_at(deadline, request.send()).await;
    let mut response = answered
        .map_err(|_| {
            format!(
                "{} was not answered within {} s",
                ask.url,
                ask.patience.as_secs()
            )
        })?
        .map_err(|error| format!("{} was not answered: {}", ask.url, chain(&error)))?;
    let mut seen = Exchange {
        status: response.status(),
        headers: response.headers().clone(),
        body: Vec::new(),
        end: End::StillOpen,
        longest_silence: Duration::ZERO,
    };
    let mut last = Instant::now();
    while !enough(&seen.body) {
        let chunk = tokio::time::timeout_at(deadline, response.chunk()).await;
        seen.longest_silence = seen.longest_silence.max(last.elapsed());
        last = Instant::now();
        seen.end = match chunk {
            Ok(Ok(Some(chunk))) => {
                seen.body.extend_from_slice(&chunk);
                continue;
            }
            Ok(Ok(None)) => End::Whole,
            Ok(Err(error)) => End::Cut(chain(&error)),
            Err(_) => End::OutOfPatience,
        };
        break;
    }
    Ok(seen)
}

impl Exchange {
    /// A header field, where it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    }

    /// The content type without its parameters.
    pub fn media_type(&self) -> &str {
        let value = self.header("content-type").unwrap_or("none");
        value.split(';').next().unwrap_or_default().trim()
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
