//! A strict reading of an event stream.
//!
//! It records everything that the grammar of WHATWG HTML 9.2.5 allows and that some client cannot read. The rules decide what is a
//! failure. It shares no code with this project's server.

/// An event stream, block by block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    /// The blocks between blank lines that have fields.
    pub frames: Vec<Frame>,
    /// The number of blocks that have only comments.
    pub bare_comments: usize,
    /// Whether the bytes end after a complete block, or after comments that follow it.
    pub ends_on_boundary: bool,
    /// Whether a comment follows the last frame.
    pub ends_with_comment: bool,
    pub begins_with_comment: bool,
    /// The number of lines that end with LF, CRLF and CR.
    pub line_ends: [usize; 3],
    /// Lines that are neither a comment nor one of the four fields. No frame has them, because every client ignores them.
    pub strange: Vec<String>,
    /// The error, if the bytes are not UTF-8.
    pub encoding: Option<String>,
    pub byte_order_mark: bool,
}

/// A block with at least one field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    pub fields: Vec<(String, String)>,
    /// Whether a comment comes before the first field.
    pub after_comment: bool,
}

impl Frame {
    /// The value of the last field with that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().rev().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn event(&self) -> &str {
        self.get("event").unwrap_or("message")
    }

    pub fn names(&self) -> Vec<&str> {
        self.fields.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Whether the frame has all of these fields.
    pub fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.get(name).is_some())
    }

    /// The lines of data, joined with LF, as in clients.
    pub fn data(&self) -> String {
        let lines = self.fields.iter().filter(|(name, _)| name == "data");
        let lines: Vec<_> = lines.map(|(_, value)| value.as_str()).collect();
        lines.join("\n")
    }

    /// The data, if it is JSON.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&self.data()).ok()
    }

    /// The id, if clients use it as a cursor. They ignore one with NUL, and an empty one is no cursor.
    pub fn cursor(&self) -> Option<&str> {
        self.get("id")
            .filter(|id| !id.is_empty() && !id.contains('\0'))
    }
}

impl Transcript {
    pub fn read(bytes: &[u8]) -> Self {
        let mut transcript = Self::default();
        let text = String::from_utf8_lossy(bytes);
        // A character that was cut off at the end is not an error.
        if let Err(error) = std::str::from_utf8(bytes)
            && error.error_len().is_some()
        {
            transcript.encoding = Some(format!("byte {} is not UTF-8", error.valid_up_to()));
        }
        // The standard allows one mark. A second one is a part of the first line.
        let mut rest = text.strip_prefix('\u{feff}').unwrap_or(&text);
        transcript.byte_order_mark = rest.len() < text.len();
        transcript.begins_with_comment = rest.starts_with(':');
        let (mut frame, mut comments) = (Frame::default(), 0);
        while let Some((line, after, kind)) = split(rest) {
            rest = after;
            transcript.line_ends[kind] += 1;
            if !line.is_empty() {
                comments += usize::from(line.starts_with(':'));
                transcript.line(line, &mut frame);
            } else if frame.fields.is_empty() {
                transcript.bare_comments += usize::from(comments > 0);
                (frame, comments) = (Frame::default(), 0);
            } else {
                transcript.frames.push(std::mem::take(&mut frame));
                comments = 0;
            }
        }
        transcript.ends_on_boundary = rest.is_empty() && frame.fields.is_empty();
        transcript.ends_with_comment = transcript.ends_on_boundary && comments > 0;
        transcript
    }

