//! Reads topics as a member of a consumer group, in a thread of its own.
//!
//! The thread polls, gathers records into batches and passes them through a bounded channel: a pipeline that falls behind
//! holds it back. Changes of the assignment pass through the same channel, so that whatever was read before them has been
//! seen when they come up.

use super::client::{ClientOptions, detail, settings_error};
use super::history::answer;
use super::reader::{Callbacks, Reader};
use super::status::Shared;
use super::{BatchEnd, PartitionName, PartitionStatus, RecordBatch};
use crate::stream::StreamError;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How a source reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceOptions {
    /// The cluster.
    pub client: ClientOptions,
    /// The topics. At least one.
    pub topics: Vec<String>,
    /// The consumer group that the places are kept under.
    pub group: String,
    /// The most records in a batch. At least 1.
    pub batch_records_max: usize,
    /// A batch is closed once it holds as many bytes; it may exceed them by one record.
    pub batch_bytes_max: usize,
    /// The most batches that wait to be taken.
    pub batches_waiting_max: usize,
    /// The name under which the state that judges is known to the group. With it nobody else may be in the group; and who has
    /// the same name and comes later ends the one before.
    pub instance: Option<String>,
    /// Whether other instances may be in the group all the same, because they share the state.
    pub is_shared: bool,
    /// Where reading of a partition goes on, whatever is committed.
    pub resume: Vec<(PartitionName, u64)>,
}

impl SourceOptions {
    /// Options that suit most: batches of up to 1000 records or 1 MiB, four of them waiting.
    pub fn new(client: ClientOptions, topics: Vec<String>, group: String) -> SourceOptions {
        SourceOptions {
            client,
            topics,
            group,
            batch_records_max: 1000,
            batch_bytes_max: 1 << 20,
            batches_waiting_max: 4,
            instance: None,
            is_shared: false,
            resume: Vec::new(),
        }
    }
}

/// What comes from a source, in order.
#[derive(Debug)]
pub enum KafkaInput {
    /// Records; never an empty batch.
    Records(RecordBatch),
    /// These partitions, by index, are ours from now on.
    Assigned(Vec<u32>),
    /// These partitions are being taken away.
    Revoking(Revocation),
}

/// Partitions that another member is about to get.
///
/// Everything read from them has been taken by now. Deliver its outputs, [`commit`](KafkaSource::commit) the places, then
/// drop this: the group waits for it, at most 10 s. What is not committed by then, the other member reads again.
#[derive(Debug)]
pub struct Revocation {
    /// The partitions, by index.
    pub partitions: Vec<u32>,
    /// Whether they are gone already (the group took us for dead): nothing of them can be committed any more.
    pub lost: bool,
    /// Dropped with this; the reader waits for that.
    _released: Sender<()>,
}

impl Revocation {
    /// Partitions that go. The other value is disconnected once this is dropped.
    pub fn new(partitions: Vec<u32>, lost: bool) -> (Revocation, Receiver<()>) {
        let (_released, released) = bounded(0);
        (Revocation { partitions, lost, _released }, released)
    }
}

/// Reads some topics. [`KafkaSource::close`] leaves the group in good order; dropping it does too, but tells nothing.
pub struct KafkaSource {
    consumer: Arc<BaseConsumer<Callbacks>>,
    shared: Arc<Shared>,
    inputs: Receiver<Result<KafkaInput, StreamError>>,
    used: Sender<RecordBatch>,
    thread: Mutex<Option<JoinHandle<()>>>,
    group: String,
}

impl std::fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSource").field("group", &self.group).finish_non_exhaustive()
    }
}

