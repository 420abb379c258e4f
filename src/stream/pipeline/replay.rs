//! What was judged after the last checkpoint, judged again in the order of the journal, before anything new is.
//!
//! Works go the way of all works; those whose outputs are out are not written. Records are read again from their topics, so
//! each must still be there; lines have their bytes in the journal. It reads in a thread of its own.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crossbeam_channel::Sender;

use super::Message;
use super::reader::{Conversion, Reader};
use super::work::{Again, Notice, Work};
use crate::engine::wanted_after;
use crate::event::{ParseOptions, Parser};
use crate::ruleset::program::RuleSet;
use crate::signals::{Deriver, SignalConfig, Wanted};
use crate::stream::StreamError;
use crate::stream::journal::{self, Mark, PlaceName, Run, Stored};
use crate::stream::kafka::{BatchEnd, BatchRun, PartitionName, RecordBatch};
use crate::stream::log::{Log, Rereader};

/// What to do where the configuration does not know what was read.
const UNCONFIGURED: &str = "start once with the configuration of before, end it, and change it then";

/// One of the engine's partitions.
#[derive(Clone, Debug)]
pub struct ReplayPlace {
    /// What it is called outside.
    pub name: PlaceName,
    /// The offset of the first record that is read again; `None`: none is.
    pub first: Option<u64>,
    /// What came of records below this offset is out.
    pub out_below: u64,
}

/// Makes a rule set of its hash and its files.
pub type RulesOf = Box<dyn FnMut(&str, &[(String, String)]) -> Result<Arc<RuleSet>, StreamError> + Send>;

/// What is judged again.
pub struct Replay {
    /// The entries.
    pub entries: journal::Again,
    /// The engine's partitions, by its numbers.
    pub places: Vec<ReplayPlace>,
    /// What came of lines in entries below this number is out.
    pub lines_out_below: u64,
    /// What time alone brought about in entries below this number is out. What came of later ones may be: nothing that is
    /// committed tells, so it is said again, with the ids that it had.
    pub marks_out_below: u64,
    /// The topics of sources that have them, by the index of their reader.
    pub topics: Vec<(usize, Arc<dyn Log>)>,
    /// What is derived for the rules that the engine begins with.
    pub wanted: Wanted,
    /// What signals need.
    pub signals: SignalConfig,
    /// Makes rule sets that took over.
    pub rules_of: RulesOf,
}

/// A source in the replay.
struct Source {
    name: String,
    conversion: Conversion,
    kafka: Option<Box<dyn Rereader>>,
}

/// A replay that is under way.
pub(super) struct Replaying {
    replay: Replay,
    sources: Vec<Source>,
    /// By the engine's number: the source's index, and its own number; `None` where it is not configured.
    located: Vec<Option<(usize, u32)>>,
    deriver: Deriver,
    monotonic: fn() -> Instant,
    records: RecordBatch,
    /// How many events were judged again.
    events: u64,
}

/// Nobody takes works any more, or the end was asked for.
struct Stopped;

/// How far a replay came.
pub(super) enum Passed {
    /// There was an entry, and there may be more.
    Entry,
    /// There is no more.
    End,
    /// Nobody takes works any more, or the end was asked for.
    Stopped,
}

type Step = Result<Result<(), Stopped>, StreamError>;

impl Replaying {
    /// Makes it ready for a pipeline with these readers.
    pub(super) fn new(replay: Replay, readers: &[Reader]) -> Result<Replaying, StreamError> {
        let mut sources = Vec::new();
        for reader in readers {
            let conversion = Conversion {
                intake: reader.intake(),
                parser: Parser::new(ParseOptions::default()),
                mapping: reader.mapping.clone(),
                wall_clock_ms: reader.wall_clock_ms,
                monotonic: reader.monotonic,
            };
            sources.push(Source { name: reader.name.clone(), conversion, kafka: None });
        }
        let locate = |place: &ReplayPlace| {
            let index = sources.iter().position(|source| source.name == place.name.source)?;
            let intake = &sources[index].conversion.intake;
            let fits = place.name.topic.is_empty() == intake.is_of_lines();
            fits.then(|| (index, intake.local(&place.name)))
        };
        let located = replay.places.iter().map(locate).collect();
        let deriver = deriver(replay.wanted, &replay.signals)?;
        let Some(monotonic) = readers.first().map(|reader| reader.monotonic) else {
            let detail = "there is no source any more".to_owned();
            return Err(StreamError::Recovery { detail, hint: UNCONFIGURED });
        };
        Ok(Replaying { replay, sources, located, deriver, monotonic, records: RecordBatch::default(), events: 0 })
    }

