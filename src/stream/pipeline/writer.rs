//! The writing end: formats verdicts, takes them and dead letters to their sinks, then commits the places they cover.
//!
//! Formatting is here because the engine's thread is the busiest. Where outputs and places are in one cluster they go in one
//! transaction; elsewhere places follow outputs, so that after a crash some come twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::Message;
use super::behind::Behind;
use super::keep::Kept;
use super::open_alerts::{OpenAlerts, Segments};
use super::telling::{HEARTBEAT_KEY, Telling, write_told};
use super::together::{DECISIONS, Shipping, Together};
use super::work::Work;
use crate::alerts::{AlertLines, Alerts};
use crate::event::Field;
use crate::stream::journal::Journal;
use crate::stream::kafka::Revocation;
use crate::stream::log::{Subscription, Transactions};
use crate::stream::{Mark, Sink, StreamError};

/// How long the writer waits for work before it looks what has been delivered.
const IDLE: Duration = Duration::from_millis(20);

/// How long is waited between two tries of a commit.
const PAUSE: Duration = Duration::from_millis(50);

/// How many waits of [`IDLE`] the last outputs get once the process shall end: 10 s. Who ends it by force waits longer.
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
    /// A line or record for whatever refguard itself says, keyed by account, where somebody wants it.
    pub events: Option<Sink>,
    /// Where the log of decisions goes.
    pub decisions: Option<Telling>,
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
pub(super) struct Commits {
    pub(super) journal: Option<Arc<Journal>>,
    pub(super) kept: Arc<Kept>,
    /// How often is committed.
    pub(super) interval: Duration,
    pub(super) monotonic: fn() -> Instant,
    /// Outputs and places go together, by this producer; `None`: places after the outputs.
    pub(super) producer: Option<Box<dyn Transactions>>,
    /// Where entries of the journal go with them.
    pub(super) shipping: Option<Shipping>,
    /// Where open alerts go that a checkpoint wants; `None`: there are none.
    pub(super) alerts: Option<Arc<OpenAlerts>>,
}

/// By source: where its places are committed; `None` for one that has none.
pub(super) type Committers = Arc<[Option<Arc<dyn Subscription>>]>;

/// How outputs and places are committed.
enum Way<'a> {
    /// In one transaction.
    Together(Box<Together<'a>>),
    /// Outputs, and then places.
    Behind(Behind),
}

/// When the next commit is due.
struct Due {
    at: Instant,
    interval: Duration,
    monotonic: fn() -> Instant,
}

impl Due {
    fn new(interval: Duration, monotonic: fn() -> Instant) -> Due {
        Due { at: monotonic() + interval, interval, monotonic }
    }

    /// Whether an interval is over; then the next begins.
    fn take(&mut self) -> bool {
        let now = (self.monotonic)();
        let is_over = now >= self.at;
        if is_over {
            self.at = now + self.interval;
        }
        is_over
    }
}

/// The writing end, a step at a time.
pub(super) struct Writer<'a> {
    sinks: Sinks,
    observer: &'a mut dyn Observer,
    returns: Vec<Sender<Box<Work>>>,
    way: Way<'a>,
    /// On the disk before anybody is answered.
    journal: Option<Arc<Journal>>,
    /// Where open alerts go that a checkpoint wants; `None`: there are none.
    wanted_alerts: Option<Arc<OpenAlerts>>,
    /// The number of the entry behind the last work.
    through: u64,
    /// Whether what waits to be told of alerts is told at the end. Where it is kept and all inputs are topics, the next run tells
    /// it: it belongs to no input, so that what was told after the last checkpoint would be told again after a crash.
    tells_last: bool,
    /// `None`: a commit is always due.
    due: Option<Due>,
    /// The group waits for what was taken to be committed.
    revocation: Option<Revocation>,
    stop: &'a AtomicBool,
}

