//! Delivers records: all of them, in order, without ever holding more than its queue.

use super::client::{ClientOptions, LastError, detail, log, settings_error};
use crate::stream::{Mark, StreamError};
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer,
};
use rdkafka::{ClientContext, Statistics};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// How often a wait looks whether the client has failed.
const WAIT: Duration = Duration::from_millis(100);

/// What brokers allow unless they are told otherwise: 15 minutes.
const TRANSACTION_TIMEOUT_MS: &str = "900000";

/// How a producer works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerOptions {
    /// The cluster.
    pub client: ClientOptions,
    /// The name of its transactions; `None`: records are visible as they come.
    pub transactional_id: Option<String>,
}

/// Records that were sent between two marks.
#[derive(Debug, Default)]
struct Group {
    undelivered: u64,
}

/// What was sent and what of it is safe.
#[derive(Debug, Default)]
struct Ledger {
    /// The groups that are not safe yet, oldest first; the last one is open.
    groups: VecDeque<Group>,
    /// The number of the first of them. Numbers start at 1: mark 0 is before everything.
    first: u64,
    /// Records of all groups that are not settled.
    undelivered: u64,
    /// Threads that wait for records to be settled.
    waiting: u32,
    /// They are told once no more records than that are undelivered.
    wake_at: u64,
    /// The first record that could not be delivered; nothing after it counts.
    failure: Option<Failure>,
}

#[derive(Clone, Debug)]
struct Failure {
    code: Option<RDKafkaErrorCode>,
    topic: String,
    length_bytes: usize,
    detail: String,
}

impl Ledger {
    fn open_number(&mut self) -> u64 {
        if self.groups.is_empty() {
            self.groups.push_back(Group::default());
            self.first = self.first.max(1);
        }
        self.first + self.groups.len() as u64 - 1
    }

    /// Notes so many records as sent, and answers the number of their group.
    fn sent(&mut self, records: u64) -> u64 {
        let number = self.open_number();
        self.groups.back_mut().expect("a group is open").undelivered += records;
        self.undelivered += records;
        number
    }

    /// Takes back or settles records of a group.
    fn settled(&mut self, number: u64, records: u64) {
        let group = usize::try_from(number - self.first).ok().and_then(|at| self.groups.get_mut(at));
        group.expect("a group stays until all its records are settled").undelivered -= records;
        self.undelivered -= records;
    }

    /// Whether somebody waits for what has just been settled.
    fn is_awaited(&self) -> bool {
        self.waiting > 0 && (self.undelivered <= self.wake_at || self.failure.is_some())
    }

    /// Closes the open group.
    fn mark(&mut self) -> u64 {
        let number = self.open_number();
        self.groups.push_back(Group::default());
        number
    }

    /// The number of the last closed group before which, and in which, nothing is undelivered.
    fn delivered(&mut self) -> u64 {
        while self.groups.len() > 1 && self.groups[0].undelivered == 0 {
            self.groups.pop_front();
            self.first += 1;
        }
        self.first.saturating_sub(1)
    }
}

/// What the client calls back.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    ledger: Mutex<Ledger>,
    /// Told when what is waited for has been settled: telling it is a system call, too dear for each record.
    settled: Condvar,
    reachable: AtomicBool,
    last_error: LastError,
}

impl Deliveries {
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no thread panics while it holds the ledger")
    }

    /// Waits a moment until no more than so many records are undelivered, or one has failed.
    fn wait(&self, undelivered: u64) {
        let mut ledger = self.lock();
        if ledger.undelivered <= undelivered || ledger.failure.is_some() {
            return;
        }
        // Who waits for more of them to be settled is woken too early, and waits again.
        ledger.wake_at = if ledger.waiting == 0 { undelivered } else { ledger.wake_at.max(undelivered) };
        ledger.waiting += 1;
        let waited = self.settled.wait_timeout(ledger, WAIT);
        waited.expect("no thread panics while it holds the ledger").0.waiting -= 1;
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        let up = statistics.brokers.values().any(|broker| broker.state == "UP");
        self.reachable.store(up, Ordering::Relaxed);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.reachable.store(false, Ordering::Relaxed);
        }
        self.last_error.note(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let mut ledger = self.lock();
        ledger.settled(number as u64, 1);
        if let Err((error, message)) = result {
            let failure = Failure::of(error, message);
            ledger.failure.get_or_insert(failure);
        }
        let awaited = ledger.is_awaited();
        drop(ledger);
        if awaited {
            self.settled.notify_all();
        }
    }
}

impl Failure {
    fn of(error: &KafkaError, message: &BorrowedMessage<'_>) -> Failure {
        Failure {
            code: error.rdkafka_error_code(),
            topic: message.topic().to_owned(),
            length_bytes: message.payload_len(),
            detail: detail(error),
        }
    }

    fn error(self) -> StreamError {
        let Failure { code, topic, length_bytes, detail } = self;
        match code {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => StreamError::TooLarge { topic, length_bytes },
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
                StreamError::UnknownTopic { topic }
            }
            Some(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed) => {
                StreamError::Denied { doing: format!("to write to topic {topic}"), detail }
            }
            _ => StreamError::Kafka { doing: format!("writing to topic {topic}"), detail },
        }
    }
}

