//! One request, and every byte of the response.

use std::time::{Duration, Instant};

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use reqwest::{Client, RequestBuilder, Response, Url};

/// The most redirects that a client follows: <https://fetch.spec.whatwg.org/#http-redirect-fetch>.
const REDIRECTS: usize = 20;

/// If no byte comes for this time, the response is held: a later byte does not push the earlier ones through buffers in time.
pub(crate) const PAUSE: Duration = Duration::from_millis(500);

/// How a response ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With HTTP's end of a body.
    Whole,
    /// Without it. Holds the error.
    Cut(String),
    /// The request saw enough before the end.
    StillOpen,
    /// Patience ended before the response did.
    OutOfPatience,
}

#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) version: Version,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// As far as it was read.
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
    /// The longest time without a byte.
    pub(crate) longest_silence: Duration,
    /// The length of the body before each silence of [`PAUSE`] or more.
    pub(crate) pauses: Vec<usize>,
    /// For each chunk, the time since the request and the length of the body after it.
    pub(crate) arrivals: Vec<(Duration, usize)>,
    /// The time from the request to the end of reading.
    pub(crate) took: Duration,
}

/// A response, or why there was none.
pub(crate) type Seen = Result<Exchange, String>;

#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) url: &'a str,
    pub(crate) method: Method,
    /// Sent as `last-event-id`.
    pub(crate) cursor: Option<&'a str>,
    pub(crate) accept: &'a str,
    /// Sent as `authorization: Bearer`.
    pub(crate) token: Option<&'a str>,
    /// Other header fields. `accept-encoding` replaces the one that is sent otherwise.
    pub(crate) fields: &'a [(HeaderName, &'a str)],
    /// How long to read the response.
    pub(crate) patience: Duration,
}

/// Sends a request and reads the response until `enough`, its end, or the end of patience.
pub(crate) async fn send(
    client: &Client,
    request: Request<'_>,
    enough: impl Fn(&[u8]) -> bool,
) -> Seen {
    let start = Instant::now();
    let deadline = tokio::time::Instant::now() + request.patience;
    let head = tokio::time::timeout_at(deadline, follow(client, &request)).await;
    let mut response = head.map_err(|_| {
        let seconds = request.patience.as_secs();
        format!("no response from {} within {seconds} s", request.url)
    })??;
    let mut seen = Exchange {
        version: response.version(),
        status: response.status(),
        headers: response.headers().clone(),
        body: Vec::new(),
        end: End::StillOpen,
        longest_silence: Duration::ZERO,
        pauses: Vec::new(),
        arrivals: Vec::new(),
        took: Duration::ZERO,
    };
    read(&mut response, &mut seen, (start, deadline), enough).await;
    seen.took = start.elapsed();
    Ok(seen)
}

/// Reads the body until `enough`, its end, or the deadline.
async fn read(
    response: &mut Response,
    seen: &mut Exchange,
    (start, deadline): (Instant, tokio::time::Instant),
    enough: impl Fn(&[u8]) -> bool,
) {
    let mut last = Instant::now();
    while !enough(&seen.body) {
        let chunk = tokio::time::timeout_at(deadline, response.chunk()).await;
        let silence = last.elapsed();
        seen.longest_silence = seen.longest_silence.max(silence);
        if silence >= PAUSE {
            seen.pauses.push(seen.body.len());
        }
        last = Instant::now();
        seen.end = match chunk {
            Ok(Ok(Some(chunk))) => {
                seen.body.extend_from_slice(&chunk);
                seen.arrivals.push((start.elapsed(), seen.body.len()));
                continue;
            }
            Ok(Ok(None)) => End::Whole,
            Ok(Err(error)) => End::Cut(chain(&error)),
            Err(_) => End::OutOfPatience,
        };
        break;
    }
}

/// Sends the request, and follows redirects as `EventSource` does: with the same header fields, except that the token does not go
/// to another origin. The method stays, because the request is meant for the server that the redirect names.
async fn follow(client: &Client, request: &Request<'_>) -> Result<Response, String> {
    let failed = |what: String| format!("no response from {}: {what}", request.url);
    let mut url = Url::parse(request.url).map_err(|error| failed(error.to_string()))?;
    let mut token = request.token;
    for _ in 0..=REDIRECTS {
        let sent = build(client, request, &url, token).send().await;
        let response = sent.map_err(|error| failed(chain(&error)))?;
        let Some(next) = redirected_to(&response) else {
            return Ok(response);
        };
        let next = next.map_err(failed)?;
        if next.origin() != url.origin() {
            token = None;
        }
        url = next;
    }
    Err(failed(format!(
        "there were more than {REDIRECTS} redirects"
    )))
}

fn build(client: &Client, request: &Request<'_>, url: &Url, token: Option<&str>) -> RequestBuilder {
    let mut builder = client
        .request(request.method.clone(), url.clone())
        .header("accept", request.accept);
    let mut fields = request.fields.iter();
    if !fields.any(|(name, _)| name == ACCEPT_ENCODING) {
        // Some clients can read nothing else.
        builder = builder.header(ACCEPT_ENCODING, "identity");
    }
    for (name, value) in request.fields {
        builder = builder.header(name, *value);
    }
    if let Some(cursor) = request.cursor {
        // Browsers send it as UTF-8.
        builder = builder.header("last-event-id", cursor.as_bytes());
    }
    match token {
        Some(token) => builder.bearer_auth(token),
        None => builder,
    }
}

/// Where a redirect leads. A redirect without a location is a response like any other.
fn redirected_to(response: &Response) -> Option<Result<Url, String>> {
    let redirects = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get("location").filter(|_| redirects)?;
    let location = String::from_utf8_lossy(location.as_bytes());
    let leads = response.url().join(&location);
    let http = leads
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    Some(http.ok_or_else(|| format!("a redirect leads to {location:?}")))
}

impl Exchange {
    /// The value of a header field, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    }

    /// All values of a header field, as one list.
    pub(crate) fn list(&self, name: &str) -> Option<String> {
        let values = self.headers.get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The content type without its parameters, in lower case.
    pub(crate) fn media_type(&self) -> String {
        let value = self.header("content-type").unwrap_or("none");
        let essence = value.split(';').next().unwrap_or_default();
        essence.trim().to_ascii_lowercase()
    }

    /// The content type's charset, in lower case.
    pub(crate) fn charset(&self) -> Option<String> {
        let parameters = self.header("content-type")?.split(';').skip(1);
        let mut pairs = parameters.filter_map(|parameter| parameter.split_once('='));
        let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
        Some(value.trim().trim_matches('"').to_ascii_lowercase())
    }
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