/// Writes until the engine has nothing more, then waits until all of it is safe and commits.
pub(super) fn run(mut writer: Writer<'_>, from_engine: &Receiver<Message>) -> Result<(), StreamError> {
    loop {
        match from_engine.recv_timeout(IDLE) {
            Ok(message) => writer.take(message?)?,
            Err(RecvTimeoutError::Timeout) => writer.rest()?,
            Err(RecvTimeoutError::Disconnected) => break,
        }
        while !writer.look()? {
            std::thread::park_timeout(PAUSE);
        }
    }
    writer.take_last()?;
    while !writer.look()? {
        std::thread::park_timeout(PAUSE);
    }
    Ok(())
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        sinks: Sinks,
        committers: Committers,
        observer: &'a mut dyn Observer,
        returns: Vec<Sender<Box<Work>>>,
        commits: Option<Commits>,
        stop: &'a AtomicBool,
    ) -> Writer<'a> {
        let journal = commits.as_ref().and_then(|commits| commits.journal.clone());
        let due = commits.as_ref().map(|commits| Due::new(commits.interval, commits.monotonic));
        let wanted_alerts = commits.as_ref().and_then(|commits| commits.alerts.clone());
        let through =
            commits.as_ref().and_then(|commits| commits.journal.as_ref()).map_or(0, |journal| journal.settled());
        let tells_last = wanted_alerts.is_none() || committers.iter().any(Option::is_none);
        let way = match commits {
            Some(Commits { journal, kept, producer: Some(producer), shipping, .. }) => {
                Way::Together(Box::new(Together::new((producer, shipping), committers, journal, kept, stop)))
            }
            other => Way::Behind(Behind::new(committers, other.map(|commits| (commits.journal, commits.kept)))),
        };
        let revocation = None;
        Writer { sinks, observer, returns, way, journal, wanted_alerts, through, tells_last, due, revocation, stop }
    }

    /// Writes what came of a work.
    pub(super) fn take(&mut self, mut work: Box<Work>) -> Result<(), StreamError> {
        work.write_verdicts();
        self.give_alerts(Some(work.entry));
        self.sinks.gather(&mut work)?;
        self.through = self.through.max(work.entry);
        match &mut self.way {
            Way::Together(together) => together.take(&mut self.sinks, &mut work)?,
            Way::Behind(behind) => behind.take(&mut self.sinks, &mut work)?,
        }
        if work.is_waited_for() {
            self.answer(&mut work)?;
        }
        if matches!(self.way, Way::Behind(_)) && self.journal.as_ref().is_some_and(|of| of.synced() >= self.through) {
            self.sinks.publish();
        }
        if !work.is_out() {
            self.observer.written(&work);
        }
        self.revocation = work.revocation.take();
        if work.again.is_none() {
            // A reader that has ended needs no more works.
            drop(self.returns[work.source].send(work));
        }
        Ok(())
    }

    /// Tells those who wait; they find it there whatever happens next. One sync is for all that was judged by then.
    fn answer(&self, work: &mut Work) -> Result<(), StreamError> {
        if let Some(journal) = &self.journal
            && journal.synced() < work.entry
        {
            journal.sync()?;
        }
        work.answer();
        Ok(())
    }

    /// Nothing came for a moment: what waits in a buffer is for someone to see.
    pub(super) fn rest(&mut self) -> Result<(), StreamError> {
        self.sinks.marks().map(drop)
    }

    /// Called after each of the others: commits what is due, as far as that comes without waiting. `false`: it is called
    /// again before anything is taken.
    pub(super) fn look(&mut self) -> Result<bool, StreamError> {
        self.observer.idle();
        self.give_alerts(None);
        self.tell_heartbeat()?;
        let is_due = self.due.as_mut().is_none_or(Due::take) || self.revocation.is_some();
        match &mut self.way {
            Way::Together(together) => {
                if self.revocation.as_ref().is_some_and(|revocation| revocation.lost) {
                    together.lose()?;
                }
                if is_due {
                    together.want_end();
                }
                if together.is_ending() {
                    if !together.step(&mut self.sinks)? {
                        return Ok(false);
                    }
                    self.sinks.publish();
                }
            }
            Way::Behind(behind) if is_due => {
                if self.revocation.is_some() {
                    self.sinks.flush()?;
                }
                behind.commit(&self.sinks)?;
                self.sinks.publish();
            }
            Way::Behind(_) => {}
        }
        // Dropped: the group goes on.
        self.revocation = None;
        Ok(true)
    }

    /// Says what stands of decisions, if it is time to.
    fn tell_heartbeat(&mut self) -> Result<(), StreamError> {
        let Some(decisions) = &mut self.sinks.decisions else { return Ok(()) };
        match &mut self.way {
            // It belongs behind what is committed now.
            Way::Together(together) if together.is_ending() => Ok(()),
            Way::Together(together) => {
                if let Some(line) = decisions.heartbeat() {
                    together.put(DECISIONS, HEARTBEAT_KEY, line);
                    together.want_end();
                }
                Ok(())
            }
            Way::Behind(_) => decisions.write_heartbeat(),
        }
    }

    /// Gives a checkpoint the alerts that are open at its place. `next`: the entry behind the work that is gathered next.
    fn give_alerts(&self, next: Option<u64>) {
        if let Some(wanted) = self.wanted_alerts.as_ref().filter(|wanted| wanted.is_wanted(self.through, next)) {
            wanted.give(self.sinks.open_alerts());
        }
    }

    /// Nothing more comes: writes what waits to be told of alerts, where that is now, and wants all of it committed.
    pub(super) fn take_last(&mut self) -> Result<(), StreamError> {
        let mut last = AlertLines::default();
        if self.tells_last {
            self.sinks.last_alerts(&mut last);
        }
        match &mut self.way {
            Way::Together(together) => {
                last.iter().for_each(|(id, line)| together.put(2, id, line));
                together.want_last();
            }
            Way::Behind(_) => {
                self.sinks.write_alerts(&last)?;
                self.sinks.settle(self.stop)?;
                self.due = None;
            }
        }
        if let Some(wanted) = &self.wanted_alerts {
            wanted.rest(self.sinks.open_alerts());
        }
        Ok(())
    }
}

