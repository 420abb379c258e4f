//! Outputs and the places of their inputs in one transaction of a cluster: who reads what is committed sees each output once.
//!
//! What was sent is kept until its transaction is committed, so that one that the cluster has lost can be made again. Bounded:
//! past [`BYTES_MAX`] or [`RECORDS_MAX`] it is committed before its time.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::keep::Kept;
use super::work::Work;
use super::writer::{Alerting, Committers, Sinks, last_outputs};
use crate::event::Field;
use crate::state::planted::{Defect, is_planted};
use crate::stream::journal::{Entry, Journal, Line, records};
use crate::stream::kafka::{BatchEnd, KafkaSink, Unfinished};
use crate::stream::log::{Subscription, Transactions};
use crate::stream::{Sink, StreamError};

/// How many bytes of outputs wait for a commit at most, but for those of one work.
const BYTES_MAX: usize = 16 << 20;
/// How many outputs wait for a commit at most, but for those of one work.
const RECORDS_MAX: usize = 50_000;
/// How many tries the last outputs get once the process shall end: some 10 s where nobody answers.
const LAST_TRIES_MAX: u32 = 20;
/// How many sinks there are, by number.
const SINKS: usize = 5;
/// The number of that of decisions.
pub(super) const DECISIONS: usize = 4;

/// Where entries of the journal go, with the outputs that came of them.
#[derive(Clone, Debug)]
pub struct Shipping {
    /// A topic of the producer, with one partition.
    pub topic: KafkaSink,
    /// The line that they belong to.
    pub line: Line,
}

/// An output that is not committed: where its key and its line lie.
#[derive(Debug)]
struct Output {
    key: Range<usize>,
    line: Range<usize>,
}

/// The outputs and places of one transaction.
pub(super) struct Together<'a> {
    producer: Box<dyn Transactions>,
    shipping: Option<Shipping>,
    committers: Committers,
    /// `None`: somebody else keeps the state, and others may go on with partitions.
    journal: Option<Arc<Journal>>,
    kept: Arc<Kept>,
    stop: &'a AtomicBool,
    bytes: Vec<u8>,
    /// Verdicts, dead letters, alerts, what refguard itself says, decisions.
    outputs: [Vec<Output>; SINKS],
    /// How many of each were sent.
    sent: [usize; SINKS],
    /// By source.
    ends: Vec<Vec<BatchEnd>>,
    has_begun: bool,
    /// By source: its places are in the transaction.
    added: Vec<bool>,
    /// Entries below this number are in the transaction.
    sent_below: u64,
    /// The number of the entry behind the last work.
    through: u64,
    /// Whether lines are among the inputs: what is out of them stands in the journal.
    has_lines: bool,
    stage: Stage,
    /// How often was tried since the end was asked for.
    last_tries: u32,
}

/// What a transaction is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It takes outputs.
    Open,
    /// It is to be committed before anything else is taken.
    Ending,
    /// It was lost, and is to be undone and made again.
    Undoing,
}

