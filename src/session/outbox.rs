//! What waits to be sent, and how far the client has seen.
//!
//! A message becomes bytes when it is taken. So a page of entries is in memory once, and an id never says more than what was
//! sent.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::frames;
use crate::cursor::{Cursor, Mark, UNREADABLE};
use crate::feed::{Discontinuity, Entry};
use crate::frame::{COMMENT, Frame, FrameError};
use crate::order::OrderId;

/// What a client is told. A number is that of an order in the request.
#[derive(Debug)]
pub(super) enum Message {
    Hello(Duration),
    Reset(Vec<(usize, OrderId)>, Discontinuity),
    Change(usize, Box<Entry>),
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

/// Messages on their way.
#[derive(Debug)]
pub(super) struct Outbox {
    /// After the last frame that was taken.
    cursor: Cursor,
    /// The client's cursor could not be read, and it was not told `reset` yet.
    unreadable: bool,
    /// `hello` was taken.
    opened: bool,
    messages: VecDeque<Message>,
}

impl Outbox {
    /// Nothing to send to a client that brought this cursor; `None` if it cannot be read.
    pub(super) fn new(cursor: Option<Cursor>, orders: usize) -> Self {
        Self {
            unreadable: cursor.is_none(),
            cursor: cursor.unwrap_or_else(|| Cursor::start(orders)),
            opened: false,
            messages: VecDeque::new(),
        }
    }

    /// Whether the client's cursor could not be read, and it was not told so yet.
    pub(super) fn unreadable(&self) -> bool {
        self.unreadable
    }

    /// How far the client has seen an order.
    pub(super) fn mark(&self, order: usize) -> Mark {
        self.cursor.0[order]
    }

    /// Another check-in found no change of the order.
    pub(super) fn asked_again(&mut self, order: usize) {
        self.cursor.0[order] = self.cursor.0[order].asked_again();
    }

    pub(super) fn push(&mut self, message: Message) {
        self.messages.push_back(message);
    }

    /// How many messages wait.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Drops what waits. Returns whether the client has got `hello`: without it, no other frame is sent.
    pub(super) fn clear(&mut self) -> bool {
        self.messages.clear();
        self.opened
    }

    /// The bytes of the next message; `None` if none waits.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        loop {
            let message = self.messages.pop_front()?;
            match self.encode(message) {
                Ok(bytes) => return Some(bytes),
                // Event types are literals and a cursor is digits: neither can break a line.
                Err(error) => tracing::error!(%error, "a frame was not sent"),
            }
        }
    }

    fn encode(&mut self, message: Message) -> Result<Bytes, FrameError> {
        match message {
            Message::Comment => Ok(COMMENT),
            // One chunk: the comment makes proxies flush, and `hello` takes the debris of a frame that was cut off.
            Message::Hello(retry) => {
                self.opened = true;
                let hello = self.with_id(frames::hello(retry)?)?;
                Ok([&COMMENT[..], &hello].concat().into())
            }
            Message::Reset(orders, reason) => {
                self.unreadable = false;
                for (order, _) in &orders {
                    self.cursor.0[*order] = Mark::START;
                }
                let orders: Vec<_> = orders.into_iter().map(|(_, order)| order).collect();
                self.with_id(frames::reset(&orders, reason)?)
            }
            Message::Change(order, entry) => {
                self.cursor.0[order] = entry.mark();
                self.with_id(frames::change(&entry))
            }
            Message::Ready => self.with_id(frames::ready()?),
            Message::End(orders) => {
                for mark in &mut self.cursor.0 {
                    mark.ended = true;
                }
                self.with_id(frames::end(orders)?)
            }
            Message::Expired => self.with_id(frames::expired()?),
            Message::Rest { retry, unavailable } => self.with_id(frames::rest(retry, unavailable)?),
        }
    }

    /// A client that is cut off before `reset` must send an id that is unreadable again, so that it gets `reset` then.
    fn with_id(&self, frame: Frame) -> Result<Bytes, FrameError> {
        let id = match self.unreadable {
            true => UNREADABLE.to_owned(),
            false => self.cursor.to_string(),
        };
        Ok(frame.id(id)?.encode())
    }
}
