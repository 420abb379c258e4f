//! The thread of a source: reads, parses and derives; what is not valid becomes a dead letter here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::Message;
use super::line_thread::{LineThread, Lines};
use super::work::{Notice, Work};
use crate::event::mapping::Mapping;
use crate::event::{DeadLetter, EventBatch, Parser, Place, Reason};
use crate::signals::Deriver;
use crate::stream::file::LineSource;
use crate::stream::kafka::{KafkaInput, KafkaSource, RecordBatch, record_position};
use crate::stream::{Refused, StreamError};

/// How long a reader waits for input before it looks whether it shall stop.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often the end of quiet partitions is looked at.
const TICK_EVERY: Duration = Duration::from_secs(5);

/// Where bytes come from.
#[derive(Debug)]
pub enum Input {
    /// A file, or standard input.
    Lines(LineSource),
    /// Topics.
    Kafka(Arc<KafkaSource>),
}

/// What is known of a source outside its thread.
#[derive(Clone, Debug)]
pub struct Intake {
    /// Its name in the configuration.
    pub name: String,
    kafka: Option<Arc<KafkaSource>>,
}

impl Intake {
    /// A place in the source as people find it: `topic/partition/offset`, or the line of a file.
    pub(super) fn position(&self, partition: u32, offset: u64) -> String {
        let named = self.kafka.as_ref().and_then(|kafka| kafka.partition(partition));
        named.map_or_else(|| format!("line {offset}"), |of| record_position(&of.topic, of.partition, offset))
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
}

/// Whether a reader goes on.
enum Next {
    More,
    End,
}

impl Reader {
    pub(super) fn intake(&self) -> Intake {
        Intake { name: self.name.clone(), kafka: self.committer() }
    }

    pub(super) fn committer(&self) -> Option<Arc<KafkaSource>> {
        match &self.input {
            Input::Lines(_) => None,
            Input::Kafka(kafka) => Some(Arc::clone(kafka)),
        }
    }

    pub(super) fn run(self, supply: &Receiver<Box<Work>>, out: &Sender<Message>, stop: &AtomicBool) {
        let Reader { index, name, input, parser, mapping, mut deriver, wall_clock_ms, monotonic } = self;
        let input = match input {
            Input::Kafka(kafka) => Ok(Open::Kafka { kafka, last_tick: monotonic() }),
            Input::Lines(source) => LineThread::start(source).map(Open::Lines),
        };
        let mut conversion = Conversion { name, parser, mapping, wall_clock_ms, monotonic };
        let mut input = match input {
            Ok(input) => input,
            Err(error) => {
                drop(out.send(Err(error)));
                return;
            }
        };
        while !stop.load(Ordering::Acquire) {
            let Ok(mut work) = supply.recv() else { return };
            work.clear();
            work.source = index;
            let read = match &mut input {
                Open::Lines(lines) => conversion.read_lines(lines, &mut work, stop),
                Open::Kafka { kafka, last_tick } => conversion.read_records(kafka, last_tick, &mut work, stop),
            };
            match read {
                Ok(Next::More) => {
                    deriver.derive(&mut work.batch, &mut work.signals);
                    if out.send(Ok(work)).is_err() {
                        return;
                    }
                }
                Ok(Next::End) => return,
                Err(error) => {
                    // The queue is gone only when the writer has failed, which is told first.
                    drop(out.send(Err(error)));
                    return;
                }
            }
        }
    }
}

/// An input that is being read.
enum Open {
    Lines(LineThread),
    Kafka { kafka: Arc<KafkaSource>, last_tick: Instant },
}

/// What makes events of bytes.
struct Conversion {
    name: String,
    parser: Parser,
    mapping: Option<Mapping>,
    wall_clock_ms: fn() -> i64,
    monotonic: fn() -> Instant,
}

impl Conversion {
    fn read_lines(&mut self, lines: &LineThread, work: &mut Work, stop: &AtomicBool) -> Result<Next, StreamError> {
        let mut chunk = loop {
            match lines.next(PATIENCE)? {
                Lines::Chunk(chunk) => break chunk,
                Lines::None if stop.load(Ordering::Acquire) => return Ok(Next::End),
                Lines::None => {}
                Lines::End => return Ok(Next::End),
            }
        };
        work.arrived = Some((self.monotonic)());
        let ingest_time_ms = (self.wall_clock_ms)();
        std::mem::swap(&mut work.batch.input, &mut chunk.text);
        for line in &chunk.lines {
            let at = Place { position: line.position(), ingest_time_ms };
            let read = parse(&mut self.parser, self.mapping.as_ref(), &mut work.batch, line.range(), at);
            if let Err(reason) = read {
                let raw = &work.batch.input.as_bytes()[line.range()];
                let position = format!("line {}", line.number);
                let letter = letter(&reason, &self.name, &position, ingest_time_ms, raw);
                work.dead_letters.push(at.position, &letter);
            }
        }
        for refused in &chunk.refused {
            let position = format!("line {}", refused.position.offset);
            push_refused(work, refused, &self.name, &position, ingest_time_ms);
        }
        lines.recycle(chunk);
        Ok(Next::More)
    }

