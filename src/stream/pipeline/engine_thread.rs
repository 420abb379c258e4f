//! The thread of the machine: judges, and owns nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use super::Message;
use super::answer::Refusal;
use super::history::{Filling, Fills};
use super::keep::Keeper;
use super::queues::{Given, Question, Queues};
use super::reader::Intake;
use super::reload::Reloads;
use super::work::{Notice, Work};
use crate::engine::{Engine, Outcome};
use crate::event::{DeadLetter, Position, Reason};
use crate::stream::StreamError;
use crate::stream::redis::SharedState;

/// How long the machine waits for work before it lets itself be looked at.
const IDLE: Duration = Duration::from_millis(100);
/// The same while history is to come, or a checkpoint is under way.
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

    /// Called with what somebody wants to know, between two works.
    fn answer(&mut self, _question: Question) {}

    /// Called once, when nothing more comes.
    fn end(&mut self) {}

    /// Why it cannot go on, if it cannot. Asked for after each of the others.
    fn fault(&mut self) -> Option<StreamError> {
        None
    }
}

/// What is judged before anything that is read: works of the last run, and whether all of them came.
pub(super) struct Before {
    pub(super) works: Receiver<Message>,
    pub(super) is_whole: Arc<AtomicBool>,
}

/// What a stage makes of a message; why it cannot go on, if it cannot. `idle`: it may look around afterwards, and says how long
/// to wait for the next.
pub(super) fn pass(
    stage: &mut dyn Stage,
    intakes: &[Intake],
    message: Message,
    idle: Option<&mut Duration>,
) -> Message {
    let message = message.map(|mut work| {
        let intake = &intakes[work.source];
        stage.pass(&mut work, intake);
        work
    });
    if let Some(patience) = idle {
        *patience = stage.idle();
    }
    stage.fault().map_or(message, Err)
}

pub(super) fn run(
    stage: &mut dyn Stage,
    intakes: &[Intake],
    before: Option<Before>,
    mut queues: Queues,
    to_writer: &Sender<Message>,
) {
    if let Some(Before { works, is_whole }) = before {
        for message in &works {
            if to_writer.send(pass(stage, intakes, message, None)).is_err() {
                break;
            }
        }
        if !is_whole.load(Ordering::Acquire) {
            // What comes after it would be judged out of its order.
            stage.end();
            return;
        }
    }
    let mut patience = IDLE;
    loop {
        let message = match queues.next(patience) {
            Given::Work(message) => pass(stage, intakes, message, Some(&mut patience)),
            Given::Question(question) => {
                stage.answer(question);
                continue;
            }
            Given::Nothing => {
                patience = stage.idle();
                match stage.fault() {
                    None => continue,
                    // Who is told ends the pipeline.
                    Some(error) => drop(to_writer.send(Err(error))),
                }
                break;
            }
            Given::End => break,
        };
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
    keeper: Option<&'a mut Keeper>,
    shared: Option<(&'a mut SharedState, &'a AtomicBool)>,
    fault: Option<StreamError>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(engine: &'a mut Engine, probe: &'a mut dyn Probe, reloads: Reloads, fills: Fills) -> Judge<'a> {
        let places = Places::new(reloads.readers());
        Judge { engine, probe, places, reloads, fills, keeper: None, shared: None, fault: None }
    }

    /// Lets a keeper have every input before it is judged. It knows partitions of sources with these intakes.
    pub(super) fn keeping(mut self, keeper: &'a mut Keeper, intakes: &[Intake]) -> Judge<'a> {
        for name in keeper.places() {
            let source = intakes
                .iter()
                .position(|intake| intake.name == name.source && intake.is_of_lines() == name.topic.is_empty());
            self.places.seed(source.map(|source| (source, intakes[source].local(name))));
        }
        self.keeper = Some(keeper);
        self
    }

    /// Judges over state that somebody else keeps, until that is over.
    pub(super) fn sharing(mut self, state: &'a mut SharedState, stop: &'a AtomicBool) -> Judge<'a> {
        self.shared = Some((state, stop));
        self
    }

    fn keep(&mut self, work: &mut Work, intake: &Intake) -> Result<(), StreamError> {
        let Judge { engine, places, keeper: Some(keeper), .. } = self else { return Ok(()) };
        if let Some((rules, files)) = work.again.as_mut().and_then(|again| again.rules.take()) {
            keeper.know_rules(&rules.hash, files);
            engine.reload(rules);
        }
        let partitions = work.notices.iter().map(|notice| {
            let (Notice::Assigned(partition) | Notice::Revoked(partition) | Notice::Tick(partition, _)) = notice;
            *partition
        });
        let lines = (!work.origin.lines.is_empty()).then_some(0);
        let partitions = partitions.chain(work.origin.runs.iter().map(|run| run.partition)).chain(lines);
        for partition in partitions.collect::<Vec<_>>() {
            places.of(work.source, partition);
        }
        for (source, partition) in places.beyond(keeper.places().count()) {
            debug_assert_eq!(source, work.source, "every place that history knows was read before");
            keeper.name_place(intake.place_name(partition))?;
        }
        let source = work.source;
        keeper.take_in(work, intake, |partition| places.of(source, partition))
    }
}

