//! One fact from outside: its envelope, fields, time and place, and how it is read from bytes.
//!
//! The ground floor: plain values that every other module knows. It imports the standard library and pure crates only.
//! Invariant: an [`Event`] is valid (its required fields are there, of the right type) and all its text is UTF-8 in the
//! [`EventBatch`] that it belongs to.

mod act;
mod attributes;
mod batch;
mod country;
mod currency;
mod digit;
mod field;
mod fuzz;
pub mod json;
mod kind;
mod letter;
pub mod mapping;
mod money;
mod names;
mod nearest;
mod parse;
mod reason;
mod schema;
mod signal;
mod time;
mod verdict;

pub use act::{
    ACT_NAME_BYTES_MAX, ACT_REASON_BYTES_MAX, Act, ActSubject, Deed, EndHold, HoldEnding, Lift, ListValue, NoAct,
    PutEntry, PutOverride,
};
pub use attributes::{AttributeType, AttributeValue, Attributes, attribute};
pub use batch::{Event, EventBatch, Position, Presence, Span};
pub use country::{country, country_text};
pub use currency::{POINTS, currencies, is_currency};
pub use digit::ascii_digit;
pub use field::{Field, FieldType};
pub use fuzz::{fuzz_mapping, fuzz_parse};
pub use kind::{EventKind, KINDS, KindSpec};
pub use letter::{DeadLetter, Letter, LetterHeader, NotWhole};
pub use money::{currency_exponent, parse_decimal, parse_decimal_floor};
pub use nearest::{nearest, nearest_type};
pub use parse::{ARRAY_EVENTS_MAX, MessageMode, ParseOptions, Parser, Place, RefusedItem, is_array};
pub use reason::{EVENT_BYTES_MAX, FUTURE_MAX_MS, Reason};
pub use schema::{event_schema, events_page};
pub use signal::{Signal, SignalKind, SignalSet, Signals};
pub use time::{TIME_MAX_MS, TIME_MIN_MS, parse_time_ms, write_time_ms};
pub(crate) use time::{civil_from_days, days_from_civil, days_in_month};
pub use verdict::{Cause, Mode, RuleKind, Severity, SubjectKind, Verdict};