impl<'a> Together<'a> {
    pub(super) fn new(
        (producer, shipping): (Box<dyn Transactions>, Option<Shipping>),
        committers: Committers,
        journal: Option<Arc<Journal>>,
        kept: Arc<Kept>,
        stop: &'a AtomicBool,
    ) -> Together<'a> {
        Together {
            producer,
            shipping,
            journal,
            kept,
            stop,
            bytes: Vec::new(),
            outputs: Default::default(),
            sent: [0; SINKS],
            ends: vec![Vec::new(); committers.len()],
            has_begun: false,
            added: vec![false; committers.len()],
            sent_below: 0,
            through: 0,
            has_lines: committers.iter().any(Option::is_none),
            committers,
            stage: Stage::Open,
            last_tries: 0,
        }
    }

    /// Whether it is to be committed before anything else is taken.
    pub(super) fn is_ending(&self) -> bool {
        self.stage != Stage::Open
    }

    /// Wants it to be committed.
    pub(super) fn want_end(&mut self) {
        if self.stage == Stage::Open {
            self.stage = Stage::Ending;
        }
    }

    /// Wants everything to be committed: nothing more comes, and nothing more is judged.
    pub(super) fn want_last(&mut self) {
        self.through = self.through.max(self.journal.as_ref().map_or(0, |journal| journal.next()));
        self.want_end();
    }

    /// Takes what came of a work, and sends it.
    pub(super) fn take(&mut self, sinks: &mut Sinks, work: &mut Work) -> Result<(), StreamError> {
        self.through = self.through.max(work.entry);
        for (key, line, is_end) in work.told() {
            self.put(DECISIONS, key, line);
            if is_end {
                self.put(DECISIONS, key, &[]);
            }
        }
        if work.is_out() {
            return Ok(());
        }
        for (line, event) in work.verdicts.iter() {
            self.put(0, work.batch.field(&work.batch.events[event], Field::AccountId), line);
        }
        for (line, _) in work.dead_letters.iter() {
            self.put(1, "", line);
        }
        if sinks.alerts.as_ref().is_some_and(|alerting| alerting.sink.is_some()) {
            for (id, line) in work.alerts.iter() {
                self.put(2, id, line);
            }
        }
        let ends = &mut self.ends[work.source];
        for end in work.ends.drain(..) {
            match ends.iter_mut().find(|known| known.partition == end.partition) {
                Some(known) => *known = end,
                None => ends.push(end),
            }
        }
        match self.send(sinks) {
            Ok(()) => {}
            Err(Unfinished::Ended(error)) => return Err(error),
            Err(Unfinished::Lost(_) | Unfinished::Again(_)) => self.want_end(),
        }
        let records: usize = self.outputs.iter().map(Vec::len).sum();
        if self.bytes.len() >= BYTES_MAX || records >= RECORDS_MAX {
            self.want_end();
        }
        Ok(())
    }

    /// Adds an output.
    pub(super) fn put(&mut self, sink: usize, key: &str, line: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key.as_bytes());
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(line);
        self.outputs[sink].push(Output { key: start..middle, line: middle..self.bytes.len() });
    }

    fn is_empty(&self) -> bool {
        self.outputs.iter().all(Vec::is_empty) && self.ends.iter().all(Vec::is_empty)
    }

    /// Begins a transaction where none was.
    fn begin(&mut self) -> Result<(), Unfinished> {
        if !self.has_begun {
            self.producer.begin()?;
            self.has_begun = true;
        }
        Ok(())
    }

    /// Sends what was not sent.
    fn send(&mut self, sinks: &mut Sinks) -> Result<(), Unfinished> {
        if self.is_empty() {
            return Ok(());
        }
        if is_planted(Defect::PlacesEarly) && !self.ends.iter().all(Vec::is_empty) {
            return Ok(());
        }
        self.begin()?;
        for (at, outputs) in self.outputs.iter().enumerate() {
            let Some(Sink::Kafka(topic)) = sinks.at(at) else { continue };
            let unsent = &outputs[self.sent[at]..];
            let text = |range: &Range<usize>| &self.bytes[range.clone()];
            let key = |output: &Output| std::str::from_utf8(text(&output.key)).unwrap_or_default();
            let records: Vec<(&str, &[u8])> = unsent.iter().map(|output| (key(output), text(&output.line))).collect();
            topic.write_all(&mut records.into_iter()).map_err(lost)?;
            self.sent[at] = outputs.len();
        }
        Ok(())
    }

    /// Goes on with what is wanted, as far as that comes without waiting. `false`: the cluster is waited for. It is waited for
    /// as long as it takes, but not once the process shall end.
    pub(super) fn step(&mut self, sinks: &mut Sinks) -> Result<bool, StreamError> {
        if self.is_empty() && self.stage == Stage::Ending && self.has_shipped() {
            self.settle();
            self.stage = Stage::Open;
        }
        if let Some(journal) = self.journal.as_ref().filter(|_| self.stage == Stage::Ending)
            && journal.synced() < self.through
        {
            journal.sync()?;
        }
        while self.stage != Stage::Open {
            let tried = match self.stage {
                Stage::Undoing => self.producer.undo().map(|()| self.restart()),
                _ => self.try_commit(sinks),
            };
            match tried {
                Ok(()) if self.stage == Stage::Ending => self.committed(sinks)?,
                Ok(()) => {
                    self.stage = Stage::Ending;
                    return self.wait();
                }
                Err(Unfinished::Ended(error)) => return Err(error),
                Err(Unfinished::Lost(why)) if self.stage == Stage::Ending => {
                    // What cannot be delivered at all would be lost again and again.
                    self.producer.delivered().map(drop).or_else(|error| lost(error).into_end())?;
                    tracing::warn!(why, "a transaction is made again");
                    self.kept.undone.fetch_add(1, Ordering::Relaxed);
                    self.stage = Stage::Undoing;
                }
                Err(Unfinished::Again(why) | Unfinished::Lost(why)) => {
                    tracing::debug!(why, "a transaction waits");
                    return self.wait();
                }
            }
        }
        Ok(true)
    }

    /// What was taken is committed.
    fn committed(&mut self, sinks: &mut Sinks) -> Result<(), StreamError> {
        self.kept.commits.fetch_add(1, Ordering::Relaxed);
        self.write_lines(sinks)?;
        self.bytes.clear();
        self.outputs.iter_mut().for_each(Vec::clear);
        self.ends.iter_mut().for_each(Vec::clear);
        self.restart();
        self.journal.iter().for_each(|journal| journal.note_shipped(self.through));
        self.settle();
        (self.stage, self.last_tries) = (Stage::Open, 0);
        if let Some(journal) = self.journal.as_ref().filter(|_| self.has_lines) {
            journal.add(&Entry::Written(self.through))?;
        }
        Ok(())
    }

    /// Sends the entries of the journal that belong to the transaction and were not sent.
    fn ship(&mut self) -> Result<(), Unfinished> {
        let Some(Shipping { topic, line }) = self.shipping.clone() else { return Ok(()) };
        if self.sent_below >= self.through {
            return Ok(());
        }
        self.begin()?;
        let Some(journal) = &self.journal else { return Ok(()) };
        for (number, payload) in journal.unshipped(self.through) {
            for record in records(line, number, &payload) {
                topic.write_to(0, &[], &record).map_err(lost)?;
            }
        }
        self.sent_below = self.through;
        Ok(())
    }

    /// Whether nothing of the journal is still to be sent.
    fn has_shipped(&self) -> bool {
        self.journal.as_ref().is_none_or(|journal| journal.has_shipped(self.through))
    }

    /// What was taken is out.
    fn settle(&self) {
        self.journal.iter().for_each(|journal| journal.settle(self.through));
    }

    /// Partitions are gone, taken from us: what came of them is another's to tell, and nothing of it may be committed.
    pub(super) fn lose(&self) -> Result<(), StreamError> {
        if self.journal.is_some() || self.is_empty() {
            return Ok(());
        }
        Err(partitions_gone())
    }

    fn try_commit(&mut self, sinks: &mut Sinks) -> Result<(), Unfinished> {
        if is_planted(Defect::PlacesEarly) && !self.ends.iter().all(Vec::is_empty) {
            return self.commit_places_alone();
        }
        self.send(sinks)?;
        self.ship()?;
        for (at, (committer, ends)) in self.committers.iter().zip(&self.ends).enumerate() {
            let Some(source) = committer.as_ref().filter(|_| !ends.is_empty() && !self.added[at]) else { continue };
            self.added[at] = match self.producer.add_places(&**source, ends) {
                // Whoever is not in the group comes back to it, but without what others have then.
                Err(Unfinished::Again(_)) if self.journal.is_none() && !source.are_ours(ends) => return Err(gone()),
                added => added.map(|()| true)?,
            };
        }
        // Asked once the places are added: they were sent as the member that has had the partitions until now, and whoever gets
        // one later waits for this transaction.
        let are_others = |(source, ends): (&Option<_>, &Vec<BatchEnd>)| {
            let source: Option<&Arc<dyn Subscription>> = source.as_ref();
            !ends.is_empty() && source.is_some_and(|source| !source.are_ours(ends))
        };
        if self.journal.is_none() && self.committers.iter().zip(&self.ends).any(are_others) {
            return Err(gone());
        }
        self.producer.end()
    }

    /// What must never be: the outputs are left for another transaction.
    fn commit_places_alone(&mut self) -> Result<(), Unfinished> {
        if !self.has_begun {
            self.producer.begin()?;
            self.has_begun = true;
        }
        for (committer, ends) in self.committers.iter().zip(&self.ends).filter(|(_, ends)| !ends.is_empty()) {
            committer.as_ref().map_or(Ok(()), |source| self.producer.add_places(&**source, ends))?;
        }
        self.producer.end()?;
        self.ends.iter_mut().for_each(Vec::clear);
        self.restart();
        Err(Unfinished::Again("the outputs come later".to_owned()))
    }

    fn restart(&mut self) {
        self.has_begun = false;
        self.sent = [0; SINKS];
        self.sent_below = 0;
        self.added.fill(false);
    }

    fn wait(&mut self) -> Result<bool, StreamError> {
        if self.stop.load(Ordering::Acquire) {
            self.last_tries += 1;
        }
        if self.last_tries > LAST_TRIES_MAX { Err(last_outputs()) } else { Ok(false) }
    }

    /// What does not go to the cluster follows what does.
    fn write_lines(&self, sinks: &mut Sinks) -> Result<(), StreamError> {
        for (at, outputs) in self.outputs.iter().enumerate() {
            let Some(Sink::Lines(lines)) = sinks.at(at) else { continue };
            let written = outputs.iter().filter(|output| !output.line.is_empty());
            written.map(|output| &self.bytes[output.line.clone()]).try_for_each(|line| lines.write_line(line))?;
            lines.flush()?;
        }
        Ok(())
    }
}

