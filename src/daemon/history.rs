//! History of the topics that are judged: counted at a start that has no state, and into features that a reload brings.
//!
//! Both need that every source can be read again: what one of them sent would be missing otherwise, and a feature would be
//! taken for whole that is not. Tested in `tests/kafka_history.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::clock;
use super::config::Config;
use super::wiring::{self, WiringError};
use crate::engine::{Backfill, Engine};
use crate::event::mapping::Mapping;
use crate::event::{ParseOptions, Parser};
use crate::signals::{Deriver, SignalConfig, Wanted};
use crate::stream::kafka::{HistoryEnd, KafkaHistory, SourceOptions};
use crate::stream::log::Subscription;
use crate::stream::pipeline::{Input, Reader, count_history};

/// One source that can be read again.
struct Source {
    index: usize,
    name: String,
    kafka: Arc<dyn Subscription>,
    options: SourceOptions,
    mapping: Option<Mapping>,
    /// How much of it a start counts, in milliseconds.
    history_ms: i64,
}

/// The sources, to be read again.
pub struct Histories {
    sources: Vec<Source>,
    /// The first that cannot be.
    gone: Option<String>,
}

/// Readers of history, and from when on each of them is whole once it has ended.
pub type HistoryReaders = (Vec<Reader>, Vec<Arc<AtomicI64>>);

impl Histories {
    /// What these readers read can be read again where it comes from topics.
    pub fn of(config: &Config, readers: &[Reader]) -> Histories {
        let mut histories = Histories { sources: Vec::new(), gone: None };
        for reader in readers {
            let configured = config.sources.get(&reader.name);
            match (&reader.input, configured.and_then(|source| Some((source, source.kafka.as_ref()?)))) {
                (Input::Kafka(kafka), Some((source, topics))) => histories.sources.push(Source {
                    index: reader.index,
                    name: reader.name.clone(),
                    kafka: Arc::clone(kafka),
                    options: wiring::kafka_options(config, topics),
                    mapping: source.mapping.as_ref().map(|mapping| mapping.0.clone()),
                    history_ms: topics.history.0,
                }),
                _ => histories.gone = histories.gone.or_else(|| Some(reader.name.clone())),
            }
        }
        histories
    }

    /// The first source that cannot be read again; `None`: all can.
    pub fn gone(&self) -> Option<&str> {
        self.gone.as_deref()
    }

    /// Opens every source again, from this instant on up to a place.
    ///
    /// # Errors
    ///
    /// What a cluster says, or the signals.
    pub fn readers(
        &self,
        from_ms: impl Fn(i64) -> i64,
        end: HistoryEnd,
        wanted: Wanted,
        signals: &SignalConfig,
    ) -> Result<HistoryReaders, WiringError> {
        let (mut readers, mut since) = (Vec::new(), Vec::new());
        for source in &self.sources {
            let history = KafkaHistory::open(&*source.kafka, &source.options, from_ms(source.history_ms), end)?;
            since.push(history.whole_since_ms());
            readers.push(Reader {
                index: source.index,
                name: source.name.clone(),
                input: Input::History(Box::new(history)),
                parser: Parser::new(ParseOptions::default()),
                mapping: source.mapping.clone(),
                deriver: Deriver::new(wanted, signals)?,
                wall_clock_ms: clock::wall_clock_ms,
                monotonic: clock::monotonic,
                ticks: false,
            });
        }
        Ok((readers, since))
    }

    /// Counts what the configuration asks for, if the engine has no state. Answers whether something was.
    ///
    /// # Errors
    ///
    /// As [`Histories::readers`].
    pub fn count(&self, engine: &mut Engine, signals: &SignalConfig, stop: &AtomicBool) -> Result<bool, WiringError> {
        if engine.taken_in() > 0 || self.sources.iter().all(|source| source.history_ms == 0) {
            return Ok(false);
        }
        if let Some(source) = self.gone() {
            tracing::warn!(source, "no history is counted: this source cannot be read again");
            return Ok(false);
        }
        let now_ms = clock::wall_clock_ms();
        let from_ms = |history_ms| now_ms.saturating_sub(history_ms);
        let (readers, since) = self.readers(from_ms, HistoryEnd::Committed, engine.wanted(), signals)?;
        tracing::info!("counting history before anything is judged");
        let Some(count) = count_history(engine, readers, stop)? else { return Ok(false) };
        let since = since.iter().map(|since| since.load(Ordering::Relaxed)).max();
        if let (true, Some(since_ms)) = (count.events > 0, since) {
            engine.backfilled(&Backfill::Whole, since_ms);
        }
        tracing::info!(events = count.events, not_valid = count.refused, "history was counted");
        Ok(true)
    }
}
