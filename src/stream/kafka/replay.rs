//! Reads records again by their places, beside the group: what was judged, to be judged as it was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::client::{detail, settings_error};
use super::history::answer;
use super::reader::{Callbacks, ending_error};
use super::source::SourceOptions;
use super::status::Shared;
use super::{BatchRun, PartitionName, RecordBatch};
use crate::stream::StreamError;

/// How long one wait for a record lasts.
const WAIT: Duration = Duration::from_millis(100);
/// How long the cluster is asked for places and for a change of place.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// A gap between two runs that is read through: further on is sought.
const GAP_MAX: u64 = 10_000;
/// What to do where records are gone.
const GONE: &str = "keep records longer than `state.checkpoint_interval` and a stop; to go on without these counts, \
     move the checkpoints and journals out of `state.path` and start with --accept-empty-state";

/// One partition.
struct Part {
    name: PartitionName,
    queue: PartitionQueue<Callbacks>,
    /// The offset behind what was read.
    next: u64,
}

/// Records of the topics of one source, run by run.
pub struct KafkaReplay {
    consumer: Arc<BaseConsumer<Callbacks>>,
    /// By index, as the source numbers them.
    parts: BTreeMap<u32, Part>,
}

impl std::fmt::Debug for KafkaReplay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.parts.values().map(|part| &part.name)).finish()
    }
}

const FIXED: [(&str, &str); 5] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
    // As the source reads: what was aborted was not judged.
    ("isolation.level", "read_committed"),
];

impl KafkaReplay {
    /// Opens the topics of a source, which is read with these options, each partition (with its index) at its first run.
    ///
    /// # Errors
    ///
    /// [`StreamError::KafkaSettings`]; [`StreamError::Recovery`] if records are gone; [`StreamError::Kafka`].
    pub fn open(options: &SourceOptions, starts: &[(u32, PartitionName, u64)]) -> Result<KafkaReplay, StreamError> {
        let mut config = options.client.config(&[("queued.max.messages.kbytes", "8192")], &FIXED)?;
        config.set("group.id", &options.group);
        let callbacks = Callbacks::new(Arc::new(Shared::default()));
        let consumer: BaseConsumer<Callbacks> =
            BaseConsumer::from_config_and_context(&config, callbacks).map_err(|error| settings_error(&error))?;
        let consumer = Arc::new(consumer);
        let failed = |error: KafkaError| StreamError::Kafka {
            doing: "opening what was judged again".to_owned(),
            detail: detail(&error),
        };
        let mut list = TopicPartitionList::new();
        let mut parts = BTreeMap::new();
        for (index, name, first) in starts {
            let PartitionName { topic, partition } = name;
            let (oldest, _) = answer(&consumer, |consumer| consumer.fetch_watermarks(topic, *partition, ANSWER_WAIT))
                .map_err(failed)?;
            if u64::try_from(oldest).is_ok_and(|oldest| oldest > *first) {
                return Err(gone(name, *first, &format!("the topic begins at {oldest} by now")));
            }
            let start = Offset::Offset(i64::try_from(*first).unwrap_or(i64::MAX));
            list.add_partition_offset(topic, *partition, start).map_err(failed)?;
            let queue = consumer.split_partition_queue(topic, *partition);
            let queue = queue.ok_or_else(|| StreamError::UnknownTopic { topic: topic.clone() })?;
            parts.insert(*index, Part { name: name.clone(), queue, next: *first });
        }
        consumer.assign(&list).map_err(failed)?;
        Ok(KafkaReplay { consumer, parts })
    }

    /// Adds the records of a run, which is whole or a part of one, to a batch. `false`: `stop` was set meanwhile.
    ///
    /// # Errors
    ///
    /// [`StreamError::Recovery`] if they are not those that were there; [`StreamError::Kafka`], [`StreamError::Denied`].
    pub fn read(
        &mut self,
        run: &BatchRun,
        is_whole: bool,
        batch: &mut RecordBatch,
        stop: &AtomicBool,
    ) -> Result<bool, StreamError> {
        let Some(part) = self.parts.get_mut(&run.partition) else {
            let detail = format!("partition {} was not opened", run.partition);
            return Err(StreamError::Recovery { detail, hint: GONE });
        };
        // The same records can be named twice: after places were set back by hand.
        if run.first < part.next || run.first - part.next > GAP_MAX {
            let offset = Offset::Offset(i64::try_from(run.first).unwrap_or(i64::MAX));
            let sought = self.consumer.seek(&part.name.topic, part.name.partition, offset, ANSWER_WAIT);
            sought.map_err(|error| StreamError::Kafka {
                doing: format!("going to {}/{}/{}", part.name.topic, part.name.partition, run.first),
                detail: detail(&error),
            })?;
            part.next = run.first;
        }
        let mut records = 0;
        while part.next < run.next {
            // Nothing comes here, but errors and logs do.
            drop(self.consumer.poll(Duration::ZERO));
            let message = match part.queue.poll(WAIT) {
                Some(Ok(message)) => message,
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    return Err(gone(&part.name, part.next, "the topic ends before that"));
                }
                Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) => {
                    return Err(gone(&part.name, part.next, "the topic begins behind that by now"));
                }
                Some(Err(error)) => {
                    ending_error(&error).map_or(Ok(()), Err)?;
                    continue;
                }
                None if stop.load(Ordering::Acquire) => return Ok(false),
                None => continue,
            };
            let offset = u64::try_from(message.offset()).unwrap_or(0);
            if offset < run.first || offset < part.next {
                continue;
            }
            part.next = offset + 1;
            if offset < run.next {
                batch.add(&message, run.partition);
                records += 1;
            }
        }
        if is_whole && (records != run.records || part.next != run.next) {
            let what = format!("there are {records} of {} records up to {}", run.records, run.next);
            return Err(gone(&part.name, run.first, &what));
        }
        Ok(true)
    }
}

fn gone(name: &PartitionName, offset: u64, what: &str) -> StreamError {
    let place = super::record_position(&name.topic, name.partition, offset);
    StreamError::Recovery { detail: format!("records from {place} on were judged, and {what}"), hint: GONE }
}
