//! What the function `projector` is invoked with: its shape says from which source it comes.

use std::collections::BTreeMap;

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use serde::de::{Deserialize, Deserializer, Error};

use super::kafka::{KafkaEvent, KafkaRecord};

/// An event of one of the sources.
#[derive(Clone, Debug)]
pub enum Input {
    /// Records of a DynamoDB stream.
    Stream(Event),
    /// Records of Apache Kafka or Amazon MSK.
    Kafka(KafkaEvent),
}

/// The members of both events. An untagged enum would copy each event before it reads it.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    #[serde(rename = "Records")]
    stream: Option<Vec<EventRecord>>,
    records: Option<BTreeMap<String, Vec<KafkaRecord>>>,
    event_source_arn: Option<String>,
    bootstrap_servers: Option<String>,
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Members::deserialize(deserializer)?;
        match (members.stream, members.records) {
            (Some(records), _) => {
                let mut event = Event::default();
                event.records = records;
                Ok(Self::Stream(event))
            }
            (None, Some(records)) => Ok(Self::Kafka(KafkaEvent {
                event_source_arn: members.event_source_arn,
                bootstrap_servers: members.bootstrap_servers,
                records,
            })),
            (None, None) => Err(D::Error::custom(
                "the event has neither `Records` of a DynamoDB stream nor `records` of Kafka",
            )),
        }
    }
}
