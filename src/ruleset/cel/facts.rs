//! What a program is evaluated over: one event, its signals, and what state said about it.
//!
//! The engine implements [`Facts`]; every accessor is a lookup, so that a compiled condition costs nanoseconds.

use std::borrow::Cow;

use super::{ListIndex, ReadIndex};
use crate::event::{Field, Signal};

/// What one read of the [`ReadTable`](super::ReadTable) gave for this event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The value.
    pub value: ReadingValue,
    /// Whether the feature has seen a whole window: `complete(f)`.
    pub complete: bool,
    /// Whether the value is not summarised: `exact(f)`.
    pub exact: bool,
    /// Whether some event is behind it: `known(f)`. A count of nothing is 0 and not known.
    pub known: bool,
}

impl Reading {
    /// A complete and exact reading.
    #[inline]
    pub fn of(value: ReadingValue) -> Reading {
        Reading { value, complete: true, exact: true, known: !matches!(value, ReadingValue::Unknown) }
    }
}

/// The value of a reading. Its variant follows from the feature's type, or it is [`ReadingValue::Unknown`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReadingValue {
    /// There is no value: a `last` before any event, the `min` of nothing. Not an error.
    Unknown,
    /// A sum of ints beyond 64 bits: reading it is an overflow.
    Overflow,
    /// `count`, `sum`, `distinct`, and `min`, `max`, `previous` of ints.
    Int(i64),
    /// `avg`, and the others over doubles; `geo`.
    Double(f64),
    /// `rate`, `previous` of bools; `account.new_device`.
    Bool(bool),
    /// `first`, `last`, `previous` of timestamps: milliseconds since the Unix epoch.
    TimestampMs(i64),
    /// `account.age`, `previous` of durations.
    DurationMs(i64),
    /// The keyed hash of a text: `previous` of texts. As [`Facts::hash_text`] makes it.
    Hash(u64),
    /// A text: `account.referrer`. It is [`Facts::reading_text`].
    Text,
    /// A set, by its size; its members are in [`Facts::set_members`].
    Set {
        /// How many members; more than [`Facts::set_members`] shows when the set is summarised.
        size: u64,
    },
}

/// One event with its signals and readings. Text that is absent is `""`, a number 0, a flag false.
pub trait Facts {
    /// Whether the event came with the field.
    fn has(&self, field: Field) -> bool;
    /// A field of type text; of a map, its JSON text.
    fn text(&self, field: Field) -> &str;
    /// A field of type int.
    fn int(&self, field: Field) -> i64;
    /// A field of type double.
    fn double(&self, field: Field) -> f64;
    /// A field of type timestamp, in milliseconds since the Unix epoch.
    fn timestamp_ms(&self, field: Field) -> i64;
    /// `event.amount_base`: the amount in the program's base currency; `None` without an amount or a rate.
    fn amount_base(&self) -> Option<f64>;
    /// The program's name; `default` when the event has none.
    fn program(&self) -> &str;

    /// A signal of kind text.
    fn signal_text(&self, signal: Signal) -> &str;
    /// A signal of kind int.
    fn signal_int(&self, signal: Signal) -> i64;
    /// A signal of kind double.
    fn signal_double(&self, signal: Signal) -> f64;
    /// A signal of kind flag.
    fn signal_flag(&self, signal: Signal) -> bool;

    /// What a read gave.
    fn reading(&self, read: ReadIndex) -> Reading;
    /// The hashes of a set's members, ascending; empty unless the read wants contents.
    fn set_members(&self, read: ReadIndex) -> &[u64];

    /// The text that a read gave; for a read whose value is [`ReadingValue::Text`].
    fn reading_text(&self, read: ReadIndex) -> &str;

    /// The hash of a text, as state hashes set members and the texts of `previous`.
    fn hash_text(&self, text: &str) -> u64;
    /// The hash of an int; of a timestamp or duration, of its milliseconds.
    fn hash_int(&self, value: i64) -> u64;
    /// The hash of a double.
    fn hash_double(&self, value: f64) -> u64;
    /// The hash of a bool.
    fn hash_bool(&self, value: bool) -> u64;

    /// Whether a string list has this text.
    fn in_text_list(&self, list: ListIndex, text: &str) -> bool;
    /// Whether a domain list has this domain or a parent of it.
    fn in_domain_list(&self, list: ListIndex, domain: &str) -> bool;
    /// Whether an address, as text, is in a network of a cidr list; false for what is no address.
    fn in_network_list(&self, list: ListIndex, address: &str) -> bool;
    /// Whether a date list has the day of this instant, in the program's time zone.
    fn in_date_list(&self, list: ListIndex, timestamp_ms: i64) -> bool;
}

/// Why an expression has no value for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A reading is unknown. The condition does not match, and this is no error.
    Unknown,
    /// A number, timestamp or duration left its range.
    Overflow,
    /// A whole number was divided by zero.
    DivisionByZero,
    /// A list has no such index, or a text no such place.
    OutOfRange,
    /// A map has no such key.
    NoSuchKey,
    /// A map was given a key twice.
    DuplicateKey,
    /// A text or number is not what a conversion wants.
    InvalidConversion,
    /// A function does not take such an argument, such as an unknown time zone.
    InvalidArgument,
    /// A `dyn` value is of a type that the function does not take.
    NoSuchOverload,
    /// A comprehension or concatenation went past its bound.
    TooCostly,
}

impl Fault {
    /// Every fault, in order.
    pub const ALL: &'static [Fault] = &[
        Fault::Unknown,
        Fault::Overflow,
        Fault::DivisionByZero,
        Fault::OutOfRange,
        Fault::NoSuchKey,
        Fault::DuplicateKey,
        Fault::InvalidConversion,
        Fault::InvalidArgument,
        Fault::NoSuchOverload,
        Fault::TooCostly,
    ];

    /// Whether it counts as an error of the rule: everything but an unknown reading.
    pub fn is_error(self) -> bool {
        self != Fault::Unknown
    }

    /// A stable code, such as `division_by_zero`.
    pub const fn code(self) -> &'static str {
        match self {
            Fault::Unknown => "unknown",
            Fault::Overflow => "overflow",
            Fault::DivisionByZero => "division_by_zero",
            Fault::OutOfRange => "out_of_range",
            Fault::NoSuchKey => "no_such_key",
            Fault::DuplicateKey => "duplicate_key",
            Fault::InvalidConversion => "invalid_conversion",
            Fault::InvalidArgument => "invalid_argument",
            Fault::NoSuchOverload => "no_such_overload",
            Fault::TooCostly => "too_costly",
        }
    }
}

/// A single value that a key, a feature's `value` or a decision's id evaluated to.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// `null`.
    Null,
    /// A bool.
    Bool(bool),
    /// An int.
    Int(i64),
    /// A uint.
    Uint(u64),
    /// A double.
    Double(f64),
    /// A string; borrowed unless it had to be made.
    Text(Cow<'a, str>),
    /// An instant, in nanoseconds since the Unix epoch.
    Timestamp(i128),
    /// A span of time, in nanoseconds.
    Duration(i128),
    /// A text known by its keyed hash, as [`Facts::hash_text`] makes it.
    Hash(u64),
}
