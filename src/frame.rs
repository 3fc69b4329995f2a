//! Server-Sent Events: frames to bytes.
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
//! [9.2.5 Parsing an event stream]: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

/// A comment without text: a line that every client skips, written to push what stands before it through buffers.
///
/// One line, without a blank one after it: some clients dispatch a block without data as an empty message.
pub const COMMENT: Bytes = Bytes::from_static(b":\n");

/// An event, with the reconnection time and the event id that it sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    event: Option<String>,
    retry: Option<Duration>,
    data: String,
    id: Option<String>,
}

/// Why a text cannot be a field of a [`Frame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// An event type with a line break would end its field early.
    #[error("an event type has no line break")]
    EventType,
    /// An id with a line break would end its field early; one with NUL is ignored by clients.
    #[error("an event id has no line break and no NUL")]
    Id,
}

impl Frame {
    /// An event of the type `message`, the one which `onmessage` gets.
    pub fn message(data: impl Into<String>) -> Self {
        Self {
            event: None,
            retry: None,
            data: data.into(),
            id: None,
        }
    }

    /// Gives the event a type of its own.
    ///
    /// # Errors
    ///
    /// [`FrameError::EventType`] where the type holds CR or LF.
    pub fn event(mut self, event: impl Into<String>) -> Result<Self, FrameError> {
        let event = event.into();
        if event.contains(['\r', '\n']) {
            return Err(FrameError::EventType);
        }
        self.event = Some(event);
        Ok(self)
    }

    /// Sets the client's reconnection time, in whole milliseconds.
    #[must_use]
    pub fn retry(mut self, retry: Duration) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Sets the client's last event id.
    ///
    /// # Errors
    ///
    /// [`FrameError::Id`] where the id holds CR, LF or NUL.
    pub fn id(mut self, id: impl Into<String>) -> Result<Self, FrameError> {
        let id = id.into();
        if id.contains(['\r', '\n', '\0']) {
            return Err(FrameError::Id);
        }
        self.id = Some(id);
        Ok(self)
    }

    /// The bytes on the wire. A client reads CR and CRLF in the data as LF.
    pub fn encode(&self) -> Bytes {
        let mut text = String::with_capacity(self.data.len() + 64);
        if let Some(event) = &self.event {
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
            field(&mut text, "id", id);
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

    #[track_caller]
    fn check(frame: Result<Frame, FrameError>, expected: Result<&str, FrameError>) {
        let found = frame.map(|frame| String::from_utf8_lossy(&frame.encode()).into_owned());
        assert_eq!(found, expected.map(str::to_owned));
    }

    #[test]
    fn bytes_on_the_wire() {
        let data = Frame::message;
        check(Ok(data("{}")), Ok("data: {}\n\n"));
        check(Ok(data("")), Ok("data: \n\n"));
        check(Ok(data(" a")), Ok("data:  a\n\n"));
        check(
            Ok(data("a\nb\rc\r\nd\n\r")),
            Ok("data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: \n\n"),
        );
        check(data("ü🚚").id("3-9f2c"), Ok("data: ü🚚\nid: 3-9f2c\n\n"));
        check(data("{}").id(""), Ok("data: {}\nid: \n\n"));
        check(
            data("{}")
                .retry(Duration::from_micros(1_180_900))
                .event("hello")
                .and_then(|frame| frame.id("0")),
            Ok("event: hello\nretry: 1180\ndata: {}\nid: 0\n\n"),
        );
    }

    #[test]
    fn what_would_break_the_framing_is_refused() {
        for bad in ["a\nb", "a\rb", "a\r\nb", "a\0b"] {
            check(Frame::message("").id(bad), Err(FrameError::Id));
        }
        check(Frame::message("").event("a\nb"), Err(FrameError::EventType));
        check(Frame::message("").event("a\rb"), Err(FrameError::EventType));
    }
}
