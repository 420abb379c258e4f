//! The log of decisions, from its configuration: what of it is out, and what is told first.

use std::sync::Arc;
use std::time::Duration;

use super::sinks::{Standing, client, shared};
use super::{WiringError, inbox_name};
use crate::daemon::clock;
use crate::daemon::config::Config;
use crate::engine::{ActiveSet, Engine, encoded_part};
use crate::stream::decision_log::{DecisionHub, Head, LogAt, write_lacking};
use crate::stream::kafka::KafkaProducer;
use crate::stream::pipeline::{Telling, TellingClocks, TellingOptions, log_is_ahead};
use crate::stream::{Sink, StreamError};

/// The topic of decisions, where none is named.
pub(super) const TOPIC: &str = "refguard.decisions";
/// How many records are committed together at the start.
const LACKING_MAX: usize = 10_000;

/// Whether somebody follows the log of decisions within the process.
pub fn has_followers(config: &Config) -> bool {
    inbox_name(config).is_some() || config.decisions.redis.is_some()
}

/// Who follows the log within the process begins here.
pub fn decision_hub(config: &Config, engine: &Engine) -> Option<Arc<DecisionHub>> {
    if !has_followers(config) {
        return None;
    }
    let decisions = engine.decisions();
    let sets = decisions.active_sets().map(|(program, set)| (encoded_part(program).to_string(), set));
    let held = usize::try_from(config.decisions.held.0).unwrap_or(usize::MAX);
    Some(Arc::new(DecisionHub::new(decisions.log_number(), sets, held)))
}

/// Tells from here on. What the sink lacks of what stands is written before.
pub(super) fn telling(
    config: &Config,
    standing: &Standing<'_>,
    mut sink: Option<Sink>,
    producer: Option<&KafkaProducer>,
) -> Result<Telling, WiringError> {
    let engine = standing.engine;
    let number = engine.decisions().log_number();
    let mut out_through = None;
    if let Some(sink) = &mut sink {
        let at = log_at(config)?;
        if let Some(through) = at.through()? {
            if through > number && !standing.replays {
                return Err(log_is_ahead(through, number).into());
            }
            let lacking = at.lacks(engine, through, clock::wall_clock_ms())?;
            if !lacking.is_empty() {
                tracing::info!(
                    records = lacking.len(),
                    through,
                    number,
                    "sinks.decisions gets what it lacks of what stands"
                );
            }
            for part in lacking.chunks(LACKING_MAX) {
                write_committed(sink, producer.filter(|_| matches!(at, LogAt::Topic(..))), part)?;
            }
            // Without a transaction, a part of what was written last may be missing.
            let is_exact = producer.is_some() || matches!(at, LogAt::File(_));
            out_through = is_exact.then_some(through.max(number));
        }
    }
    let mut set = ActiveSet::default();
    for (_, of) in engine.decisions().active_sets() {
        set.count += of.count;
        set.checksum = set.checksum.wrapping_add(of.checksum);
    }
    Ok(Telling::new(TellingOptions {
        sink,
        out_through,
        heartbeat: Duration::from_millis(config.decisions.heartbeat.0.unsigned_abs()),
        clocks: TellingClocks { wall_ms: clock::wall_clock_ms, monotonic: clock::monotonic },
        head: Head { number, set },
        hub: standing.hub.cloned(),
    }))
}

/// Where the log lies.
fn log_at(config: &Config) -> Result<LogAt, WiringError> {
    let Some(sink) = &config.sinks.decisions else { return Ok(LogAt::Nowhere) };
    if let Some(kafka) = &sink.kafka {
        let mut client = client(config, "decisions", kafka)?;
        client.settings = shared(&client.settings);
        return Ok(LogAt::Topic(client, kafka.topic.clone().unwrap_or_else(|| TOPIC.to_owned())));
    }
    Ok(sink.file.clone().map_or(LogAt::Nowhere, LogAt::File))
}

/// Writes records, and waits until they are safe.
fn write_committed(
    sink: &mut Sink,
    producer: Option<&KafkaProducer>,
    records: &[(String, Vec<u8>)],
) -> Result<(), StreamError> {
    match producer {
        Some(producer) => producer.transact(|| write_lacking(sink, records)),
        None => {
            write_lacking(sink, records)?;
            sink.flush()
        }
    }
}
