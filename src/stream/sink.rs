//! Where outputs go, and how far they are safe.

use super::StreamError;
use super::file::LineSink;
use super::log::Topic;

/// A point in what was written to one sink. Marks of one sink are ordered by time of writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(pub(super) u64);

/// A place for outputs: lines of a file, or records of a topic.
#[derive(Debug)]
pub enum Sink {
    /// A file or standard output; the key is not written.
    Lines(LineSink),
    /// A topic, keyed, so that one account's outputs stay in order.
    Kafka(Box<dyn Topic>),
}

impl Sink {
    /// Writes one output: a text without a line feed. An empty one is a record without a value, and no line. Blocks while the
    /// sink is full; nothing is dropped.
    ///
    /// # Errors
    ///
    /// As [`LineSink::write_line`] and [`Topic::write_all`]; after one, the sink is of no more use.
    pub fn write(&mut self, key: &str, payload: &[u8]) -> Result<(), StreamError> {
        match self {
            Sink::Lines(_) if payload.is_empty() => Ok(()),
            Sink::Lines(lines) => lines.write_line(payload),
            Sink::Kafka(topic) => topic.write_all(&mut [(key, payload)].into_iter()),
        }
    }

    /// Marks what was written up to now. Lines leave their buffer with it.
    ///
    /// # Errors
    ///
    /// As [`LineSink::flush`].
    pub fn mark(&mut self) -> Result<Mark, StreamError> {
        match self {
            Sink::Lines(lines) => lines.flush().map(Mark),
            Sink::Kafka(topic) => Ok(topic.mark()),
        }
    }

    /// The newest mark of which everything is safe: with the system for lines, acknowledged by all in-sync replicas for
    /// records. Does not block.
    ///
    /// # Errors
    ///
    /// [`Topic::delivered`]'s.
    pub fn delivered(&self) -> Result<Mark, StreamError> {
        match self {
            Sink::Lines(lines) => Ok(Mark(lines.flushed())),
            Sink::Kafka(topic) => topic.delivered(),
        }
    }

    /// Waits until everything written is safe. With a broker away, that is until it is back.
    ///
    /// # Errors
    ///
    /// As [`Sink::mark`] and [`Sink::delivered`].
    pub fn flush(&mut self) -> Result<(), StreamError> {
        match self {
            Sink::Lines(lines) => lines.flush().map(drop),
            Sink::Kafka(topic) => topic.flush(),
        }
    }
}