    fn read_records(
        &mut self,
        kafka: &KafkaSource,
        last_tick: &mut Instant,
        work: &mut Work,
        stop: &AtomicBool,
    ) -> Result<Next, StreamError> {
        loop {
            if stop.load(Ordering::Acquire) {
                return Ok(Next::End);
            }
            let input = kafka.next(PATIENCE)?;
            let now = (self.monotonic)();
            if now.duration_since(*last_tick) >= TICK_EVERY {
                *last_tick = now;
                let quiet = kafka.partitions().into_iter().filter(|partition| partition.assigned && partition.at_end);
                work.notices.extend(quiet.map(|partition| Notice::Tick(partition.index, (self.wall_clock_ms)())));
            }
            match input {
                Some(KafkaInput::Records(records)) => self.take_records(kafka, records, now, work),
                Some(KafkaInput::Assigned(partitions)) => {
                    work.notices.extend(partitions.into_iter().map(Notice::Assigned))
                }
                Some(KafkaInput::Revoking(revocation)) => {
                    work.notices.extend(revocation.partitions.iter().copied().map(Notice::Revoked));
                    work.revocation = Some(revocation);
                }
                None if work.notices.is_empty() => continue,
                None => {}
            }
            return Ok(Next::More);
        }
    }

    fn take_records(&mut self, kafka: &KafkaSource, mut records: RecordBatch, now: Instant, work: &mut Work) {
        work.arrived = Some(now);
        let clock_ms = (self.wall_clock_ms)();
        std::mem::swap(&mut work.batch.input, &mut records.text);
        let position = |partition, offset| {
            kafka.partition(partition).map_or_else(String::new, |of| record_position(&of.topic, of.partition, offset))
        };
        for record in &records.records {
            let ingest_time_ms = record.ingest_time_ms.unwrap_or(clock_ms);
            let at = Place { position: record.position, ingest_time_ms };
            let read = match &self.mapping {
                Some(mapping) => self.parser.parse_mapped(&mut work.batch, mapping, record.range(), at),
                None => self.parser.parse_message(&mut work.batch, records.headers(record), record.range(), at),
            };
            if let Err(reason) = read {
                let raw = &work.batch.input.as_bytes()[record.range()];
                let position = position(record.position.partition, record.position.offset);
                let letter = letter(&reason, &self.name, &position, ingest_time_ms, raw);
                work.dead_letters.push(at.position, &letter);
            }
        }
        for refused in &records.refused {
            let position = position(refused.position.partition, refused.position.offset);
            let ingest_time_ms = refused.ingest_time_ms.unwrap_or(clock_ms);
            push_refused(work, refused, &self.name, &position, ingest_time_ms);
        }
        work.ends.extend_from_slice(records.ends());
        kafka.recycle(records);
    }
}

fn parse(
    parser: &mut Parser,
    mapping: Option<&Mapping>,
    batch: &mut EventBatch,
    range: std::ops::Range<usize>,
    at: Place,
) -> Result<(), Reason> {
    match mapping {
        Some(mapping) => parser.parse_mapped(batch, mapping, range, at),
        None => parser.parse_structured(batch, range, at),
    }
}

fn letter<'a>(
    reason: &'a Reason,
    source: &'a str,
    position: &'a str,
    ingest_time_ms: i64,
    raw: &'a [u8],
) -> DeadLetter<'a> {
    DeadLetter { reason, source, position, ingest_time_ms, raw, whole: None }
}

fn push_refused(work: &mut Work, refused: &Refused, source: &str, position: &str, ingest_time_ms: i64) {
    let whole = Some((refused.length_bytes, refused.sha256));
    let letter = letter(&refused.reason, source, position, ingest_time_ms, &refused.kept);
    work.dead_letters.push(refused.position, &DeadLetter { whole, ..letter });
}
