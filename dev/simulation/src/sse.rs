//! Parses Server-Sent Events: WHATWG HTML, 9.2.6. It is written from the standard, independently of `frame.rs`.

/// An event that was dispatched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its type. An empty one means `message`.
    pub kind: String,
    /// Its data.
    pub data: String,
}

/// Parses one response.
#[derive(Clone, Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    event: Event,
    has_data: bool,
    id: Option<String>,
    /// The id of the last event that was dispatched.
    pub last_event_id: String,
    /// The last reconnection time, in milliseconds.
    pub retry: Option<u64>,
}

impl Parser {
    /// A parser that starts with this last event id.
    pub fn new(last_event_id: String) -> Self {
        Self {
            id: Some(last_event_id.clone()),
            last_event_id,
            ..Self::default()
        }
    }

    /// Whether no line and no event is incomplete.
    pub fn is_between_events(&self) -> bool {
        self.line.is_empty() && !self.has_data && self.event.kind.is_empty()
    }

    /// Parses a byte. Returns an event if the byte ends one.
    pub fn byte(&mut self, byte: u8) -> Option<Event> {
        let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
        match byte {
            b'\n' if after_cr => None,
            b'\n' | b'\r' => {
                let line = std::mem::take(&mut self.line);
                let event = self.end_of_line(&line);
                self.line = line;
                self.line.clear();
                event
            }
            _ => {
                self.line.push(byte);
                None
            }
        }
    }

    fn end_of_line(&mut self, line: &[u8]) -> Option<Event> {
        if line.is_empty() {
            return self.dispatch();
        }
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.event.kind),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "retry" if value.bytes().all(|digit| digit.is_ascii_digit()) => {
                self.retry = value.parse().ok().or(self.retry);
            }
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        if let Some(id) = &self.id {
            self.last_event_id.clone_from(id);
        }
        let event = std::mem::take(&mut self.event);
        std::mem::take(&mut self.has_data).then_some(event)
    }
}