/// Settings that a user may change: memory, and how soon a full queue is filled again.
const DEFAULTS: [(&str, &str); 6] = [
    ("queued.max.messages.kbytes", "32768"),
    ("queued.min.messages", "20000"),
    ("fetch.max.bytes", "16777216"),
    ("fetch.queue.backoff.ms", "20"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("auto.commit.interval.ms", "1000"),
];

/// How long a broker remembers a member that says nothing, unless it is told otherwise (librdkafka's `session.timeout.ms`).
const SESSION_TIMEOUT_MS: u64 = 45_000;
/// How often and how long a client that met an error is let tell it.
const TELLINGS: usize = 5;
const TELLING: Duration = Duration::from_millis(100);
/// How often it is asked who is still there.
const LOOK: Duration = Duration::from_millis(500);
/// How many times more than the timeout has room for: it is the broker's, and it may be busy.
const SPARE_LOOKS: u64 = 6;

/// Settings that the guarantees rest on: the client commits, once a second and whenever a partition goes, but only places
/// that were stored by [`KafkaSource::commit`]; and a group that is new to a topic reads all of it.
const FIXED: [(&str, &str); 5] = [
    ("enable.auto.commit", "true"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    ("enable.partition.eof", "true"),
    ("statistics.interval.ms", "1000"),
];

impl KafkaSource {
    /// Joins the group and starts reading where it left off.
    ///
    /// # Errors
    ///
    /// [`StreamError::KafkaSettings`]; [`StreamError::Unreachable`] if no broker answers within 10 s;
    /// [`StreamError::UnknownTopic`], [`StreamError::Denied`].
    pub fn open(options: &SourceOptions) -> Result<KafkaSource, StreamError> {
        let mut config = options.client.config(&DEFAULTS, &FIXED)?;
        config.set("group.id", &options.group);
        if let Some(instance) = &options.instance {
            config.set("group.instance.id", instance);
        }
        let shared = Arc::new(Shared::of(options.is_shared));
        for (name, offset) in &options.resume {
            shared.set_resume(name, *offset);
        }
        let consumer = BaseConsumer::from_config_and_context(&config, Callbacks::new(Arc::clone(&shared)))
            .map_err(|error| settings_error(&error))?;
        let topics: Vec<&str> = options.topics.iter().map(String::as_str).collect();
        let client = consumer.client();
        let fetch = |topic: &str, wait| client.fetch_metadata(Some(topic), wait);
        let checked = options.client.check_topics(topics.iter().copied(), fetch);
        checked.map_err(|error| explained(&consumer, error))?;
        shared.reachable.store(true, Ordering::Relaxed);
        if let Some(instance) = options.instance.as_ref().filter(|_| !options.is_shared) {
            alone(&consumer, options, instance)?;
        }
        consumer.subscribe(&topics).map_err(|error| settings_error(&error))?;

        let consumer = Arc::new(consumer);
        let (to_pipeline, inputs) = bounded(options.batches_waiting_max.max(1));
        let (used, from_pipeline) = bounded(options.batches_waiting_max.max(1) + 2);
        let reader = Reader::new(Arc::clone(&consumer), Arc::clone(&shared), to_pipeline, from_pipeline, options);
        let thread =
            thread::Builder::new().name("kafka-source".to_owned()).spawn(move || reader.run()).map_err(|error| {
                StreamError::Kafka { doing: "starting its thread".to_owned(), detail: error.to_string() }
            })?;
        let group = options.group.clone();
        Ok(KafkaSource { consumer, shared, inputs, used, thread: Mutex::new(Some(thread)), group })
    }

    /// The next input; `None` if none came in time.
    ///
    /// # Errors
    ///
    /// [`StreamError::Kafka`] or [`StreamError::Denied`], when reading cannot go on.
    pub fn next(&self, wait: Duration) -> Result<Option<KafkaInput>, StreamError> {
        match self.inputs.recv_timeout(wait) {
            Ok(input) => input.map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(StreamError::Kafka { doing: "reading".to_owned(), detail: "its thread has ended".to_owned() })
            }
        }
    }

    /// The channel behind [`KafkaSource::next`], to select over several sources.
    pub fn inputs(&self) -> &Receiver<Result<KafkaInput, StreamError>> {
        &self.inputs
    }

    /// Gives a batch back, so that its memory is used again. Optional.
    pub fn recycle(&self, batch: RecordBatch) {
        // If there are enough already, this one is freed.
        drop(self.used.try_send(batch));
    }

    /// Commits places, up to which every output is safe: within a second, and at the latest when their partition is
    /// given away or the source is closed. Those of partitions that are no longer ours are left out. Does not block.
    ///
    /// # Errors
    ///
    /// [`StreamError::Kafka`] if the client refuses for good.
    pub fn commit(&self, ends: &[BatchEnd]) -> Result<(), StreamError> {
        let places = self.shared.committable(ends);
        if places.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::with_capacity(places.len());
        for (PartitionName { topic, partition }, next_offset) in &places {
            let offset = Offset::Offset(i64::try_from(*next_offset).unwrap_or(i64::MAX));
            list.add_partition_offset(topic, *partition, offset).map_err(|error| commit_error(&error))?;
        }
        match self.consumer.store_offsets(&list) {
            Ok(()) => Ok(()),
            // A partition was taken away this moment: its next owner reads those records again.
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::State) => Ok(()),
            Err(error) => Err(commit_error(&error)),
        }
    }

    /// Whether all these places are of partitions that have been ours ever since they were read.
    pub fn are_ours(&self, ends: &[BatchEnd]) -> bool {
        self.shared.committable(ends).len() == ends.len()
    }

    /// Stops reading and commits the places given so far; the group is left when the source is dropped. Inputs that were
    /// not taken are forgotten: the records are read again by whoever is next. With no broker the commit is given up after
    /// a while. A second call does nothing.
    ///
    /// # Errors
    ///
    /// [`StreamError::Kafka`] if the last commit failed.
    pub fn close(&self) -> Result<(), StreamError> {
        self.shared.closing.store(true, Ordering::Release);
        let thread = self.thread.lock().expect("no thread panics while it takes the handle").take();
        let Some(thread) = thread else { return Ok(()) };
        thread.join().map_err(|_| StreamError::Kafka {
            doing: "closing".to_owned(),
            detail: "its reading thread has panicked".to_owned(),
        })?;
        let committed = match self.consumer.commit_consumer_state(CommitMode::Sync) {
            Err(error) if error.rdkafka_error_code() != Some(RDKafkaErrorCode::NoOffset) => Err(commit_error(&error)),
            _ => Ok(()),
        };
        self.consumer.context().apply_pending(&self.consumer);
        committed
    }

    /// What is known of every partition that has been ours, by index.
    pub fn partitions(&self) -> Vec<PartitionStatus> {
        self.shared.partitions()
    }

    /// The name of a partition by its index.
    pub fn partition(&self, index: u32) -> Option<PartitionName> {
        self.shared.name(index)
    }

    /// The index of a partition, which may be one that is not ours yet.
    pub fn index(&self, name: &PartitionName) -> u32 {
        self.shared.index(&name.topic, name.partition)
    }

    /// Whether some partition is ours: before that the group does not take places.
    pub fn is_member(&self) -> bool {
        self.shared.is_member()
    }

    /// Who we are in the group now, for places that are committed by a producer.
    pub(in crate::stream) fn group_metadata(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer.group_metadata()
    }

    /// Whether some broker is connected, as of the last second.
    pub fn is_reachable(&self) -> bool {
        self.shared.reachable.load(Ordering::Relaxed)
    }

    /// The group's name.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// How many members the group has, this source included once it has joined.
    ///
    /// # Errors
    ///
    /// [`StreamError::Kafka`] if the coordinator does not answer within 10 s.
    pub fn members(&self) -> Result<usize, StreamError> {
        let groups = self.consumer.fetch_group_list(Some(&self.group), Duration::from_secs(10)).map_err(|error| {
            StreamError::Kafka { doing: format!("asking who is in group {}", self.group), detail: detail(&error) }
        })?;
        Ok(groups.groups().iter().find(|group| group.name() == self.group).map_or(0, |group| group.members().len()))
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
    }
}