/// Writes to topics of one cluster, in the background. A clone is the same producer. It waits for brokers for ever.
#[derive(Clone)]
pub struct KafkaProducer {
    producer: Arc<ThreadedProducer<Deliveries, NoCustomPartitioner>>,
    client: Arc<ClientOptions>,
}

impl std::fmt::Debug for KafkaProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaProducer").field("brokers", &self.client.brokers).finish_non_exhaustive()
    }
}

impl KafkaProducer {
    /// A producer. It does not wait for a broker; [`KafkaProducer::topic`] does.
    ///
    /// # Errors
    ///
    /// [`StreamError::KafkaSettings`].
    pub fn open(options: ProducerOptions) -> Result<KafkaProducer, StreamError> {
        // Bounds in memory, and a batch that is large under load but never waits long when it is quiet.
        let defaults = [
            ("queue.buffering.max.messages", "100000"),
            ("queue.buffering.max.kbytes", "65536"),
            ("linger.ms", "5"),
            ("compression.type", "lz4"),
            // Longer than any pause that is waited for: a broker that comes back finds the transaction open.
            ("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS),
        ];
        let fixed = [
            ("enable.idempotence", "true"),
            ("acks", "all"),
            // A record is never given up: a broker that is away is waited for.
            ("message.timeout.ms", "0"),
            // The partition of a key as Java clients choose it, so that tables can be joined.
            ("partitioner", "murmur2_random"),
            ("statistics.interval.ms", "1000"),
        ];
        let mut config = options.client.config(&defaults, &fixed)?;
        if let Some(id) = &options.transactional_id {
            config.set("transactional.id", id);
        }
        let producer = ThreadedProducer::from_config_and_context(&config, Deliveries::default())
            .map_err(|error| settings_error(&error))?;
        Ok(KafkaProducer { producer: Arc::new(producer), client: Arc::new(options.client) })
    }

    /// A sink for one topic, which must be there.
    ///
    /// # Errors
    ///
    /// [`StreamError::Unreachable`] if no broker answers within 10 s; [`StreamError::UnknownTopic`],
    /// [`StreamError::Denied`].
    pub fn topic(&self, topic: &str) -> Result<KafkaSink, StreamError> {
        let client = self.producer.client();
        let checked = self.client.check_topics([topic], |topic, wait| client.fetch_metadata(Some(topic), wait));
        checked.map_err(|error| self.deliveries().last_error.explain(error))?;
        // It has just answered; the statistics say the same a second later.
        self.deliveries().reachable.store(true, Ordering::Relaxed);
        Ok(KafkaSink { producer: self.clone(), topic: topic.to_owned() })
    }

    /// Marks what was sent up to now.
    pub fn mark(&self) -> Mark {
        Mark(self.deliveries().lock().mark())
    }

    /// The newest mark before which everything is acknowledged by all in-sync replicas. Does not block.
    ///
    /// # Errors
    ///
    /// Why a record could not be delivered: [`StreamError::TooLarge`], [`StreamError::UnknownTopic`],
    /// [`StreamError::Denied`], or [`StreamError::Kafka`] for what cannot heal.
    pub fn delivered(&self) -> Result<Mark, StreamError> {
        let mut ledger = self.deliveries().lock();
        match ledger.failure.clone() {
            Some(failure) => Err(failure.error()),
            None => Ok(Mark(ledger.delivered())),
        }
    }

    /// Waits until everything sent is acknowledged; for ever, while no broker is there.
    ///
    /// # Errors
    ///
    /// As [`KafkaProducer::delivered`].
    pub fn flush(&self) -> Result<(), StreamError> {
        loop {
            self.delivered()?;
            if self.undelivered() == 0 {
                return Ok(());
            }
            self.deliveries().wait(0);
        }
    }

    /// Records that were sent and are not acknowledged.
    pub fn undelivered(&self) -> u64 {
        self.deliveries().lock().undelivered
    }

    /// Whether some broker is connected, as of the last second.
    pub fn is_reachable(&self) -> bool {
        self.deliveries().reachable.load(Ordering::Relaxed)
    }

    /// The bootstrap addresses.
    pub(super) fn brokers(&self) -> String {
        self.client.brokers.join(",")
    }

    pub(super) fn client(&self) -> &ThreadedProducer<Deliveries, NoCustomPartitioner> {
        &self.producer
    }

    /// Forgets that records could not be delivered: their transaction was undone.
    pub(super) fn forgive(&self) {
        self.deliveries().lock().failure = None;
    }

    /// Sends records of one group.
    fn send_all<'r>(
        &self,
        topic: &str,
        records: impl ExactSizeIterator<Item = (&'r str, &'r [u8])>,
    ) -> Result<(), StreamError> {
        let deliveries = self.deliveries();
        let mut unsent = records.len() as u64;
        let number = deliveries.lock().sent(unsent);
        for (key, payload) in records {
            let record = |opaque| {
                let record = BaseRecord::with_opaque_to(topic, opaque);
                let record = if payload.is_empty() { record } else { record.payload(payload) };
                if key.is_empty() { record } else { record.key(key) }
            };
            let sent = self.send(record, number, unsent);
            if sent.is_err() {
                deliveries.lock().settled(number, unsent);
                return sent;
            }
            unsent -= 1;
        }
        Ok(())
    }

