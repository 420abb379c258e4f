//! Rule files: read, checked, compiled into the program that the engine runs.
//!
//! A folder of packs goes through [`load()`]: `yaml` reads text into a tree with places, `pack` reads the tree into
//! definitions, `compile` resolves names and compiles expressions by `cel`, and a [`RuleSet`](program::RuleSet) comes
//! out, or every [`Diagnostic`](diagnostic::Diagnostic) there is. May import `event`, `lists` and pure crates; only
//! `load` reads files, through [`Files`](load::Files). Invariant: the same files make the same set, and no text makes it
//! panic.

pub mod cel;
mod compile;
pub mod cost;
pub mod diagnostic;
pub mod difference;
pub mod load;
mod pack;
pub mod program;
pub mod yaml;

pub use load::{Premises, load};
pub use pack::{AggregateDoc, TEST_BASE_MS, aggregates};
