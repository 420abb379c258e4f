//! The thread of a source: reads, parses and derives; what is not valid becomes a dead letter here.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::Message;
use super::line_thread::{LineInput, Lines};
use super::work::{Notice, Work};
use crate::event::mapping::Mapping;
use crate::event::{Act, DeadLetter, MessageMode, Parser, Place, Position, Reason, is_array};
use crate::signals::Deriver;
use crate::stream::file::LineSource;
use crate::stream::inbox::InboxSource;
use crate::stream::journal::PlaceName;
use crate::stream::kafka::{KafkaHistory, KafkaInput, PartitionName, RecordBatch, record_position};
use crate::stream::log::Subscription;
use crate::stream::{Refused, StreamError};

/// How long a reader waits for input before it looks whether it shall stop.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often the end of quiet partitions is looked at.
const TICK_EVERY: Duration = Duration::from_secs(5);
/// Once so many events of an inbox are in a batch, the rest waits for the next.
const INBOX_EVENTS: usize = 1024;
/// The one partition of lines.
const LINES: u32 = 0;

/// Where bytes come from.
#[derive(Debug)]
pub enum Input {
    /// A file, or standard input.
    Lines(Box<LineSource>),
    /// What is handed over by somebody who waits.
    Inbox(InboxSource),
    /// The same, and what people do instead of events.
    Acts(InboxSource),
    /// Topics.
    Kafka(Arc<dyn Subscription>),
    /// What topics held before.
    History(Box<KafkaHistory>),
}

/// What is known of a source outside its thread.
#[derive(Clone, Debug)]
pub struct Intake {
    /// Its name in the configuration.
    pub name: String,
    pub(super) kafka: Option<Arc<dyn Subscription>>,
    /// Somebody waits for what becomes of its events.
    pub(super) is_inbox: bool,
    /// It has acts instead of events.
    pub(super) is_of_acts: bool,
}

impl Intake {
    /// Whether it has lines.
    pub(super) fn is_of_lines(&self) -> bool {
        self.kafka.is_none()
    }

    /// What a partition is called outside, by the source's number of it.
    pub(super) fn place_name(&self, partition: u32) -> PlaceName {
        match self.kafka.as_ref().and_then(|kafka| kafka.partition(partition)) {
            Some(of) => PlaceName { source: self.name.clone(), topic: of.topic, partition: of.partition },
            None => PlaceName { source: self.name.clone(), topic: String::new(), partition: 0 },
        }
    }

    /// The source's own number of a partition.
    pub(super) fn local(&self, name: &PlaceName) -> u32 {
        let of = PartitionName { topic: name.topic.clone(), partition: name.partition };
        self.kafka.as_ref().map_or(LINES, |kafka| kafka.index(&of))
    }

    /// A source of lines, without a reader.
    #[cfg(test)]
    pub(super) fn of_lines(name: &str) -> Intake {
        Intake { name: name.to_owned(), kafka: None, is_inbox: false, is_of_acts: false }
    }

    /// A place in the source as people find it: `topic/partition/offset`, or the line of a file; and which event of an
    /// array.
    pub(super) fn position(&self, at: Position) -> String {
        let named = self.kafka.as_ref().and_then(|kafka| kafka.partition(at.partition));
        let mut place = named
            .map_or_else(|| format!("line {}", at.offset), |of| record_position(&of.topic, of.partition, at.offset));
        if at.item > 0 {
            place.push_str(&format!(", event {}", at.item));
        }
        place
    }
}

/// One source, ready to be read.
pub struct Reader {
    /// Its place in the pipeline.
    pub index: usize,
    /// Its name in the configuration.
    pub name: String,
    /// Where its bytes come from.
    pub input: Input,
    /// How its events are read.
    pub parser: Parser,
    /// How foreign events become ours; `None`: they are ours.
    pub mapping: Option<Mapping>,
    /// What is derived of them.
    pub deriver: Deriver,
    /// The clock that says when bytes arrived, in milliseconds since the Unix epoch.
    pub wall_clock_ms: fn() -> i64,
    /// The clock that latencies are measured with.
    pub monotonic: fn() -> Instant,
    /// Whether a pipe that says nothing for some seconds is taken to have shown everything up to the clock, as a partition
    /// that was read to its end is. Not where the clock stands still.
    pub ticks: bool,
}

/// Whether a reader goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// There is this.
    More,
    /// Nothing came: the work is empty.
    Nothing,
    /// There is this, and then no more.
    Last,
}

