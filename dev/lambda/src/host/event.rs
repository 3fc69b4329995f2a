//! A client's request as the function gets it: payload format 2.0,
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-request-payload>.
//!
//! This is JSON and not a type of `aws_lambda_events`: its type for Function URLs has no `routeKey` and no `stage`, and it
//! cannot hold two headers of one name or a header that is not UTF-8. A test reads the event with that crate.

use std::{collections::BTreeMap, net::SocketAddr, time::SystemTime};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap,
    header::{COOKIE, HOST, USER_AGENT},
    request::Parts,
};
use serde_json::{Value, json};

use crate::clock::epoch_ms;
use crate::invocation::request_id;

/// The event for a request of `client`.
pub(crate) fn from_request(request: &Parts, body: &Bytes, client: SocketAddr) -> Value {
    let host = first(&request.headers, HOST.as_str());
    let path = request.uri.path();
    let (body, is_base64_encoded) = encode(body);
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        // A Function URL does this, though a URI may not contain a space.
        "rawQueryString": request.uri.query().unwrap_or_default().replace('+', " "),
        "cookies": cookies(&request.headers),
        "headers": headers(&request.headers, client),
        "requestContext": {
            "accountId": "anonymous",
            "apiId": host,
            "domainName": host,
            "domainPrefix": host,
            "http": {
                "method": request.method.as_str(),
                "path": path,
                "protocol": format!("{:?}", request.version),
                "sourceIp": client.ip(),
                "userAgent": first(&request.headers, USER_AGENT.as_str()),
            },
            "requestId": request_id(),
            "routeKey": "$default",
            "stage": "$default",
            "timeEpoch": epoch_ms(SystemTime::now()),
        },
        "body": body,
        "isBase64Encoded": is_base64_encoded,
    })
}

pub(super) fn first(headers: &HeaderMap, name: &str) -> String {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .unwrap_or_default()
}

/// Names are in lower case, and values of one name are joined by commas. Cookies are not included. The platform sets
/// `x-forwarded-…`.
fn headers(headers: &HeaderMap, client: SocketAddr) -> BTreeMap<String, String> {
    let mut joined = BTreeMap::<String, String>::new();
    for (name, value) in headers.iter().filter(|(name, _)| **name != COOKIE) {
        let value = String::from_utf8_lossy(value.as_bytes());
        joined
            .entry(name.as_str().to_owned())
            .and_modify(|joined| {
                joined.push(',');
                joined.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    joined.insert("x-forwarded-for".into(), client.ip().to_string());
    joined.insert("x-forwarded-proto".into(), "http".into());
    joined
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let lines = headers
        .get_all(COOKIE)
        .iter()
        .map(|line| String::from_utf8_lossy(line.as_bytes()));
    lines
        .flat_map(|line| {
            line.split(';')
                .map(|cookie| cookie.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .collect()
}

pub(super) fn encode(body: &Bytes) -> (Option<String>, bool) {
    match std::str::from_utf8(body) {
        Ok("") => (None, false),
        Ok(text) => (Some(text.to_owned()), false),
        Err(_) => (Some(BASE64_STANDARD.encode(body)), true),
    }
}
