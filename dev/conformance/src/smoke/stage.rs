//! The deployment, and the responses that several checks judge.

use std::time::Duration;

use http::{HeaderName, Method};
use reqwest::ClientBuilder;
use tokio::sync::OnceCell;

use super::Options;
use crate::exchange::{Exchange, Request, Seen};
use crate::rules::{Remark, skip};
use crate::server::{Server, unknown_order};

/// The longest time for everything but a whole response.
const SHORT: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Stage {
    pub(super) server: Server,
    pub(super) options: Options,
    /// An order without changes. A response to its first visitor is held for five seconds at least.
    unknown: String,
    head: OnceCell<Result<(String, Exchange), String>>,
    held: OnceCell<Seen>,
}

/// A request for a stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ask<'a> {
    pub(super) cursor: Option<&'a str>,
    pub(super) fields: &'a [(HeaderName, &'a str)],
}

impl Stage {
    pub(super) fn new(client: ClientBuilder, options: Options) -> reqwest::Result<Self> {
        let shared = crate::Options {
            customer: false,
            url: options.url.clone(),
            any_server: false,
            order: options.order.clone(),
            finished: options.finished.clone(),
            token: options.token.clone(),
            shop: options.shop.clone(),
            patience: options.patience,
        };
        Ok(Self {
            server: Server::new(client, shared)?,
            options,
            unknown: unknown_order(),
            head: OnceCell::new(),
            held: OnceCell::new(),
        })
    }

    /// The URL of the order that has no changes.
    pub(super) fn unknown_url(&self) -> String {
        self.server.url_of(&self.unknown)
    }

    /// The stream that most checks request, and the head of its response: of the order without changes, or of the named order
    /// if the token does not open the other one.
    async fn first(&self) -> &Result<(String, Exchange), String> {
        let ask = || async {
            let url = self.unknown_url();
            let seen = self.head_of(&url, Ask::default()).await?;
            match &self.options.order {
                Some(order) if seen.status == 403 => {
                    let url = self.server.url_of(order);
                    let seen = self.head_of(&url, Ask::default()).await?;
                    Ok((url, seen))
                }
                _ => Ok((url, seen)),
            }
        };
        self.head.get_or_init(ask).await
    }

    pub(super) async fn head(&self) -> Result<&Exchange, &String> {
        self.first().await.as_ref().map(|(_, seen)| seen)
    }

    /// The URL of a stream that the token opens.
    pub(super) async fn url(&self) -> Result<&str, Remark> {
        match self.first().await {
            Ok((url, seen)) if is_stream(seen) => Ok(url),
            _ => skip("no stream came: see the first line"),
        }
    }

    /// The whole stream, until the server ends it or patience ends.
    pub(super) async fn held(&self) -> Result<&Exchange, Remark> {
        let url = self.url().await?;
        let ask = || self.read(url, Ask::default(), self.options.patience, |_| false);
        let seen = self.held.get_or_init(ask).await.as_ref();
        seen.map_err(|error| Remark::Fail(error.clone()))
    }

    /// Reads a stream until `enough`, which gets all bytes so far.
    pub(super) async fn stream(
        &self,
        url: &str,
        cursor: Option<&str>,
        enough: impl Fn(&[u8]) -> bool,
    ) -> Seen {
        let ask = Ask {
            cursor,
            fields: &[],
        };
        self.read(url, ask, SHORT.min(self.options.patience), enough)
            .await
    }

    /// The head of a stream's response.
    pub(super) async fn head_of(&self, url: &str, ask: Ask<'_>) -> Seen {
        self.read(url, ask, SHORT, |_| true).await
    }

    /// Like [`head_of`](Self::head_of), with this token or without one.
    pub(super) async fn head_with(&self, url: &str, token: Option<&str>) -> Seen {
        let request = Request {
            token,
            accept: "text/event-stream",
            ..self.server.plain(Method::GET, url)
        };
        self.server.send(request, |_| true).await
    }

    async fn read(
        &self,
        url: &str,
        ask: Ask<'_>,
        patience: Duration,
        enough: impl Fn(&[u8]) -> bool,
    ) -> Seen {
        let request = Request {
            cursor: ask.cursor,
            fields: ask.fields,
            accept: "text/event-stream",
            patience,
            ..self.server.plain(Method::GET, url)
        };
        self.server.send(request, enough).await
    }
}

pub(super) fn is_stream(seen: &Exchange) -> bool {
    seen.status == 200 && seen.media_type() == "text/event-stream"
}
