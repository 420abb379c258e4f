//! The writing end: formats verdicts, takes them and dead letters to their sinks, then commits the places they cover.
//!
//! Formatting is here because the engine's thread is the busiest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::Message;
use super::work::Work;
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
                write(&mut sinks, &work)?;
                observer.written(&work);
                if committers[work.source].is_some() {
                    let marks = vec![sinks.verdicts.mark()?, sinks.dead_letters.mark()?];
                    unsettled[work.source].push(marks, std::mem::take(&mut work.ends));
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
    sinks.settle(stop)?;
    commit(&sinks, committers, &mut unsettled)
}

impl Sinks {
    fn flush(&mut self) -> Result<(), StreamError> {
        self.verdicts.flush()?;
        self.dead_letters.flush()
    }

    /// Waits until everything is safe; once the process shall end, only [`LAST_WAITS_MAX`] more.
    fn settle(&mut self, stop: &AtomicBool) -> Result<(), StreamError> {
        let marks = [self.verdicts.mark()?, self.dead_letters.mark()?];
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
        self.verdicts.mark()?;
        self.dead_letters.mark().map(drop)
    }

    fn delivered(&self) -> Result<[Mark; 2], StreamError> {
        Ok([self.verdicts.delivered()?, self.dead_letters.delivered()?])
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
    Ok(())
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