impl Reader {
    pub(super) fn intake(&self) -> Intake {
        let is_of_acts = matches!(self.input, Input::Acts(_));
        Intake { name: self.name.clone(), kafka: self.committer(), is_inbox: self.is_inbox(), is_of_acts }
    }

    pub(super) fn is_inbox(&self) -> bool {
        matches!(self.input, Input::Inbox(_) | Input::Acts(_))
    }

    pub(super) fn committer(&self) -> Option<Arc<dyn Subscription>> {
        match &self.input {
            Input::Lines(_) | Input::Inbox(_) | Input::Acts(_) | Input::History(_) => None,
            Input::Kafka(kafka) => Some(Arc::clone(kafka)),
        }
    }

    /// Starts reading. `renewed` has derivers that take the place of its own.
    pub(super) fn open(self, renewed: Receiver<Deriver>) -> Result<Reading, StreamError> {
        let intake = self.intake();
        let Reader { index, name: _, input, parser, mapping, deriver, wall_clock_ms, monotonic, ticks } = self;
        let input = match input {
            Input::Kafka(kafka) => Open::Kafka { kafka, last_tick: monotonic() },
            Input::Inbox(inbox) => Open::Inbox { inbox, quiet_since: Some(monotonic()) },
            // Nobody's time hangs on what people do.
            Input::Acts(inbox) => Open::Inbox { inbox, quiet_since: None },
            Input::History(history) => Open::History { history, begun: false, records: RecordBatch::default() },
            Input::Lines(source) => {
                // A file is read to its end and then over: only a pipe can be quiet.
                let quiet_since = (ticks && source.progress().total_bytes.is_none()).then(monotonic);
                Open::Lines { lines: LineInput::start(*source)?, quiet_since }
            }
        };
        let conversion = Conversion { intake, parser, mapping, wall_clock_ms, monotonic };
        Ok(Reading { index, input, conversion, deriver, renewed })
    }

    /// Reads until there is no more, nobody takes it, or `stop` is set.
    pub(super) fn run(
        self,
        supply: &Receiver<Box<Work>>,
        out: &Sender<Message>,
        renewed: &Receiver<Deriver>,
        stop: &AtomicBool,
    ) {
        let ended = self.open(renewed.clone()).and_then(|mut reading| {
            let mut spare = None;
            // An inbox is emptied before it ends: somebody waits for what is in it.
            while !stop.load(Ordering::Acquire) || reading.is_inbox() {
                let Some(mut work) = spare.take().or_else(|| supply.recv().ok()) else { break };
                let next = reading.fill(&mut work, stop)?;
                match next {
                    Next::Nothing => spare = Some(work),
                    Next::More | Next::Last => {
                        if out.send(Ok(work)).is_err() || next == Next::Last {
                            break;
                        }
                    }
                }
            }
            Ok(())
        });
        if let Err(error) = ended {
            // The queue is gone only when the writer has failed, which is told first.
            drop(out.send(Err(error)));
        }
    }
}

/// A source that is being read.
pub(super) struct Reading {
    index: usize,
    input: Open,
    conversion: Conversion,
    deriver: Deriver,
    renewed: Receiver<Deriver>,
}

impl Reading {
    fn is_inbox(&self) -> bool {
        matches!(self.input, Open::Inbox { .. })
    }

    /// Fills a work with what comes next, if something comes soon.
    pub(super) fn fill(&mut self, work: &mut Work, stop: &AtomicBool) -> Result<Next, StreamError> {
        work.clear();
        work.source = self.index;
        let conversion = &mut self.conversion;
        let next = match &mut self.input {
            Open::Lines { lines, quiet_since } => conversion.read_lines(lines, quiet_since, work)?,
            Open::Inbox { inbox, quiet_since } => conversion.read_inbox(inbox, quiet_since, work, stop),
            Open::Kafka { kafka, last_tick } => conversion.read_records(&**kafka, last_tick, work)?,
            Open::History { history, begun, records } => {
                conversion.read_history(history, begun, records, work, stop)?
            }
        };
        if matches!(next, Next::More | Next::Last) {
            // What a new rule set wants; what is on its way already is derived again by the engine's thread.
            self.renewed.try_iter().for_each(|newer| self.deriver = newer);
            work.wanted = self.deriver.wanted();
            self.deriver.derive(&mut work.batch, &mut work.signals);
        }
        Ok(next)
    }
}

