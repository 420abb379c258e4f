//! An event while it is read: what has been seen, the running fingerprint, and the checks at the end.

use super::plain::Orders;
use super::{ParseOptions, expected};
use crate::event::batch::make;
use crate::event::reason::FUTURE_MAX_MS;
use crate::event::{Event, EventKind, Field, FieldType, Reason, Span, parse_time_ms};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The program of an event that names none.
const DEFAULT_PROGRAM: &str = "default";

/// A member of an event that is no field, and must not stand in it twice either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extra {
    /// `specversion`.
    Specversion = Field::ALL.len() as isize,
    /// `data` or `data_base64`: they exclude each other.
    Data,
}

/// An event that is being filled in.
pub(super) struct Draft<'a> {
    /// The batch's input: text that lies in it is pointed to, other text is copied to `made`.
    input: &'a str,
    made: &'a mut String,
    event: &'a mut Event,
    /// The members seen, `null` or not: a bit for each [`Field`], then for each [`Extra`].
    seen: u64,
    /// The member being read and what it must be: for the reason, if its type is wrong.
    member: (&'static str, &'static str),
    /// The reason, where a visitor found one that serde's errors cannot carry.
    fault: Option<Reason>,
    is_version_1: bool,
}

const _: () = assert!(Extra::Data as usize <= 63, "the members seen are one u64");

impl<'a> Draft<'a> {
    /// A draft that fills in `event`.
    pub(super) fn new(input: &'a str, made: &'a mut String, event: &'a mut Event) -> Draft<'a> {
        Draft { input, made, event, seen: 0, member: ("event", "an object"), fault: None, is_version_1: false }
    }

    /// The batch's input.
    pub(super) fn input(&self) -> &'a str {
        self.input
    }

    /// Reads a whole event in structured mode, into a draft that is new: the short way, and if that does not take the
    /// text, the general way from the same beginning.
    pub(super) fn read_envelope(&mut self, text: &str, orders: &mut Orders) -> Result<(), Reason> {
        let made_before = self.made.len();
        if self.read_plain_envelope(text, orders).is_some() {
            return Ok(());
        }
        // Nothing was known of the event but where and when it came.
        let Event { raw, position, ingest_time_ms, .. } = *self.event;
        *self.event = Event::default();
        (self.event.raw, self.event.position, self.event.ingest_time_ms) = (raw, position, ingest_time_ms);
        (self.seen, self.is_version_1) = (0, false);
        self.made.truncate(made_before);
        self.read_general_envelope(text)
    }

    /// Reads `data` that stands alone.
    pub(super) fn read_data(&mut self, text: &str, orders: &mut Orders) -> Result<(), Reason> {
        self.begin_extra(Extra::Data)?;
        let before = (self.event.clone(), self.made.len(), self.seen);
        if self.read_plain_data(text, orders).is_some() {
            return Ok(());
        }
        (*self.event, _, self.seen) = before;
        self.made.truncate(before.1);
        self.read_general_data(text)
    }

    /// Begins a field; `Err` when it has been there before.
    #[inline]
    pub(super) fn begin(&mut self, field: Field) -> Result<(), Reason> {
        self.member = (field.name(), expected(field));
        self.see_once(field as usize)
    }

    /// Begins a member that is no field.
    pub(super) fn begin_extra(&mut self, extra: Extra) -> Result<(), Reason> {
        self.member = match extra {
            Extra::Specversion => ("specversion", "a string"),
            Extra::Data => ("data", "an object"),
        };
        self.see_once(extra as usize)
    }

    fn see_once(&mut self, bit: usize) -> Result<(), Reason> {
        self.see(bit).ok_or(Reason::DuplicateField { member: self.member.0 })
    }

    /// Notes a member by its bit; `None` when it has been there before.
    #[inline]
    pub(super) fn see(&mut self, bit: usize) -> Option<()> {
        let is_new = self.seen >> bit & 1 == 0;
        self.seen |= 1 << bit;
        is_new.then_some(())
    }

    /// Says what `data_base64` must be, if it is not.
    pub(super) fn expect_base64(&mut self) {
        self.member = ("data_base64", "the base64 of an object in JSON");
    }

    /// Notes `specversion`.
    pub(super) fn set_version(&mut self, version: &str) {
        self.is_version_1 = version == "1.0";
    }

    /// An attribute from a header, whose name comes without its prefix.
    pub(super) fn attribute(&mut self, name: &str, value: &[u8]) -> Result<(), Reason> {
        let field = match name.to_ascii_lowercase().as_str() {
            "specversion" => {
                self.begin_extra(Extra::Specversion)?;
                self.is_version_1 = value == b"1.0";
                return Ok(());
            }
            "id" => Field::Id,
            "source" => Field::Source,
            "type" => Field::Type,
            "time" => Field::Time,
            _ => return Ok(()),
        };
        self.begin(field)?;
        let text =
            simdutf8::compat::from_utf8(value).map_err(|error| Reason::NotUtf8 { offset: error.valid_up_to() })?;
        match field {
            Field::Time => self.set_time(field, text),
            _ => {
                self.set_text(field, text);
                Ok(())
            }
        }
    }

    /// Sets a text field.
    #[inline]
    pub(super) fn set_text(&mut self, field: Field, text: &str) {
        let span = self.place(text);
        self.event.set_span(field, span);
        if !matches!(field, Field::Id | Field::Source) {
            self.add(field, text.as_bytes());
        }
    }

    /// Sets a map field to its JSON text, whose content has this hash.
    pub(super) fn set_map(&mut self, field: Field, text: &str, content: u64) {
        let span = self.place(text);
        self.event.set_span(field, span);
        self.add(field, &content.to_le_bytes());
    }

