//! An independent parser reads the frames that the encoder writes, wherever the bytes are cut.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures_util::{FutureExt, StreamExt, stream};
use order_status_stream::cursor::Cursor;
use order_status_stream::frame::{COMMENT, Event, EventId, Frame};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Fields {
    event: Event,
    retry: Option<u64>,
    data: String,
    id: Option<EventId>,
    comment_before: bool,
}

const EVENTS: &[Event] = &[
    Event::Change,
    Event::Hello,
    Event::Ready,
    Event::Reset,
    Event::End,
    Event::Expired,
    Event::Rest,
];

fn event_id(text: &str) -> EventId {
    Cursor::parse(text, 1).map_or(EventId::Unreadable, EventId::Cursor)
}

prop_compose! {
    fn any_fields()(
        event in prop::sample::select(EVENTS),
        retry in prop::option::of(0u64..=u64::from(u32::MAX)),
        data in "[ a:\r\n\u{feff}é🚚\0]{0,12}|.*|\\PC*",
        id in prop::option::of("\\?|0(-0[0-9a-f]{2}1)?|[1-9][0-9]{0,9}(-[0-9a-f]{4})?~?".prop_map(|id| event_id(&id))),
        comment_before: bool,
    ) -> Fields {
        Fields { event, retry, data, id, comment_before }
    }
}

fn encode(fields: &Fields) -> Bytes {
    let mut frame = Frame::new(fields.event, &fields.data);
    if let Some(retry) = fields.retry {
        frame = frame.retry(Duration::from_millis(retry));
    }
    if let Some(id) = &fields.id {
        frame = frame.id(id.clone());
    }
    let comment = if fields.comment_before {
        COMMENT
    } else {
        Bytes::new()
    };
    [comment, frame.encode()].concat().into()
}

/// What a client knows after each event: type, data, last event id and reconnection time.
type Dispatched = (String, String, String, Option<u64>);

fn expected(frames: &[Fields]) -> Vec<Dispatched> {
    let mut last_event_id = String::new();
    let dispatched = frames.iter().map(|fields| {
        if let Some(id) = &fields.id {
            last_event_id = id.to_string();
        }
        let event = fields.event.name().unwrap_or("message").to_owned();
        let data = fields.data.replace("\r\n", "\n").replace('\r', "\n");
        (event, data, last_event_id.clone(), fields.retry)
    });
    dispatched.collect()
}

fn parse(chunks: Vec<Bytes>) -> Vec<Dispatched> {
    let chunks = stream::iter(chunks.into_iter().map(Ok::<_, Infallible>));
    let events = chunks
        .eventsource()
        .collect::<Vec<_>>()
        .now_or_never()
        .unwrap();
    // If the last character is cut, the parser returns an error.
    let dispatched = events.into_iter().map_while(Result::ok).map(|event| {
        let retry = event
            .retry
            .map(|retry| u64::try_from(retry.as_millis()).unwrap());
        (event.event, event.data, event.id, retry)
    });
    dispatched.collect()
}

proptest! {
    #[test]
    fn a_parser_reads_what_was_written_wherever_it_is_cut(
        frames in prop::collection::vec(any_fields(), 0..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let bytes: Bytes = frames.iter().flat_map(encode).collect();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|cut| bytes.slice(cut[0]..cut[1])).filter(|chunk| !chunk.is_empty());
        prop_assert_eq!(parse(chunks.collect()), expected(&frames));
    }

    #[test]
    fn a_cut_frame_is_never_dispatched(fields in any_fields(), cut in any::<prop::sample::Index>()) {
        let bytes = encode(&fields);
        prop_assert_eq!(parse(vec![bytes.slice(..cut.index(bytes.len()))]), vec![]);
    }
}