    fn line(&mut self, line: &str, frame: &mut Frame) {
        if line.starts_with(':') {
            frame.after_comment |= frame.fields.is_empty();
            return;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if !["event", "data", "id", "retry"].contains(&name) {
            self.strange.push(line.chars().take(60).collect());
            return;
        }
        let value = value.strip_prefix(' ').unwrap_or(value);
        frame.fields.push((name.to_owned(), value.to_owned()));
    }

    /// The frames of that type.
    pub fn of<'a>(&'a self, event: &'a str) -> impl Iterator<Item = &'a Frame> {
        self.frames
            .iter()
            .filter(move |frame| frame.event() == event)
    }

    /// Whether there is a frame of that type.
    pub fn has(&self, event: &str) -> bool {
        self.of(event).next().is_some()
    }

    /// The event to resume from: the first message, or else the first event of a type whose events have different ids. Events of
    /// other types may be about the connection only, and come again on each one.
    pub fn resumable(&self) -> Option<&Frame> {
        let frames = || {
            let frames = self.frames.iter();
            frames.filter(|frame| frame.cursor().is_some() && frame.get("data").is_some())
        };
        let has_id_of_its_own = |found: &&Frame| {
            frames().any(|other| other.event() == found.event() && other.cursor() != found.cursor())
        };
        frames()
            .find(|frame| frame.event() == "message")
            .or_else(|| frames().find(has_id_of_its_own))
    }

    /// The types of all events, in their order.
    pub fn outline(&self) -> Vec<&str> {
        self.frames.iter().map(Frame::event).collect()
    }
}

/// The first line, the rest, and the index of the line's end in [`Transcript::line_ends`]. `None` if the line does not end.
fn split(text: &str) -> Option<(&str, &str, usize)> {
    let end = text.find(['\r', '\n'])?;
    let (line, after) = text.split_at(end);
    let ends = ["\r\n", "\n", "\r"].iter().zip([1, 0, 2]);
    ends.filter_map(|(end, kind)| Some((line, after.strip_prefix(end)?, kind)))
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_detail_is_recorded() {
        let read = Transcript::read(
            b":\nevent: hello\nretry: 1000\ndata: {}\nid: 0\n\n:\n\ndata:x\r\n\r\ndata: y\nfoo\n",
        );
        assert_eq!(read.outline(), ["hello", "message"]);
        assert_eq!(read.frames[0].names(), ["event", "retry", "data", "id"]);
        assert!(
            read.begins_with_comment
                && read.frames[0].after_comment
                && !read.frames[1].after_comment
        );
        assert_eq!((read.bare_comments, read.line_ends), (1, [10, 2, 0]));
        assert_eq!(
            (read.ends_on_boundary, &*read.strange),
            (false, &["foo".to_owned()][..])
        );
        assert!(Transcript::read(b"data: x\n\n:\n").ends_with_comment);
        assert!(!Transcript::read(b"data: x\n").ends_on_boundary);
        assert_eq!(Transcript::read("data: ü".as_bytes()).encoding, None);
        assert_eq!(Transcript::read(b"data: \xc3").encoding, None);
        assert!(Transcript::read(b"data: \xff\n").encoding.is_some());
    }

    #[test]
    fn what_the_standard_allows() {
        let read = Transcript::read("\u{feff}: x\ndata: {\ndata:}\nx: y\n\n\n".as_bytes());
        assert!(read.byte_order_mark && read.begins_with_comment && read.ends_on_boundary);
        assert_eq!(
            (read.frames.len(), read.frames[0].data()),
            (1, "{\n}".to_owned())
        );
        assert_eq!(read.strange, ["x: y"]);
        let twice = Transcript::read("\u{feff}\u{feff}data: x\n\n".as_bytes());
        assert_eq!(twice.strange, ["\u{feff}data: x"]);
    }

    #[test]
    fn where_to_resume() {
        let from = |text: &str| {
            let read = Transcript::read(text.as_bytes());
            read.resumable().and_then(Frame::cursor).map(str::to_owned)
        };
        assert_eq!(
            from("event: a\ndata: 1\nid: 0\n\ndata: 2\nid: 1\n\n"),
            Some("1".into())
        );
        assert_eq!(
            from("event: a\ndata: 1\nid: 7\n\nevent: b\ndata: 1\nid: 8\n\n"),
            None
        );
        assert_eq!(
            from(
                "event: a\ndata: 1\nid: 7\n\nevent: b\ndata: 1\nid: 4\n\nevent: b\ndata: 1\nid: 5\n\n"
            ),
            Some("4".into())
        );
        assert_eq!(from("data: 1\nid: \0\n\ndata: 1\nid\n\ndata: 1\n\n"), None);
    }
}
