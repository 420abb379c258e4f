//! Lines in and out: files, compressed files, standard input and output.
//!
//! One event a line. Reading is by chunks of whole lines, so that text is checked as UTF-8 once a chunk and the parser
//! can borrow from it. It imports `event` for limits and reasons. Invariant: no line longer than
//! [`EVENT_BYTES_MAX`](crate::event::EVENT_BYTES_MAX) is ever held in memory.

mod compression;
mod sink;
mod source;
#[cfg(test)]
mod tests;

pub use sink::{LineSink, WriteMode};
pub use source::{Line, LineChunk, LineOptions, LineSource, ReadProgress};