    /// Reads to the end of the journal; sets `whole` there.
    pub(super) fn run(mut self, out: &Sender<Message>, whole: &AtomicBool, stop: &AtomicBool) {
        match self.follow(out, stop) {
            Ok(Passed::End) => {
                tracing::info!(events = self.events, "what the last run judged after its checkpoint was judged again");
                whole.store(true, Ordering::Release);
            }
            Ok(Passed::Entry | Passed::Stopped) => {}
            // The queue is gone only when the writer has failed, which is told first.
            Err(error) => drop(out.send(Err(error))),
        }
    }

    fn follow(&mut self, out: &Sender<Message>, stop: &AtomicBool) -> Result<Passed, StreamError> {
        self.open_topics()?;
        loop {
            if stop.load(Ordering::Acquire) {
                return Ok(Passed::Stopped);
            }
            match self.step(out, stop)? {
                Passed::Entry => {}
                passed => return Ok(passed),
            }
        }
    }

    /// Passes on what the next entry says.
    pub(super) fn step(&mut self, out: &Sender<Message>, stop: &AtomicBool) -> Result<Passed, StreamError> {
        let entry = self.replay.entries.read_next().map_err(|error| StreamError::Recovery {
            detail: error.to_string(),
            hint: "restore `state.path` from a copy",
        })?;
        let Some((number, entry)) = entry else { return Ok(Passed::End) };
        let passed = match entry {
            Stored::Place(..) | Stored::Written(_) => Ok(()),
            Stored::Rules { hash, files } => self.pass_rules(number, &hash, files, out)?,
            Stored::Records { marks, runs, clock_ms } => {
                self.pass_records(number, &marks, &runs, clock_ms, out, stop)?
            }
            Stored::Lines { marks, place, clock_ms, lines } => {
                self.pass_lines(number, &marks, place, clock_ms, &lines, out)?
            }
        };
        Ok(if passed.is_ok() { Passed::Entry } else { Passed::Stopped })
    }

    /// Opens what is read again; first of all.
    pub(super) fn open_topics(&mut self) -> Result<(), StreamError> {
        for (index, log) in &self.replay.topics {
            let starts: Vec<(u32, PartitionName, u64)> = self
                .located
                .iter()
                .zip(&self.replay.places)
                .filter_map(|(located, place)| {
                    let (_, local) = located.filter(|(source, _)| source == index)?;
                    let name = PartitionName { topic: place.name.topic.clone(), partition: place.name.partition };
                    Some((local, name, place.first?))
                })
                .collect();
            if !starts.is_empty() {
                self.sources[*index].kafka = Some(log.read_again(&starts)?);
            }
        }
        Ok(())
    }

    fn locate(&self, place: u32) -> Result<(usize, u32), StreamError> {
        let found = self.located.get(place as usize).copied().flatten();
        found.ok_or_else(|| {
            let known = self.replay.places.get(place as usize);
            let name =
                known.map_or_else(|| "?".to_owned(), |known| format!("{} ({})", known.name.source, known.name.topic));
            StreamError::Recovery { detail: format!("what was read of {name} is not configured"), hint: UNCONFIGURED }
        })
    }

    /// A work of a source, to be judged after what these marks say.
    fn work(&self, source: usize, number: u64, marks: &[Mark]) -> Result<Box<Work>, StreamError> {
        let mut work = Box::new(Work { source, entry: number + 1, ..Work::default() });
        for mark in marks {
            let notice = match *mark {
                Mark::Assigned(place) => Notice::Assigned(self.locate(place)?.1),
                Mark::Revoked(place) => Notice::Revoked(self.locate(place)?.1),
                Mark::Tick(place, clock_ms) => Notice::Tick(self.locate(place)?.1, clock_ms),
            };
            work.notices.push(notice);
        }
        Ok(work)
    }

    fn send(&mut self, mut work: Box<Work>, is_out: bool, out: &Sender<Message>) -> Result<(), Stopped> {
        work.again.get_or_insert_default().is_out = is_out;
        self.deriver.derive(&mut work.batch, &mut work.signals);
        work.wanted = self.deriver.wanted();
        self.events += work.batch.events.len() as u64;
        out.send(Ok(work)).map_err(|_| Stopped)
    }

    fn pass_rules(&mut self, number: u64, hash: &str, files: Vec<(String, String)>, out: &Sender<Message>) -> Step {
        let rules = (self.replay.rules_of)(hash, &files)?;
        let wanted = wanted_after(self.deriver.wanted(), &rules);
        self.deriver = deriver(wanted, &self.replay.signals)?;
        let mut work = self.work(0, number, &[])?;
        work.again = Some(Again { is_out: true, rules: Some((rules, files)) });
        Ok(self.send(work, true, out))
    }

