//! The writing end: formats verdicts, takes them and dead letters to their sinks, then commits the places they cover.
//!
//! Formatting is here because the engine's thread is the busiest. Where outputs and places are in one cluster they go in one
//! transaction; elsewhere places follow outputs, so that after a crash some come twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, never, tick};

use super::Message;
use super::behind::Behind;
use super::keep::Kept;
use super::together::Together;
use super::work::Work;
use crate::alerts::{AlertLines, Alerts};
use crate::event::Field;
use crate::stream::journal::Journal;
use crate::stream::kafka::{KafkaProducer, KafkaSource};
use crate::stream::{Mark, Sink, StreamError};

/// How long the writer waits for work before it looks what has been delivered.
const IDLE: Duration = Duration::from_millis(20);

/// How many such waits the last outputs get once the process shall end: 10 s. Who ends it by force waits longer.
const LAST_WAITS_MAX: u32 = 500;

/// Where outputs go.
#[derive(Debug)]
pub struct Sinks {
    /// A line or record for each verdict, keyed by account.
    pub verdicts: Sink,
    /// A line or record for each dead letter.
    pub dead_letters: Sink,
    /// What gathers alerts, where somebody wants them.
    pub alerts: Option<Alerting>,
}

/// The alerts of a pipeline, and where they go.
#[derive(Debug)]
pub struct Alerting {
    /// The open ones.
    pub alerts: Alerts,
    /// A line or record whenever there is something to tell, keyed by alert; without it they are counted alone.
    pub sink: Option<Sink>,
}

/// Sees every batch when it has been written, to count it.
pub trait Observer {
    /// A batch was written; it may not be delivered yet.
    fn written(&mut self, work: &Work);

    /// Called between batches, and while nothing comes.
    fn idle(&mut self) {}
}

/// How what is kept of a state follows what is written.
#[derive(Clone)]
pub(super) struct Commits {
    pub(super) journal: Arc<Journal>,
    pub(super) kept: Arc<Kept>,
    /// How often is committed.
    pub(super) interval: Duration,
    /// Outputs and places go together, by this producer; `None`: places after the outputs.
    pub(super) producer: Option<KafkaProducer>,
}

/// How outputs and places are committed.
enum Way<'a> {
    /// In one transaction.
    Together(Box<Together<'a>>),
    /// Outputs, and then places.
    Behind(Behind<'a>),
}

/// Writes until the engine has nothing more, then waits until all of it is safe and commits.
pub(super) fn run(
    mut sinks: Sinks,
    committers: &[Option<Arc<KafkaSource>>],
    observer: &mut dyn Observer,
    from_engine: &Receiver<Message>,
    returns: &[Sender<Box<Work>>],
    commits: Option<Commits>,
    stop: &AtomicBool,
) -> Result<(), StreamError> {
    let due = commits.as_ref().map_or_else(never, |commits| tick(commits.interval));
    let journal = commits.as_ref().map(|commits| Arc::clone(&commits.journal));
    let mut way = match commits {
        Some(Commits { journal, kept, producer: Some(producer), .. }) => {
            Way::Together(Box::new(Together::new(producer, committers, journal, kept, stop)))
        }
        other => Way::Behind(Behind::new(committers, other.map(|commits| (commits.journal, commits.kept)))),
    };
    loop {
        match from_engine.recv_timeout(IDLE) {
            Ok(message) => {
                let mut work = message?;
                work.write_verdicts();
                sinks.gather(&mut work);
                way.take(&mut sinks, &mut work)?;
                if let Some(journal) = journal.as_ref().filter(|_| work.is_waited_for()) {
                    // Who is answered must find it there whatever happens next. One wait is for all that was judged by then.
                    if journal.synced() < work.entry {
                        journal.sync()?;
                    }
                }
                work.answer();
                if !work.is_out() {
                    observer.written(&work);
                }
                if let Some(revocation) = work.revocation.take() {
                    way.commit(&mut sinks, true)?;
                    // The group waits for this.
                    drop(revocation);
                }
                if work.again.is_none() {
                    // A reader that has ended needs no more works.
                    drop(returns[work.source].send(work));
                }
            }
            Err(RecvTimeoutError::Timeout) => sinks.push_out()?,
            Err(RecvTimeoutError::Disconnected) => break,
        }
        observer.idle();
        way.look(&mut sinks, due.try_recv().is_ok())?;
    }
    way.end(&mut sinks, stop)
}

impl Way<'_> {
    fn take(&mut self, sinks: &mut Sinks, work: &mut Work) -> Result<(), StreamError> {
        match self {
            Way::Together(together) => together.take(sinks, work),
            Way::Behind(behind) => behind.take(sinks, work),
        }
    }

    /// Commits what can be; `wait`: all of it.
    fn commit(&mut self, sinks: &mut Sinks, wait: bool) -> Result<(), StreamError> {
        match self {
            Way::Together(together) => together.commit(sinks),
            Way::Behind(behind) => {
                if wait {
                    sinks.flush()?;
                }
                behind.commit(sinks)
            }
        }
    }

    /// Called after each work, and while none comes.
    fn look(&mut self, sinks: &mut Sinks, is_due: bool) -> Result<(), StreamError> {
        let waits_for_time = match self {
            Way::Together(_) => true,
            Way::Behind(behind) => behind.journal.is_some(),
        };
        if is_due || !waits_for_time { self.commit(sinks, false) } else { Ok(()) }
    }

    fn end(&mut self, sinks: &mut Sinks, stop: &AtomicBool) -> Result<(), StreamError> {
        match self {
            Way::Together(together) => {
                let mut last = AlertLines::default();
                sinks.last_alerts(&mut last);
                last.iter().for_each(|(id, line)| together.put(2, id, line));
                together.commit(sinks)
            }
            Way::Behind(behind) => {
                sinks.end_alerts()?;
                sinks.settle(stop)?;
                behind.commit(sinks)
            }
        }
    }
}

