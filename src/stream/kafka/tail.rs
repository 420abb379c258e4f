//! Reads a topic with one partition as it grows, beside any group: committed records alone, in order, nothing committed.

use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::beside::{self, Beside, WAIT};
use super::client::{ClientOptions, detail};
use super::reader::ending_error;
use crate::stream::StreamError;

/// The group that the client wants to hear of; nobody joins it.
const GROUP: &str = "refguard.tail";
/// Its only partition.
const PARTITION: i32 = 0;
/// How far before its end a topic is looked at for its last records, at first: marks of transactions take places too.
const LAST_LEAST: u64 = 64;

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailStart {
    /// At the oldest record.
    Beginning,
    /// At this offset.
    At(u64),
}

/// A topic that is read to its end, and on.
pub struct TopicTail {
    topic: String,
    consumer: Beside,
    next: u64,
    is_at_end: bool,
}

impl std::fmt::Debug for TopicTail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicTail").field("topic", &self.topic).field("next", &self.next).finish_non_exhaustive()
    }
}

impl TopicTail {
    /// Begins to read.
    ///
    /// # Errors
    ///
    /// [`StreamError::KafkaSettings`], [`StreamError::Unreachable`], [`StreamError::UnknownTopic`],
    /// [`StreamError::Denied`]; [`StreamError::Kafka`], also if the topic has more than one partition.
    pub fn open(options: &ClientOptions, topic: &str, start: TailStart) -> Result<TopicTail, StreamError> {
        let (consumer, partitions) = beside::open(options, GROUP, topic)?;
        if partitions.len() != 1 {
            let count = partitions.len();
            let detail =
                format!("{topic} has {count} partitions, and entries of a journal need one, to keep their order");
            return Err(StreamError::KafkaSettings { detail });
        }
        let failed = |error: KafkaError| failed(topic, &error);
        let offset = match start {
            TailStart::Beginning => Offset::Beginning,
            TailStart::At(offset) => Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX)),
        };
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, PARTITION, offset).map_err(failed)?;
        consumer.assign(&list).map_err(failed)?;
        let next = if let TailStart::At(offset) = start { offset } else { 0 };
        Ok(TopicTail { topic: topic.to_owned(), consumer, next, is_at_end: false })
    }

    /// The value of the last committed record of a topic; `None`: it has none.
    ///
    /// # Errors
    ///
    /// As [`TopicTail::open`].
    pub fn last(options: &ClientOptions, topic: &str) -> Result<Option<Vec<u8>>, StreamError> {
        let mut back = LAST_LEAST;
        loop {
            let (oldest, end) = TopicTail::open(options, topic, TailStart::Beginning)?.bounds()?;
            let from = end.saturating_sub(back).max(oldest);
            let mut tail = TopicTail::open(options, topic, TailStart::At(from))?;
            let mut last = None;
            while let Some(value) = tail.before_end()? {
                last = Some(value);
            }
            if last.is_some() || from <= oldest {
                return Ok(last);
            }
            back = back.saturating_mul(8);
        }
    }

    /// The offset of the oldest record, and the one behind the newest.
    fn bounds(&self) -> Result<(u64, u64), StreamError> {
        let bounds = self.consumer.fetch_watermarks(&self.topic, PARTITION, WAIT);
        let (oldest, end) = bounds.map_err(|error| failed(&self.topic, &error))?;
        Ok((u64::try_from(oldest).unwrap_or(0), u64::try_from(end).unwrap_or(0)))
    }

    /// The value of the next record, if one comes in time.
    ///
    /// # Errors
    ///
    /// [`StreamError::Denied`], or [`StreamError::Kafka`] for what cannot heal. A broker that is away is waited for.
    pub fn next_value(&mut self, wait: Duration) -> Result<Option<Vec<u8>>, StreamError> {
        match self.consumer.poll(wait) {
            Some(Ok(message)) => {
                self.next = u64::try_from(message.offset()).unwrap_or(0) + 1;
                self.is_at_end = false;
                Ok(Some(message.payload().unwrap_or_default().to_vec()))
            }
            Some(Err(KafkaError::PartitionEOF(_))) => {
                self.is_at_end = true;
                Ok(None)
            }
            Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) => {
                Err(failed(&self.topic, &error))
            }
            Some(Err(error)) => ending_error(&error).map_or(Ok(None), Err),
            None => Ok(None),
        }
    }

    /// The value of the next record; `None` at the end of what is committed.
    ///
    /// # Errors
    ///
    /// As [`TopicTail::next_value`]; [`StreamError::Kafka`] if nothing comes for 10 s.
    pub fn before_end(&mut self) -> Result<Option<Vec<u8>>, StreamError> {
        const LOOK: Duration = Duration::from_millis(500);
        for _ in 0..WAIT.as_millis() / LOOK.as_millis() {
            if let Some(value) = self.next_value(LOOK)? {
                return Ok(Some(value));
            }
            if self.is_at_end {
                return Ok(None);
            }
        }
        let doing = format!("reading topic {}", self.topic);
        Err(StreamError::Kafka { doing, detail: "nothing came for 10 s".to_owned() })
    }

    /// Whether everything that was committed had been read, when it was asked for last.
    pub fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// The offset behind the last record that was read.
    pub fn next_offset(&self) -> u64 {
        self.next
    }
}

fn failed(topic: &str, error: &KafkaError) -> StreamError {
    StreamError::Kafka { doing: format!("reading topic {topic}"), detail: detail(error) }
}
