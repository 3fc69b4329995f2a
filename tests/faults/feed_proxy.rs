//! A proxy in front of DynamoDB that answers as a feed in trouble does.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::sleep;

use super::http_support::{Proxy, Server, forward, serve};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    None,
    /// Each call is refused.
    Throttled,
    /// Each call fails within DynamoDB.
    Failing,
    /// Each call takes this much longer.
    Slow(Duration),
    /// No call is answered.
    Unreachable,
    /// Each call about this order fails, as if its partition was too hot.
    Order(&'static str),
}

/// Functions reach the database through it.
pub struct FeedProxy {
    /// Lets a call through or holds it back, so that a process can be killed at it.
    pub gate: Proxy,
    trouble: watch::Sender<Trouble>,
    troubled: watch::Receiver<usize>,
    server: Server,
}

impl FeedProxy {
    pub async fn in_front_of(endpoint: &str) -> Self {
        let gate = Proxy::in_front_of(endpoint.to_owned()).await;
        let (trouble, current) = watch::channel(Trouble::None);
        let (count, troubled) = watch::channel(0);
        let (client, target) = (reqwest::Client::new(), gate.url().to_owned());
        let server = serve(move |request| {
            let (client, target, mut current) = (client.clone(), target.clone(), current.clone());
            let here = match *current.borrow() {
                Trouble::Order(order) if !names(&request, order) => Trouble::None,
                here => here,
            };
            if here != Trouble::None {
                count.send_modify(|calls| *calls += 1);
            }
            async move {
                match here {
                    Trouble::None => {}
                    Trouble::Throttled | Trouble::Order(_) => {
                        return refusal("ProvisionedThroughputExceededException", 400);
                    }
                    Trouble::Failing => return refusal("InternalServerError", 500),
                    Trouble::Slow(time) => sleep(time).await,
                    Trouble::Unreachable => drop(current.wait_for(|now| *now != here).await),
                }
                forward(&client, &target, request).await
            }
        })
        .await;
        Self {
            gate,
            trouble,
            troubled,
            server,
        }
    }

    pub fn url(&self) -> &str {
        &self.server.url
    }

    pub fn set(&self, trouble: Trouble) {
        self.trouble.send_replace(trouble);
    }

    /// Waits until so many more calls were in trouble.
    pub async fn troubled(&self, calls: usize) {
        let mut troubled = self.troubled.clone();
        let wanted = *troubled.borrow() + calls;
        troubled.wait_for(|calls| *calls >= wanted).await.unwrap();
    }
}

/// Whether a value of the request is the order's id.
fn names(request: &Request<Bytes>, order: &str) -> bool {
    let id = format!(r#"{{"S":"{order}"}}"#);
    String::from_utf8_lossy(request.body()).contains(&id)
}

fn refusal(name: &str, status: u16) -> Response<Bytes> {
    let error = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{name}","message":"x"}}"#);
    let mut response = Response::new(error.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let json = HeaderValue::from_static("application/x-amz-json-1.0");
    response.headers_mut().insert("content-type", json);
    response
}
