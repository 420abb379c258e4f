//! The threads around the engine: one reader a source, one engine, one writer, joined by bounded queues.
//!
//! ```text
//! source --read, parse, derive--> [works] --judge--> [works] --format, write, commit--> sinks
//!    ^                                                                        |
//!    +------------------------- empty works go back --------------------------+
//! ```
//!
//! Reading and writing run beside the engine, which is the hot path and has a thread of its own. Memory is bounded by the
//! number of works; a slow sink holds the sources back. It imports everything below and no configuration: what it needs
//! comes as values. Invariants: verdicts leave in the order of the log; a place in a source is committed only when what
//! came of it is safe in every sink; a fault of a sink ends the pipeline before anything behind it is committed.

mod answer;
mod behind;
mod engine_thread;
mod history;
mod keep;
mod line_thread;
mod open_alerts;
mod queues;
mod reader;
mod reload;
mod replay;
mod steps;
mod telling;
mod together;
mod work;
mod writer;

pub use engine_thread::{Probe, Stage};
pub use history::{Fill, HistoryCount, count_history};
pub use keep::{KeepOptions, Keeper, Kept};
pub use queues::Question;
pub use reader::{Input, Intake, Reader};
pub use reload::{Empty, Reload, Taken};
pub use replay::{Replay, ReplayPlace, RulesOf};
pub use steps::{Step, Steps};
pub use telling::{HEARTBEAT_KEY, Telling, TellingClocks, TellingOptions, log_is_ahead, write_heartbeat};
pub use together::Shipping;
pub use work::{DeadLetters, Notice, VerdictLines, Work};
pub use writer::{Alerting, Observer, Sinks};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never, unbounded};

use self::engine_thread::{Before, Judge};
use self::history::Fills;
use self::queues::Queues;
use self::reload::Reloads;
use self::replay::Replaying;
use self::writer::{Commits, Committers, Writer};
use crate::engine::Engine;
use crate::signals::Deriver;
use crate::stream::StreamError;
use crate::stream::log::Transactions;
use crate::stream::redis::SharedState;

/// Everything that runs together.
pub struct Pipeline<'a> {
    /// One a source.
    pub readers: Vec<Reader>,
    /// The machine.
    pub engine: &'a mut Engine,
    /// Looks at the machine between two batches.
    pub probe: &'a mut dyn Probe,
    /// Where outputs go.
    pub sinks: Sinks,
    /// Sees every batch once it is written.
    pub observer: &'a mut dyn Observer,
    /// How many works a source has, at least 1: with 4, one is read, one judged, one written, and one to spare.
    pub works_per_source: usize,
    /// Set: the sources end where they are, and what was read is finished.
    pub stop: &'a AtomicBool,
}

/// A work, or why its source cannot go on.
type Message = Result<Box<Work>, StreamError>;

impl<'p> Pipeline<'p> {
    /// Runs until every source has ended or `stop` is set, and everything read is written and committed.
    ///
    /// # Errors
    ///
    /// The first fault of a source or a sink. What was not committed by then is read again at the next start.
    pub fn run(self) -> Result<(), StreamError> {
        self.run_keeping(never(), never(), never(), None)
    }

    /// The same, with questions to the engine, rule sets that take over between two batches, in the order in which they come,
    /// history for the features that they bring, and a state that is kept.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::run`]; [`StreamError::Recovery`] where what was judged last cannot be judged again.
    pub fn run_keeping(
        self,
        questions: Receiver<Question>,
        reloads: Receiver<Reload>,
        fills: Receiver<Fill>,
        keeping: Option<Keeping<'p>>,
    ) -> Result<(), StreamError> {
        let (mut judge, mut threads, written) = self.prepare(reloads, fills, keeping)?;
        threads.questions = questions;
        threads.run(&mut judge, written)
    }

