//! What is remembered over event time: one table of exact windows a feature, and the identities already seen.
//!
//! It exists apart from the engine so that a window can be read, tested against a recount and timed alone. It is pure:
//! no I/O, no clock, no thread, no randomness, and it imports nothing of the crate; the engine gives it hashes, event
//! times and 64-bit values.
//!
//! Invariants:
//! - A reading is what a recount over all operations so far gives for the half-open window `(t - window, t]`, late
//!   events included. What is dropped physically could not be seen by any later reading.
//! - Operations on exact windows commute and are idempotent by event; `rate`, the ties of `last` and `previous`, and keys
//!   past their bound depend on the order of events, never on how events were cut into batches.
//! - Past its bound a key is summarised, never cut in silence: a reading that reaches what was summarised is not exact.
//! - Identifiers are never stored: keys and members are keyed hashes.
//! - No pause is proportional to a table: slots never move, and the index grows a segment at a time.
//!
//! Tested beside each file and, against brute force over long random histories, in `tests/oracle_state.rs`.

mod bucketed;
mod checkpoint;
mod classes;
mod component;
mod cut;
mod dedup;
mod entries;
mod feature;
mod few;
mod forest;
mod hash;
mod index;
mod kin;
mod latest;
mod links;
mod meter;
mod numbers;
mod operation;
pub mod planted;
mod presence;
mod rate;
mod sequence;
mod sketch;
mod slab;
mod spec;
mod summary;
mod table;
mod timed;
mod window;

pub use checkpoint::{Broken, ByteReader, ByteWriter, ClassMap, Segments};
pub use classes::{ClassRefused, ClassRoom, ClassUse};
pub(crate) use cut::Cuttable;
pub use cut::OrderedCut;
pub use dedup::{Dedup, Entry, Identity, Sighting};
pub use feature::{FeatureTable, Fetch, Guesses};
pub use hash::{Class, HashKey, KeyHash, KeyHasher, PartHash, Scalar};
pub use links::Links;
pub use meter::Meter;
pub use operation::{Op, Reading, Readings, Value};
pub use spec::{Aggregate, Limit, Number, Reach, Steps, WindowSpec};
