//! Reads what topics held before a place, once, beside the group: nothing is committed, and nobody waits for it.

use super::RecordBatch;
use super::client::{detail, settings_error};
use super::reader::{Callbacks, ending_error};
use super::source::SourceOptions;
use super::status::{PartitionName, Shared};
use crate::stream::StreamError;
use crate::stream::log::Subscription;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// How long an answer about places is waited for.
const PLACES_WAIT: Duration = Duration::from_secs(10);
/// How often they are asked for.
const PLACES_ASKS_MAX: u32 = 30;
/// How long one wait for records lasts.
const WAIT: Duration = Duration::from_millis(100);

/// Where history ends in each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryEnd {
    /// At the group's committed place: what is behind it is read by the source. A partition without one has no history.
    Committed,
    /// Behind the last record that the source has handed over; where that is none, at the committed place.
    HandedOver,
}

/// One partition of the history.
#[derive(Debug)]
struct Part {
    partition: i32,
    /// As the source numbers it.
    index: u32,
    /// The first offset that is no history.
    end: i64,
    read: bool,
    /// Records before its first one were deleted: the history is whole only from that one's time on.
    cut: bool,
}

/// One topic. It has a consumer of its own, since the client tells the end of a partition by its number alone.
struct Topic {
    name: String,
    consumer: BaseConsumer<Callbacks>,
    parts: Vec<Part>,
}

/// The records of some topics from an instant on up to a place.
pub struct KafkaHistory {
    topics: Vec<Topic>,
    batch_records_max: usize,
    batch_bytes_max: usize,
    whole_since_ms: Arc<AtomicI64>,
}

impl std::fmt::Debug for KafkaHistory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let topics = self.topics.iter().map(|topic| (&topic.name, &topic.parts));
        f.debug_map().entries(topics).finish()
    }
}

const DEFAULTS: [(&str, &str); 2] = [("queued.max.messages.kbytes", "32768"), ("fetch.max.bytes", "16777216")];

const FIXED: [(&str, &str); 4] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // What was deleted since the places were asked for is no history.
    ("auto.offset.reset", "earliest"),
    ("enable.partition.eof", "true"),
];

impl KafkaHistory {
    /// Finds the places in the topics of a source, which was opened with these options: from the first record that is not
    /// older than `from_ms` by its own time (milliseconds since the Unix epoch), up to `end`.
    ///
    /// # Errors
    ///
    /// As [`KafkaSource::open`](super::KafkaSource::open); [`StreamError::Kafka`] if the cluster does not tell the places within 10 s.
    pub fn open(
        source: &dyn Subscription,
        options: &SourceOptions,
        from_ms: i64,
        end: HistoryEnd,
    ) -> Result<KafkaHistory, StreamError> {
        let topics = options.topics.iter().map(|topic| Topic::open(topic, source, options, from_ms, end));
        let topics = topics.collect::<Result<Vec<_>, _>>()?;
        let (batch_records_max, batch_bytes_max) = (options.batch_records_max.max(1), options.batch_bytes_max);
        let whole_since_ms = Arc::new(AtomicI64::new(from_ms));
        Ok(KafkaHistory { topics, batch_records_max, batch_bytes_max, whole_since_ms })
    }

    /// From when on nothing of it is missing, in milliseconds since the Unix epoch: known once it was read to the end. Later
    /// than it was asked for where a topic does not keep its records for so long.
    pub fn whole_since_ms(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.whole_since_ms)
    }

    /// Its partitions, by index.
    pub fn partitions(&self) -> impl Iterator<Item = u32> {
        self.topics.iter().flat_map(|topic| topic.parts.iter().map(|part| part.index))
    }

    /// Fills the batch with what comes next, as long as `patience` lasts; `false` at the end.
    ///
    /// # Errors
    ///
    /// [`StreamError::Kafka`] or [`StreamError::Denied`], when reading cannot go on.
    pub fn next(&mut self, batch: &mut RecordBatch, patience: impl Fn() -> bool) -> Result<bool, StreamError> {
        batch.begin(0);
        while self.topics.iter().any(Topic::is_open) && patience() {
            // Nothing that is here is waited for: the wait goes to the first topic that is open.
            let mut wait = if batch.is_empty() { WAIT } else { Duration::ZERO };
            let mut came = false;
            for topic in self.topics.iter_mut().filter(|topic| topic.is_open()) {
                while batch.len() < self.batch_records_max && batch.size_bytes() < self.batch_bytes_max {
                    if !topic.poll(std::mem::take(&mut wait), batch, &self.whole_since_ms)? {
                        break;
                    }
                    came = true;
                }
            }
            let full = batch.len() >= self.batch_records_max || batch.size_bytes() >= self.batch_bytes_max;
            if full || !came && !batch.is_empty() {
                break;
            }
        }
        Ok(!batch.is_empty() || self.topics.iter().any(Topic::is_open))
    }
}

