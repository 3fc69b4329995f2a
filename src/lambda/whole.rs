//! A response for a service that does not stream: one JSON object, whose form is that of a Lambda proxy integration.
//!
//! - <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html#respond-to-load-balancer>
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};

use crate::endpoint::Body;
use crate::request::Invoker;

/// Reads the response to its end, or to [`Invoker::LONGEST_BODY`]. A client that gets less comes back for the rest, as after a
/// connection that broke between two frames. The first change is sent however long it is, because the client would never get beyond
/// it. JSON is one frame: the endpoint keeps it short enough.
pub(super) async fn whole(response: Response<Body>, invoker: Invoker) -> Value {
    let (parts, mut body) = response.into_parts();
    let (mut text, mut has_change) = (Vec::new(), false);
    while let Some(Ok(frame)) = body.frame().await {
        let chunk = frame.into_data().unwrap_or_default();
        if has_change && text.len() + chunk.len() > Invoker::LONGEST_BODY {
            break;
        }
        // Only a change has no `event`.
        has_change |= chunk.starts_with(b"data:");
        text.extend_from_slice(&chunk);
    }
    let mut whole = json!({
        "statusCode": parts.status.as_u16(),
        "body": String::from_utf8_lossy(&text),
        "isBase64Encoded": false,
    });
    let multi_value_headers = match invoker {
        Invoker::LoadBalancer {
            multi_value_headers,
        } => {
            whole["statusDescription"] = json!(parts.status.to_string());
            multi_value_headers
        }
        _ => false,
    };
    let name = if multi_value_headers {
        "multiValueHeaders"
    } else {
        "headers"
    };
    whole[name] = headers(&parts.headers, multi_value_headers);
    whole
}

/// The endpoint sets each header once.
fn headers(headers: &HeaderMap, lists: bool) -> Value {
    let members = headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        let value = if lists { json!([value]) } else { json!(value) };
        (name.to_string(), value)
    });
    Value::Object(members.collect::<Map<_, _>>())
}