impl Sinks {
    /// Gathers the alerts of a work, before it is written.
    fn gather(&mut self, work: &mut Work) {
        if let Some(Alerting { alerts, .. }) = &mut self.alerts {
            alerts.take(&work.batch, &work.judgements, &work.rules, &mut work.alerts);
        }
    }

    /// Writes what waits to be told of alerts: nothing more comes.
    fn end_alerts(&mut self) -> Result<(), StreamError> {
        let mut lines = AlertLines::default();
        self.last_alerts(&mut lines);
        let Some(Alerting { sink: Some(sink), .. }) = &mut self.alerts else { return Ok(()) };
        lines.iter().try_for_each(|(id, line)| sink.write(id, line))
    }

    /// What waits to be told of alerts, where somebody wants it.
    fn last_alerts(&mut self, lines: &mut AlertLines) {
        if let Some(Alerting { alerts, sink: Some(_) }) = &mut self.alerts {
            alerts.end(lines);
        }
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Sink> {
        let alerts = self.alerts.as_mut().and_then(|alerting| alerting.sink.as_mut());
        [&mut self.verdicts, &mut self.dead_letters].into_iter().chain(alerts)
    }

    /// Marks what was written to each.
    pub(super) fn marks(&mut self) -> Result<Vec<Mark>, StreamError> {
        self.all().map(Sink::mark).collect()
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        self.all().try_for_each(Sink::flush)
    }

    /// Waits until everything is safe; once the process shall end, only [`LAST_WAITS_MAX`] more.
    fn settle(&mut self, stop: &AtomicBool) -> Result<(), StreamError> {
        let marks = self.marks()?;
        let mut waits = 0;
        while self.delivered()?.iter().zip(&marks).any(|(delivered, mark)| delivered < mark) {
            if stop.load(Ordering::Acquire) {
                waits += 1;
            }
            if waits > LAST_WAITS_MAX {
                return Err(last_outputs());
            }
            std::thread::park_timeout(IDLE);
        }
        Ok(())
    }

    /// Nothing came for a moment: what waits in a buffer is for someone to see.
    fn push_out(&mut self) -> Result<(), StreamError> {
        self.marks().map(drop)
    }

    /// In the order of [`Sinks::marks`].
    pub(super) fn delivered(&self) -> Result<Vec<Mark>, StreamError> {
        let alerts = self.alerts.as_ref().and_then(|alerting| alerting.sink.as_ref());
        [&self.verdicts, &self.dead_letters].into_iter().chain(alerts).map(Sink::delivered).collect()
    }
}

/// The end was asked for, and nobody takes what is left.
pub(super) fn last_outputs() -> StreamError {
    StreamError::Kafka {
        doing: "delivering the last outputs before the end".to_owned(),
        detail: "no broker has acknowledged them".to_owned(),
    }
}

pub(super) fn write(sinks: &mut Sinks, work: &Work) -> Result<(), StreamError> {
    match &mut sinks.verdicts {
        Sink::Lines(lines) => lines.write_lines(work.verdicts.text())?,
        Sink::Kafka(topic) => {
            let account = |event: usize| work.batch.field(&work.batch.events[event], Field::AccountId);
            topic.write_all(work.verdicts.iter().map(|(line, event)| (account(event), line)))?;
        }
    }
    for (line, _) in work.dead_letters.iter() {
        sinks.dead_letters.write("", line)?;
    }
    match &mut sinks.alerts {
        Some(Alerting { sink: Some(sink), .. }) => work.alerts.iter().try_for_each(|(id, line)| sink.write(id, line)),
        _ => Ok(()),
    }
}