    /// The same without threads: whoever has it says what is done next.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::run_keeping`].
    pub fn steps(
        self,
        reloads: Receiver<Reload>,
        fills: Receiver<Fill>,
        keeping: Option<Keeping<'p>>,
    ) -> Result<Steps<'p>, StreamError> {
        let (judge, threads, written) = self.prepare(reloads, fills, keeping)?;
        Steps::new(judge, threads, written)
    }

    fn prepare(
        self,
        reloads: Receiver<Reload>,
        fills: Receiver<Fill>,
        keeping: Option<Keeping<'p>>,
    ) -> Result<(Judge<'p>, Threads, Written<'p>), StreamError> {
        let Pipeline { readers, engine, probe, sinks, observer, works_per_source, stop } = self;
        // A reader takes what waits for it at its next batch, so hardly ever more than one deriver does.
        let (renew, renewed) = readers.iter().map(|_| unbounded()).unzip();
        let reloads = Reloads::new(reloads, renew).from(readers.first().map(|reader| &reader.deriver));
        let mut judge = Judge::new(engine, probe, reloads, Fills::new(fills));
        let (mut replaying, mut commits) = (None, None);
        if let Some(Keeping { keeper, replay, interval, producer, shipping }) = keeping {
            replaying = replay.map(|replay| Replaying::new(replay, &readers)).transpose()?;
            let (journal, kept) = (Arc::clone(keeper.journal()), Arc::clone(keeper.kept()));
            commits = Some(Commits {
                journal: Some(journal),
                kept,
                interval,
                monotonic: keeper.monotonic(),
                producer,
                shipping,
                alerts: Some(Arc::clone(keeper.alerts())),
            });
            let intakes: Vec<Intake> = readers.iter().map(Reader::intake).collect();
            judge = judge.keeping(keeper, &intakes);
        }
        let threads = Threads { readers, questions: never(), renewed, replaying, commits, works_per_source };
        Ok((judge, threads, Written { sinks, observer, stop }))
    }

    /// The same over state that several instances share, and that somebody else keeps.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::run`]; [`StreamError::RedisRefused`]; [`StreamError::RedisAway`] where the end was asked for while nobody
    /// answers.
    pub fn run_shared(self, reloads: Receiver<Reload>, sharing: Sharing<'p>) -> Result<(), StreamError> {
        let Pipeline { readers, engine, probe, sinks, observer, works_per_source, stop } = self;
        let (renew, renewed) = readers.iter().map(|_| unbounded()).unzip();
        let Sharing { state, kept, interval, monotonic, producer } = sharing;
        let mut judge = Judge::new(engine, probe, Reloads::new(reloads, renew), Fills::new(never()));
        judge = judge.sharing(state, stop);
        let commits =
            Some(Commits { journal: None, kept, interval, monotonic, producer, shipping: None, alerts: None });
        let threads = Threads { readers, questions: never(), renewed, replaying: None, commits, works_per_source };
        threads.run(&mut judge, Written { sinks, observer, stop })
    }
}

/// A state that instances share while a pipeline runs.
pub struct Sharing<'a> {
    /// The state.
    pub state: &'a mut SharedState,
    /// What is counted of commits.
    pub kept: Arc<Kept>,
    /// How often outputs and places are committed.
    pub interval: Duration,
    /// The clock that the interval is measured by.
    pub monotonic: fn() -> Instant,
    /// The producer of all sinks, where outputs and places go in one transaction.
    pub producer: Option<Box<dyn Transactions>>,
}

/// A state that is kept while a pipeline runs.
pub struct Keeping<'a> {
    /// Who keeps it.
    pub keeper: &'a mut Keeper,
    /// What is judged again first.
    pub replay: Option<Replay>,
    /// How often outputs and places are committed.
    pub interval: Duration,
    /// The producer of all sinks, where outputs and places go in one transaction.
    pub producer: Option<Box<dyn Transactions>>,
    /// Where entries of the journal go with them.
    pub shipping: Option<Shipping>,
}

/// The threads of a [`Pipeline`] around another stage than the engine: what they cost by themselves is measured so.
///
/// # Errors
///
/// As [`Pipeline::run`].
pub fn run_through(
    readers: Vec<Reader>,
    stage: &mut dyn Stage,
    sinks: Sinks,
    observer: &mut dyn Observer,
    works_per_source: usize,
    stop: &AtomicBool,
) -> Result<(), StreamError> {
    let renewed = readers.iter().map(|_| never()).collect();
    let threads = Threads { readers, questions: never(), renewed, replaying: None, commits: None, works_per_source };
    threads.run(stage, Written { sinks, observer, stop })
}

