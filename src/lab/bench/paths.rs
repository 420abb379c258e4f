//! A whole path, from bytes to verdicts that are out: the daemon's own threads, with the engine and without one.
//!
//! Without an engine the same threads read, parse and write a line of the verdicts' mean length for every event; what
//! the engine costs on a path is the share that is left. The two take turns, because other users of a machine come and
//! go.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crossbeam_channel::never;

use super::figures::median;
use super::{BenchError, Plan, READ_EVENTS_MAX};
use crate::engine::{Engine, EngineOptions, Tally};
use crate::event::{ParseOptions, Parser};
use crate::ruleset::program::RuleSet;
use crate::signals::{Deriver, SignalConfig, SignalError, Wanted};
use crate::stream::Sink;
use crate::stream::file::{LineOptions, LineSink, LineSource, WriteMode};
use crate::stream::pipeline::{
    Input, Intake, Observer, Pipeline, Probe, Reader, Sharing, Sinks, Stage, Work, run_through,
};
use crate::stream::redis::SharedState;

/// A path with the engine and without. The figures are the medians of the rounds.
#[derive(Clone, Debug)]
pub struct PathReport {
    /// Events a run.
    pub events: u64,
    /// Verdicts' mean length, line feed included, in bytes.
    pub line_bytes: u64,
    /// Events a second.
    pub events_per_second: f64,
    /// Events a second with no engine between.
    pub without_engine: f64,
    /// The one as a share of the other.
    pub share: f64,
}

/// What came out of one run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    pub events: u64,
    pub lines: u64,
    pub bytes: u64,
    pub refused: u64,
    pub took: Duration,
}

impl Outcome {
    pub(super) fn add(&mut self, work: &Work) {
        self.events += work.batch.events.len() as u64;
        self.lines += work.verdicts.iter().len() as u64;
        self.bytes += work.verdicts.text().len() as u64;
        self.refused += work.dead_letters.len() as u64;
    }

    pub(super) fn per_second(&self) -> f64 {
        self.events as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// As many as `engine.queue_batches` says by default.
const WORKS_PER_SOURCE: usize = 4;

/// What judges in one run.
pub(super) enum Middle<'a> {
    /// An engine.
    Engine(&'a mut Engine),
    /// An engine over state that others could share.
    Shared(&'a mut Engine, &'a mut SharedState, fn() -> Instant),
    /// A line of so many bytes, line feed included, for every event.
    Line(u64),
}

impl Middle<'_> {
    pub(super) fn wanted(&self) -> Wanted {
        match self {
            Middle::Engine(engine) | Middle::Shared(engine, ..) => engine.wanted(),
            Middle::Line(_) => Wanted::default(),
        }
    }

    /// Runs the pipeline with this in its middle.
    pub(super) fn run(
        self,
        reader: Reader,
        sinks: Sinks,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<(), BenchError> {
        let readers = vec![reader];
        Ok(match self {
            Middle::Engine(engine) => {
                let (probe, works_per_source) = (&mut Unwatched, WORKS_PER_SOURCE);
                Pipeline { readers, engine, probe, sinks, observer, works_per_source, stop }.run()
            }
            Middle::Shared(engine, state, monotonic) => {
                let (probe, works_per_source) = (&mut Unwatched, WORKS_PER_SOURCE);
                let sharing =
                    Sharing { state, kept: Arc::default(), interval: Duration::ZERO, monotonic, producer: None };
                Pipeline { readers, engine, probe, sinks, observer, works_per_source, stop }
                    .run_shared(never(), sharing)
            }
            Middle::Line(bytes) => {
                let mut line = Line(vec![b'.'; bytes.saturating_sub(1) as usize]);
                run_through(readers, &mut line, sinks, observer, WORKS_PER_SOURCE, stop)
            }
        }?)
    }
}

/// Nobody looks at the engine.
struct Unwatched;

impl Probe for Unwatched {
    fn look(&mut self, _engine: &mut Engine) {}
}

/// The same line for every event.
struct Line(Vec<u8>);

impl Stage for Line {
    fn pass(&mut self, work: &mut Work, _intake: &Intake) {
        for event in 0..work.batch.events.len() {
            work.verdicts.push(&self.0, event);
        }
    }
}

/// Runs a path with the engine and without, in turns. `run` runs it once.
pub(super) fn compare(
    rules: &Arc<RuleSet>,
    plan: &Plan,
    mut run: impl FnMut(Middle<'_>) -> Result<Outcome, BenchError>,
) -> Result<PathReport, BenchError> {
    let judged =
        |run: &mut dyn FnMut(Middle<'_>) -> Result<Outcome, BenchError>| run(Middle::Engine(&mut engine(rules)));
    // Says how long a verdict is, and warms the caches of the system.
    let first = judged(&mut run)?;
    let line_bytes = first.bytes / first.lines.max(1);
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        rounds.push((judged(&mut run)?.per_second(), run(Middle::Line(line_bytes))?.per_second()));
    }
    Ok(PathReport {
        events: first.events,
        line_bytes,
        events_per_second: median(rounds.iter().map(|(with, _)| *with)),
        without_engine: median(rounds.iter().map(|(_, without)| *without)),
        share: median(rounds.iter().map(|(with, without)| with / without)),
    })
}

/// An engine with empty state that takes any number of keys.
pub(super) fn engine(rules: &Arc<RuleSet>) -> Engine {
    let options = EngineOptions { state_max_bytes: usize::MAX, ..EngineOptions::default() };
    Engine::new(Arc::clone(rules), options)
}

/// A source of the pipeline. The clock stands still, so that made-up times are as good as any.
pub(super) fn reader(input: Input, wanted: Wanted, monotonic: fn() -> Instant) -> Result<Reader, SignalError> {
    Ok(Reader {
        index: 0,
        name: "bench".to_owned(),
        input,
        parser: Parser::new(ParseOptions { allow_future: true }),
        mapping: None,
        deriver: Deriver::new(wanted, &SignalConfig::default())?,
        wall_clock_ms: || 0,
        monotonic,
        ticks: false,
    })
}

/// Dead letters that nobody reads.
pub(super) fn nowhere() -> Sink {
    Sink::Lines(LineSink::to("nowhere", std::io::sink()))
}

/// Counts what is written.
struct Counted(Outcome);

impl Observer for Counted {
    fn written(&mut self, work: &Work) {
        self.0.add(work);
    }
}

/// From a file to a file, once.
pub(super) fn run_file(
    input: &Path,
    output: &Path,
    middle: Middle<'_>,
    monotonic: fn() -> Instant,
) -> Result<Outcome, BenchError> {
    let options = LineOptions { lines_max: READ_EVENTS_MAX, ..LineOptions::default() };
    let source = LineSource::open(input, options)?;
    let reader = reader(Input::Lines(Box::new(source)), middle.wanted(), monotonic)?;
    let verdicts = Sink::Lines(LineSink::open(output, WriteMode::Truncate)?);
    let mut counted = Counted(Outcome::default());
    let start = monotonic();
    middle.run(
        reader,
        Sinks { verdicts, dead_letters: nowhere(), alerts: None, events: None, decisions: None },
        &mut counted,
        &AtomicBool::new(false),
    )?;
    Ok(Outcome { took: monotonic().duration_since(start), ..counted.0 })
}

/// How often each rule has matched, in the order of the rule set.
pub(super) fn matches(tally: &Tally) -> impl Iterator<Item = u64> + '_ {
    tally.rule_matches.iter().map(|[enforced, shadowed]| enforced + shadowed)
}
