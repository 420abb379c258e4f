//! Reads CloudEvents in JSON into a batch: structured, in the binary mode of the Kafka binding, or an array of them.
//!
//! The text is read straight into the event: strings without escapes stay where they are, and the others are made.
//! Every way in ends in the same checks, [`Draft::finish`](draft::Draft::finish). It imports `event` and serde only.
//! Invariant: whatever the input, either one valid event is appended, or the batch's events are as they were.

mod draft;
mod envelope;
mod map;
mod plain;

use super::mapping::Mapping;
use super::{EVENT_BYTES_MAX, Event, EventBatch, Field, Position, Reason, Span};
use draft::Draft;
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
}

impl MessageMode {
    /// The mode of a message with these headers: structured if `content-type` starts with `application/cloudevents`,
    /// else binary if there is any `ce_*` header, else structured. Names of headers are matched in any case.
    pub fn of<'h>(headers: impl IntoIterator<Item = (&'h str, &'h [u8])>) -> MessageMode {
        const CLOUDEVENTS: &[u8] = b"application/cloudevents";
        let mut mode = MessageMode::Structured;
        for (name, value) in headers {
            let starts = value.get(..CLOUDEVENTS.len()).is_some_and(|start| start.eq_ignore_ascii_case(CLOUDEVENTS));
            if name.eq_ignore_ascii_case("content-type") && starts {
                return MessageMode::Structured;
            }
            if attribute_of(name).is_some() {
                mode = MessageMode::Binary;
            }
        }
        mode
    }
}

/// The attribute that a `ce_*` header carries.
fn attribute_of(header: &str) -> Option<&str> {
    let (prefix, attribute) = header.split_at_checked(3)?;
    prefix.eq_ignore_ascii_case("ce_").then_some(attribute)
}

/// Reads inputs into events. It keeps no state between them.
#[derive(Clone, Debug, Default)]
pub struct Parser {
    options: ParseOptions,
    /// The event that a mapping built: kept for its memory alone.
    built: Vec<u8>,
}

impl Parser {
    /// A parser with these options.
    pub fn new(options: ParseOptions) -> Parser {
        Parser { options, built: Vec::new() }
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
            draft.read_envelope(text)
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
            if text.is_empty() { Ok(()) } else { draft.read_data(text) }
        })
    }

    /// Reads a Kafka message in the mode that its headers tell.
    ///
    /// # Errors
    ///
    /// As [`Parser::parse_structured`] and [`Parser::parse_binary`].
    ///
    /// # Panics
    ///
    /// If the range does not lie in the batch's input, or cuts a character.
    pub fn parse_message<'h, H>(
        &mut self,
        batch: &mut EventBatch,
        headers: H,
        value: Range<usize>,
        at: Place,
    ) -> Result<(), Reason>
    where
        H: IntoIterator<Item = (&'h str, &'h [u8])> + Clone,
    {
        match MessageMode::of(headers.clone()) {
            MessageMode::Structured => self.parse_structured(batch, value, at),
            MessageMode::Binary => self.parse_binary(batch, headers, value, at),
        }
    }

    /// Reads a JSON array of events (`application/cloudevents-batch+json`), each on its own: what is wrong with one does
    /// not touch the others. Their positions count up from the given one. The answers are in the order of the array;
    /// the caller bounds the length of the text.
    ///
    /// # Errors
    ///
    /// [`Reason::NotJson`] or [`Reason::WrongType`] if the text is not a JSON array at all; then no event is appended.
    ///
    /// # Panics
    ///
    /// If the range does not lie in the batch's input, or cuts a character.
    pub fn parse_array(
        &mut self,
        batch: &mut EventBatch,
        range: Range<usize>,
        mut at: Place,
    ) -> Result<Vec<Result<(), Reason>>, Reason> {
        let text = &batch.input[range.clone()];
        let elements: Vec<&RawValue> = serde_json::from_str(text)
            .map_err(|error| draft::reason_of(text, &error, ("event batch", "an array of events")))?;
        let ranges: Vec<Range<usize>> = elements
            .iter()
            .map(|element| {
                let start = range.start + (element.get().as_ptr().addr() - text.as_ptr().addr());
                start..start + element.get().len()
            })
            .collect();
        let answers = ranges.into_iter().map(|element| {
            let answer = self.parse_structured(batch, element, at);
            at.position.offset += 1;
            answer
        });
        Ok(answers.collect())
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
        append(self.options, batch, range, at, |draft| draft.read_envelope(built))
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
