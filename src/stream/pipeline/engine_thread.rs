//! The thread of the machine: judges, and owns nothing else.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::Message;
use super::history::{Filling, Fills};
use super::reader::Intake;
use super::reload::Reloads;
use super::work::{Notice, Work};
use crate::engine::{Engine, Outcome};
use crate::event::{DeadLetter, Position, Reason};

/// How long the machine waits for work before it lets itself be looked at.
const IDLE: Duration = Duration::from_millis(100);
/// The same while history is to come.
const IDLE_FILLING: Duration = Duration::from_millis(5);

/// Looks at the machine between two batches, and while it is idle.
pub trait Probe: Send {
    /// Called often: must be cheap when there is nothing to do.
    fn look(&mut self, engine: &mut Engine);

    /// Called once, when the machine has judged everything that it will.
    fn end(&mut self, _engine: &mut Engine) {}
}

/// What stands between the readers and the writer.
pub trait Stage: Send {
    /// Makes the outputs of a work that was read; `intake` is what is known of its source.
    fn pass(&mut self, work: &mut Work, intake: &Intake);

    /// Called between two works, and while none comes. Answers how long to wait for the next work before it is called again.
    fn idle(&mut self) -> Duration {
        IDLE
    }

    /// Called once, when nothing more comes.
    fn end(&mut self) {}
}

pub(super) fn run(
    stage: &mut dyn Stage,
    intakes: &[Intake],
    from_readers: &Receiver<Message>,
    to_writer: &Sender<Message>,
) {
    let mut patience = IDLE;
    loop {
        let message = match from_readers.recv_timeout(patience) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => {
                patience = stage.idle();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let message = message.map(|mut work| {
            let intake = &intakes[work.source];
            stage.pass(&mut work, intake);
            work
        });
        patience = stage.idle();
        if to_writer.send(message).is_err() {
            break;
        }
    }
    stage.end();
}

/// The stage of the daemon: the machine, and who looks at it.
pub(super) struct Judge<'a> {
    engine: &'a mut Engine,
    probe: &'a mut dyn Probe,
    places: Places,
    reloads: Reloads,
    fills: Fills,
}

impl<'a> Judge<'a> {
    pub(super) fn new(engine: &'a mut Engine, probe: &'a mut dyn Probe, reloads: Reloads, fills: Fills) -> Judge<'a> {
        Judge { engine, probe, places: Places::new(reloads.readers()), reloads, fills }
    }
}

impl Stage for Judge<'_> {
    fn pass(&mut self, work: &mut Work, intake: &Intake) {
        self.reloads.derive_again(self.engine, work);
        judge(self.engine, &mut self.places, intake, work);
    }

    fn idle(&mut self) -> Duration {
        self.reloads.take(self.engine);
        let filling = self.fills.step(self.engine, &mut self.places, &mut self.reloads);
        self.probe.look(self.engine);
        match filling {
            Filling::No => IDLE,
            Filling::Waits => IDLE_FILLING,
            Filling::Counted => Duration::ZERO,
        }
    }

    fn end(&mut self) {
        self.probe.end(self.engine);
    }
}

/// The engine's numbers of partitions: dense over all sources.
pub(super) struct Places {
    by_source: Vec<Vec<Option<u32>>>,
    next: u32,
}

impl Places {
    pub(super) fn new(sources: usize) -> Places {
        Places { by_source: vec![Vec::new(); sources], next: 0 }
    }

    pub(super) fn of(&mut self, source: usize, partition: u32) -> u32 {
        let known = &mut self.by_source[source];
        let local = partition as usize;
        if local >= known.len() {
            known.resize(local + 1, None);
        }
        *known[local].get_or_insert_with(|| {
            self.next += 1;
            self.next - 1
        })
    }

    /// The source's own number of a partition that it was asked for before.
    fn local(&self, source: usize, place: u32) -> u32 {
        let found = self.by_source[source].iter().position(|known| *known == Some(place));
        found.map_or(0, |local| local as u32)
    }
}

fn judge(engine: &mut Engine, places: &mut Places, intake: &Intake, work: &mut Work) {
    for notice in &mut work.notices {
        let (Notice::Assigned(partition) | Notice::Revoked(partition) | Notice::Tick(partition, _)) = notice;
        *partition = places.of(work.source, *partition);
        match *notice {
            Notice::Assigned(partition) => engine.assign(partition),
            Notice::Revoked(partition) => engine.revoke(partition),
            Notice::Tick(partition, clock_ms) => engine.tick(partition, clock_ms),
        }
    }
    if work.notices.iter().any(|notice| matches!(notice, Notice::Tick(..))) {
        engine.note_time(&mut work.judgements);
    }
    for event in &mut work.batch.events {
        event.position.partition = places.of(work.source, event.position.partition);
    }
    engine.judge(&work.batch, &work.signals, &mut work.judgements);
    if !Arc::ptr_eq(&work.rules, engine.rules()) {
        work.rules = Arc::clone(engine.rules());
    }
    refuse_reused(places, intake, work);
}

/// Dead letters for the events whose id belongs to another.
fn refuse_reused(places: &Places, intake: &Intake, work: &mut Work) {
    let judged = work.batch.events.iter().zip(&work.judgements.events);
    for (event, _) in judged.filter(|(_, judgement)| judgement.outcome == Outcome::IdReused) {
        let partition = places.local(work.source, event.position.partition);
        let at = Position { partition, ..event.position };
        let letter = DeadLetter {
            reason: &Reason::IdReused,
            source: &intake.name,
            position: &intake.position(at),
            ingest_time_ms: event.ingest_time_ms,
            raw: work.batch.text(event.raw).as_bytes(),
            whole: None,
            headers: &[],
        };
        work.dead_letters.push(at, &letter);
    }
    work.dead_letters.sort();
}
