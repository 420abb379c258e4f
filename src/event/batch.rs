//! Events in memory: spans into the text of their batch, so that a batch is recycled without an allocation an event.

use super::reason::{EVENT_BYTES_MAX, Reason};
use super::{EventKind, Field};
use std::ops::Range;

/// A piece of a batch's text. Twenty-four fields of an event are usually absent: their span is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte; the top bit says that it counts in the batch's made text instead of its input.
    start: u32,
    len: u32,
}

impl Span {
    const MADE: u32 = 1 << 31;

    /// A piece of the input text. Bounds: below 2 GiB.
    pub fn input(start: usize, len: usize) -> Span {
        debug_assert!(start + len < Self::MADE as usize, "a batch holds less than 2 GiB");
        Span { start: start as u32, len: len as u32 }
    }

    /// The text that it is in these texts of its batch.
    #[inline]
    pub(super) fn of<'a>(self, input: &'a str, made: &'a str) -> &'a str {
        let (base, start) =
            if self.start & Self::MADE == 0 { (input, self.start) } else { (made, self.start & !Self::MADE) };
        &base[start as usize..start as usize + self.len as usize]
    }

    /// Whether nothing is there.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        self.len as usize
    }
}

/// Which fields an event came with, a bit for each [`Field`]. An empty text that was given is present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence(u64);

impl Presence {
    /// Whether the field was given and not `null`.
    pub fn has(self, field: Field) -> bool {
        self.0 >> (field as u8) & 1 == 1
    }

    /// Whether no field is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The fields in it, in slot order.
    pub fn iter(self) -> impl Iterator<Item = Field> {
        Field::ALL.iter().copied().filter(move |field| self.has(*field))
    }

    /// Marks a field as given.
    pub fn insert(&mut self, field: Field) {
        self.0 |= 1 << (field as u8);
    }

    /// The fields of both.
    pub fn union(self, other: Presence) -> Presence {
        Presence(self.0 | other.0)
    }

    /// Whether every field of another set is in this one.
    pub fn covers(self, other: Presence) -> bool {
        other.0 & !self.0 == 0
    }

    /// Marks a field as absent.
    pub fn remove(&mut self, field: Field) {
        self.0 &= !(1 << (field as u8));
    }
}

/// Where an event stands in the recorded order of its source partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Index of the source partition, given by the adapter: 0 for a file or stdin.
    pub partition: u32,
    /// Place within it: a Kafka offset, or the line of a file, from 1.
    pub offset: u64,
    /// Which event of an array that stands there, from 1; 0: it stands there alone.
    pub item: u32,
}

/// One valid fact from outside. Text is in the [`EventBatch`] it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Spans of the text and map fields, by slot.
    spans: [Span; Field::SPANS],
    /// Which fields were given.
    pub presence: Presence,
    /// Fields that were given, but whose value is not what the field wants: they read as absent and are counted. Of
    /// `attributes` those that do not fit read as absent, and the others stand.
    pub unreadable: Presence,
    /// What kind of event it is.
    pub kind: EventKind,
    /// When it happened, in milliseconds since the Unix epoch.
    pub event_time_ms: i64,
    /// When it reached us: the Kafka record's time, or the clock.
    pub ingest_time_ms: i64,
    /// `account_created_at`, milliseconds since the Unix epoch; 0 when absent.
    pub account_created_at_ms: i64,
    /// `amount_minor`; 0 when absent.
    pub amount_minor: i64,
    /// `latitude`; 0 when absent.
    pub latitude: f64,
    /// `longitude`; 0 when absent.
    pub longitude: f64,
    /// `rating`; 0 when absent.
    pub rating: f64,
    /// Where it stands in its source.
    pub position: Position,
    /// The whole event as it came; of a Kafka message in binary mode the value, which is its `data`.
    pub raw: Span,
    /// Hash of its content (type, time and fields, in any order and notation): tells a repeat from a reused id. The id
    /// and the source are not in it: it is compared only where they are equal. It is not secret and not collision-proof
    /// against a producer, who could only make its own second event pass for a repeat.
    pub fingerprint: u64,
}

impl Default for Event {
    fn default() -> Event {
        Event {
            spans: [Span::default(); Field::SPANS],
            presence: Presence::default(),
            unreadable: Presence::default(),
            kind: EventKind::OTHER,
            event_time_ms: 0,
            ingest_time_ms: 0,
            account_created_at_ms: 0,
            amount_minor: 0,
            latitude: 0.0,
            longitude: 0.0,
            rating: 0.0,
            position: Position::default(),
            raw: Span::default(),
            fingerprint: 0,
        }
    }
}

impl Event {
    /// The span of a text or map field; empty when absent. Panics for a field that is neither.
    pub fn span(&self, field: Field) -> Span {
        self.spans[field as usize]
    }

    /// Sets a text or map field and marks it as given.
    pub fn set_span(&mut self, field: Field, span: Span) {
        self.spans[field as usize] = span;
        self.presence.insert(field);
    }

    /// Takes a field away, as if it had not been given.
    pub fn clear_span(&mut self, field: Field) {
        self.spans[field as usize] = Span::default();
        self.presence.remove(field);
    }
}

/// Events in the order of arrival, and the text that they point into.
#[derive(Clone, Debug, Default)]
pub struct EventBatch {
    /// The input: lines of a file, or payloads one after the other.
    pub input: String,
    /// Text made while reading or deriving: unescaped strings, normalised addresses.
    made: String,
    /// The valid events.
    pub events: Vec<Event>,
}

impl EventBatch {
    /// Forgets the events and the text, and keeps the memory.
    pub fn clear(&mut self) {
        self.input.clear();
        self.made.clear();
        self.events.clear();
    }

    /// The text of a span made for this batch.
    #[inline]
    pub fn text(&self, span: Span) -> &str {
        span.of(&self.input, &self.made)
    }

    /// The text of an event's field; empty when absent.
    #[inline]
    pub fn field(&self, event: &Event, field: Field) -> &str {
        self.text(event.span(field))
    }

    /// Adds text that is not in the input.
    pub fn make(&mut self, text: &str) -> Span {
        make(&mut self.made, text)
    }

    /// Adds an input: its text is appended, and where it lies is returned.
    ///
    /// # Errors
    ///
    /// [`Reason::TooLarge`] and [`Reason::NotUtf8`]; then nothing is added.
    pub fn push_input(&mut self, bytes: &[u8]) -> Result<Range<usize>, Reason> {
        if bytes.len() > EVENT_BYTES_MAX {
            return Err(Reason::TooLarge { length_bytes: bytes.len() });
        }
        let text =
            simdutf8::compat::from_utf8(bytes).map_err(|error| Reason::NotUtf8 { offset: error.valid_up_to() })?;
        let start = self.input.len();
        self.input.push_str(text);
        Ok(start..self.input.len())
    }

    /// The batch taken apart, so that events can be written while the input is read.
    pub(super) fn parts(&mut self) -> (&str, &mut String, &mut Vec<Event>) {
        (&self.input, &mut self.made, &mut self.events)
    }
}

/// Adds text to the made text of a batch.
pub(super) fn make(made: &mut String, text: &str) -> Span {
    let start = made.len();
    debug_assert!(start + text.len() < Span::MADE as usize, "a batch holds less than 2 GiB");
    made.push_str(text);
    Span { start: start as u32 | Span::MADE, len: text.len() as u32 }
}