/// An input that is being read.
enum Open {
    /// `quiet_since`: since when nothing has come, or the last tick; `None` where quiet means nothing.
    Lines {
        lines: LineInput,
        quiet_since: Option<Instant>,
    },
    /// `quiet_since`: as of a pipe.
    Inbox {
        inbox: InboxSource,
        quiet_since: Option<Instant>,
    },
    Kafka {
        kafka: Arc<dyn Subscription>,
        last_tick: Instant,
    },
    /// `begun`: its partitions were told.
    History {
        history: Box<KafkaHistory>,
        begun: bool,
        records: RecordBatch,
    },
}

/// What makes events of bytes.
pub(super) struct Conversion {
    pub(super) intake: Intake,
    pub(super) parser: Parser,
    pub(super) mapping: Option<Mapping>,
    pub(super) wall_clock_ms: fn() -> i64,
    pub(super) monotonic: fn() -> Instant,
}

impl Conversion {
    fn read_lines(
        &mut self,
        lines: &mut LineInput,
        quiet_since: &mut Option<Instant>,
        work: &mut Work,
    ) -> Result<Next, StreamError> {
        let mut chunk = match lines.next(PATIENCE)? {
            Lines::Chunk(chunk) => chunk,
            Lines::None => {
                let now = (self.monotonic)();
                if quiet_since.is_none_or(|since| now.duration_since(since) < TICK_EVERY) {
                    return Ok(Next::Nothing);
                }
                *quiet_since = Some(now);
                work.notices.push(Notice::Tick(LINES, (self.wall_clock_ms)()));
                return Ok(Next::More);
            }
            Lines::End => {
                // What has nothing more to show holds nobody's time back.
                work.notices.push(Notice::Revoked(LINES));
                return Ok(Next::Last);
            }
        };
        let now = (self.monotonic)();
        work.arrived = Some(now);
        *quiet_since = quiet_since.map(|_| now);
        let ingest_time_ms = (self.wall_clock_ms)();
        std::mem::swap(&mut work.batch.input, &mut chunk.text);
        work.origin.clock_ms = ingest_time_ms;
        work.origin.lines.extend(chunk.lines.iter().map(|line| (line.range(), line.number)));
        self.take_lines(work);
        for refused in &chunk.refused {
            push_refused(work, refused, &self.intake, ingest_time_ms);
        }
        lines.recycle(chunk);
        Ok(Next::More)
    }

    /// Takes what waits in an inbox, up to a batch. What was handed over before the end was asked for is taken too.
    fn read_inbox(
        &mut self,
        inbox: &mut InboxSource,
        quiet_since: &mut Option<Instant>,
        work: &mut Work,
        stop: &AtomicBool,
    ) -> Next {
        let ends = stop.load(Ordering::Acquire);
        if ends {
            inbox.close();
        }
        let Some(mut parcel) = inbox.wait(if ends { Duration::ZERO } else { PATIENCE }) else {
            if ends {
                return Next::Last;
            }
            let now = (self.monotonic)();
            if quiet_since.is_none_or(|since| now.duration_since(since) < TICK_EVERY) {
                return Next::Nothing;
            }
            *quiet_since = Some(now);
            work.notices.push(Notice::Tick(LINES, (self.wall_clock_ms)()));
            return Next::More;
        };
        let now = (self.monotonic)();
        work.arrived = Some(now);
        *quiet_since = quiet_since.map(|_| now);
        work.origin.clock_ms = (self.wall_clock_ms)();
        loop {
            inbox.taken = work.take_parcel(parcel, inbox.taken);
            if work.origin.lines.len() >= INBOX_EVENTS {
                break;
            }
            match inbox.next() {
                Some(next) => parcel = next,
                None => break,
            }
        }
        self.take_lines(work);
        Next::More
    }

    /// Reads the lines that a work was made of.
    pub(super) fn take_lines(&mut self, work: &mut Work) {
        let lines = std::mem::take(&mut work.origin.lines);
        for (range, number) in &lines {
            if self.intake.is_of_acts {
                match Act::read(&work.batch.input[range.clone()]) {
                    Ok(act) => work.acts.push((*number, act)),
                    Err(why) => work.refuse_act(*number, &why),
                }
                continue;
            }
            let position = Position { partition: LINES, offset: *number, item: 0 };
            let (range, at) = (range.clone(), Place { position, ingest_time_ms: work.origin.clock_ms });
            if self.mapping.is_none() && !self.intake.is_inbox && is_array(&work.batch.input[range.clone()]) {
                self.read_array(work, range, at);
                continue;
            }
            let read = match &self.mapping {
                Some(mapping) => self.parser.parse_mapped(&mut work.batch, mapping, range.clone(), at),
                None => self.parser.parse_structured(&mut work.batch, range.clone(), at),
            };
            if let Err(reason) = read {
                push_letter(work, &self.intake, &reason, range, at, &[]);
            }
        }
        work.origin.lines = lines;
    }

