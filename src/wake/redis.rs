//! The transport over Valkey or Redis: one connection to publish, one to listen.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{MultiplexedConnection, PubSubSink, PubSubStream};
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, RedisError};
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout};

use super::retries::Retries;
use super::{Publisher, Wake, WakeError, WakeUrl};
use crate::clock::Clock;
use crate::feed::LogId;
use crate::order::Seq;
use crate::telemetry::with_causes;

/// The time for a connection, with TLS and the password.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// The time for an answer on the connection that listens. A server that takes longer counts as frozen.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// The time between two pings. With [`ANSWER_LIMIT`], a frozen server is noticed within 7 s.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// The time for a publication. A second attempt on a new connection fits into the time that a batch waits.
const PUBLISH_LIMIT: Duration = Duration::from_millis(100);

/// How many orders one command subscribes to. The answer to one with more would delay the messages behind it.
const ORDERS_PER_COMMAND: usize = 200;

/// The time between two log lines about a connection. During an outage there is an attempt every few seconds.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The server, and how its channels are named.
#[derive(Debug)]
pub(super) struct Server {
    client: Client,
    channel_prefix: String,
    retries: Retries,
    next_log: Option<Instant>,
}

/// Why a connection ended. No variant contains the URL.
#[derive(Debug, Error)]
enum ConnectionError {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("no answer in time")]
    Timeout(#[from] tokio::time::error::Elapsed),
    #[error("the server closed the connection")]
    Closed,
}

impl Server {
    pub(super) fn new(url: &WakeUrl, channel_prefix: String) -> Result<Self, WakeError> {
        let info = url.reveal().into_connection_info();
        let info = info.map_err(|_| WakeError::Url)?;
        // Otherwise a message waits for the acknowledgement of the one before, up to 40 ms.
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        Ok(Self {
            client: Client::open(info).map_err(|_| WakeError::Url)?,
            channel_prefix,
            retries: Retries::default(),
            next_log: None,
        })
    }

    fn channels(&self, logs: &[LogId]) -> Vec<String> {
        let channel = |log: &LogId| format!("{}{log}", self.channel_prefix);
        logs.iter().map(channel).collect()
    }

    /// Waits before the next attempt. If it is not made at once, the reason is logged, at most once a minute.
    async fn back_off(&mut self, worked: bool, error: &ConnectionError, what: &str) {
        let now = Clock::system().now();
        let Some(pause) = self.retries.pause(worked, now, fastrand::f64()) else {
            return;
        };
        if self.next_log.is_none_or(|at| now >= at) {
            self.next_log = Some(now + LOG_INTERVAL);
            tracing::warn!(
                reason = with_causes(error),
                "{what} has no connection to the server of WAKE_URL: changes are found by polling"
            );
        }
        sleep(pause).await;
    }
}

/// Publishes what a projector announces, for ever.
pub(super) async fn publish(mut server: Server, publisher: Publisher) {
    loop {
        let mut worked = false;
        let Err(error) = publish_while_connected(&server, &publisher, &mut worked).await;
        if !worked && server.retries.has_failed() {
            publisher.failed();
        }
        server.back_off(worked, &error, "the projector").await;
    }
}

/// `worked` becomes true when something was published.
async fn publish_while_connected(
    server: &Server,
    publisher: &Publisher,
    worked: &mut bool,
) -> Result<Infallible, ConnectionError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_LIMIT))
        .set_response_timeout(Some(PUBLISH_LIMIT));
    let connect = server
        .client
        .get_multiplexed_async_connection_with_config(&config);
    let mut connection = timeout(CONNECT_LIMIT, connect).await??;
    publisher.connected();
    loop {
        let messages = publisher.messages().await;
        let mut pipeline = redis::pipe();
        for (log, newest) in &messages {
            let channel = format!("{}{log}", server.channel_prefix);
            pipeline.publish(channel, newest.0).ignore();
        }
        match send(&pipeline, &mut connection).await {
            Ok(()) => {
                publisher.published();
                *worked = true;
            }
            Err(error) => {
                publisher.put_back(messages);
                return Err(error);
            }
        }
    }
}

async fn send(
    pipeline: &redis::Pipeline,
    connection: &mut MultiplexedConnection,
) -> Result<(), ConnectionError> {
    let sent = pipeline.query_async::<()>(connection);
    Ok(timeout(PUBLISH_LIMIT, sent).await??)
}

/// Listens to the channels of the orders that sessions wait for, for ever.
pub(super) async fn listen(mut server: Server, wake: Wake) {
    loop {
        let mut worked = false;
        let Err(error) = listen_while_connected(&server, &wake, &mut worked).await;
        wake.lost();
        server.back_off(worked, &error, "the stream function").await;
    }
}

/// `worked` becomes true when the server has answered a command after the first.
async fn listen_while_connected(
    server: &Server,
    wake: &Wake,
    worked: &mut bool,
) -> Result<Infallible, ConnectionError> {
    let connection = timeout(CONNECT_LIMIT, server.client.get_async_pubsub()).await??;
    let (mut sink, stream) = connection.split();
    // A server that needs a password refuses the first command, not the connection.
    timeout(ANSWER_LIMIT, sink.ping::<redis::Value>()).await??;
    wake.connected();
    tokio::select! {
        error = hear(server, wake, stream) => error,
        error = keep_subscriptions(server, wake, sink, worked) => error,
    }
}

/// Passes messages on. None of them waits for a session.
async fn hear(
    server: &Server,
    wake: &Wake,
    mut stream: PubSubStream,
) -> Result<Infallible, ConnectionError> {
    while let Some(message) = stream.next().await {
        let log = message
            .get_channel_name()
            .strip_prefix(&server.channel_prefix)
            .and_then(LogId::parse);
        // Anybody with the password can publish something else.
        if let (Some(log), Ok(newest)) = (log, message.get_payload()) {
            wake.heard(log, Seq(newest));
        }
    }
    Err(ConnectionError::Closed)
}

/// Subscribes and unsubscribes, and pings the server if there is nothing else to ask it.
async fn keep_subscriptions(
    server: &Server,
    wake: &Wake,
    mut sink: PubSubSink,
    worked: &mut bool,
) -> Result<Infallible, ConnectionError> {
    loop {
        let Ok(changes) = timeout(PING_INTERVAL, wake.changes()).await else {
            timeout(ANSWER_LIMIT, sink.ping::<redis::Value>()).await??;
            *worked = true;
            continue;
        };
        for orders in changes.subscribe.chunks(ORDERS_PER_COMMAND) {
            timeout(ANSWER_LIMIT, sink.subscribe(server.channels(orders))).await??;
            wake.confirmed(orders);
            *worked = true;
        }
        for orders in changes.unsubscribe.chunks(ORDERS_PER_COMMAND) {
            timeout(ANSWER_LIMIT, sink.unsubscribe(server.channels(orders))).await??;
        }
    }
}
