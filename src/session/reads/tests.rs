//! Every order in which sessions request, wait and leave while reads begin and end.

use std::collections::VecDeque;

use futures_util::FutureExt;

use proptest::prelude::*;
use serde_json::json;
use tokio::sync::oneshot;

use super::*;
use crate::feed::Consistency;
use crate::order::OrderId;

#[derive(Clone, Copy, Debug)]
enum Event {
    /// An entry is written.
    Write,
    Request(Consistency),
    /// A message about the newest entry wakes a session.
    Wake,
    /// A request is polled.
    Poll(usize),
    /// The session of a request leaves.
    Leave(usize),
    /// The feed responds to the oldest read that has begun.
    Respond,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Write),
        Just(Event::Request(Consistency::Strong)),
        Just(Event::Request(Consistency::Eventual)),
        Just(Event::Wake),
        (0..8usize).prop_map(Event::Poll),
        (0..8usize).prop_map(Event::Leave),
        Just(Event::Respond),
    ]
}

/// A feed of one order. A read sees what was written before it began, and ends when the test says so.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    written: u64,
    begun: VecDeque<oneshot::Sender<()>>,
}

impl Log {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(self) -> Result<Page, FeedError> {
        let (sender, response) = oneshot::channel();
        let written = {
            let mut state = self.state();
            state.begun.push_back(sender);
            state.written
        };
        response.await.ok();
        let entry = json!({ "order": "A", "seq": written, "status": "S", "at": "", "appendedAt": 0,
            "position": format!("2026-11-22T00:00:00.000/{:040}", 1) });
        let entries = vec![serde_json::from_value(entry).expect("an entry")];
        Ok(Page {
            entries,
            more: false,
        })
    }
}

/// Requests in every state, and the least that each must see.
struct Sessions {
    log: Log,
    reads: Reads,
    requests: Vec<(Reading, u64)>,
}

impl Sessions {
    fn request(&mut self, consistency: Consistency, heard: Option<Seq>) {
        let key = Key {
            log: OrderId::try_from("A").expect("an id").into(),
            query: Query::Next(consistency),
            from: Seq(1),
            heard,
        };
        let is_strong = consistency == Consistency::Strong;
        let log = self.log.clone();
        let reading = self.reads.read(key, move || log.clone().read().boxed());
        let least = if is_strong {
            self.log.state().written
        } else {
            0
        };
        self.requests.push((reading, least));
    }

    fn poll(&mut self, index: usize) {
        let Some((reading, least)) = self.requests.get_mut(index) else {
            return;
        };
        if let Some(page) = reading.now_or_never() {
            let page = page.expect("a page");
            assert!(page.entries[0].seq.0 >= *least, "an entry is missing");
            drop(self.requests.swap_remove(index));
        }
    }

    fn respond(&self) {
        let oldest = self.log.state().begun.pop_front();
        if let Some(response) = oldest {
            response.send(()).ok();
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Write => self.log.state().written += 1,
            Event::Request(consistency) => self.request(consistency, None),
            Event::Wake => {
                let newest = Seq(self.log.state().written);
                self.request(Consistency::Strong, Some(newest));
            }
            Event::Poll(index) => self.poll(index),
            Event::Leave(index) if index < self.requests.len() => {
                drop(self.requests.swap_remove(index));
            }
            Event::Leave(_) => {}
            Event::Respond => self.respond(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_joined_read_misses_no_entry_and_ends(events in prop::collection::vec(any_event(), 0..60)) {
        let (log, reads) = (Log::default(), Reads::joined());
        let mut sessions = Sessions { log, reads: reads.clone(), requests: Vec::new() };
        for event in events {
            sessions.happens(event);
        }
        for _ in 0..200 {
            sessions.respond();
            for index in (0..sessions.requests.len()).rev() {
                sessions.poll(index);
            }
        }
        prop_assert!(sessions.requests.is_empty(), "a read never ends");
        let flights = reads.0.expect("joined");
        prop_assert!(flights.lock().is_empty(), "a read that has ended is remembered");
    }
}
