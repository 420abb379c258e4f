//! Reads the newest records of a topic, beside any group: committed ones alone, the last of each partition of which something
//! can be told.

use std::collections::HashMap;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::beside::{self, WAIT};
use super::client::{ClientOptions, detail};
use super::reader::ending_error;
use crate::stream::StreamError;

/// The group that the client wants to hear of; nobody joins it.
const GROUP: &str = "refguard.ends";
/// How far before its end a partition is looked at, at first: marks of transactions take places too.
const BACK_LEAST: i64 = 64;

/// The highest of what is told by the last records of each partition; `None`: nothing is.
///
/// # Errors
///
/// [`StreamError::KafkaSettings`], [`StreamError::Unreachable`], [`StreamError::UnknownTopic`], [`StreamError::Denied`], or
/// [`StreamError::Kafka`], also if nothing comes for 10 s.
pub fn highest(
    options: &ClientOptions,
    topic: &str,
    tells: impl Fn(&[u8]) -> Option<u64>,
) -> Result<Option<u64>, StreamError> {
    let (consumer, mut open) = beside::open(options, GROUP, topic)?;
    let failed = |error: KafkaError| StreamError::Kafka {
        doing: format!("reading the ends of topic {topic}"),
        detail: detail(&error),
    };
    let (mut highest, mut back) = (None, BACK_LEAST);
    while !open.is_empty() {
        let mut list = TopicPartitionList::new();
        let mut begin = HashMap::new();
        for partition in &open {
            let (oldest, end) = consumer.fetch_watermarks(topic, *partition, WAIT).map_err(failed)?;
            let from = end.saturating_sub(back).max(oldest);
            list.add_partition_offset(topic, *partition, Offset::Offset(from)).map_err(failed)?;
            begin.insert(*partition, (from, oldest));
        }
        consumer.assign(&list).map_err(failed)?;
        let mut reading = open.clone();
        let mut told = Vec::new();
        while !reading.is_empty() {
            match consumer.poll(WAIT) {
                Some(Ok(message)) => {
                    if let Some(number) = message.payload().and_then(&tells) {
                        highest = highest.max(Some(number));
                        told.push(message.partition());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => reading.retain(|of| *of != partition),
                Some(Err(error)) => ending_error(&error).map_or(Ok(()), Err)?,
                None => {
                    let doing = format!("reading the ends of topic {topic}");
                    return Err(StreamError::Kafka { doing, detail: "nothing came for 10 s".to_owned() });
                }
            }
        }
        open.retain(|partition| {
            let is_whole = begin.get(partition).is_none_or(|(from, oldest)| from <= oldest);
            !is_whole && !told.contains(partition)
        });
        back = back.saturating_mul(8);
    }
    Ok(highest)
}