/// What runs beside the stage.
struct Threads {
    readers: Vec<Reader>,
    questions: Receiver<Question>,
    /// By reader: derivers that take the place of its own.
    renewed: Vec<Receiver<Deriver>>,
    replaying: Option<Replaying>,
    commits: Option<Commits>,
    works_per_source: usize,
}

/// Where what is made goes.
struct Written<'a> {
    sinks: Sinks,
    observer: &'a mut dyn Observer,
    stop: &'a AtomicBool,
}

/// What joins the readers, the stage and the writer.
struct Joined<'a> {
    writer: Writer<'a>,
    /// By reader: its works.
    supplies: Vec<Receiver<Box<Work>>>,
    intakes: Vec<Intake>,
    committers: Committers,
}

impl<'a> Joined<'a> {
    fn new(readers: &[Reader], works: usize, commits: Option<Commits>, written: Written<'a>) -> Joined<'a> {
        let Written { sinks, observer, stop } = written;
        let (returns, supplies) = readers.iter().map(|_| pool(works)).unzip();
        let committers: Committers = readers.iter().map(Reader::committer).collect();
        let writer = Writer::new(sinks, Arc::clone(&committers), observer, returns, commits, stop);
        Joined { writer, supplies, intakes: readers.iter().map(Reader::intake).collect(), committers }
    }

    /// Nobody reads any more: the last places are committed and the groups left, so that others need not wait for us.
    fn close(committers: &Committers) -> Result<(), StreamError> {
        let closed: Vec<_> = committers.iter().flatten().map(|kafka| kafka.close()).collect();
        closed.into_iter().fold(Ok(()), Result::and)
    }
}

impl Threads {
    fn run(self, stage: &mut dyn Stage, written: Written<'_>) -> Result<(), StreamError> {
        let Threads { readers, questions, renewed, replaying, commits, works_per_source } = self;
        let stop = written.stop;
        let room = readers.len().max(1) * works_per_source;
        let (to_engine, from_readers) = bounded::<Message>(room);
        let (to_engine_first, first) = bounded::<Message>(room);
        let queues = Queues::new(questions, first, from_readers);
        let (to_writer, from_engine) = bounded::<Message>(room);
        let Joined { writer, supplies, intakes, committers } =
            Joined::new(&readers, works_per_source, commits, written);
        let ended = std::thread::scope(|scope| {
            let before = replaying.map(|replaying| {
                let (out, works) = bounded::<Message>(works_per_source);
                let is_whole = Arc::new(AtomicBool::new(false));
                let whole = Arc::clone(&is_whole);
                scope.spawn(move || replaying.run(&out, &whole, stop));
                Before { works, is_whole }
            });
            for ((reader, supply), renewed) in readers.into_iter().zip(supplies).zip(renewed) {
                let to_engine = if reader.is_inbox() { to_engine_first.clone() } else { to_engine.clone() };
                scope.spawn(move || reader.run(&supply, &to_engine, &renewed, stop));
            }
            drop((to_engine, to_engine_first));
            scope.spawn(move || engine_thread::run(stage, &intakes, before, queues, &to_writer));
            // The works go back no more once the writer is gone.
            let written = writer::run(writer, &from_engine);
            if written.is_err() {
                // The readers notice at their next look; dropping the queue ends the engine's thread.
                stop.store(true, Ordering::Release);
            }
            drop(from_engine);
            written
        });
        ended.and(Joined::close(&committers))
    }
}

/// The empty works of one source, going round.
fn pool(works: usize) -> (Sender<Box<Work>>, Receiver<Box<Work>>) {
    let (back, supply) = bounded(works);
    for _ in 0..works {
        back.send(Box::default()).expect("the queue has room for every work of its source");
    }
    (back, supply)
}
