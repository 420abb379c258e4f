//! Reads a topic once, from its beginning to where it ends now, beside any group: nothing is committed.

use super::beside::{self, Beside, WAIT};
use super::client::{ClientOptions, detail};
use super::reader::ending_error;
use crate::stream::StreamError;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

/// The group that the client wants to hear of; nobody joins it.
const GROUP: &str = "refguard.scan";

/// The records of a topic, as it was when it was opened: each partition in order.
pub struct TopicScan {
    topic: String,
    consumer: Beside,
    /// Partitions that are not read to their end.
    open: Vec<i32>,
}

impl std::fmt::Debug for TopicScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicScan").field("topic", &self.topic).field("open", &self.open).finish_non_exhaustive()
    }
}

impl TopicScan {
    /// Begins at the oldest record of each partition.
    ///
    /// # Errors
    ///
    /// [`StreamError::KafkaSettings`], [`StreamError::Unreachable`], [`StreamError::UnknownTopic`],
    /// [`StreamError::Denied`], or [`StreamError::Kafka`].
    pub fn open(options: &ClientOptions, topic: &str) -> Result<TopicScan, StreamError> {
        let (consumer, open) = beside::open(options, GROUP, topic)?;
        let failed = |error: KafkaError| StreamError::Kafka {
            doing: format!("taking the partitions of {topic}"),
            detail: detail(&error),
        };
        let mut list = TopicPartitionList::new();
        for partition in &open {
            list.add_partition_offset(topic, *partition, Offset::Beginning).map_err(failed)?;
        }
        consumer.assign(&list).map_err(failed)?;
        Ok(TopicScan { topic: topic.to_owned(), consumer, open })
    }

    /// The value of the next record; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`StreamError::Denied`], or [`StreamError::Kafka`] if nothing comes for 10 s.
    pub fn next_value(&mut self) -> Result<Option<Vec<u8>>, StreamError> {
        while !self.open.is_empty() {
            match self.consumer.poll(WAIT) {
                Some(Ok(message)) if self.open.contains(&message.partition()) => {
                    return Ok(Some(message.payload().unwrap_or_default().to_vec()));
                }
                // It came after the end that was seen.
                Some(Ok(_)) => {}
                Some(Err(KafkaError::PartitionEOF(partition))) => self.open.retain(|open| *open != partition),
                Some(Err(error)) => ending_error(&error).map_or(Ok(()), Err)?,
                None => {
                    let doing = format!("reading topic {}", self.topic);
                    return Err(StreamError::Kafka { doing, detail: "nothing came for 10 s".to_owned() });
                }
            }
        }
        Ok(None)
    }
}
