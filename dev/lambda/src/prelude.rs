//! The prelude of a streamed response: status and headers as JSON, eight NULs, then the body.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming>

use std::collections::BTreeMap;

use bytes::{Buf, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, SET_COOKIE},
};
use serde::Deserialize;

use crate::error::InvokeError;

/// The content type of a response that begins with a prelude.
pub(crate) const INTEGRATION_RESPONSE: &str = "application/vnd.awslambda.http-integration-response";

const DELIMITER: [u8; 8] = [0; 8];

/// API Gateway fails if the delimiter is not within the first 16 KB.
const PRELUDE_LIMIT: usize = 16 * 1024;

/// Headers that only the platform sets. Those of a function are renamed to `x-amzn-remapped-…`.
const REMAPPED: [&str; 5] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "transfer-encoding",
];

/// Status and headers for the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Prelude {
    status_code: u16,
    headers: BTreeMap<String, HeaderValues>,
    cookies: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum HeaderValues {
    One(String),
    Many(Vec<String>),
}

impl Default for Prelude {
    fn default() -> Self {
        Self {
            status_code: 200,
            headers: BTreeMap::new(),
            cookies: Vec::new(),
        }
    }
}

impl ResponseHead {
    /// The head of a response without a prelude, whose body the platform does not change.
    pub(crate) fn plain(content_type: Option<HeaderValue>) -> Self {
        let content_type =
            content_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, content_type)]),
        }
    }

    /// Removes prelude and delimiter from `buffer` once both are complete; `None` before that.
    pub(crate) fn split(buffer: &mut BytesMut) -> Result<Option<Self>, InvokeError> {
        let Some(end) = buffer
            .windows(DELIMITER.len())
            .position(|window| window == DELIMITER)
        else {
            return if buffer.len() > PRELUDE_LIMIT {
                Err(malformed("no delimiter in 16 KB"))
            } else {
                Ok(None)
            };
        };
        let head = serde_json::from_slice::<Prelude>(&buffer[..end])
            .map_err(malformed)?
            .into_head()?;
        buffer.advance(end + DELIMITER.len());
        Ok(Some(head))
    }
}

impl Prelude {
    fn into_head(self) -> Result<ResponseHead, InvokeError> {
        let mut headers = HeaderMap::new();
        for (name, values) in self.headers {
            let name = name.to_ascii_lowercase();
            let name = if REMAPPED.contains(&name.as_str()) {
                format!("x-amzn-remapped-{name}")
            } else {
                name
            };
            let name: HeaderName = name.parse().map_err(malformed)?;
            let values = match values {
                HeaderValues::One(value) => vec![value],
                HeaderValues::Many(values) => values,
            };
            for value in values {
                headers.append(&name, value.parse().map_err(malformed)?);
            }
        }
        for cookie in self.cookies {
            headers.append(SET_COOKIE, cookie.parse().map_err(malformed)?);
        }
        Ok(ResponseHead {
            status: StatusCode::from_u16(self.status_code).map_err(malformed)?,
            headers,
        })
    }
}

fn malformed(reason: impl ToString) -> InvokeError {
    InvokeError::Malformed(reason.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const RESPONSE: &[u8] =
        b"{\"statusCode\":201,\"headers\":{\"Date\":\"x\",\"vary\":[\"a\",\"b\"]},\"cookies\":[\"k=v\"]}\0\0\0\0\0\0\0\0body";

    #[test]
    fn split_waits_for_the_whole_prelude() {
        let expected = [
            ("x-amzn-remapped-date", "x"),
            ("vary", "a"),
            ("vary", "b"),
            ("set-cookie", "k=v"),
        ];
        for cut in 0..RESPONSE.len() - b"body".len() {
            let mut buffer = BytesMut::from(&RESPONSE[..cut]);
            assert_eq!(
                ResponseHead::split(&mut buffer).unwrap(),
                None,
                "cut at {cut}"
            );

            buffer.extend_from_slice(&RESPONSE[cut..]);
            let head = ResponseHead::split(&mut buffer).unwrap().unwrap();
            assert_eq!(head.status, StatusCode::CREATED);
            assert!(
                head.headers
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
                    .eq(expected)
            );
            assert_eq!(&buffer[..], b"body");
        }
    }

    #[test]
    fn an_invalid_prelude_is_an_error() {
        for (case, reason) in [
            (
                "{]\0\0\0\0\0\0\0\0",
                "malformed response: key must be a string at line 1 column 2",
            ),
            (
                "{\"statusCode\":99}\0\0\0\0\0\0\0\0",
                "malformed response: invalid status code",
            ),
            (
                "{\"headers\":{\"a b\":\"\"}}\0\0\0\0\0\0\0\0",
                "malformed response: invalid HTTP header name",
            ),
            (
                &"x".repeat(PRELUDE_LIMIT + 1),
                "malformed response: no delimiter in 16 KB",
            ),
        ] {
            assert_eq!(
                ResponseHead::split(&mut BytesMut::from(case))
                    .unwrap_err()
                    .to_string(),
                reason
            );
        }
    }
}
