//! A Lambda event, read as an HTTP request. Pure.
//!
//! `lambda_http` reads far more of an event than is needed here, and panics if path and query do not make a URI. A
//! Function URL passes `?q=a+b` on as `q=a b`, which is not part of a URI: anyone could make the function fail. So this module
//! reads only the members that are needed. A member of an unexpected type counts as absent.
//!
//! It reads the events of a Function URL and of an HTTP API of API Gateway (payload format 2.0), of a REST API of API Gateway
//! (1.0), and of an Application Load Balancer.

mod invoker;

use std::fmt;

use http::Method;
use percent_encoding::percent_decode;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

pub use invoker::Invoker;
use invoker::Marks;

/// An HTTP request without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    invoker: Invoker,
    method: Method,
    path: String,
    parameters: Vec<(Vec<u8>, Vec<u8>)>,
    headers: Vec<(String, String)>,
}

/// The event is not an HTTP request. Somebody has invoked the function with something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the event is not an HTTP request: it needs a method and a path")]
pub struct EventError;

impl Request {
    /// A request without headers, as of a Function URL.
    pub fn new(method: Method, path_and_query: &str) -> Self {
        let (path, query) = path_and_query
            .split_once('?')
            .unwrap_or((path_and_query, ""));
        Self {
            invoker: Invoker::FunctionUrl,
            method,
            path: path.to_owned(),
            parameters: parameters(query),
            headers: Vec::new(),
        }
    }

    /// Reads an event.
    ///
    /// # Errors
    ///
    /// [`EventError`] if it is not JSON, or has no method or path.
    pub fn read(event: &str) -> Result<Self, EventError> {
        let event: Event<'_> = serde_json::from_str(event).map_err(|_| EventError)?;
        let context: Context<'_> = object(event.request_context);
        let http: Http<'_> = object(context.http);
        let method = text(http.method).or_else(|| text(event.http_method));
        let path = text(event.raw_path).or_else(|| text(event.path));
        let method = method.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
        Ok(Self {
            invoker: event.marks(&context).invoker(),
            method: method.ok_or(EventError)?,
            path: path.ok_or(EventError)?,
            parameters: event.parameters(context.elb.is_some()),
            headers: event.headers(),
        })
    }

    /// The request with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The service that invoked the function.
    pub const fn invoker(&self) -> Invoker {
        self.invoker
    }

    /// `GET`, `HEAD` …
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path as the event has it, usually percent-encoded.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The values of a query parameter, decoded.
    pub fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |(known, _): &&(Vec<u8>, _)| known == name.as_bytes();
        let found = self.parameters.iter().filter(named);
        found.map(|(_, value)| value.as_slice())
    }

    /// The values of a header. The values of `cookie` include the event's own list of cookies.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = |(known, _): &&(String, _)| known.eq_ignore_ascii_case(name);
        let found = self.headers.iter().filter(named);
        found.map(|(_, value)| value.as_str())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    raw_path: Option<&'a RawValue>,
    raw_query_string: Option<&'a RawValue>,
    request_context: Option<&'a RawValue>,
    headers: Option<&'a RawValue>,
    multi_value_headers: Option<&'a RawValue>,
    cookies: Option<&'a RawValue>,
    path: Option<&'a RawValue>,
    http_method: Option<&'a RawValue>,
    query_string_parameters: Option<&'a RawValue>,
    multi_value_query_string_parameters: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    #[serde(borrow)]
    http: Option<&'a RawValue>,
    /// Present if the event is a load balancer's.
    elb: Option<&'a RawValue>,
    api_id: Option<&'a RawValue>,
    domain_name: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Http<'a> {
    #[serde(borrow)]
    method: Option<&'a RawValue>,
}

impl<'a> Event<'a> {
    fn marks(&self, context: &Context<'a>) -> Marks<'a> {
        Marks {
            version: self.version,
            http: context.http,
            elb: context.elb,
            api_id: context.api_id,
            domain_name: context.domain_name,
            multi_value_headers: self.multi_value_headers,
        }
    }

    /// The query parameters. API Gateway decodes the parameters that it lists; a load balancer does not.
    fn parameters(&self, encoded: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
        if let Some(query) = text(self.raw_query_string) {
            return parameters(&query);
        }
        let pairs = pairs(
            self.multi_value_query_string_parameters,
            self.query_string_parameters,
        );
        let decode = |text: String| match encoded {
            true => form_decoded(&text),
            false => text.into_bytes(),
        };
        let pairs = pairs.into_iter();
        pairs
            .map(|(name, value)| (decode(name), decode(value)))
            .collect()
    }

    fn headers(&self) -> Vec<(String, String)> {
        let mut headers = pairs(self.multi_value_headers, self.headers);
        let cookies = texts(self.cookies).into_iter();
        headers.extend(cookies.map(|cookie| ("cookie".to_owned(), cookie)));
        headers
    }
}

/// The parameters of a query, read as `application/x-www-form-urlencoded`: `+` is a space.
fn parameters(query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (form_decoded(name), form_decoded(value)))
        .collect()
}

fn form_decoded(text: &str) -> Vec<u8> {
    percent_decode(text.replace('+', " ").as_bytes()).collect()
}

/// The names and values of two objects. The first object has lists of values. If both have a name, the first one counts.
fn pairs(lists: Option<&RawValue>, single: Option<&RawValue>) -> Vec<(String, String)> {
    let [lists, single] = [lists, single].map(|value| object::<Members<'_>>(value).0);
    let single = single
        .into_iter()
        .filter(|(name, _)| !lists.iter().any(|(known, _)| known == name));
    let all: Vec<_> = single.collect();
    lists
        .into_iter()
        .chain(all)
        .flat_map(|(name, value)| {
            let values = texts(Some(value)).into_iter();
            values.map(move |value| (name.0.clone(), value))
        })
        .collect()
}

/// The value if it is a string, or the strings in it if it is a list.
fn texts(value: Option<&RawValue>) -> Vec<String> {
    let list = value.and_then(|value| serde_json::from_str::<Vec<&RawValue>>(value.get()).ok());
    let values = list.unwrap_or_else(|| value.into_iter().collect());
    values
        .into_iter()
        .filter_map(|value| text(Some(value)))
        .collect()
}

fn text(value: Option<&RawValue>) -> Option<String> {
    let Text(text) = serde_json::from_str(value?.get()).ok()?;
    Some(text)
}

fn object<'a, T: Default + Deserialize<'a>>(value: Option<&'a RawValue>) -> T {
    let object = value.and_then(|value| serde_json::from_str(value.get()).ok());
    object.unwrap_or_default()
}

/// A string. It is read as bytes, because half of a surrogate pair (`"\ud800"`) is an error in a `String`. An odd byte in one
/// header must not make the whole event unreadable.
#[derive(PartialEq, Eq)]
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// The members of an object, in the order of the text.
#[derive(Default)]
struct Members<'a>(Vec<(Text, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(Text, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object).map(Self)
    }
}
