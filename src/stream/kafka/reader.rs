//! The thread behind a source: it polls, gathers, hands over, and takes part in the group's changes.

use super::client::{LastError, detail, log};
use super::source::{KafkaInput, Revocation, SourceOptions};
use super::status::Shared;
use super::{PartitionName, RecordBatch};
use crate::stream::StreamError;
use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, Statistics, TopicPartitionList};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long one wait lasts at most: for records, or for room.
const WAIT: Duration = Duration::from_millis(100);

/// After how many waits for room the partitions are paused, so that the group can be served meanwhile.
const WAITS_BEFORE_PAUSE: u32 = 20;

/// How many waits a partition that is taken away stays for its last outputs: 10 s, well below the session timeout of 45 s.
const WAITS_FOR_RELEASE: u32 = 100;

/// A change of the assignment, as the group asked for it.
#[derive(Debug)]
enum Change {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
}

impl Change {
    fn names(&self) -> Vec<PartitionName> {
        let (Change::Assign(list) | Change::Revoke(list)) = self;
        let names = list.elements().into_iter();
        names.map(|one| PartitionName { topic: one.topic().to_owned(), partition: one.partition() }).collect()
    }
}

/// What the client calls back, on the thread that polls.
#[derive(Debug)]
pub(super) struct Callbacks {
    shared: Arc<Shared>,
    /// Changes that were asked for and not carried out. The group waits until they are.
    pending: Mutex<VecDeque<Change>>,
    pub(super) last_error: LastError,
}

impl Callbacks {
    pub(super) fn new(shared: Arc<Shared>) -> Callbacks {
        Callbacks { shared, pending: Mutex::default(), last_error: LastError::default() }
    }

    fn take(&self) -> Option<Change> {
        self.pending.lock().expect("no thread panics while it holds the changes").pop_front()
    }

    /// Carries out a change and notes it.
    fn apply(&self, consumer: &BaseConsumer<Callbacks>, change: &Change) {
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let applied = match change {
            Change::Assign(list) => {
                let resumed = self.resumed(list);
                self.shared.assign(&change.names());
                if cooperative { consumer.incremental_assign(&resumed) } else { consumer.assign(&resumed) }
            }
            Change::Revoke(list) => {
                self.shared.revoke(&change.names());
                if cooperative { consumer.incremental_unassign(list) } else { consumer.unassign() }
            }
        };
        if let Err(error) = applied {
            tracing::warn!(target: "kafka", "the assignment could not be changed: {}", detail(&error));
        }
    }

    /// The same partitions, each from where it was read to: what is known is further on than what is committed.
    fn resumed(&self, list: &TopicPartitionList) -> TopicPartitionList {
        let mut resumed = list.clone();
        for one in list.elements() {
            let name = PartitionName { topic: one.topic().to_owned(), partition: one.partition() };
            let Some(offset) = self.shared.resume(&name) else { continue };
            let offset = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
            if let Err(error) = resumed.set_partition_offset(&name.topic, name.partition, offset) {
                tracing::warn!(target: "kafka", "a place could not be set: {}", detail(&error));
            }
        }
        resumed
    }

    /// Carries out at once whatever waits.
    pub(super) fn apply_pending(&self, consumer: &BaseConsumer<Callbacks>) {
        while let Some(change) = self.take() {
            self.apply(consumer, &change);
        }
    }
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        self.shared.observe(&statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.shared.reachable.store(false, Ordering::Relaxed);
        }
        self.last_error.note(&error, reason);
    }
}

