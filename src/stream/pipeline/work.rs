//! What goes round in the pipeline: a batch with everything that is made of it, used again and again.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::answer::{Refusal, Waiting};
use crate::alerts::AlertLines;
use crate::engine::{ActOutcome, Judgements, Outcome, write_verdict};
use crate::event::{Act, DeadLetter, EventBatch, Position, Signals};
use crate::ruleset::program::RuleSet;
use crate::signals::Wanted;
use crate::stream::journal::RuleFiles;
use crate::stream::kafka::{BatchEnd, BatchRun, Revocation};

/// What a source says beside events, in the order of the log. Its partition is the source's own number up to the engine
/// and the engine's from there on, as in the positions of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A partition comes into use.
    Assigned(u32),
    /// A partition goes out of use.
    Revoked(u32),
    /// A partition was read to its end at this reading of the clock, in milliseconds since the Unix epoch.
    Tick(u32, i64),
}

/// Inputs that are no valid events, as the lines that are written of them.
#[derive(Debug, Default)]
pub struct DeadLetters {
    lines: Vec<u8>,
    letters: Vec<Letter>,
}

/// Where one dead letter lies in the lines, its line feed left out.
#[derive(Debug)]
struct Letter {
    at: Position,
    start: usize,
    end: usize,
    code: &'static str,
}

impl DeadLetters {
    /// Adds an input that was refused, and its place in its source.
    pub(super) fn push(&mut self, at: Position, letter: &DeadLetter<'_>) {
        let start = self.lines.len();
        letter.write(&mut self.lines);
        self.letters.push(Letter { at, start, end: self.lines.len() - 1, code: letter.reason.code() });
    }

    /// Puts them into the order of the source: refused lines, parser and engine each add theirs in a round of their own.
    pub(super) fn sort(&mut self) {
        self.letters.sort_by_key(|letter| letter.at);
    }

    /// The lines, without line feeds, each with its reason's code.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &'static str)> {
        self.letters.iter().map(|letter| (&self.lines[letter.start..letter.end], letter.code))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    fn clear(&mut self) {
        self.lines.clear();
        self.letters.clear();
    }
}

/// The verdicts of a batch as lines of JSON.
#[derive(Debug, Default)]
pub struct VerdictLines {
    /// The lines, with their line feeds.
    pub(super) text: Vec<u8>,
    /// For each line: where it ends, its line feed included, and its event's place in the batch.
    ends: Vec<(usize, usize)>,
}

impl VerdictLines {
    /// Adds a line, given without its line feed, and its event's place in the batch.
    pub fn push(&mut self, line: &[u8], event: usize) {
        self.text.extend_from_slice(line);
        self.end_line(event);
    }

    /// Ends the line that was written to the text.
    pub(super) fn end_line(&mut self, event: usize) {
        self.text.push(b'\n');
        self.ends.push((self.text.len(), event));
    }

    /// All lines, with their line feeds.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The lines, without line feeds, each with its event's place in the batch.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], usize)> {
        let mut start = 0;
        self.ends.iter().map(move |(end, event)| (&self.text[std::mem::replace(&mut start, *end)..*end - 1], *event))
    }
}

/// Where events came from.
#[derive(Debug, Default)]
pub(super) struct Origin {
    /// Records, in order, with the source's numbers of partitions.
    pub(super) runs: Vec<BatchRun>,
    /// Where lines lie in the batch's input, each with its number.
    pub(super) lines: Vec<(Range<usize>, u64)>,
    /// The clock when they came, in milliseconds since the Unix epoch.
    pub(super) clock_ms: i64,
}

/// A work that was judged before, by a process that did not come to its end.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// What came of it is out, and is not written again.
    pub(super) is_out: bool,
    /// The rule set that takes over before it, and its files.
    pub(super) rules: Option<(Arc<RuleSet>, RuleFiles)>,
}

/// One batch on its way.
#[derive(Debug, Default)]
pub struct Work {
    /// The source it came from, by its place in the pipeline.
    pub source: usize,
    /// When it was read.
    pub arrived: Option<Instant>,
    /// What the source said before the events.
    pub notices: Vec<Notice>,
    /// The valid events.
    pub batch: EventBatch,
    /// What was derived of them.
    pub signals: Vec<Signals>,
    /// What they were derived for.
    pub wanted: Wanted,
    /// What people do, each with its number in its source.
    pub(super) acts: Vec<(u64, Act)>,
    /// What came of it, in the same order.
    pub(super) acted: Vec<(u64, ActOutcome)>,
    /// What the engine says of them.
    pub judgements: Judgements,
    /// The rule set that they were judged by.
    pub rules: Arc<RuleSet>,
    /// From which of its changes of decisions on they are written.
    pub(super) told_from: usize,
    /// The same as lines.
    pub verdicts: VerdictLines,
    /// What there is to tell of alerts.
    pub alerts: AlertLines,
    /// What was refused.
    pub dead_letters: DeadLetters,
    /// Places to commit once everything that came of the batch is safe.
    pub ends: Vec<BatchEnd>,
    /// Who waits for what becomes of its events.
    pub(super) waiting: Vec<Waiting>,
    /// Which of these are not valid, and why.
    pub(super) refusals: Vec<Refusal>,
    /// Where its events came from, as a journal keeps it.
    pub(super) origin: Origin,
    /// What of its journey is not that of a work that was just read; `None`: nothing.
    pub(super) again: Option<Again>,
    /// The number of the journal's entry behind its own; 0 without a journal.
    pub(super) entry: u64,
    /// Partitions that another member waits for: it is dropped once everything before it is committed.
    pub(super) revocation: Option<Revocation>,
}

impl Work {
    /// Writes the verdicts of the engine as lines; an event whose id belongs to another has none.
    pub(super) fn write_verdicts(&mut self) {
        let judged = self.batch.events.iter().zip(&self.judgements.events).enumerate();
        for (at, (event, judgement)) in judged.filter(|(_, (_, judgement))| judgement.outcome != Outcome::IdReused) {
            let line = &mut self.verdicts.text;
            write_verdict(line, &self.batch, event, judgement, &self.judgements, &self.rules.hash);
            self.verdicts.end_line(at);
        }
    }

    /// The number of the journal's entry behind its own; 0 without a journal.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// Whether what came of it is out already.
    pub(super) fn is_out(&self) -> bool {
        self.again.as_ref().is_some_and(|again| again.is_out)
    }

    /// Forgets everything but the memory.
    pub(super) fn clear(&mut self) {
        self.arrived = None;
        self.notices.clear();
        self.batch.clear();
        self.signals.clear();
        self.acts.clear();
        self.acted.clear();
        self.judgements.clear();
        self.told_from = 0;
        self.verdicts.text.clear();
        self.verdicts.ends.clear();
        self.alerts.clear();
        self.dead_letters.clear();
        self.ends.clear();
        self.waiting.clear();
        self.refusals.clear();
        self.origin.runs.clear();
        self.origin.lines.clear();
        self.again = None;
        self.entry = 0;
        self.revocation = None;
    }
}
