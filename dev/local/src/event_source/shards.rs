//! In which sequence the shards of a stream are read. Pure.
//!
//! DynamoDB closes a shard every few hours, or if it splits, and opens its children. A child's records come after those of its parent:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html#Streams.Processing>. A shard has one parent at most, so
//! shards do not merge.

use std::collections::BTreeMap;

use aws_sdk_dynamodbstreams::types;

/// The shards that the stream has listed.
#[derive(Debug, Default)]
pub(super) struct Shards(BTreeMap<String, Shard>);

#[derive(Debug)]
struct Shard {
    parent: Option<String>,
    state: State,
}

#[derive(Debug, PartialEq)]
enum State {
    Waiting,
    Reading,
    Finished,
}

impl Shards {
    /// Adds the shards that are new. `listed` is the whole list of the stream.
    pub(super) fn add(&mut self, listed: Vec<types::Shard>) {
        for shard in listed {
            let parent = shard.parent_shard_id;
            let state = State::Waiting;
            if let Some(id) = shard.shard_id {
                self.0.entry(id).or_insert(Shard { parent, state });
            }
        }
    }

    /// The shards that can be read now, each of them once: the parent is finished, or is older than the stream's oldest record and
    /// therefore not listed.
    pub(super) fn start(&mut self) -> Vec<String> {
        let waits = |shard: &Shard| {
            let parent = shard.parent.as_ref().and_then(|parent| self.0.get(parent));
            shard.state != State::Waiting
                || parent.is_some_and(|parent| parent.state != State::Finished)
        };
        let ready = self.0.iter().filter(|(_, shard)| !waits(shard));
        let ready: Vec<_> = ready.map(|(id, _)| id.clone()).collect();
        for id in &ready {
            self.set(id, State::Reading);
        }
        ready
    }

    /// All records of this shard were taken or given up.
    pub(super) fn finish(&mut self, id: &str) {
        self.set(id, State::Finished);
    }

    fn set(&mut self, id: &str, state: State) {
        if let Some(shard) = self.0.get_mut(id) {
            shard.state = state;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(shards: &[(&str, Option<&str>)]) -> Vec<types::Shard> {
        let shard = |(id, parent): &(&str, Option<&str>)| {
            let shard = types::Shard::builder().shard_id(*id);
            let parent = parent.map(str::to_owned);
            shard.set_parent_shard_id(parent).build()
        };
        shards.iter().map(shard).collect()
    }

    #[test]
    fn a_child_is_read_after_its_parent() {
        let mut shards = Shards::default();
        let family = [
            ("a", None),
            ("b", Some("a")),
            ("c", Some("a")),
            ("d", Some("c")),
        ];
        shards.add(listed(&family));
        assert_eq!(shards.start(), ["a"]);
        shards.add(listed(&family));
        assert!(shards.start().is_empty(), "a shard is read once");
        shards.finish("a");
        assert_eq!(shards.start(), ["b", "c"]);
        shards.finish("b");
        assert!(shards.start().is_empty(), "d is a child of c");
        shards.finish("c");
        assert_eq!(shards.start(), ["d"]);
    }

    #[test]
    fn a_parent_that_the_stream_has_forgotten_does_not_hold_its_children_back() {
        let mut shards = Shards::default();
        shards.add(listed(&[("b", Some("a"))]));
        assert_eq!(shards.start(), ["b"]);
    }

    #[test]
    fn a_shard_may_be_listed_later() {
        let mut shards = Shards::default();
        shards.add(listed(&[("a", None)]));
        assert_eq!(shards.start(), ["a"]);
        shards.add(listed(&[("a", None), ("b", Some("a")), ("z", None)]));
        assert_eq!(shards.start(), ["z"]);
        shards.finish("a");
        assert_eq!(shards.start(), ["b"]);
    }
}
