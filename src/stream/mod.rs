//! The outside world of events: where bytes come from and where verdicts go, by file, pipe, hand or Kafka.
//!
//! The engine has no I/O, so everything that can block, fail or be slow is here, behind types that the pipeline joins:
//! a source fills batches whose buffers are used again, a [`Sink`] says how far its outputs are safe, and [`Unsettled`]
//! keeps the place of what is not. It imports `event` and clients of outside services, never the configuration: options
//! come as plain values. It reads no clock; waiting is bounded by durations given to blocking calls.
//! Invariants: memory is bounded whatever comes in, and a place in a source is committed only when every output that
//! came of it is delivered: at least once, nothing lost. Tests with a real broker: `tests/kafka_stream.rs`.

pub mod checkpoint;
pub mod copies;
pub mod decision_log;
pub mod disk;
mod error;
pub mod file;
pub mod follow;
pub mod inbox;
pub mod journal;
pub mod kafka;
pub mod log;
pub mod pipeline;
mod progress;
pub mod redis;
mod refused;
mod sink;

pub use error::{Fault, StreamError};
pub use progress::Unsettled;
pub use refused::Refused;
pub use sink::{Mark, Sink};
