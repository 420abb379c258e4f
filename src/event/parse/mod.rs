//! Reads CloudEvents in JSON into a batch: structured, in the binary mode of the Kafka binding, or an array of them.
//!
//! The text is read straight into the event: strings without escapes stay where they are, and the others are made.
//! Every way in ends in the same checks, [`Draft::finish`](draft::Draft::finish). It imports `event` and serde only.
//! Invariant: whatever the input, either one valid event is appended, or the batch's events are as they were; of an array
//! each element is an input.

mod draft;
mod envelope;
mod map;
mod order;
mod plain;
mod specials;

use super::mapping::Mapping;
use super::{EVENT_BYTES_MAX, Event, EventBatch, Field, Position, Reason, Span};
use draft::Draft;
use plain::Orders;
use serde_json::value::RawValue;
use std::ops::Range;

/// What a parser lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// Events may be later than their ingest time: for made-up traffic.
    pub allow_future: bool,
}

/// Where and when an input reached us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Where it stands in its source.
    pub position: Position,
    /// The Kafka record's time, the journal's stamp, or the clock, in milliseconds since the Unix epoch.
    pub ingest_time_ms: i64,
}

/// How a Kafka message carries an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageMode {
    /// The value is the whole event.
    Structured,
    /// The headers are the envelope, and the value is `data`.
    Binary,
    /// The value is an array of whole events.
    Array,
}

impl MessageMode {
    /// The mode of a message with these headers and this value: an array if `content-type` starts with
    /// `application/cloudevents-batch`, structured if it starts with `application/cloudevents`, else binary if there is
    /// any `ce_*` header, else by its value an array or structured. Names of headers are matched in any case.
    pub fn of<'h>(headers: impl IntoIterator<Item = (&'h str, &'h [u8])>, value: &str) -> MessageMode {
        let mut mode = if is_array(value) { MessageMode::Array } else { MessageMode::Structured };
        for (name, content) in headers {
            let starts = |with: &[u8]| content.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
            if name.eq_ignore_ascii_case("content-type") && starts(b"application/cloudevents") {
                let batch = starts(b"application/cloudevents-batch");
                return if batch { MessageMode::Array } else { MessageMode::Structured };
            }
            if attribute_of(name).is_some() {
                mode = MessageMode::Binary;
            }
        }
        mode
    }
}

/// Whether a text that is JSON is an array.
pub fn is_array(text: &str) -> bool {
    text.trim_ascii_start().starts_with('[')
}

/// The most events that one array holds.
pub const ARRAY_EVENTS_MAX: usize = 1000;

/// An element of an array that is no valid event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedItem {
    /// Which it is, from 1.
    pub item: u32,
    /// Its bytes in the batch's input.
    pub range: Range<usize>,
    /// Why it was refused.
    pub reason: Reason,
}

/// The attribute that a `ce_*` header carries.
fn attribute_of(header: &str) -> Option<&str> {
    let (prefix, attribute) = header.split_at_checked(3)?;
    prefix.eq_ignore_ascii_case("ce_").then_some(attribute)
}

/// Reads inputs into events. What it keeps between them changes none.
#[derive(Clone, Debug, Default)]
pub struct Parser {
    options: ParseOptions,
    /// In which order members came: those of the next event most likely come so too.
    orders: Orders,
    /// The event that a mapping built: kept for its memory alone.
    built: Vec<u8>,
}

impl Parser {
    /// A parser with these options.
    pub fn new(options: ParseOptions) -> Parser {
        Parser { options, ..Parser::default() }
    }

    /// Reads one event, which is the JSON text at `range` of the batch's input, and appends it.
    ///
    /// # Errors
    ///
    /// Why the text is not a valid event; then the batch's events are as they were.
    ///
    /// # Panics
    ///
    /// If the range does not lie in the batch's input, or cuts a character.
    pub fn parse_structured(&mut self, batch: &mut EventBatch, range: Range<usize>, at: Place) -> Result<(), Reason> {
        check_length(range.len())?;
        append(self.options, batch, range.clone(), at, |draft| {
            let text = &draft.input()[range];
            draft.read_envelope(text, &mut self.orders)
        })
    }