    /// Sets the integer field.
    pub(super) fn set_int(&mut self, field: Field, value: i64) {
        debug_assert_eq!(field, Field::AmountMinor);
        self.event.amount_minor = value;
        self.event.presence.insert(field);
        self.add(field, &value.to_le_bytes());
    }

    /// Sets a number. A latitude or longitude that is none reads as absent.
    pub(super) fn set_double(&mut self, field: Field, value: f64) {
        let (place, bound) = match field {
            Field::Latitude => (&mut self.event.latitude, 90.0),
            Field::Longitude => (&mut self.event.longitude, 180.0),
            _ => (&mut self.event.rating, f64::INFINITY),
        };
        if value.abs() > bound {
            self.event.unreadable.insert(field);
            return;
        }
        *place = value + 0.0; // a negative zero is the zero
        self.event.presence.insert(field);
        self.add(field, &(value + 0.0).to_bits().to_le_bytes());
    }

    /// Sets an instant. An `account_created_at` that is none reads as absent.
    pub(super) fn set_time(&mut self, field: Field, text: &str) -> Result<(), Reason> {
        let time_ms = match parse_time_ms(text) {
            Ok(time_ms) => time_ms,
            Err(problem) if field == Field::Time => return Err(Reason::BadTime { problem }),
            Err(_) => {
                self.event.unreadable.insert(field);
                return Ok(());
            }
        };
        match field {
            Field::Time => self.event.event_time_ms = time_ms,
            _ => self.event.account_created_at_ms = time_ms,
        }
        self.event.presence.insert(field);
        self.add(field, &time_ms.to_le_bytes());
        Ok(())
    }

    /// The span of a text: where it is, if it lies in the input, else of a copy.
    #[inline]
    fn place(&mut self, text: &str) -> Span {
        let start = text.as_ptr().addr().wrapping_sub(self.input.as_ptr().addr());
        if start < self.input.len() { Span::input(start, text.len()) } else { make(self.made, text) }
    }

    /// Adds a value to the fingerprint: a sum, so that the order of the fields does not matter.
    #[inline]
    fn add(&mut self, field: Field, value: &[u8]) {
        self.event.fingerprint = self.event.fingerprint.wrapping_add(xxh3_64_with_seed(value, field as u64));
    }

    /// Keeps a reason for [`Draft::reason_of`]. The error that is returned only makes serde stop.
    pub(super) fn stop<E: serde::de::Error>(&mut self, reason: Reason) -> E {
        self.fault = Some(reason);
        E::custom("stopped")
    }

    /// Why reading stopped.
    pub(super) fn reason_of(&mut self, text: &str, error: &serde_json::Error) -> Reason {
        self.fault.take().unwrap_or_else(|| reason_of(text, error, self.member))
    }

    /// The checks that every event passes, however it came; fills in what is derived from the whole.
    ///
    /// # Errors
    ///
    /// The first of: specversion, id, source, type, time, the fields that the type requires, a time in the future.
    pub(super) fn finish(&mut self, options: ParseOptions) -> Result<(), Reason> {
        if !self.is_version_1 {
            return Err(Reason::BadSpecversion);
        }
        let missing = [
            (Field::Id, Reason::MissingId),
            (Field::Source, Reason::MissingSource),
            (Field::Type, Reason::MissingType),
        ];
        for (field, reason) in missing {
            if self.event.span(field).is_empty() {
                return Err(reason);
            }
        }
        if !self.event.presence.has(Field::Time) {
            return Err(Reason::MissingTime);
        }
        self.event.kind = EventKind::from_name(self.text(self.event.span(Field::Type)));
        if let Some(spec) = self.event.kind.spec() {
            debug_assert!(spec.required.iter().all(|field| field.field_type() == FieldType::Text));
            if let Some(field) = spec.required.iter().find(|field| self.event.span(**field).is_empty()) {
                return Err(Reason::MissingField { field: *field, kind: spec.name });
            }
        }
        if self.event.span(Field::Program).is_empty() {
            self.default_program();
        }
        let ahead_ms = self.event.event_time_ms.saturating_sub(self.event.ingest_time_ms);
        if ahead_ms > FUTURE_MAX_MS && !options.allow_future {
            return Err(Reason::Future { ahead_ms });
        }
        Ok(())
    }

    /// Puts an event that names no program, or the empty one, into the default program.
    fn default_program(&mut self) {
        if self.event.presence.has(Field::Program) {
            let empty = xxh3_64_with_seed(b"", Field::Program as u64);
            self.event.fingerprint = self.event.fingerprint.wrapping_sub(empty);
        }
        self.set_text(Field::Program, DEFAULT_PROGRAM);
    }

    fn text(&self, span: Span) -> &str {
        span.of(self.input, self.made)
    }
}

/// How deep arrays and objects may lie in each other: what serde_json reads at most.
const NESTING: &str = "deeper than 127 levels, which is not read";

/// The reason behind an error of serde: the type of `member`, or the syntax.
pub(super) fn reason_of(text: &str, error: &serde_json::Error, member: (&'static str, &'static str)) -> Reason {
    if error.is_data() {
        return Reason::WrongType { member: member.0, expected: member.1 };
    }
    let lines_before = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    let line_start: usize = lines_before.map(str::len).sum();
    let offset = if error.is_eof() { text.len() } else { line_start + error.column().saturating_sub(1) };
    let problem = match error.to_string() {
        // It may be JSON all the same: what the parser has is a bound.
        deep if deep.starts_with("recursion limit exceeded") => format!("it nests {NESTING}"),
        problem => problem,
    };
    Reason::NotJson { problem, offset: offset.min(text.len()) }
}
