//! Tools around the same engine: tests in rule files, made-up traffic, measurements.
//!
//! Everything here drives the parser, deriver and engine that the daemon runs, so that what a tool says is what the
//! daemon will do. It knows all floors below.

pub mod bench;
pub mod explain;
pub mod pack_tests;
pub mod population;
mod replay;

pub use replay::Replay;