impl Stage for Judge<'_> {
    fn pass(&mut self, work: &mut Work, intake: &Intake) {
        if let Err(error) = self.keep(work, intake) {
            self.fault = Some(error);
            return;
        }
        self.reloads.derive_again(self.engine, work);
        let Judge { engine, places, shared, reloads, .. } = self;
        let judged = match shared {
            None => {
                place(places, work);
                take_notices(engine, work);
                engine.judge(&work.batch, &work.signals, &mut work.judgements);
                take_acts(engine, reloads, work)
            }
            Some((state, stop)) => {
                place(places, work);
                judge_shared(engine, state, places, intake, work, &|| stop.load(Ordering::Acquire))
            }
        };
        if let Err(error) = judged {
            self.fault = Some(error);
            return;
        }
        if !Arc::ptr_eq(&work.rules, engine.rules()) {
            work.rules = Arc::clone(engine.rules());
        }
        refuse_reused(places, intake, work);
    }

    fn answer(&mut self, question: Question) {
        question(self.engine);
    }

    fn fault(&mut self) -> Option<StreamError> {
        self.fault.take()
    }

    fn idle(&mut self) -> Duration {
        let reloads = self.reloads.take(self.engine);
        if !reloads.is_empty()
            && let Err(error) = self.reloads.cover(self.engine)
        {
            self.fault = Some(error);
        }
        if let Some((state, stop)) = &mut self.shared {
            let agreed =
                if reloads.is_empty() { Ok(()) } else { state.reloaded(self.engine, &|| stop.load(Ordering::Acquire)) };
            self.fault = agreed.and_then(|()| state.idle(self.engine)).err();
        }
        for (hash, files) in reloads {
            if let Some(keeper) = &mut self.keeper
                && let Err(error) = keeper.take_rules(&hash, files)
            {
                self.fault = Some(error);
            }
        }
        let filling = self.fills.step(self.engine, &mut self.places, &mut self.reloads);
        if let Some(keeper) = &mut self.keeper {
            if self.fills.take_ended() {
                // History is not in the journal.
                keeper.checkpoint_soon();
            }
            keeper.look(self.engine);
        }
        self.probe.look(self.engine);
        match filling {
            Filling::No if self.keeper.as_ref().is_some_and(|keeper| keeper.is_writing()) => IDLE_FILLING,
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
    /// By number: the source, and its own number; `None` for one whose source is not read any more.
    all: Vec<Option<(usize, u32)>>,
}

impl Places {
    pub(super) fn new(sources: usize) -> Places {
        Places { by_source: vec![Vec::new(); sources], all: Vec::new() }
    }

    /// Gives the next number to a place that is known from before.
    fn seed(&mut self, place: Option<(usize, u32)>) {
        match place {
            Some((source, partition)) => drop(self.of(source, partition)),
            None => self.all.push(None),
        }
    }

    /// The places with this number and higher ones.
    fn beyond(&self, number: usize) -> Vec<(usize, u32)> {
        self.all[number.min(self.all.len())..].iter().copied().flatten().collect()
    }

    pub(super) fn of(&mut self, source: usize, partition: u32) -> u32 {
        let known = &mut self.by_source[source];
        let local = partition as usize;
        if local >= known.len() {
            known.resize(local + 1, None);
        }
        *known[local].get_or_insert_with(|| {
            self.all.push(Some((source, partition)));
            self.all.len() as u32 - 1
        })
    }

    /// The source's own number of a partition that it was asked for before.
    fn local(&self, source: usize, place: u32) -> u32 {
        let found = self.by_source[source].iter().position(|known| *known == Some(place));
        found.map_or(0, |local| local as u32)
    }
}

/// Gives partitions the numbers that the engine knows them by.
fn place(places: &mut Places, work: &mut Work) {
    let source = work.source;
    for notice in &mut work.notices {
        let (Notice::Assigned(partition) | Notice::Revoked(partition) | Notice::Tick(partition, _)) = notice;
        *partition = places.of(source, *partition);
    }
    for event in &mut work.batch.events {
        event.position.partition = places.of(source, event.position.partition);
    }
}

fn take_notices(engine: &mut Engine, work: &mut Work) {
    for notice in &work.notices {
        match *notice {
            Notice::Assigned(partition) => engine.assign(partition),
            Notice::Revoked(partition) => engine.revoke(partition),
            Notice::Tick(partition, clock_ms) => engine.tick(partition, clock_ms),
        }
    }
    note_ticks(engine, work);
}

/// A work has acts or events.
fn take_acts(engine: &mut Engine, reloads: &mut Reloads, work: &mut Work) -> Result<(), StreamError> {
    if work.acts.is_empty() {
        return Ok(());
    }
    for (number, act) in work.acts.drain(..) {
        work.acted.push((number, engine.act(&act, &mut work.judgements)));
    }
    reloads.cover(engine)
}

fn note_ticks(engine: &mut Engine, work: &mut Work) {
    if work.notices.iter().any(|notice| matches!(notice, Notice::Tick(..))) {
        engine.pass_time(&mut work.judgements);
        engine.note_time(&mut work.judgements);
        engine.end_holds(&mut work.judgements);
    }
}

/// The same over shared state, where partitions go by their names.
fn judge_shared(
    engine: &mut Engine,
    state: &mut SharedState,
    places: &Places,
    intake: &Intake,
    work: &mut Work,
    is_over: &dyn Fn() -> bool,
) -> Result<(), StreamError> {
    let source = work.source;
    let name = |number: u32| {
        let name = intake.place_name(places.local(source, number));
        (format!("{}:{}/{}", name.source, name.topic, name.partition), !name.topic.is_empty())
    };
    for notice in &work.notices {
        match *notice {
            Notice::Assigned(partition) => {
                let (name, is_kept) = name(partition);
                state.assign(engine, (partition, &name, is_kept), is_over)?;
            }
            Notice::Revoked(partition) => state.revoke(engine, partition),
            Notice::Tick(partition, clock_ms) => engine.tick(partition, clock_ms),
        }
    }
    note_ticks(engine, work);
    let Work { batch, signals, judgements, .. } = work;
    state.judge(engine, (batch, signals), &name, judgements, is_over)
}

/// Dead letters for the events whose id belongs to another.
fn refuse_reused(places: &Places, intake: &Intake, work: &mut Work) {
    let judged = work.batch.events.iter().zip(&work.judgements.events);
    for (event, _) in judged.filter(|(_, judgement)| judgement.outcome == Outcome::IdReused) {
        if intake.is_inbox {
            // Who sent it is told.
            work.refusals.push(Refusal::new(event.position.offset, &Reason::IdReused));
            continue;
        }
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