    fn pass_records(
        &mut self,
        number: u64,
        marks: &[Mark],
        runs: &[Run],
        clock_ms: i64,
        out: &Sender<Message>,
        stop: &AtomicBool,
    ) -> Step {
        let of = marks.iter().map(|mark| {
            let (Mark::Assigned(place) | Mark::Revoked(place) | Mark::Tick(place, _)) = mark;
            *place
        });
        let Some(first) = of.chain(runs.iter().map(|run| run.place)).next() else { return Ok(Ok(())) };
        let (source, _) = self.locate(first)?;
        let mut work = self.work(source, number, marks)?;
        work.origin.clock_ms = clock_ms;
        self.records.restart();
        // A work is out as a whole, or as a whole it is not.
        let mut current = None;
        for run in runs {
            let out_below = self.replay.places.get(run.place as usize).map_or(0, |place| place.out_below);
            for (part, is_out) in parts(run, out_below) {
                if current.is_some_and(|current| current != is_out) {
                    let mut next = self.work(source, number, &[])?;
                    next.origin.clock_ms = clock_ms;
                    // What follows belongs to the same entry: only its last work has all of it.
                    let mut before = std::mem::replace(&mut work, next);
                    before.entry = number;
                    if self.send_records(before, current == Some(true), out).is_err() {
                        return Ok(Err(Stopped));
                    }
                }
                current = Some(is_out);
                if !self.read(source, run, part, &mut work, stop)? {
                    return Ok(Err(Stopped));
                }
            }
        }
        let is_out = current.unwrap_or(number < self.replay.marks_out_below);
        Ok(self.send_records(work, is_out, out))
    }

    /// Sends a work with the records that were read for it.
    fn send_records(&mut self, mut work: Box<Work>, is_out: bool, out: &Sender<Message>) -> Result<(), Stopped> {
        let now = (self.monotonic)();
        self.sources[work.source].conversion.take_records(&mut self.records, now, &mut work);
        self.records.restart();
        self.send(work, is_out, out)
    }

    /// Reads the records of a run whose offsets are in a range, for a work.
    fn read(
        &mut self,
        source: usize,
        run: &Run,
        part: Range<u64>,
        work: &mut Work,
        stop: &AtomicBool,
    ) -> Result<bool, StreamError> {
        let (_, partition) = self.locate(run.place)?;
        let Source { kafka: Some(kafka), .. } = &mut self.sources[source] else {
            let detail = "what was read of a topic is lines by now".to_owned();
            return Err(StreamError::Recovery { detail, hint: UNCONFIGURED });
        };
        let is_whole = part == (run.first..run.next);
        let wanted = BatchRun { partition, first: part.start, next: part.end, records: run.records };
        if !kafka.read(&wanted, is_whole, &mut self.records, stop)? {
            return Ok(false);
        }
        work.origin.runs.push(wanted);
        let end = BatchEnd { partition, next_offset: part.end, generation: u64::MAX };
        match work.ends.iter_mut().find(|known| known.partition == partition) {
            Some(known) => *known = end,
            None => work.ends.push(end),
        }
        Ok(true)
    }

    fn pass_lines(
        &mut self,
        number: u64,
        marks: &[Mark],
        place: u32,
        clock_ms: i64,
        lines: &[(String, u64)],
        out: &Sender<Message>,
    ) -> Step {
        let (source, _) = self.locate(place)?;
        let is_out = number < self.replay.lines_out_below;
        let mut work = self.work(source, number, marks)?;
        work.origin.clock_ms = clock_ms;
        for (text, line) in lines {
            let start = work.batch.input.len();
            work.batch.input.push_str(text);
            work.origin.lines.push((start..work.batch.input.len(), *line));
        }
        self.sources[source].conversion.take_lines(&mut work);
        Ok(self.send(work, is_out, out))
    }
}

/// The parts of a run that are out, and that are not.
fn parts(run: &Run, out_below: u64) -> impl Iterator<Item = (Range<u64>, bool)> {
    let cut = out_below.clamp(run.first, run.next);
    [(run.first..cut, true), (cut..run.next, false)].into_iter().filter(|(part, _)| !part.is_empty())
}

fn deriver(wanted: Wanted, signals: &SignalConfig) -> Result<Deriver, StreamError> {
    Deriver::new(wanted, signals).map_err(|error| StreamError::Recovery {
        detail: error.to_string(),
        hint: "mend the files that `signals` names",
    })
}
