//! The watchers: sockets from which frames arrive, each with the time of its arrival.

use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::Result;

/// The beginning of a change, the same text for every server.
const CHANGE: &[u8] = br#"data: {"orderId""#;

/// Larger than a burst of frames of one order.
const BUFFER: usize = 4096;

enum Seen {
    Opened,
    Change { watcher: usize, at: Instant },
    Ended,
}

/// A change that a watcher got.
pub(crate) struct Receipt {
    pub(crate) watcher: usize,
    pub(crate) at: Instant,
}

/// What all watchers see.
pub(crate) struct Watchers {
    sender: UnboundedSender<Seen>,
    seen: UnboundedReceiver<Seen>,
}

impl Watchers {
    pub(crate) fn new() -> Self {
        let (sender, seen) = unbounded_channel();
        Self { sender, seen }
    }

    /// For each watcher, which reads its socket until its end. `opened` is the text with which its stream is open.
    pub(crate) fn watcher(&self, number: usize, opened: &'static [u8]) -> Watcher {
        Watcher {
            number,
            opened: Some(Finder::new(opened)),
            changes: Finder::new(CHANGE),
            seen: self.sender.clone(),
        }
    }

    /// Waits until so many streams are open.
    pub(crate) async fn opened(&mut self, streams: usize, limit: Duration) -> Result<()> {
        let mut opened = 0;
        let all = async {
            while opened < streams {
                match self.seen.recv().await {
                    Some(Seen::Opened) => opened += 1,
                    Some(Seen::Change { .. }) => {}
                    Some(Seen::Ended) | None => return Err("a stream ended"),
                }
            }
            Ok(())
        };
        match timeout(limit, all).await {
            Ok(end) => Ok(end?),
            Err(_) => Err(format!("{opened} of {streams} streams opened in {limit:?}").into()),
        }
    }

    /// Forgets what arrived until now.
    pub(crate) fn forget(&mut self) {
        while self.seen.try_recv().is_ok() {}
    }

    /// Waits for so many changes.
    pub(crate) async fn receipts(
        &mut self,
        changes: usize,
        limit: Duration,
    ) -> Result<Vec<Receipt>> {
        let mut receipts = Vec::with_capacity(changes);
        let all = async {
            while receipts.len() < changes {
                match self.seen.recv().await {
                    Some(Seen::Change { watcher, at }) => receipts.push(Receipt { watcher, at }),
                    Some(Seen::Opened) => {}
                    Some(Seen::Ended) | None => return Err("a stream ended"),
                }
            }
            Ok(())
        };
        match timeout(limit, all).await {
            Ok(end) => end?,
            Err(_) => {
                let came = receipts.len();
                return Err(format!("{came} of {changes} changes arrived in {limit:?}").into());
            }
        }
        Ok(receipts)
    }
}

/// One of them.
pub(crate) struct Watcher {
    number: usize,
    opened: Option<Finder>,
    changes: Finder,
    seen: UnboundedSender<Seen>,
}

impl Watcher {
    /// Reads until the end of the stream, or of the measurement.
    pub(crate) async fn read(mut self, mut socket: TcpStream) {
        let mut buffer = [0; BUFFER];
        while let Ok(length @ 1..) = socket.read(&mut buffer).await {
            self.take(&buffer[..length], Instant::now());
        }
        let _ = self.seen.send(Seen::Ended);
    }

    /// Takes bytes that arrived at this time.
    pub(crate) fn take(&mut self, bytes: &[u8], at: Instant) {
        // The measurement may be over: then nobody listens.
        for _ in 0..self.changes.count(bytes) {
            let watcher = self.number;
            let _ = self.seen.send(Seen::Change { watcher, at });
        }
        if let Some(opened) = &mut self.opened
            && opened.count(bytes) > 0
        {
            self.opened = None;
            let _ = self.seen.send(Seen::Opened);
        }
    }
}

/// Finds a text in a stream of bytes. The text's first byte must not begin it a second time within itself.
struct Finder {
    text: &'static [u8],
    matched: usize,
}

impl Finder {
    fn new(text: &'static [u8]) -> Self {
        Self { text, matched: 0 }
    }

    /// How often the text ends in these bytes.
    fn count(&mut self, bytes: &[u8]) -> usize {
        let mut found = 0;
        for byte in bytes {
            if self.text[self.matched] != *byte {
                self.matched = 0;
            }
            if self.text[self.matched] == *byte {
                self.matched += 1;
            }
            if self.matched == self.text.len() {
                self.matched = 0;
                found += 1;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_found_however_it_is_cut() {
        let stream = b"ddata: {\"orderId\":1}\nid: 1\n\ndata: {}\n\ndata: {\"orderId\":2}\n\n";
        for cut in 0..stream.len() {
            let mut finder = Finder::new(CHANGE);
            let (first, second) = stream.split_at(cut);
            assert_eq!(
                finder.count(first) + finder.count(second),
                2,
                "cut at {cut}"
            );
        }
    }
}
