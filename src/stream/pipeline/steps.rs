//! A pipeline without threads: the same parts in the hands of whoever has them, who says which of them does its next step.
//!
//! For a test that draws the order in which things happen and can draw it again. A step is what one turn of a thread's loop is.

use std::sync::atomic::AtomicBool;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::engine_thread::{Judge, Stage as _, pass};
use super::reader::{Next, Reading};
use super::replay::{Passed, Replaying};
use super::work::Work;
use super::writer::{Committers, Writer};
use super::{Intake, Joined, Message, Threads, Written};
use crate::stream::StreamError;

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something was done.
    Done,
    /// There was nothing to do.
    Nothing,
    /// Somebody outside is waited for.
    Waits,
}

/// The parts of a pipeline. Dropped before [`Steps::end`], it is a process that was killed.
pub struct Steps<'a> {
    judge: Judge<'a>,
    intakes: Vec<Intake>,
    /// By source; `None`: it has ended.
    readings: Vec<Option<Reading>>,
    supplies: Vec<Receiver<Box<Work>>>,
    /// By source: a work that nothing came for.
    spare: Vec<Option<Box<Work>>>,
    /// `None`: everything was read again.
    replaying: Option<Replaying>,
    again: (Sender<Message>, Receiver<Message>),
    read: (Sender<Message>, Receiver<Message>),
    judged: (Sender<Message>, Receiver<Message>),
    writer: Writer<'a>,
    /// The writer waits for the cluster.
    waits: bool,
    committers: Committers,
    stop: &'a AtomicBool,
}

impl<'a> Steps<'a> {
    pub(super) fn new(judge: Judge<'a>, threads: Threads, written: Written<'a>) -> Result<Steps<'a>, StreamError> {
        let Threads { readers, renewed, mut replaying, commits, works_per_source, .. } = threads;
        let stop = written.stop;
        let Joined { writer, supplies, intakes, committers } =
            Joined::new(&readers, works_per_source, commits, written);
        if let Some(replaying) = &mut replaying {
            replaying.open_topics()?;
        }
        let spare = readers.iter().map(|_| None).collect();
        let readings = readers.into_iter().zip(renewed).map(|(reader, renewed)| reader.open(renewed).map(Some));
        Ok(Steps {
            judge,
            intakes,
            readings: readings.collect::<Result<_, _>>()?,
            supplies,
            spare,
            replaying,
            again: unbounded(),
            read: unbounded(),
            judged: unbounded(),
            writer,
            waits: false,
            committers,
            stop,
        })
    }

    /// Reads an entry of the journal again.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::run_keeping`](super::Pipeline::run_keeping), as all of these.
    pub fn replay(&mut self) -> Result<Step, StreamError> {
        let Some(replaying) = &mut self.replaying else { return Ok(Step::Nothing) };
        match replaying.step(&self.again.0, self.stop)? {
            Passed::Entry => {}
            Passed::End | Passed::Stopped => self.replaying = None,
        }
        Ok(Step::Done)
    }

    /// Whether something is still to be judged again.
    pub fn is_replaying(&self) -> bool {
        self.replaying.is_some() || !self.again.1.is_empty()
    }

    /// Reads from a source, if it has a work left, and shows what came.
    ///
    /// # Errors
    ///
    /// What the source says.
    pub fn read(&mut self, source: usize, seen: impl FnOnce(&Work)) -> Result<Step, StreamError> {
        let Some(reading) = &mut self.readings[source] else { return Ok(Step::Nothing) };
        let work = self.spare[source].take().or_else(|| self.supplies[source].try_recv().ok());
        let Some(mut work) = work else { return Ok(Step::Nothing) };
        let next = reading.fill(&mut work, self.stop)?;
        if next == Next::Last {
            self.readings[source] = None;
        }
        if matches!(next, Next::More | Next::Last) {
            seen(&work);
            self.read.0.send(Ok(work)).expect("the other end is here");
            return Ok(Step::Done);
        }
        self.spare[source] = Some(work);
        Ok(Step::Nothing)
    }

    /// Judges the next work, and shows it; what was judged before comes first.
    ///
    /// # Errors
    ///
    /// What the keeper says.
    pub fn judge(&mut self, seen: impl FnOnce(&Work)) -> Result<Step, StreamError> {
        let message = if self.is_replaying() {
            let Ok(message) = self.again.1.try_recv() else { return Ok(Step::Nothing) };
            pass(&mut self.judge, &self.intakes, message, None)
        } else {
            let Ok(message) = self.read.1.try_recv() else { return Ok(Step::Nothing) };
            pass(&mut self.judge, &self.intakes, message, Some(&mut Default::default()))
        };
        let work = message?;
        seen(&work);
        self.judged.0.send(Ok(work)).expect("the other end is here");
        Ok(Step::Done)
    }

    /// Lets the stage look around while no work comes.
    ///
    /// # Errors
    ///
    /// What the keeper says.
    pub fn idle(&mut self) -> Result<Step, StreamError> {
        if self.is_replaying() {
            return Ok(Step::Nothing);
        }
        self.judge.idle();
        self.judge.fault().map_or(Ok(Step::Done), Err)
    }

    /// Writes what came of the next work, or goes on with a commit.
    ///
    /// # Errors
    ///
    /// What a sink or the cluster says.
    pub fn write(&mut self) -> Result<Step, StreamError> {
        let mut step = Step::Done;
        if !self.waits {
            match self.judged.1.try_recv() {
                Ok(message) => self.writer.take(message?)?,
                Err(_) => {
                    step = Step::Nothing;
                    self.writer.rest()?;
                }
            }
        }
        self.waits = !self.writer.look()?;
        Ok(if self.waits { Step::Waits } else { step })
    }

    /// Whether everything that was read is written.
    pub fn is_drained(&self) -> bool {
        !self.is_replaying() && self.read.1.is_empty() && self.judged.1.is_empty() && !self.waits
    }

    /// Nothing more is read: what is left is to be committed by [`Steps::write`]. To be called once everything is drained.
    ///
    /// # Errors
    ///
    /// What a sink says.
    pub fn last(&mut self) -> Result<(), StreamError> {
        self.judge.end();
        self.writer.take_last()?;
        self.waits = true;
        Ok(())
    }

    /// Leaves the groups.
    ///
    /// # Errors
    ///
    /// What a cluster says.
    pub fn end(self) -> Result<(), StreamError> {
        Joined::close(&self.committers)
    }
}
