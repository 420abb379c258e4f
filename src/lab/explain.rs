//! Why an event of a log was judged as it was, with the events behind every value.
//!
//! The log is read twice by the pipeline that judges it: once up to the event, to see what it read, and once more with an
//! engine that watches for the keys of these readings. So memory does not grow with the log, and what is told is what
//! the daemon would have done.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::engine::{Engine, EngineOptions, Explanation, FeatureExplained, Judgement, Judgements};
use crate::event::{EventBatch, Field, Signals};
use crate::ruleset::program::{Aggregate, RuleSet};
use crate::stream::file::LineSink;
use crate::stream::pipeline::{Intake, Observer, Reader, Sinks, Stage, Work, run_through};
use crate::stream::{Sink, StreamError};

/// How many of the events behind a value are told: the newest.
pub const EVENTS_MAX: usize = 50;
/// How many batches are under way at once.
const WORKS: usize = 4;

/// Which event is asked for: the first of this id.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its id.
    pub id: String,
    /// Its source, where several sources use one id.
    pub source: Option<String>,
}

/// An event of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// Its id.
    pub id: String,
    /// Its source.
    pub source: String,
    /// Its type.
    pub event_type: String,
    /// Its account; empty if it has none.
    pub account: String,
    /// Its time, milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// The line it stands in, from 1.
    pub line: u64,
}

/// One event behind a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The event.
    pub event: LogEvent,
    /// What it brought, if the feature has a value.
    pub value: Option<String>,
}

/// A reading with what is behind it.
#[derive(Clone, Debug)]
pub struct Traced {
    /// The reading.
    pub read: FeatureExplained,
    /// How many events of its key lie in its window.
    pub total: u64,
    /// The newest of them, in the order of the log; at most [`EVENTS_MAX`].
    pub events: Vec<Behind>,
}

/// Why an event was judged as it was.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The event.
    pub event: LogEvent,
    /// What was said of it.
    pub judgement: Judgement,
    /// Why.
    pub explanation: Explanation,
    /// The readings of [`Explanation::features`], in order, with what is behind them.
    pub traced: Vec<Traced>,
}

/// Explains an event of a log; `None` if no valid event is the one that is asked for. `open` opens the log from its
/// start, and is called twice.
///
/// # Errors
///
/// What `open` says, and faults of reading.
pub fn explain<E: From<StreamError>>(
    rules: &Arc<RuleSet>,
    options: &EngineOptions,
    asked: &Asked,
    mut open: impl FnMut(&Engine) -> Result<Reader, E>,
) -> Result<Option<Explained>, E> {
    let engine = || Engine::new(Arc::clone(rules), options.clone());
    let stop = AtomicBool::new(false);
    let mut finder = Finder { asked, engine: engine(), judgements: Judgements::default(), found: None, stop: &stop };
    let reader = open(&finder.engine)?;
    feed(reader, &mut finder, &stop)?;
    let Some((event, judgement, explanation)) = finder.found else { return Ok(None) };
    let mut engine = engine();
    engine.watch(explanation.features.iter().filter_map(|read| read.watched.clone()).collect());
    let stop = AtomicBool::new(false);
    let traced = explanation.features.iter().map(Trace::new).collect();
    let mut tracer = Tracer { asked, engine, judgements: Judgements::default(), traced, done: false, stop: &stop };
    let reader = open(&tracer.engine)?;
    feed(reader, &mut tracer, &stop)?;
    let traced = tracer.traced.into_iter().map(Trace::finish).collect();
    Ok(Some(Explained { event, judgement, explanation, traced }))
}

fn feed(reader: Reader, stage: &mut dyn Stage, stop: &AtomicBool) -> Result<(), StreamError> {
    let nowhere = || Sink::Lines(LineSink::to("nowhere", std::io::sink()));
    let sinks = Sinks { verdicts: nowhere(), dead_letters: nowhere(), alerts: None, events: None, decisions: None };
    run_through(vec![reader], stage, sinks, &mut Unobserved, WORKS, stop)
}

/// Nobody counts what is written nowhere.
struct Unobserved;