impl ConsumerContext for Callbacks {
    /// Only notes what is asked for: the reader first hands over what it has read.
    fn rebalance(&self, consumer: &BaseConsumer<Callbacks>, asked: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let change = match asked {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Change::Assign(list.clone()),
            _ => Change::Revoke(list.clone()),
        };
        if self.shared.closing.load(Ordering::Acquire) {
            self.apply(consumer, &change);
        } else {
            self.pending.lock().expect("no thread panics while it holds the changes").push_back(change);
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        match result {
            Err(error) if error.rdkafka_error_code() != Some(RDKafkaErrorCode::NoOffset) => {
                tracing::warn!(target: "kafka", "a commit failed and is tried again: {}", detail(&error));
            }
            _ => {}
        }
    }
}

/// The source is being closed: nobody takes inputs any more.
struct Closed;

/// The state of the reading thread.
pub(super) struct Reader {
    consumer: Arc<BaseConsumer<Callbacks>>,
    shared: Arc<Shared>,
    inputs: Sender<Result<KafkaInput, StreamError>>,
    used: Receiver<RecordBatch>,
    batch: RecordBatch,
    batch_records_max: usize,
    batch_bytes_max: usize,
    /// The partition of the last record and its index: the next is most often of the same.
    last: Option<(PartitionName, u32)>,
}

impl Reader {
    pub(super) fn new(
        consumer: Arc<BaseConsumer<Callbacks>>,
        shared: Arc<Shared>,
        inputs: Sender<Result<KafkaInput, StreamError>>,
        used: Receiver<RecordBatch>,
        options: &SourceOptions,
    ) -> Reader {
        Reader {
            consumer,
            shared,
            inputs,
            used,
            batch: RecordBatch::default(),
            batch_records_max: options.batch_records_max.max(1),
            batch_bytes_max: options.batch_bytes_max,
            last: None,
        }
    }

    /// Reads until the source is closed or cannot go on.
    pub(super) fn run(mut self) {
        // The consumer is held aside: a record borrows from it while it is added to the batch.
        let consumer = Arc::clone(&self.consumer);
        self.batch.begin(self.shared.generation());
        while !self.shared.closing.load(Ordering::Acquire) {
            let wait = if self.batch.is_empty() { WAIT } else { Duration::ZERO };
            let polled = consumer.poll(wait);
            let nothing_more = !matches!(polled, Some(Ok(_)));
            match polled {
                Some(Ok(message)) => self.add(&message),
                Some(Err(error)) => {
                    if let Some(error) = ending_error(&error) {
                        // If nobody listens any more, nobody wants the error.
                        drop(self.inputs.send(Err(error)));
                        return;
                    }
                }
                None => {}
            }
            let full = self.batch.len() >= self.batch_records_max || self.batch.size_bytes() >= self.batch_bytes_max;
            if (nothing_more || full) && self.hand_over().is_err() {
                return;
            }
            if nothing_more && self.change_assignment().is_err() {
                return;
            }
        }
    }

    fn add(&mut self, message: &BorrowedMessage<'_>) {
        let (topic, partition) = (message.topic(), message.partition());
        let index = match &self.last {
            Some((name, index)) if name.partition == partition && name.topic == topic => *index,
            _ => {
                let index = self.shared.index(topic, partition);
                self.last = Some((PartitionName { topic: topic.to_owned(), partition }, index));
                index
            }
        };
        self.batch.add(message, index);
    }

    /// Passes the batch on, if there is one, and begins the next.
    fn hand_over(&mut self) -> Result<(), Closed> {
        while !self.batch.is_empty() {
            let mut next = self.used.try_recv().unwrap_or_default();
            next.begin(self.shared.generation());
            let batch = std::mem::replace(&mut self.batch, next);
            self.shared.handed_over(batch.ends());
            self.send(KafkaInput::Records(batch))?;
        }
        Ok(())
    }

    /// Waits for room in the channel. When that takes long, the client is polled with its partitions paused, or the group
    /// would take us for dead. Records that slip through a pause go into the next batch.
    fn send(&mut self, input: KafkaInput) -> Result<(), Closed> {
        let mut input = Ok(input);
        let (mut waits, mut is_gone) = (0, false);
        loop {
            input = match self.inputs.send_timeout(input, WAIT) {
                Ok(()) => break,
                Err(SendTimeoutError::Disconnected(_)) => return Err(Closed),
                Err(SendTimeoutError::Timeout(input)) => input,
            };
            if self.shared.closing.load(Ordering::Acquire) {
                return Err(Closed);
            }
            waits += 1;
            if waits >= WAITS_BEFORE_PAUSE {
                if waits == WAITS_BEFORE_PAUSE {
                    self.pause(true);
                }
                let consumer = Arc::clone(&self.consumer);
                if let Some(Ok(message)) = consumer.poll(Duration::ZERO) {
                    self.add(&message);
                }
                if let Some(change) = self.consumer.context().take() {
                    self.shared.read(self.batch.ends());
                    is_gone |= self.shared.is_shared() && matches!(change, Change::Revoke(_));
                    // The pipeline is stuck: it cannot finish what it has, so that is given up uncommitted.
                    self.consumer.context().apply(&self.consumer, &change);
                    self.pause(true);
                }
            }
        }
        if waits >= WAITS_BEFORE_PAUSE {
            self.pause(false);
        }
        if is_gone {
            // What was read of them cannot be told from the rest any more, and is another's to judge.
            drop(self.inputs.send(Err(StreamError::Kafka {
                doing: "finishing with partitions that went to another member".to_owned(),
                detail: "nothing could be judged for too long".to_owned(),
            })));
            return Err(Closed);
        }
        Ok(())
    }

