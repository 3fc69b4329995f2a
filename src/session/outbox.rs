//! What waits to be sent, and how far the client has seen.
//!
//! A message becomes bytes when it is taken. So a page of entries is in memory only once, and an id never names an entry that
//! was not sent yet.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::frames;
use crate::cursor::{Cursor, Mark};
use crate::feed::{Discontinuity, Entry, LogId};
use crate::frame::{COMMENT, EventId, Frame};
use crate::order::Seq;

/// What is sent to a client. An order is named by its index in the request.
#[derive(Debug)]
pub(super) enum Message {
    Hello(Duration),
    /// The logs are those of the marks that become 0.
    Reset(Range<usize>, Vec<LogId>, Discontinuity),
    Change(usize, Box<Entry>),
    /// Sends nothing: the client has seen as far as this.
    Seen(usize, Mark),
    Ready,
    /// The last status of each order.
    End(Map<String, Value>),
    Expired,
    Rest {
        retry: Duration,
        /// The stream cannot be served at the moment.
        unavailable: bool,
    },
    Comment,
}

/// The messages that wait to be sent.
#[derive(Debug)]
pub(super) struct Outbox {
    /// The client's, after the last frame that was taken.
    cursor: Cursor,
    /// The client's cursor could not be read, and `reset` was not taken yet.
    unreadable: bool,
    /// `hello` was taken.
    opened: bool,
    /// `ready` was taken, and no `reset` after it.
    ready: bool,
    messages: VecDeque<Message>,
    /// The number of changes that were taken.
    changes: u64,
}

impl Outbox {
    /// An empty outbox for a client with this cursor. `None` stands for a cursor that cannot be read.
    pub(super) fn new(cursor: Option<Cursor>, orders: usize) -> Self {
        Self {
            unreadable: cursor.is_none(),
            cursor: cursor.unwrap_or_else(|| Cursor::start(orders)),
            opened: false,
            ready: false,
            messages: VecDeque::new(),
            changes: 0,
        }
    }

    /// Whether the client's cursor could not be read, and `reset` was not taken yet.
    pub(super) fn unreadable(&self) -> bool {
        self.unreadable
    }

    /// How far the client has seen a log. Until `ready`, a client that began with nothing has not seen every order of its customer.
    pub(super) fn mark(&self, log: usize) -> Mark {
        let mark = self.cursor.0[log];
        Mark {
            partial: !self.ready && (mark.seq == Seq::ZERO || mark.partial),
            ..mark
        }
    }

    /// Counts a check-in that found no entry of the order.
    pub(super) fn count_check_in(&mut self, order: usize) {
        self.cursor.0[order] = self.cursor.0[order].after_check_in();
    }

    pub(super) fn push(&mut self, message: Message) {
        self.messages.push_back(message);
    }

    /// The number of messages that wait.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// The number of changes that were taken.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Drops what waits, except `hello`: without it, no other frame is sent. Returns whether `hello` was taken or waits.
    pub(super) fn clear(&mut self) -> bool {
        self.messages
            .retain(|message| matches!(message, Message::Hello(_)));
        self.opened || !self.messages.is_empty()
    }

    /// The bytes of the next message; `None` if none waits.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        loop {
            match self.messages.pop_front()? {
                Message::Seen(log, mark) => self.reach(log, mark),
                message => return Some(self.encode(message)),
            }
        }
    }

    /// The client has seen as far as an entry of a customer's log.
    fn reach(&mut self, log: usize, reached: Mark) {
        let partial = self.mark(log).partial;
        self.cursor.0[log] = Mark { partial, ..reached };
    }

    fn encode(&mut self, message: Message) -> Bytes {
        let frame = match message {
            Message::Comment | Message::Seen(..) => return COMMENT,
            // One chunk: the comment makes proxies flush, and `hello` ends what is left of a frame that was cut off.
            Message::Hello(retry) => {
                self.opened = true;
                let hello = self.with_id(frames::hello(retry)).encode();
                return [&COMMENT[..], &hello].concat().into();
            }
            Message::Reset(marks, logs, reason) => {
                self.unreadable = false;
                self.ready = false;
                self.cursor.0[marks].fill(Mark::START);
                frames::reset(&logs, reason)
            }
            Message::Change(order, entry) => {
                match entry.listing {
                    Some(_) => self.reach(order, entry.mark()),
                    None => self.cursor.0[order] = entry.mark(),
                }
                self.changes += 1;
                frames::change(&entry)
            }
            Message::Ready => {
                self.ready = true;
                for mark in &mut self.cursor.0 {
                    mark.partial = false;
                }
                frames::ready()
            }
            Message::End(orders) => {
                for mark in &mut self.cursor.0 {
                    mark.ended = true;
                }
                frames::end(orders)
            }
            Message::Expired => frames::expired(),
            Message::Rest { retry, unavailable } => frames::rest(retry, unavailable),
        };
        self.with_id(frame).encode()
    }

    /// If a client disconnects before `reset`, it must bring an id that cannot be read again, so that it gets `reset` then.
    fn with_id(&self, frame: Frame) -> Frame {
        frame.id(match self.unreadable {
            true => EventId::Unreadable,
            false => EventId::Cursor(self.cursor.clone()),
        })
    }
}
