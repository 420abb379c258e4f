//! Opens a topic that is read beside any group: nobody joins one, and nothing is committed.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};

use super::client::{ClientOptions, detail, settings_error};
use crate::stream::StreamError;

/// How long an answer is waited for.
pub(super) const WAIT: Duration = Duration::from_secs(10);

/// A client that has no partition yet.
pub(super) type Beside = BaseConsumer<DefaultConsumerContext>;

/// A client for committed records that tells the ends of partitions, and the partitions of the topic. `group` is a name that the
/// client wants to hear of.
///
/// # Errors
///
/// [`StreamError::KafkaSettings`], [`StreamError::Unreachable`], [`StreamError::UnknownTopic`], [`StreamError::Denied`], or
/// [`StreamError::Kafka`].
pub(super) fn open(options: &ClientOptions, group: &str, topic: &str) -> Result<(Beside, Vec<i32>), StreamError> {
    let fixed = [
        ("group.id", group),
        ("enable.auto.commit", "false"),
        ("enable.partition.eof", "true"),
        ("isolation.level", "read_committed"),
        ("auto.offset.reset", "earliest"),
    ];
    let consumer: Beside = options.config(&[], &fixed)?.create().map_err(|error| settings_error(&error))?;
    options.check_topics([topic], |topic, wait| consumer.fetch_metadata(Some(topic), wait))?;
    let metadata = consumer.fetch_metadata(Some(topic), WAIT).map_err(|error| StreamError::Kafka {
        doing: format!("asking for the partitions of {topic}"),
        detail: detail(&error),
    })?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|partition| partition.id());
    let partitions = partitions.collect();
    Ok((consumer, partitions))
}
