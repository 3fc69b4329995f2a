//! What a request asks for.

use http::Method;
use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::access::Wanted;
use crate::cursor::Cursor;
use crate::order::{OrderId, OrderIdError};
use crate::request::Request;

/// A poll of the feed reads each order of a connection. With more orders, a poll would be a burst of reads.
const MAX_ORDERS: usize = 10;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EventsRequest {
    pub(super) wanted: Wanted,
    /// `None` if the client sent one that cannot be read.
    pub(super) cursor: Option<Cursor>,
    /// The client sent no cursor: it has just opened the stream.
    pub(super) first_visit: bool,
    /// The client gets the newest change of each order as JSON, and no stream.
    pub(super) as_json: bool,
    /// The client gets a stream while it is written, not the whole of it at its end.
    pub(super) streams: bool,
}

/// Why a request is refused. It is refused again each time it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum EventsRequestError {
    /// The base path.
    #[error(
        "there is nothing at this path: ask for {0}/orders/{{orderId}}/events or {0}/orders/events?order=A&order=B"
    )]
    NotFound(String),
    /// The base path.
    #[error(
        "there is nothing at this path: ask for {0}/orders/{{orderId}}/events, {0}/orders/events?order=A&order=B or \
         {0}/customers/me/events"
    )]
    NotFoundWithCustomers(String),
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

impl EventsRequest {
    /// Reads a request to a path below the base path, which is empty or begins with `/` and ends without. `customers` says whether
    /// customers have streams.
    pub(super) fn read(
        request: &Request,
        base_path: &str,
        customers: bool,
    ) -> Result<Self, EventsRequestError> {
        let path = request.path().strip_prefix(base_path);
        let several = path == Some("/orders/events");
        let one = path
            .and_then(|path| path.strip_prefix("/orders/"))
            .and_then(|rest| rest.strip_suffix("/events"));
        let customer = customers && path == Some("/customers/me/events");
        if !several && !customer && one.is_none() {
            let base_path = base_path.to_owned();
            return Err(match customers {
                true => EventsRequestError::NotFoundWithCustomers(base_path),
                false => EventsRequestError::NotFound(base_path),
            });
        }
        if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
            return Err(EventsRequestError::MethodNotAllowed);
        }
        let wanted = match one {
            _ if customer => Wanted::Customer,
            Some(id) => Wanted::Orders(vec![order_in_path(id)?]),
            None => Wanted::Orders(orders_in_query(request)?),
        };
        let cursor = cursor(request);
        let streams = request.invoker().streams();
        Ok(Self {
            first_visit: cursor.is_none(),
            cursor: match cursor {
                Some(text) if customer => Cursor::parse_customers(text),
                Some(text) => Cursor::parse(text, wanted.marks()),
                None => Some(Cursor::start(wanted.marks())),
            },
            wanted,
            as_json: wants_json(request, streams),
            streams,
        })
    }
}

fn order_in_path(id: &str) -> Result<OrderId, EventsRequestError> {
    let id = percent_decode_str(id).decode_utf8();
    Ok(OrderId::try_from(
        &*id.map_err(|_| EventsRequestError::NotUtf8)?,
    )?)
}

fn orders_in_query(request: &Request) -> Result<Vec<OrderId>, EventsRequestError> {
    let ids: Vec<_> = request.parameters("order").collect();
    if !(1..=MAX_ORDERS).contains(&ids.len()) {
        return Err(EventsRequestError::OrderCount(ids.len()));
    }
    let mut orders = Vec::with_capacity(ids.len());
    for id in ids {
        let id = str::from_utf8(id).map_err(|_| EventsRequestError::NotUtf8)?;
        let order = OrderId::try_from(id)?;
        if orders.contains(&order) {
            return Err(EventsRequestError::OrderTwice(order));
        }
        orders.push(order);
    }
    Ok(orders)
}

/// The text of the client's cursor.
///
/// A browser sends the header when it reconnects. The query is for a page that opens a stream with a cursor that it already
/// has. So the header is newer. Some clients send an empty header before they have seen an id.
fn cursor(request: &Request) -> Option<&str> {
    let parameters = request.parameters("lastEventId");
    let parameters = parameters.map(|text| str::from_utf8(text).unwrap_or("unreadable"));
    request
        .headers("last-event-id")
        .chain(parameters)
        .find(|text| !text.is_empty())
}

/// Whether the client gets JSON. An `EventSource` accepts `text/event-stream`, and a plain `fetch` or `curl` accepts anything: they
/// get the stream.
///
/// If nothing can be streamed, JSON is the better answer, except for a client that names `text/event-stream`: an `EventSource`
/// never reconnects after another media type. It gets a response that ends at once.
fn wants_json(request: &Request, streams: bool) -> bool {
    let types = request
        .headers("accept")
        .flat_map(|accept| accept.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim());
    let (mut json, mut stream) = (false, false);
    for accepted in types {
        json |= accepted.eq_ignore_ascii_case("application/json");
        stream |= accepted.eq_ignore_ascii_case("text/event-stream");
    }
    (json || !streams) && !stream
}