impl Topic {
    fn open(
        topic: &str,
        source: &dyn Subscription,
        options: &SourceOptions,
        from_ms: i64,
        end: HistoryEnd,
    ) -> Result<Topic, StreamError> {
        let mut config = options.client.config(&DEFAULTS, &FIXED)?;
        config.set("group.id", &options.group);
        let consumer = BaseConsumer::from_config_and_context(&config, Callbacks::new(Arc::new(Shared::default())))
            .map_err(|error| settings_error(&error))?;
        let asking = |error: KafkaError| StreamError::Kafka {
            doing: format!("asking where the history of {topic} begins and ends"),
            detail: detail(&error),
        };
        let metadata =
            answer(&consumer, |consumer| consumer.fetch_metadata(Some(topic), PLACES_WAIT)).map_err(asking)?;
        let mut all = TopicPartitionList::new();
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            all.add_partition(topic, partition.id());
        }
        let committed =
            answer(&consumer, |consumer| consumer.committed_offsets(all.clone(), PLACES_WAIT)).map_err(asking)?;
        all.set_all_offsets(Offset::Offset(from_ms.max(0))).map_err(asking)?;
        let starts =
            answer(&consumer, |consumer| consumer.offsets_for_times(all.clone(), PLACES_WAIT)).map_err(asking)?;
        let handed_over = source.partitions();
        let mut parts = Vec::new();
        let mut assignment = TopicPartitionList::new();
        for start in starts.elements() {
            let partition = start.partition();
            let name = PartitionName { topic: topic.to_owned(), partition };
            let known = handed_over.iter().find(|known| known.name == name).and_then(|known| known.next_offset);
            let known = known.filter(|_| end == HistoryEnd::HandedOver).and_then(|next| i64::try_from(next).ok());
            let committed = committed.find_partition(topic, partition).and_then(|place| place_of(place.offset()));
            let (Some(start), Some(end)) = (place_of(start.offset()), known.or(committed)) else { continue };
            if start < end {
                let (oldest, _) =
                    answer(&consumer, |consumer| consumer.fetch_watermarks(topic, partition, PLACES_WAIT))
                        .map_err(asking)?;
                let cut = oldest > 0 && start <= oldest;
                assignment.add_partition_offset(topic, partition, Offset::Offset(start)).map_err(asking)?;
                parts.push(Part { partition, index: source.index(&name), end, read: false, cut });
            }
        }
        consumer.assign(&assignment).map_err(asking)?;
        Ok(Topic { name: topic.to_owned(), consumer, parts })
    }

    fn is_open(&self) -> bool {
        self.parts.iter().any(|part| !part.read)
    }

    /// Adds the next record, if one comes in time; answers whether something came.
    fn poll(
        &mut self,
        wait: Duration,
        batch: &mut RecordBatch,
        whole_since_ms: &AtomicI64,
    ) -> Result<bool, StreamError> {
        let partition = match self.consumer.poll(wait) {
            None => return Ok(false),
            Some(Ok(message)) => {
                let Some(part) = self.parts.iter_mut().find(|part| part.partition == message.partition()) else {
                    return Ok(true);
                };
                if let (true, Some(first_ms)) = (std::mem::take(&mut part.cut), message.timestamp().to_millis()) {
                    whole_since_ms.fetch_max(first_ms, Ordering::Relaxed);
                }
                if message.offset() < part.end {
                    batch.add(&message, part.index);
                }
                if part.read || message.offset() + 1 < part.end {
                    return Ok(true);
                }
                part.partition
            }
            // The log ends no earlier than the history, which may end in marks of transactions and not in a record.
            Some(Err(KafkaError::PartitionEOF(partition))) => partition,
            Some(Err(error)) => return ending_error(&error).map_or(Ok(true), Err),
        };
        self.end(partition);
        Ok(true)
    }

    /// A partition was read to its end: what is behind it need not come.
    fn end(&mut self, partition: i32) {
        self.parts.iter_mut().filter(|part| part.partition == partition).for_each(|part| part.read = true);
        let mut done = TopicPartitionList::new();
        done.add_partition(&self.name, partition);
        if let Err(error) = self.consumer.pause(&done) {
            tracing::debug!(target: "kafka", "a partition could not be paused: {}", detail(&error));
        }
    }
}

/// Asks about places until there is an answer, [`PLACES_ASKS_MAX`] times: a broker whose coordinator or leader is being
/// chosen refuses for a moment. What would be refused for ever is asked once.
pub(super) fn answer<T>(
    consumer: &BaseConsumer<Callbacks>,
    ask: impl Fn(&BaseConsumer<Callbacks>) -> KafkaResult<T>,
) -> KafkaResult<T> {
    for _ in 1..PLACES_ASKS_MAX {
        match ask(consumer) {
            Err(error) if ending_error(&error).is_none() => {
                // Nothing is assigned yet, so nothing comes: it is the pause before the next time.
                consumer.poll(WAIT);
            }
            answer => return answer,
        }
    }
    ask(consumer)
}

fn place_of(offset: Offset) -> Option<i64> {
    match offset {
        Offset::Offset(place) if place >= 0 => Some(place),
        _ => None,
    }
}
