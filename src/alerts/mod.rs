//! Alerts: one for a rule and what its matches are grouped by, from when it opens until it has been quiet.
//!
//! A rule that is right matches again and again, and a person who is told of each match stops reading. So matches that call
//! for an alert are gathered here, and a record says when an alert opens, when it has grown much or for long, when it has
//! become worse and when it closes. What calls for one is the engine's to say
//! ([`Raised`](crate::engine::Raised)); what is written goes out with the verdicts (`src/stream/pipeline/writer.rs`).
//! Like the engine this is a deterministic machine without I/O: time is event time, and the same judgements in the same
//! order give the same records, whatever they were batched into. It knows `event`, `ruleset` and `engine`. Invariants: memory
//! and open alerts are bounded, and an alert that a bound closes says so; the records of an alert grow with the logarithm
//! of its count and with time, never with its count. Tested in `tests/alerts.rs`, against a recount by brute force.

mod alert;
mod grouping;
mod lines;
mod record;
mod stored;
mod words;

pub use grouping::{AlertOptions, Alerts};
pub use lines::{AlertCounts, AlertLines};
pub use words::{AlertChange, AlertClosing, AlertEvent};