    fn read_records(
        &mut self,
        kafka: &dyn Subscription,
        last_tick: &mut Instant,
        work: &mut Work,
    ) -> Result<Next, StreamError> {
        let input = kafka.next(PATIENCE)?;
        let now = (self.monotonic)();
        if now.duration_since(*last_tick) >= TICK_EVERY {
            *last_tick = now;
            let quiet = kafka.partitions().into_iter().filter(|partition| partition.assigned && partition.at_end);
            work.notices.extend(quiet.map(|partition| Notice::Tick(partition.index, (self.wall_clock_ms)())));
        }
        match input {
            Some(KafkaInput::Records(mut records)) => {
                work.origin.clock_ms = (self.wall_clock_ms)();
                self.take_records(&mut records, now, work);
                work.origin.runs.extend_from_slice(records.runs());
                work.ends.extend_from_slice(records.ends());
                kafka.recycle(records);
            }
            Some(KafkaInput::Assigned(partitions)) => work.notices.extend(partitions.into_iter().map(Notice::Assigned)),
            Some(KafkaInput::Revoking(revocation)) => {
                work.notices.extend(revocation.partitions.iter().copied().map(Notice::Revoked));
                work.revocation = Some(revocation);
            }
            None if work.notices.is_empty() => return Ok(Next::Nothing),
            None => {}
        }
        Ok(Next::More)
    }

    /// Nothing of history is committed.
    fn read_history(
        &mut self,
        history: &mut KafkaHistory,
        begun: &mut bool,
        records: &mut RecordBatch,
        work: &mut Work,
        stop: &AtomicBool,
    ) -> Result<Next, StreamError> {
        if !std::mem::replace(begun, true) {
            work.notices.extend(history.partitions().map(Notice::Assigned));
        }
        let more = history.next(records, || !stop.load(Ordering::Acquire))?;
        work.origin.clock_ms = (self.wall_clock_ms)();
        self.take_records(records, (self.monotonic)(), work);
        if more {
            return Ok(Next::More);
        }
        work.notices.extend(history.partitions().map(Notice::Revoked));
        Ok(Next::Last)
    }

    /// Reads records; those without a time came at the clock of the work's origin.
    pub(super) fn take_records(&mut self, records: &mut RecordBatch, now: Instant, work: &mut Work) {
        work.arrived = Some(now);
        let clock_ms = work.origin.clock_ms;
        std::mem::swap(&mut work.batch.input, &mut records.text);
        for record in &records.records {
            let ingest_time_ms = record.ingest_time_ms.unwrap_or(clock_ms);
            let at = Place { position: record.position, ingest_time_ms };
            let mode = match &self.mapping {
                Some(_) => MessageMode::Structured,
                None => MessageMode::of(records.headers(record), &work.batch.input[record.range()]),
            };
            let read = match (&self.mapping, mode) {
                (Some(mapping), _) => self.parser.parse_mapped(&mut work.batch, mapping, record.range(), at),
                (None, MessageMode::Structured) => self.parser.parse_structured(&mut work.batch, record.range(), at),
                (None, MessageMode::Binary) => {
                    self.parser.parse_binary(&mut work.batch, records.headers(record), record.range(), at)
                }
                (None, MessageMode::Array) => {
                    self.read_array(work, record.range(), at);
                    continue;
                }
            };
            if let Err(reason) = read {
                let headers: Vec<(&str, &[u8])> = records.headers(record).collect();
                push_letter(work, &self.intake, &reason, record.range(), at, &headers);
            }
        }
        for refused in &records.refused {
            let ingest_time_ms = refused.ingest_time_ms.unwrap_or(clock_ms);
            push_refused(work, refused, &self.intake, ingest_time_ms);
        }
    }

    /// Reads an array of events: each stands for itself.
    fn read_array(&mut self, work: &mut Work, range: Range<usize>, at: Place) {
        match self.parser.parse_array(&mut work.batch, range.clone(), at) {
            Ok(refused) => {
                for one in refused {
                    let at = Place { position: Position { item: one.item, ..at.position }, ..at };
                    push_letter(work, &self.intake, &one.reason, one.range, at, &[]);
                }
            }
            Err(reason) => push_letter(work, &self.intake, &reason, range, at, &[]),
        }
    }
}

