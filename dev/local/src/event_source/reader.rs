//! Reads the shards of a stream, and puts their records into lanes.

use std::convert::Infallible;

use aws_sdk_dynamodbstreams::types::{Shard, ShardIteratorType};
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

use super::delivery::Delivery;
use super::lanes::{Lanes, lanes};
use super::shards::Shards;
use super::{EventSource, EventSourceError, Invoke, record};

/// The shards are listed when one ends, and at every so many reads of an idle shard.
const READS_PER_LISTING: u32 = 10;

impl<I: Invoke> EventSource<I> {
    /// Reads all shards, those too that are opened while it runs. It does not end without an error.
    pub(super) async fn read_all(&self) -> Result<(), EventSourceError> {
        let (sender, listed) = mpsc::channel(1);
        let ended = Notify::new();
        tokio::select! {
            failed = self.list_again(sender, &ended) => failed.map(|never| match never {}),
            failed = self.read_listed(listed, &ended) => failed,
        }
    }

    async fn list_again(
        &self,
        listed: mpsc::Sender<Vec<Shard>>,
        ended: &Notify,
    ) -> Result<Infallible, EventSourceError> {
        loop {
            // It fails only if the receiver is dropped, and both are dropped together.
            listed.send(self.list().await?).await.ok();
            let pause = self.settings.poll_interval * READS_PER_LISTING;
            timeout(pause, ended.notified()).await.ok();
        }
    }

    /// All shards that the stream has now, page by page.
    async fn list(&self) -> Result<Vec<Shard>, EventSourceError> {
        let (mut shards, mut last) = (Vec::new(), None);
        loop {
            let describe = self.streams.describe_stream().stream_arn(&self.stream_arn);
            let page = describe.set_exclusive_start_shard_id(last).send().await?;
            let page = page.stream_description;
            last = page
                .as_ref()
                .and_then(|page| page.last_evaluated_shard_id.clone());
            shards.extend(page.and_then(|page| page.shards).unwrap_or_default());
            if last.is_none() {
                return Ok(shards);
            }
        }
    }

    async fn read_listed(
        &self,
        mut listed: mpsc::Receiver<Vec<Shard>>,
        ended: &Notify,
    ) -> Result<(), EventSourceError> {
        let (mut shards, mut reading) = (Shards::default(), FuturesUnordered::new());
        loop {
            let ready = shards.start().into_iter();
            reading.extend(ready.map(|shard| self.read_and_deliver(shard)));
            tokio::select! {
                Some(listed) = listed.recv() => shards.add(listed),
                Some(finished) = reading.next() => {
                    shards.finish(&finished?);
                    ended.notify_one();
                }
            }
        }
    }

    /// Ends when the shard was read to its end and all its records were taken or given up. Returns its id.
    async fn read_and_deliver(&self, shard: String) -> Result<String, EventSourceError> {
        let (lanes, queues) = lanes(self.settings.parallelization_factor);
        let delivery = Delivery {
            source: self,
            shard: &shard,
        };
        let deliver = async {
            let queues = queues.into_iter();
            Ok(join_all(queues.map(|queue| delivery.deliver_all(queue))).await)
        };
        tokio::try_join!(self.read(&shard, lanes), deliver)?;
        Ok(shard)
    }

    /// Ends at the end of the shard. An open shard has none.
    async fn read(&self, shard: &str, lanes: Lanes) -> Result<(), EventSourceError> {
        let start = self
            .streams
            .get_shard_iterator()
            .stream_arn(&self.stream_arn)
            .shard_id(shard)
            .shard_iterator_type(ShardIteratorType::TrimHorizon)
            .send()
            .await?;
        let mut iterator = start.shard_iterator;
        while let Some(position) = iterator {
            let read = self.streams.get_records().shard_iterator(position);
            let read = read.send().await?;
            iterator = read.next_shard_iterator;
            let records = read.records.unwrap_or_default();
            if records.is_empty() && iterator.is_some() {
                sleep(self.settings.poll_interval).await;
            }
            for record in records {
                let record = record::from_stream(record, &self.stream_arn);
                if self.settings.admits(&record)? {
                    lanes.put(record);
                }
            }
        }
        Ok(())
    }
}
