//! What a request asks for.

use http::{HeaderMap, Method, header};
use lambda_http::{Request, RequestExt};
use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::cursor::Cursor;
use crate::order::{OrderId, OrderIdError};

/// More orders on one connection would make a look at the feed a burst of reads.
const MAX_ORDERS: usize = 10;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) orders: Vec<OrderId>,
    /// `None` where the client brought one that cannot be read.
    pub(super) cursor: Option<Cursor>,
    /// The client brought no cursor: it has just opened the stream.
    pub(super) first_visit: bool,
    /// The newest change of each order, once, instead of a stream.
    pub(super) as_json: bool,
}

/// What is wrong with a request, and stays wrong however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum QuestionError {
    #[error(
        "there is nothing at this path: ask for /orders/{{orderId}}/events or /orders/events?order=A&order=B"
    )]
    NotFound,
    #[error("only GET, HEAD and OPTIONS are answered here")]
    MethodNotAllowed,
    #[error(transparent)]
    OrderId(#[from] OrderIdError),
    #[error("an order id is percent-encoded UTF-8")]
    NotUtf8,
    #[error("a stream shows 1 to {MAX_ORDERS} orders, {0} were asked for")]
    OrderCount(usize),
    #[error("each order is named once, {0} was named again")]
    OrderTwice(OrderId),
}

impl Question {
    pub(super) fn read(request: &Request) -> Result<Self, QuestionError> {
        let path = request.raw_http_path();
        let several = path == "/orders/events";
        let one = path
            .strip_prefix("/orders/")
            .and_then(|rest| rest.strip_suffix("/events"));
        if !several && one.is_none() {
            return Err(QuestionError::NotFound);
        }
        if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
            return Err(QuestionError::MethodNotAllowed);
        }
        let orders = match one {
            Some(id) => vec![order_in_path(id)?],
            None => orders_in_query(request)?,
        };
        let cursor = cursor(request);
        Ok(Self {
            first_visit: cursor.is_none(),
            cursor: match cursor {
                Some(text) => Cursor::parse(text, orders.len()),
                None => Some(Cursor::start(orders.len())),
            },
            orders,
            as_json: accepts_json(request.headers()),
        })
    }
}

fn order_in_path(id: &str) -> Result<OrderId, QuestionError> {
    let id = percent_decode_str(id).decode_utf8();
    Ok(OrderId::try_from(
        &*id.map_err(|_| QuestionError::NotUtf8)?,
    )?)
}

fn orders_in_query(request: &Request) -> Result<Vec<OrderId>, QuestionError> {
    let query = request.query_string_parameters_ref();
    let ids = query
        .and_then(|query| query.all("order"))
        .unwrap_or_default();
    if !(1..=MAX_ORDERS).contains(&ids.len()) {
        return Err(QuestionError::OrderCount(ids.len()));
    }
    let mut orders = Vec::with_capacity(ids.len());
    for id in ids {
        let order = OrderId::try_from(id)?;
        if orders.contains(&order) {
            return Err(QuestionError::OrderTwice(order));
        }
        orders.push(order);
    }
    Ok(orders)
}

/// The header is what a browser sends when it reconnects, the query is for a page that opens a
/// stream with a cursor in hand: the header is newer. Some clients send it empty before they have
/// seen an id.
fn cursor(request: &Request) -> Option<&str> {
    let header = request.headers().get("last-event-id");
    let header = header.map(|header| header.to_str().unwrap_or("unreadable"));
    let query = || request.query_string_parameters_ref()?.first("lastEventId");
    let is_some = |text: &&str| !text.is_empty();
    header.filter(is_some).or_else(query).filter(is_some)
}

/// An `EventSource` accepts `text/event-stream`, a bare `fetch` or `curl` anything: those get the
/// stream.
fn accepts_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let types = accepted
        .filter_map(|accept| accept.to_str().ok())
        .flat_map(|accept| accept.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim());
    let (mut json, mut stream) = (false, false);
    for accepted in types {
        json |= accepted.eq_ignore_ascii_case("application/json");
        stream |= accepted.eq_ignore_ascii_case("text/event-stream");
    }
    json && !stream
}