    /// Sends a record that is noted as sent, of a group that so many still belong to which are not. Blocks while the queue
    /// is full: that is what holds the pipeline back when brokers are slow.
    fn send<'r>(
        &self,
        record: impl Fn(usize) -> BaseRecord<'r, str, [u8], usize>,
        number: u64,
        unsent: u64,
    ) -> Result<(), StreamError> {
        let deliveries = self.deliveries();
        let opaque = usize::try_from(number).expect("fewer batches than a usize counts");
        loop {
            let Err((error, record)) = self.producer.send(record(opaque)) else { return Ok(()) };
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                let failure = Failure {
                    code: error.rdkafka_error_code(),
                    topic: record.topic.to_owned(),
                    length_bytes: record.payload.map_or(0, <[u8]>::len),
                    detail: detail(&error),
                };
                return Err(failure.error());
            }
            self.delivered()?;
            // Woken at each record of the room that comes, this thread and the client's would do little else.
            let queued = self.undelivered().saturating_sub(unsent);
            deliveries.wait(unsent + queued / 4 * 3);
        }
    }

    fn deliveries(&self) -> &Deliveries {
        self.producer.client().context()
    }
}

/// One topic of a producer.
#[derive(Clone, Debug)]
pub struct KafkaSink {
    producer: KafkaProducer,
    topic: String,
}

impl KafkaSink {
    /// Sends a record with a key (an empty one: without) and a value (an empty one: without, by which a topic that is compacted
    /// forgets the key). Blocks while the queue is full.
    ///
    /// # Errors
    ///
    /// As [`KafkaProducer::delivered`], for this record or an earlier one.
    pub fn write(&self, key: &str, payload: &[u8]) -> Result<(), StreamError> {
        self.write_all([(key, payload)].into_iter())
    }

    /// Sends records, as [`KafkaSink::write`] sends one, for less than one by one.
    ///
    /// # Errors
    ///
    /// As [`KafkaSink::write`]; the records before the one that could not be sent are.
    pub fn write_all<'r>(
        &self,
        records: impl ExactSizeIterator<Item = (&'r str, &'r [u8])>,
    ) -> Result<(), StreamError> {
        self.producer.send_all(&self.topic, records)
    }

    /// Sends a record without a key to one partition, with headers. Blocks while the queue is full.
    ///
    /// # Errors
    ///
    /// As [`KafkaSink::write`]; a partition that the topic does not have is an error too.
    pub fn write_to(&self, partition: i32, headers: &[(&str, Vec<u8>)], payload: &[u8]) -> Result<(), StreamError> {
        let deliveries = self.producer.deliveries();
        let number = deliveries.lock().sent(1);
        let record = |opaque| {
            let added = headers.iter().fold(OwnedHeaders::new(), |all, (name, value)| {
                all.insert(Header { key: name, value: Some(value.as_slice()) })
            });
            let record = BaseRecord::with_opaque_to(self.topic.as_str(), opaque).payload(payload).partition(partition);
            if headers.is_empty() { record } else { record.headers(added) }
        };
        let sent = self.producer.send(record, number, 1);
        if sent.is_err() {
            deliveries.lock().settled(number, 1);
        }
        sent
    }

    /// The producer it belongs to: its marks count for all its topics.
    pub fn producer(&self) -> &KafkaProducer {
        &self.producer
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_delivered_when_it_and_all_before_it_are() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.delivered(), 0);
        let (a, b) = (ledger.sent(1), ledger.sent(1));
        let first = ledger.mark();
        let c = ledger.sent(1);
        let second = ledger.mark();
        let third = ledger.mark();
        assert_eq!((a, b, c), (first, first, second));

        ledger.settled(c, 1);
        assert_eq!(ledger.delivered(), 0, "the second is safe, but not the first");
        ledger.settled(a, 1);
        assert_eq!(ledger.delivered(), 0);
        ledger.settled(b, 1);
        assert_eq!(ledger.delivered(), third, "an empty mark is safe with those before it");
        assert_eq!(ledger.undelivered, 0);

        let d = ledger.sent(3);
        ledger.settled(d, 2);
        assert_eq!(ledger.undelivered, 1);
        assert_eq!(ledger.delivered(), third);
        ledger.settled(d, 1);
        assert_eq!(ledger.mark(), third + 1);
        assert_eq!(ledger.delivered(), third + 1);
    }

    #[test]
    fn who_waits_is_told_once_enough_is_delivered() {
        let mut ledger = Ledger::default();
        let number = ledger.sent(4);
        ledger.settled(number, 1);
        assert!(!ledger.is_awaited(), "nobody waits");
        (ledger.waiting, ledger.wake_at) = (1, 1);
        ledger.settled(number, 1);
        assert!(!ledger.is_awaited(), "two are too many");
        ledger.settled(number, 1);
        assert!(ledger.is_awaited());
    }
}