    /// Reads one event in binary mode: the `ce_*` headers are its envelope, and the JSON text at `value` of the batch's
    /// input is its `data` (an empty one: absent). Other headers are ignored.
    ///
    /// # Errors
    ///
    /// Why it is not a valid event; then the batch's events are as they were.
    ///
    /// # Panics
    ///
    /// If the range does not lie in the batch's input, or cuts a character.
    pub fn parse_binary<'h>(
        &mut self,
        batch: &mut EventBatch,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        value: Range<usize>,
        at: Place,
    ) -> Result<(), Reason> {
        check_length(value.len())?;
        append(self.options, batch, value.clone(), at, |draft| {
            let mut length_bytes = value.len();
            for (name, attribute) in headers.into_iter().filter_map(|(name, value)| Some((attribute_of(name)?, value)))
            {
                length_bytes += attribute.len();
                check_length(length_bytes)?;
                draft.attribute(name, attribute)?;
            }
            let text = &draft.input()[value];
            if text.is_empty() { Ok(()) } else { draft.read_data(text, &mut self.orders) }
        })
    }

    /// Reads a JSON array of events (`application/cloudevents-batch+json`), each on its own: what is wrong with one does
    /// not touch the others. An event's position is the given one with its [`item`](Position::item). Answers the
    /// elements that are no valid events, in the order of the array; the caller bounds the length of the text.
    ///
    /// # Errors
    ///
    /// [`Reason::NotJson`] if the text is no JSON, [`Reason::WrongType`] if it is not an array, or one of more than
    /// [`ARRAY_EVENTS_MAX`] elements; then no event is appended.
    ///
    /// # Panics
    ///
    /// If the range does not lie in the batch's input, or cuts a character.
    pub fn parse_array(
        &mut self,
        batch: &mut EventBatch,
        range: Range<usize>,
        at: Place,
    ) -> Result<Vec<RefusedItem>, Reason> {
        const EXPECTED: (&str, &str) = ("event batch", "an array of at most 1000 events");
        let text = &batch.input[range.clone()];
        let elements: Vec<&RawValue> =
            serde_json::from_str(text).map_err(|error| draft::reason_of(text, &error, EXPECTED))?;
        if elements.len() > ARRAY_EVENTS_MAX {
            return Err(Reason::WrongType { member: EXPECTED.0, expected: EXPECTED.1 });
        }
        let ranges: Vec<Range<usize>> = elements
            .iter()
            .map(|element| {
                let start = range.start + (element.get().as_ptr().addr() - text.as_ptr().addr());
                start..start + element.get().len()
            })
            .collect();
        let refused = ranges.into_iter().zip(1..).filter_map(|(range, item)| {
            let at = Place { position: Position { item, ..at.position }, ..at };
            let reason = self.parse_structured(batch, range.clone(), at).err()?;
            Some(RefusedItem { item, range, reason })
        });
        Ok(refused.collect())
    }

    /// Reads one foreign event, which is the JSON text at `range` of the batch's input, by a mapping. Of a member that
    /// stands in it twice, the last counts.
    ///
    /// # Errors
    ///
    /// Why the text does not make a valid event; then the batch's events are as they were.
    ///
    /// # Panics
    ///
    /// If the range does not lie in the batch's input, or cuts a character.
    pub fn parse_mapped(
        &mut self,
        batch: &mut EventBatch,
        mapping: &Mapping,
        range: Range<usize>,
        at: Place,
    ) -> Result<(), Reason> {
        check_length(range.len())?;
        let text = &batch.input[range.clone()];
        let foreign: serde_json::Value =
            serde_json::from_str(text).map_err(|error| draft::reason_of(text, &error, ("event", "a JSON value")))?;
        self.built.clear();
        mapping.write_event(&foreign, &mut self.built)?;
        let built = simdutf8::basic::from_utf8(&self.built).expect("a mapping writes text");
        append(self.options, batch, range, at, |draft| draft.read_envelope(built, &mut self.orders))
    }
}

/// Appends the event that `read` fills in, if it is valid.
fn append(
    options: ParseOptions,
    batch: &mut EventBatch,
    raw: Range<usize>,
    at: Place,
    read: impl FnOnce(&mut Draft<'_>) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let (input, made, events) = batch.parts();
    let (made_before, index) = (made.len(), events.len());
    events.push(Event::default());
    let event = &mut events[index];
    event.raw = Span::input(raw.start, raw.len());
    event.position = at.position;
    event.ingest_time_ms = at.ingest_time_ms;
    let mut draft = Draft::new(input, made, event);
    let outcome = read(&mut draft).and_then(|()| draft.finish(options));
    if outcome.is_err() {
        events.truncate(index);
        made.truncate(made_before);
    }
    outcome
}

fn check_length(length_bytes: usize) -> Result<(), Reason> {
    if length_bytes > EVENT_BYTES_MAX { Err(Reason::TooLarge { length_bytes }) } else { Ok(()) }
}

/// What the value of a field must be, with its article.
fn expected(field: Field) -> &'static str {
    use super::FieldType;
    match field.field_type() {
        FieldType::Text => "a string",
        FieldType::Int => "an integer of 64 bits, written without a fraction or exponent",
        FieldType::Double => "a number",
        FieldType::Timestamp => "a string in RFC 3339",
        FieldType::Map if field == Field::Device => "an object of strings",
        FieldType::Map => "an object",
    }
}

/// Whether the short and the general way of reading agree on an event: for tests and the fuzz target.
pub(super) fn both_ways_agree(text: &str) -> bool {
    plain::agrees(text)
}

#[cfg(test)]
mod tests;
