//! What the encoder writes, an independent parser reads, wherever the bytes are cut.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures_util::{FutureExt, StreamExt, stream};
use order_status_stream::frame::{COMMENT, Frame};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Fields {
    event: Option<String>,
    retry: Option<u64>,
    data: String,
    id: Option<String>,
    comment_before: bool,
}

prop_compose! {
    fn any_fields()(
        event in prop::option::of("[^\r\n]{1,8}"),
        retry in prop::option::of(0u64..=u64::from(u32::MAX)),
        data in "[ a:\r\n\u{feff}é🚚\0]{0,12}|.*|\\PC*",
        id in prop::option::of("[^\r\n\0]{0,8}"),
        comment_before: bool,
    ) -> Fields {
        Fields { event, retry, data, id, comment_before }
    }
}

fn encode(fields: &Fields) -> Bytes {
    let mut frame = Frame::message(&fields.data);
    if let Some(event) = &fields.event {
        frame = frame.event(event).unwrap();
    }
    if let Some(retry) = fields.retry {
        frame = frame.retry(Duration::from_millis(retry));
    }
    if let Some(id) = &fields.id {
        frame = frame.id(id).unwrap();
    }
    let comment = if fields.comment_before {
        COMMENT
    } else {
        Bytes::new()
    };
    [comment, frame.encode()].concat().into()
}

/// What a client holds after each event: its type, data, last event id and reconnection time.
type Dispatched = (String, String, String, Option<u64>);

fn expected(frames: &[Fields]) -> Vec<Dispatched> {
    let mut last_event_id = String::new();
    let dispatched = frames.iter().map(|fields| {
        last_event_id = fields.id.clone().unwrap_or_else(|| last_event_id.clone());
        let event = fields.event.clone().unwrap_or_else(|| "message".to_owned());
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
    // A character that was cut in half at the end is an error of the parser's.
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
    fn read_as_written_wherever_cut(
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