/// Says of an error at a start what the client has met. Nothing is subscribed yet: polls only let it tell.
pub(super) fn explained(consumer: &BaseConsumer<Callbacks>, error: StreamError) -> StreamError {
    for _ in 0..TELLINGS {
        consumer.poll(TELLING);
    }
    consumer.context().last_error.explain(error)
}

/// Refuses a group that has a member which is not us under this name. The broker puts the name of a member before its id. It
/// remembers a member that has gone for its session timeout: so long another one may still be there, and is waited for.
pub(super) fn alone(
    consumer: &BaseConsumer<Callbacks>,
    options: &SourceOptions,
    instance: &str,
) -> Result<(), StreamError> {
    let group = &options.group;
    let set = options.client.settings.iter().find(|(name, _)| name == "session.timeout.ms");
    let set = set.and_then(|(_, text)| text.parse::<u64>().ok());
    let looks = set.unwrap_or(SESSION_TIMEOUT_MS) / LOOK.as_millis() as u64 + SPARE_LOOKS;
    let mut found = other_member(consumer, group, instance)?;
    for look in 0..looks {
        let Some(member) = &found else { return Ok(()) };
        if look == 0 {
            tracing::warn!(target: "kafka", group, member, "another member is in the group: waits whether it has gone");
        }
        // Nothing is subscribed yet: a poll only waits.
        consumer.poll(LOOK);
        found = other_member(consumer, group, instance)?;
    }
    found.map_or(Ok(()), |member| Err(StreamError::SecondOwner { group: group.clone(), member }))
}

/// A member of the group that does not go by this name.
pub(super) fn other_member(
    consumer: &BaseConsumer<Callbacks>,
    group: &str,
    instance: &str,
) -> Result<Option<String>, StreamError> {
    let asked = answer(consumer, |consumer| consumer.fetch_group_list(Some(group), Duration::from_secs(10)));
    let groups = asked.map_err(|error| StreamError::Kafka {
        doing: format!("asking who is in group {group}"),
        detail: detail(&error),
    })?;
    let members = groups.groups().iter().filter(|found| found.name() == group).flat_map(|found| found.members());
    Ok(members.map(|member| member.id().to_owned()).find(|id| !id.starts_with(instance)))
}

fn commit_error(error: &KafkaError) -> StreamError {
    StreamError::Kafka { doing: "committing places".to_owned(), detail: detail(error) }
}
