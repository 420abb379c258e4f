//! The writing end: formats verdicts, takes them and dead letters to their sinks, then commits the places they cover.
//!
//! Formatting is here because the engine's thread is the busiest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::Message;
use super::work::Work;
use crate::alerts::{AlertLines, Alerts};
use crate::event::Field;
use crate::stream::kafka::KafkaSource;
use crate::stream::{Mark, Sink, StreamError, Unsettled};

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

/// Writes until the engine has nothing more, then waits until all of it is safe and commits.
pub(super) fn run(
    mut sinks: Sinks,
    committers: &[Option<Arc<KafkaSource>>],
    observer: &mut dyn Observer,
    from_engine: &Receiver<Message>,
    returns: &[Sender<Box<Work>>],
    stop: &AtomicBool,
) -> Result<(), StreamError> {
    let mut unsettled: Vec<Unsettled> = committers.iter().map(|_| Unsettled::default()).collect();
    loop {
        match from_engine.recv_timeout(IDLE) {
            Ok(message) => {
                let mut work = message?;
                work.write_verdicts();
                sinks.gather(&mut work);
                write(&mut sinks, &work)?;
                observer.written(&work);
                if committers[work.source].is_some() {
                    unsettled[work.source].push(sinks.marks()?, std::mem::take(&mut work.ends));
                }
                if let Some(revocation) = work.revocation.take() {
                    sinks.flush()?;
                    commit(&sinks, committers, &mut unsettled)?;
                    // The group waits for this.
                    drop(revocation);
                }
                // A reader that has ended needs no more works.
                drop(returns[work.source].send(work));
            }
            Err(RecvTimeoutError::Timeout) => sinks.push_out()?,
            Err(RecvTimeoutError::Disconnected) => break,
        }
        observer.idle();
        commit(&sinks, committers, &mut unsettled)?;
    }
    sinks.end_alerts()?;
    sinks.settle(stop)?;
    commit(&sinks, committers, &mut unsettled)
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
        let Some(Alerting { alerts, sink: Some(sink) }) = &mut self.alerts else { return Ok(()) };
        let mut lines = AlertLines::default();
        alerts.end(&mut lines);
        lines.iter().try_for_each(|(id, line)| sink.write(id, line))
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Sink> {
        let alerts = self.alerts.as_mut().and_then(|alerting| alerting.sink.as_mut());
        [&mut self.verdicts, &mut self.dead_letters].into_iter().chain(alerts)
    }

    /// Marks what was written to each.
    fn marks(&mut self) -> Result<Vec<Mark>, StreamError> {
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
                return Err(StreamError::Kafka {
                    doing: "delivering the last outputs before the end".to_owned(),
                    detail: "no broker has acknowledged them".to_owned(),
                });
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
    fn delivered(&self) -> Result<Vec<Mark>, StreamError> {
        let alerts = self.alerts.as_ref().and_then(|alerting| alerting.sink.as_ref());
        [&self.verdicts, &self.dead_letters].into_iter().chain(alerts).map(Sink::delivered).collect()
    }
}

fn write(sinks: &mut Sinks, work: &Work) -> Result<(), StreamError> {
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

fn commit(
    sinks: &Sinks,
    committers: &[Option<Arc<KafkaSource>>],
    unsettled: &mut [Unsettled],
) -> Result<(), StreamError> {
    if unsettled.iter().all(Unsettled::is_empty) {
        return Ok(());
    }
    let delivered = sinks.delivered()?;
    for (committer, unsettled) in committers.iter().zip(unsettled) {
        let ends = unsettled.settle(&delivered);
        if let Some(kafka) = committer
            && !ends.is_empty()
        {
            kafka.commit(&ends)?;
        }
    }
    Ok(())
}
