//! A client's request as the function gets it from a REST API of API Gateway:
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-input-format>.
//!
//! With response streaming, the event is the same.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, request::Parts};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::event::{encode, first};
use crate::clock::epoch_ms;
use crate::invocation::request_id;

/// The event for a request to the resource `/{proxy+}` of a stage. `None` if the path is not below the stage.
pub(super) fn from_request(
    request: &Parts,
    body: &Bytes,
    client: SocketAddr,
    stage: &str,
) -> Option<Value> {
    let host = first(&request.headers, HOST.as_str());
    let whole = request.uri.path();
    let path = whole.strip_prefix('/')?.strip_prefix(stage)?;
    let proxy = path.strip_prefix('/').filter(|path| !path.is_empty())?;
    let (body, is_base64_encoded) = encode(body);
    let headers = headers(&request.headers, client);
    let parameters = parameters(request.uri.query().unwrap_or_default());
    Some(json!({
        "resource": "/{proxy+}",
        // Without the stage.
        "path": path,
        "httpMethod": request.method.as_str(),
        "headers": last(&headers),
        "multiValueHeaders": headers,
        "queryStringParameters": (!parameters.is_empty()).then(|| last(&parameters)),
        "multiValueQueryStringParameters": (!parameters.is_empty()).then_some(&parameters),
        "pathParameters": { "proxy": percent_decode_str(proxy).decode_utf8_lossy() },
        "stageVariables": null,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abcdefghij",
            "domainName": host,
            "domainPrefix": "abcdefghij",
            "httpMethod": request.method.as_str(),
            "identity": {
                "sourceIp": client.ip(),
                "userAgent": first(&request.headers, USER_AGENT.as_str()),
            },
            "path": whole,
            "protocol": format!("{:?}", request.version),
            "requestId": request_id(),
            "requestTimeEpoch": epoch_ms(SystemTime::now()),
            "resourceId": "2gxmpl",
            "resourcePath": "/{proxy+}",
            "stage": stage,
        },
        "body": body,
        "isBase64Encoded": is_base64_encoded,
    }))
}

type Lists = BTreeMap<String, Vec<String>>;

fn headers(headers: &HeaderMap, client: SocketAddr) -> Lists {
    let mut lists = Lists::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        lists
            .entry(canonical(name.as_str()))
            .or_default()
            .push(value);
    }
    lists.insert("X-Forwarded-For".to_owned(), vec![client.ip().to_string()]);
    lists.insert("X-Forwarded-Proto".to_owned(), vec!["http".to_owned()]);
    lists
}

/// As most clients of HTTP/1.1 write it. A function must not depend on the case.
fn canonical(name: &str) -> String {
    let parts = name.split('-').map(|part| {
        let (first, rest) = part.split_at(part.len().min(1));
        first.to_ascii_uppercase() + rest
    });
    parts.collect::<Vec<_>>().join("-")
}

fn parameters(query: &str) -> Lists {
    let mut lists = Lists::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let [name, value] = [name, value].map(|text| {
            let spaced = text.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        });
        lists.entry(name).or_default().push(value);
    }
    lists
}

fn last(lists: &Lists) -> BTreeMap<&String, Option<&String>> {
    let lists = lists.iter();
    lists.map(|(name, values)| (name, values.last())).collect()
}