/// Adds the dead letter of an input in the batch's text.
fn push_letter(
    work: &mut Work,
    intake: &Intake,
    reason: &Reason,
    range: Range<usize>,
    at: Place,
    headers: &[(&str, &[u8])],
) {
    if intake.is_inbox {
        // Who sent it is told.
        work.refuse(at.position.offset, reason);
        return;
    }
    let raw = &work.batch.input.as_bytes()[range];
    let position = intake.position(at.position);
    let letter = DeadLetter {
        reason,
        source: &intake.name,
        position: &position,
        ingest_time_ms: at.ingest_time_ms,
        raw,
        whole: None,
        headers,
    };
    work.dead_letters.push(at.position, &letter);
}

fn push_refused(work: &mut Work, refused: &Refused, intake: &Intake, ingest_time_ms: i64) {
    let whole = Some((refused.length_bytes, refused.sha256));
    let position = intake.position(refused.position);
    let (reason, raw) = (&refused.reason, refused.kept.as_slice());
    let letter =
        DeadLetter { reason, source: &intake.name, position: &position, ingest_time_ms, raw, whole, headers: &[] };
    work.dead_letters.push(refused.position, &letter);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ParseOptions;
    use crate::signals::{SignalConfig, SignalError};
    use crate::stream::file::LineOptions;
    use std::io::Read;
    use std::sync::atomic::AtomicU64;

    const NOON_MS: i64 = 1_777_636_800_000;

    fn reader(source: LineSource, monotonic: fn() -> Instant, ticks: bool) -> Result<Reader, SignalError> {
        Ok(Reader {
            index: 0,
            name: "lines".to_owned(),
            input: Input::Lines(Box::new(source)),
            parser: Parser::new(ParseOptions::default()),
            mapping: None,
            deriver: Deriver::new(Default::default(), &SignalConfig::default())?,
            wall_clock_ms: || NOON_MS,
            monotonic,
            ticks,
        })
    }

    /// A clock on which a minute passes between two looks.
    #[expect(clippy::disallowed_methods, reason = "any instant will do to count from")]
    fn hasty() -> Instant {
        static LOOKS: AtomicU64 = AtomicU64::new(0);
        static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        *START + Duration::from_secs(60 * LOOKS.fetch_add(1, Ordering::Relaxed))
    }

    /// What a reader hands over, until it ends or has handed over so much.
    fn works(reader: Reader, most: usize) -> Vec<Work> {
        let (back, supply) = crossbeam_channel::unbounded();
        (0..most).for_each(|_| back.send(Box::default()).expect("the supply is open"));
        drop(back);
        let (out, works) = crossbeam_channel::unbounded();
        reader.run(&supply, &out, &crossbeam_channel::never(), &AtomicBool::new(false));
        drop(out);
        works.iter().map(|work| *work.expect("lines can be read")).collect()
    }

    /// Says nothing until it is dropped.
    struct Quiet(std::sync::mpsc::Receiver<u8>);

    impl Read for Quiet {
        fn read(&mut self, _out: &mut [u8]) -> std::io::Result<usize> {
            // Answers once the other end is gone.
            Ok(self.0.recv().map_or(0, usize::from))
        }
    }

    #[test]
    fn lines_that_end_go_out_of_use() {
        let source = LineSource::new("two", &b"{}\n{}\n"[..], LineOptions::default());
        let works = works(reader(source, hasty, false).expect("the defaults need no file"), 9);
        let letters: usize = works.iter().map(|work| work.dead_letters.len()).sum();
        assert_eq!(letters, 2);
        let notices: Vec<Notice> = works.iter().flat_map(|work| work.notices.clone()).collect();
        assert_eq!(notices, [Notice::Revoked(0)]);
        assert_eq!(works.last().map(|work| work.notices.len()), Some(1), "behind every event");
    }

    #[test]
    fn a_pipe_that_is_quiet_is_ticked_where_the_clock_goes() {
        let (open, quiet) = std::sync::mpsc::channel();
        let source = LineSource::new("quiet", Quiet(quiet), LineOptions::default());
        let works = works(reader(source, hasty, true).expect("the defaults need no file"), 2);
        let notices: Vec<Notice> = works.iter().flat_map(|work| work.notices.clone()).collect();
        assert_eq!(notices, [Notice::Tick(0, NOON_MS), Notice::Tick(0, NOON_MS)]);
        drop(open);
    }
}