impl Sinks {
    /// Gathers the alerts of a work, and what has become of decisions, before it is written.
    fn gather(&mut self, work: &mut Work) -> Result<(), StreamError> {
        if let Some(Alerting { alerts, .. }) = &mut self.alerts {
            alerts.take(&work.batch, &work.judgements, &work.rules, &mut work.alerts);
        }
        self.decisions.as_mut().map_or(Ok(()), |decisions| decisions.take(work))
    }

    /// Writes the changes of decisions of a work that are to be written.
    pub(super) fn write_told(&mut self, work: &Work) -> Result<(), StreamError> {
        let sink = self.decisions.as_mut().and_then(|decisions| decisions.sink.as_mut());
        sink.map_or(Ok(()), |sink| write_told(sink, work))
    }

    /// What was taken of decisions is committed.
    fn publish(&mut self) {
        self.decisions.iter_mut().for_each(Telling::publish);
    }

    /// The alerts that are open, in segments.
    fn open_alerts(&self) -> Segments {
        self.alerts.as_ref().map(|alerting| alerting.alerts.stored()).unwrap_or_default()
    }

    fn write_alerts(&mut self, lines: &AlertLines) -> Result<(), StreamError> {
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
        let decisions = self.decisions.as_mut().and_then(|decisions| decisions.sink.as_mut());
        let others = alerts.into_iter().chain(&mut self.events).chain(decisions);
        [&mut self.verdicts, &mut self.dead_letters].into_iter().chain(others)
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

    /// In the order of [`Sinks::marks`].
    pub(super) fn delivered(&self) -> Result<Vec<Mark>, StreamError> {
        let alerts = self.alerts.as_ref().and_then(|alerting| alerting.sink.as_ref());
        let decisions = self.decisions.as_ref().and_then(|decisions| decisions.sink.as_ref());
        let all = [&self.verdicts, &self.dead_letters].into_iter().chain(alerts).chain(&self.events).chain(decisions);
        all.map(Sink::delivered).collect()
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
            topic.write_all(&mut work.verdicts.iter().map(|(line, event)| (account(event), line)))?;
        }
    }
    for (line, _) in work.dead_letters.iter() {
        sinks.dead_letters.write("", line)?;
    }
    if let Some(sink) = &mut sinks.events {
        work.judgements.said.iter().try_for_each(|said| sink.write(&said.key, &said.line))?;
    }
    match &mut sinks.alerts {
        Some(Alerting { sink: Some(sink), .. }) => work.alerts.iter().try_for_each(|(id, line)| sink.write(id, line)),
        _ => Ok(()),
    }
}
