//! One fact from outside: its envelope, fields, time and place, and how it is read from bytes.
//!
//! The ground floor: plain values that every other module knows. It imports the standard library and pure crates only.
//! Invariant: an [`Event`] is valid (its required fields are there, of the right type) and all its text is UTF-8 in the
//! [`EventBatch`] that it belongs to.

mod batch;
mod field;
mod kind;
mod signal;

pub use batch::{Event, EventBatch, Position, Presence, Span};
pub use field::{Field, FieldType};
pub use kind::{EventKind, KINDS, KindSpec};
pub use signal::{Signal, SignalKind, SignalSet, Signals};
