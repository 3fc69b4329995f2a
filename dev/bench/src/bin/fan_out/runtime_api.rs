//! Lambda's Runtime API, as far as `stream` needs it: it hands over requests, and reads each response as a watcher.
//!
//! The stand-in of the tests relays every byte to a client. That would be measured too, so it is not used here.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::Result;
use super::watchers::Watcher;

/// Longer than the longest window, so that no deadline ends a response.
const DEADLINE: Duration = Duration::from_secs(3600);

/// A request's or a response's head is shorter.
const HEAD: usize = 4096;

/// A request that waits for the function.
struct Waiting {
    path: String,
    headers: serde_json::Value,
    watcher: Watcher,
}

#[derive(Default)]
struct Requests {
    waiting: Mutex<VecDeque<Waiting>>,
    /// Taken by the function, whose response has not begun.
    taken: Mutex<std::collections::HashMap<String, Watcher>>,
    more: Notify,
}

pub(crate) struct RuntimeApi {
    pub(crate) address: SocketAddr,
    requests: Arc<Requests>,
    accepting: AbortHandle,
}

impl RuntimeApi {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let requests = Arc::new(Requests::default());
        let served = Arc::clone(&requests);
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let requests = Arc::clone(&served);
                tokio::spawn(async move { serve(socket, &requests).await });
            }
        });
        Ok(Self {
            address,
            requests,
            accepting: accepting.abort_handle(),
        })
    }

    /// Has the function answer a request for a path. The watcher reads the response.
    pub(crate) fn request(&self, path: &str, headers: serde_json::Value, watcher: Watcher) {
        let waiting = Waiting {
            path: path.to_owned(),
            headers,
            watcher,
        };
        lock(&self.requests.waiting).push_back(waiting);
        self.requests.more.notify_one();
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Serves one connection of the function: any number of `next`, or a response, which is read to its end.
async fn serve(mut socket: TcpStream, requests: &Requests) -> Option<()> {
    socket.set_nodelay(true).ok()?;
    loop {
        let (head, rest) = read_head(&mut socket).await?;
        let path = head.split_whitespace().nth(1)?;
        if path.ends_with("/invocation/next") {
            let event = requests.next().await;
            socket.write_all(event.as_bytes()).await.ok()?;
            continue;
        }
        let id = path.strip_suffix("/response")?.rsplit('/').next()?;
        let mut watcher = lock(&requests.taken).remove(id)?;
        watcher.take(&rest, std::time::Instant::now());
        watcher.read(socket).await;
        return None;
    }
}

impl Requests {
    /// The answer to `next`, once there is a request.
    async fn next(&self) -> String {
        loop {
            let waiting = lock(&self.waiting).pop_front();
            if let Some(waiting) = waiting {
                // The next one that waits for a request may have one too.
                self.more.notify_one();
                return self.hand_over(waiting);
            }
            self.more.notified().await;
        }
    }

    fn hand_over(&self, waiting: Waiting) -> String {
        let event = event(&waiting.path, waiting.headers).to_string();
        let id = format!("request-{}", fastrand::u64(..));
        lock(&self.taken).insert(id.clone(), waiting.watcher);
        let deadline = (SystemTime::now() + DEADLINE).duration_since(SystemTime::UNIX_EPOCH);
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Lambda-Runtime-Aws-Request-Id: {id}\r\nLambda-Runtime-Deadline-Ms: {}\r\n\
             Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:stream\r\n\r\n{event}",
            event.len(),
            deadline.unwrap_or_default().as_millis(),
        )
    }
}

/// A head of HTTP, and what of the body came with it.
async fn read_head(socket: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(HEAD);
    loop {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let body = bytes.split_off(end + 4);
            return Some((String::from_utf8(bytes).ok()?, body));
        }
    }
}

/// A request as a Function URL passes it on.
fn event(path: &str, headers: serde_json::Value) -> serde_json::Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "cookies": [],
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous", "apiId": "a", "domainName": "a", "domainPrefix": "a",
            "http": {
                "method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "bench",
            },
            "requestId": "a", "routeKey": "$default", "stage": "$default", "timeEpoch": 1_795_369_200_000_u64,
        },
        "isBase64Encoded": false,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