impl Observer for Unobserved {
    fn written(&mut self, _work: &Work) {}
}

impl Asked {
    /// The place of the event in a batch.
    fn place(&self, batch: &EventBatch) -> Option<usize> {
        batch.events.iter().position(|event| {
            let source = batch.field(event, Field::Source);
            batch.field(event, Field::Id) == self.id && self.source.as_ref().is_none_or(|asked| asked == source)
        })
    }
}

/// First reading: up to the event, and why it was judged so.
struct Finder<'a> {
    asked: &'a Asked,
    engine: Engine,
    judgements: Judgements,
    found: Option<(LogEvent, Judgement, Explanation)>,
    stop: &'a AtomicBool,
}

impl Stage for Finder<'_> {
    fn pass(&mut self, work: &mut Work, _intake: &Intake) {
        if self.found.is_some() {
            return;
        }
        let place = self.asked.place(&work.batch);
        judge_up_to(&mut self.engine, &work.batch, &work.signals, place, &mut self.judgements);
        if let Some(at) = place {
            let explanation = self.engine.explain(&work.batch, &work.signals, at);
            let judgement = self.judgements.events.last();
            self.found = judgement
                .zip(explanation)
                .map(|(judgement, explanation)| (log_event(&work.batch, at), *judgement, explanation));
            self.stop.store(true, Ordering::Release);
        }
    }
}

/// Second reading: the events behind each value.
struct Tracer<'a> {
    asked: &'a Asked,
    engine: Engine,
    judgements: Judgements,
    traced: Vec<Trace>,
    done: bool,
    stop: &'a AtomicBool,
}

/// What is known so far of the events behind a value.
struct Trace {
    read: FeatureExplained,
    total: u64,
    events: VecDeque<Behind>,
}

impl Trace {
    fn new(read: &FeatureExplained) -> Trace {
        Trace { read: read.clone(), total: 0, events: VecDeque::new() }
    }

    fn add(&mut self, behind: Behind) {
        let (since_ms, until_ms) = self.read.window_ms;
        let time_ms = behind.event.time_ms;
        // A component has all links that were known when the event came, those of later times too.
        let after = time_ms > until_ms && self.read.aggregate != Aggregate::COMPONENT;
        if after || since_ms.is_some_and(|since_ms| time_ms <= since_ms) {
            return;
        }
        self.total += 1;
        self.events.push_back(behind);
        if self.events.len() > EVENTS_MAX {
            self.events.pop_front();
        }
    }

    fn finish(self) -> Traced {
        Traced { read: self.read, total: self.total, events: self.events.into() }
    }
}

impl Stage for Tracer<'_> {
    fn pass(&mut self, work: &mut Work, _intake: &Intake) {
        if self.done {
            return;
        }
        let place = self.asked.place(&work.batch);
        judge_up_to(&mut self.engine, &work.batch, &work.signals, place, &mut self.judgements);
        for seen in self.engine.witnessed() {
            // Readings without a key are not watched for.
            let watched = self.traced.iter_mut().filter(|trace| trace.read.watched.is_some()).nth(seen.watched);
            if let Some(trace) = watched {
                trace.add(Behind { event: log_event(&work.batch, seen.event), value: seen.value });
            }
        }
        if place.is_some() {
            self.done = true;
            self.stop.store(true, Ordering::Release);
        }
    }
}

/// Judges a batch whole, or up to the event at this place, which is then the one that was judged last.
fn judge_up_to(
    engine: &mut Engine,
    batch: &EventBatch,
    signals: &[Signals],
    place: Option<usize>,
    out: &mut Judgements,
) {
    out.clear();
    engine.judge_part(batch, signals, 0..place.map_or(batch.events.len(), |at| at + 1), out);
}

fn log_event(batch: &EventBatch, at: usize) -> LogEvent {
    let event = &batch.events[at];
    let text = |field| batch.field(event, field).to_owned();
    LogEvent {
        id: text(Field::Id),
        source: text(Field::Source),
        event_type: text(Field::Type),
        account: text(Field::AccountId),
        time_ms: event.event_time_ms,
        line: event.position.offset,
    }
}
