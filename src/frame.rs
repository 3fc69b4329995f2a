//! Server-Sent Events: from frames to bytes. Pure.
//!
//! The grammar (WHATWG HTML, [9.2.5 Parsing an event stream]):
//!
//! ```text
//! stream        = [ bom ] *event
//! event         = *( comment / field ) end-of-line
//! comment       = colon *any-char end-of-line
//! field         = 1*name-char [ colon [ space ] *any-char ] end-of-line
//! end-of-line   = ( cr lf / cr / lf )
//! ```
//!
//! What is written here is narrower: LF line ends, always a `data` field, `id` last. `docs/protocol.md` says which client
//! needs which of these.
//!
//! An event type is one of an enum and an id is a cursor. Neither can hold a line break, so encoding cannot fail:
//!
//! ```
//! use order_status_stream::cursor::Cursor;
//! use order_status_stream::frame::{Event, EventId, Frame};
//!
//! let cursor = Cursor::parse("3-9f2c", 1).ok_or("not a cursor")?;
//! let frame = Frame::new(Event::Ready, "{}").id(EventId::Cursor(cursor));
//! assert_eq!(frame.encode(), "event: ready\ndata: {}\nid: 3-9f2c\n\n");
//! # Ok::<_, &str>(())
//! ```
//!
//! [9.2.5 Parsing an event stream]: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

use std::fmt::{self, Write as _};
use std::time::Duration;

use bytes::Bytes;

use crate::cursor::Cursor;

/// A comment without text. Every client skips this line. It is sent to push what stands before it through buffers.
///
/// One line, without a blank one after it: some clients dispatch a block without data as an empty message.
pub const COMMENT: Bytes = Bytes::from_static(b":\n");

/// The types of events. `docs/protocol.md` says what each of them means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A change of an order. Its type is the default one, `message`, so `onmessage` gets it.
    Change,
    /// `gone`
    Gone,
    /// `hello`
    Hello,
    /// `ready`
    Ready,
    /// `reset`
    Reset,
    /// `end`
    End,
    /// `expired`
    Expired,
    /// `rest`
    Rest,
}

impl Event {
    /// The value of the `event` field; `None` for a frame without this field.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Change => None,
            Self::Gone => Some("gone"),
            Self::Hello => Some("hello"),
            Self::Ready => Some("ready"),
            Self::Reset => Some("reset"),
            Self::End => Some("end"),
            Self::Expired => Some("expired"),
            Self::Rest => Some("rest"),
        }
    }
}

/// The id of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventId {
    /// How far the client has seen after the event.
    Cursor(Cursor),
    /// `?`, which is not a cursor. The client's own cursor could not be read, and it was not sent `reset` yet.
    Unreadable,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cursor(cursor) => cursor.fmt(f),
            Self::Unreadable => f.write_str("?"),
        }
    }
}

/// An event, with the reconnection time and the event id that it sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    event: Event,
    retry: Option<Duration>,
    data: String,
    id: Option<EventId>,
}

impl Frame {
    /// A frame that sets neither the reconnection time nor the event id.
    pub fn new(event: Event, data: impl Into<String>) -> Self {
        Self {
            event,
            retry: None,
            data: data.into(),
            id: None,
        }
    }

    /// Sets the client's reconnection time. The frame holds it in whole milliseconds.
    #[must_use]
    pub fn retry(mut self, retry: Duration) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Sets the client's last event id.
    #[must_use]
    pub fn id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }

    /// The bytes on the wire. A client reads CR and CRLF in the data as LF.
    pub fn encode(&self) -> Bytes {
        let mut text = String::with_capacity(self.data.len() + 64);
        if let Some(event) = self.event.name() {
            field(&mut text, "event", event);
        }
        if let Some(retry) = self.retry {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "retry: {}", retry.as_millis());
        }
        for line in lines(&self.data) {
            field(&mut text, "data", line);
        }
        if let Some(id) = &self.id {
            field(&mut text, "id", &id.to_string());
        }
        text.push('\n');
        text.into()
    }
}

fn field(text: &mut String, name: &str, value: &str) {
    text.extend([name, ": ", value, "\n"]);
}

/// The text between line ends, of which CRLF is one. An empty text is one empty line.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\r', '\n']) else {
            return rest.take();
        };
        let after = if text[end..].starts_with("\r\n") {
            end + 2
        } else {
            end + 1
        };
        rest = Some(&text[after..]);
        Some(&text[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(frame: &Frame, expected: &str) {
        assert_eq!(String::from_utf8_lossy(&frame.encode()), expected);
    }

    fn id(text: &str) -> EventId {
        Cursor::parse(text, 1).map_or(EventId::Unreadable, EventId::Cursor)
    }

    #[test]
    fn bytes_on_the_wire() {
        let data = |data: &str| Frame::new(Event::Change, data);
        check(&data("{}"), "data: {}\n\n");
        check(&data(""), "data: \n\n");
        check(&data(" a"), "data:  a\n\n");
        check(
            &data("a\nb\rc\r\nd\n\r"),
            "data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: \n\n",
        );
        check(&data("ü🚚").id(id("3-9f2c")), "data: ü🚚\nid: 3-9f2c\n\n");
        check(&data("{}").id(id("?")), "data: {}\nid: ?\n\n");
        check(
            &Frame::new(Event::Hello, "{}")
                .retry(Duration::from_micros(1_180_900))
                .id(id("0")),
            "event: hello\nretry: 1180\ndata: {}\nid: 0\n\n",
        );
    }

    #[test]
    fn event_types() {
        for (event, name) in [
            (Event::Gone, "gone"),
            (Event::Hello, "hello"),
            (Event::Ready, "ready"),
            (Event::Reset, "reset"),
            (Event::End, "end"),
            (Event::Expired, "expired"),
            (Event::Rest, "rest"),
        ] {
            check(
                &Frame::new(event, "{}"),
                &format!("event: {name}\ndata: {{}}\n\n"),
            );
        }
    }

    proptest! {
        #[test]
        fn an_id_is_printable_ascii(text in "(0|0-000[1-9]|[1-9][0-9]{0,18}(-[0-9a-f]{4})?~?)(\\.0){0,9}|\\?") {
            let orders = text.split('.').count();
            let id = Cursor::parse(&text, orders).map_or(EventId::Unreadable, EventId::Cursor);
            prop_assert_eq!(id.to_string(), text);
            prop_assert!(id.to_string().bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
}
