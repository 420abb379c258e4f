//! What outlives this machine: copies of checkpoints, and the journal in a topic.

use std::time::Duration;

use super::sinks::{client, shared};
use super::{WiringError, kafka_options, together};
use crate::daemon::clock;
use crate::daemon::config::{self, Config};
use crate::daemon::line::JournalTopic;
use crate::stream::copies::{CopyOptions, Store, StoreOptions};
use crate::stream::kafka::{ClientOptions, SourceOptions};

/// Where copies of checkpoints are, if they are to be anywhere.
///
/// # Errors
///
/// [`WiringError::Copies`].
pub fn store(config: &Config) -> Result<Option<Store>, WiringError> {
    let Some(copies) = &config.state.copies else { return Ok(None) };
    let options = StoreOptions { url: copies.url.clone(), options: copies.options.clone() };
    Ok(Some(Store::open(&options)?))
}

/// How checkpoints are copied. `line` is that of the journal, `texts` what is left beside them, `may_copy` says of a position
/// whether what lies before it is where a standby finds it.
pub fn copy_options(
    copies: &config::Copies,
    line: String,
    texts: Vec<(String, String)>,
    may_copy: Box<dyn Fn(u64) -> bool + Send>,
) -> CopyOptions {
    CopyOptions {
        keep: usize::try_from(copies.keep.0).unwrap_or(usize::MAX),
        interval: Duration::from_millis(copies.interval.0.unsigned_abs()),
        line,
        texts,
        may_copy,
        wall_clock_ms: clock::wall_clock_ms,
        monotonic: clock::monotonic,
    }
}

/// The topic of the journal, if it has one.
///
/// # Errors
///
/// [`WiringError::JournalTopic`] where outputs and places are not committed together, or not everything comes from topics.
pub fn journal_topic(config: &Config) -> Result<Option<JournalTopic>, WiringError> {
    let Some(topic) = &config.state.journal_topic else { return Ok(None) };
    let not = |why: String| WiringError::JournalTopic { why };
    let transactional_id = together::transactional_id(config).map_err(not)?;
    if let Some((name, _)) = config.sources.iter().find(|(_, source)| source.kafka.is_none()) {
        return Err(not(format!("sources.{name} is no topic, and another machine cannot read it again")));
    }
    let Some(verdicts) = &config.sinks.verdicts.kafka else { return Err(not("sinks.verdicts is no topic".to_owned())) };
    let writer = client(config, "verdicts", verdicts)?;
    let reader = ClientOptions { brokers: writer.brokers.clone(), settings: shared(&writer.settings) };
    Ok(Some(JournalTopic { reader, writer, topic: topic.clone(), transactional_id }))
}

/// The topics of the sources, with the groups that read them.
pub fn groups(config: &Config) -> Vec<SourceOptions> {
    let topics = config.sources.values().filter_map(|source| source.kafka.as_ref());
    topics.map(|kafka| kafka_options(config, kafka)).collect()
}