    fn pause(&self, pause: bool) {
        let paused = self
            .consumer
            .assignment()
            .and_then(|all| if pause { self.consumer.pause(&all) } else { self.consumer.resume(&all) });
        if let Err(error) = paused {
            tracing::warn!(target: "kafka", "partitions could not be paused or resumed: {}", detail(&error));
        }
    }

    /// Carries out what the group asks for. What was read before has been handed over.
    fn change_assignment(&mut self) -> Result<(), Closed> {
        self.shared.read(self.batch.ends());
        while let Some(change) = self.consumer.context().take() {
            let names = change.names();
            let indexes: Vec<u32> = names.iter().map(|name| self.shared.index(&name.topic, name.partition)).collect();
            if let Change::Revoke(_) = change {
                self.release(indexes)?;
                self.consumer.context().apply(&self.consumer, &change);
            } else {
                self.consumer.context().apply(&self.consumer, &change);
                self.send(KafkaInput::Assigned(indexes))?;
            }
            if self.batch.is_empty() {
                self.batch.begin(self.shared.generation());
            }
        }
        Ok(())
    }

    /// Tells the pipeline that partitions go, and waits until it has finished with them, but not for ever.
    fn release(&mut self, partitions: Vec<u32>) -> Result<(), Closed> {
        let lost = self.consumer.assignment_lost();
        let (revocation, released) = Revocation::new(partitions, lost);
        self.send(KafkaInput::Revoking(revocation))?;
        if lost {
            return Ok(());
        }
        // Nothing is ever sent: a wait ends early when the pipeline drops its end.
        let held = |_| released.recv_timeout(WAIT) == Err(RecvTimeoutError::Timeout);
        let closing = || self.shared.closing.load(Ordering::Acquire);
        if (0..WAITS_FOR_RELEASE).take_while(|_| !closing()).all(held) {
            tracing::warn!(target: "kafka", "partitions go to another member before their last outputs are delivered");
        }
        match self.consumer.commit_consumer_state(CommitMode::Sync) {
            Err(error) if error.rdkafka_error_code() != Some(RDKafkaErrorCode::NoOffset) => {
                tracing::warn!(target: "kafka", "the last places were not committed: {}", detail(&error));
            }
            _ => {}
        }
        Ok(())
    }
}

/// The error that ends reading, if it is one; the client heals the others by itself.
pub(super) fn ending_error(error: &KafkaError) -> Option<StreamError> {
    use RDKafkaErrorCode::{ClusterAuthorizationFailed, GroupAuthorizationFailed, TopicAuthorizationFailed};
    match error {
        KafkaError::PartitionEOF(_) => None,
        KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::FencedInstanceId) => {
            Some(StreamError::Fenced { detail: detail(error) })
        }
        KafkaError::MessageConsumptionFatal(_) => {
            Some(StreamError::Kafka { doing: "reading".to_owned(), detail: detail(error) })
        }
        _ => match error.rdkafka_error_code() {
            Some(TopicAuthorizationFailed | GroupAuthorizationFailed | ClusterAuthorizationFailed) => {
                Some(StreamError::Denied { doing: "to read its topics".to_owned(), detail: detail(error) })
            }
            _ => {
                tracing::warn!(target: "kafka", "reading is held up: {}", detail(error));
                None
            }
        },
    }
}
