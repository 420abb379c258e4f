//! What a group says before it is joined: who is in it, and which places it has committed.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::PartitionName;
use super::client::{detail, settings_error};
use super::history::answer;
use super::reader::Callbacks;
use super::source::{SourceOptions, alone, explained, other_member};
use crate::stream::StreamError;

/// No member has this name.
const NOBODY: &str = "\0";
/// How long an answer is waited for.
const WAIT: Duration = Duration::from_secs(10);

/// Refuses a group that has a member which is not the state of [`SourceOptions::instance`].
///
/// # Errors
///
/// [`StreamError::SecondOwner`]; as [`committed_places`].
pub fn only_owner(options: &SourceOptions) -> Result<(), StreamError> {
    let consumer = asker(options)?;
    options.instance.as_ref().map_or(Ok(()), |instance| alone(&consumer, options, instance))
}

/// Who is in the group of a source, asked again and again by one client that is in no group.
pub struct GroupWatch {
    consumer: BaseConsumer<Callbacks>,
    group: String,
}

impl std::fmt::Debug for GroupWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupWatch").field("group", &self.group).finish_non_exhaustive()
    }
}

impl GroupWatch {
    /// Begins to watch.
    ///
    /// # Errors
    ///
    /// As [`committed_places`].
    pub fn open(options: &SourceOptions) -> Result<GroupWatch, StreamError> {
        Ok(GroupWatch { consumer: asker(options)?, group: options.group.clone() })
    }

    /// Whether somebody is in the group, or was until a moment ago: a broker remembers a member that has gone for its session
    /// timeout.
    ///
    /// # Errors
    ///
    /// [`StreamError::Kafka`] if the cluster does not say.
    pub fn has_member(&self) -> Result<bool, StreamError> {
        // Errors and logs come so.
        drop(self.consumer.poll(Duration::ZERO));
        Ok(other_member(&self.consumer, &self.group, NOBODY)?.is_some())
    }
}

/// The partitions of the topics of a source, each with the offset that its group has committed. A transaction that is on its
/// way is waited for.
///
/// # Errors
///
/// [`StreamError::KafkaSettings`]; [`StreamError::Unreachable`] if no broker answers within 10 s; [`StreamError::UnknownTopic`],
/// [`StreamError::Denied`]; [`StreamError::Kafka`] if the group's places are not told.
pub fn committed_places(options: &SourceOptions) -> Result<Vec<(PartitionName, Option<u64>)>, StreamError> {
    let consumer = asker(options)?;
    let asking = |error: KafkaError| StreamError::Kafka {
        doing: format!("asking for the places of group {}", options.group),
        detail: detail(&error),
    };
    let mut all = TopicPartitionList::new();
    for topic in &options.topics {
        let metadata = answer(&consumer, |consumer| consumer.fetch_metadata(Some(topic), WAIT)).map_err(asking)?;
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            all.add_partition(topic, partition.id());
        }
    }
    let told = answer(&consumer, |consumer| consumer.committed_offsets(all.clone(), WAIT)).map_err(asking)?;
    let places = told.elements().into_iter().map(|one| {
        let name = PartitionName { topic: one.topic().to_owned(), partition: one.partition() };
        let offset = if let Offset::Offset(offset) = one.offset() { u64::try_from(offset).ok() } else { None };
        (name, offset)
    });
    Ok(places.collect())
}

/// A consumer that is in no group and only asks, once its topics are there.
fn asker(options: &SourceOptions) -> Result<BaseConsumer<Callbacks>, StreamError> {
    let fixed =
        [("enable.auto.commit", "false"), ("enable.auto.offset.store", "false"), ("isolation.level", "read_committed")];
    let mut config = options.client.config(&[], &fixed)?;
    config.set("group.id", &options.group);
    let consumer: BaseConsumer<Callbacks> =
        BaseConsumer::from_config_and_context(&config, Callbacks::new(Arc::default()))
            .map_err(|error| settings_error(&error))?;
    let topics = options.topics.iter().map(String::as_str);
    let checked = options.client.check_topics(topics, |topic, wait| consumer.fetch_metadata(Some(topic), wait));
    checked.map_err(|error| explained(&consumer, error))?;
    Ok(consumer)
}