/// A record that could not be written: the others of its transaction are lost with it, unless nobody can ever write it.
fn lost(error: StreamError) -> Unfinished {
    match error {
        StreamError::Kafka { doing, detail } => Unfinished::Lost(format!("{doing}: {detail}")),
        error => Unfinished::Ended(error),
    }
}

impl Unfinished {
    fn into_end(self) -> Result<(), StreamError> {
        match self {
            Unfinished::Ended(error) => Err(error),
            Unfinished::Again(_) | Unfinished::Lost(_) => Ok(()),
        }
    }
}

impl Sinks {
    /// Verdicts, dead letters, alerts, what refguard itself says, decisions.
    fn at(&mut self, at: usize) -> Option<&mut Sink> {
        match at {
            0 => Some(&mut self.verdicts),
            1 => Some(&mut self.dead_letters),
            2 => self.alerts.as_mut().and_then(|Alerting { sink, .. }| sink.as_mut()),
            3 => self.events.as_mut(),
            _ => self.decisions.as_mut().and_then(|telling| telling.sink.as_mut()),
        }
    }
}

/// Partitions went to another member before what came of them was committed: the transaction is left open, and undone when this
/// instance starts again.
fn partitions_gone() -> StreamError {
    StreamError::Kafka {
        doing: "committing the last outputs of partitions that went to another member".to_owned(),
        detail: "they went before".to_owned(),
    }
}

fn gone() -> Unfinished {
    Unfinished::Ended(partitions_gone())
}
