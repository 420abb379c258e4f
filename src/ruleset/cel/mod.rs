//! CEL expressions: text, parsed, checked against what a rule may read, compiled to a typed program, evaluated.
//!
//! Rules are written in the [Common Expression Language](https://cel.dev). Whatever can be wrong with an expression is
//! told when it is loaded; what runs is a typed tree over slots, with constants folded, that costs nanoseconds. The
//! module imports `event`, the diagnostics and pure crates; the engine reaches it through [`Facts`].
//!
//! Invariants: compiling never panics and is bounded by the limits of the text; evaluating never panics, allocates only for values
//! that must be made (concatenation, comprehensions over run-time lists), and is bounded by a budget.

mod compiled;
mod facts;
mod reads;
mod scope;
mod source;
mod template;
mod types;

pub use compiled::{Compiled, Uses};
pub use facts::{Facts, Fault, Reading, ReadingValue, Scalar};
pub use reads::{AccountFact, FeatureIndex, GeoFact, ListIndex, Read, ReadIndex, ReadKey, ReadSource, ReadTable, Role};
pub use scope::{FeatureDecl, ListDecl, Scope, is_reserved};
pub use source::{Segment, Source};
pub use template::Template;
pub use types::{Element, ListKind, Type};

use crate::ruleset::diagnostic::Diagnostic;

/// Where an expression stands, which says what it may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// `when`, `except`, a message: everything.
    Condition,
    /// `where`, `key`, `value` of a feature, and the arguments of `.at`: no features.
    Feature,
}

/// What type of value is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A condition.
    Bool,
    /// A part of a key: string, int, uint, bool, timestamp, duration or a hashed one of these.
    Key,
    /// An int or a double, to add or compare.
    Number,
    /// A single value: what a key can be, or a double.
    Scalar,
    /// Anything that can be printed: a single value, or a set.
    Printable,
}

/// Checks and compiles an expression. What it reads is added to the rule set's table.
///
/// # Errors
///
/// Everything that is wrong with it, at least one.
pub fn compile(
    source: &Source,
    _scope: &Scope,
    _reads: &mut ReadTable,
    _position: Position,
    _wanted: Wanted,
) -> Result<Compiled, Vec<Diagnostic>> {
    Err(vec![source.error("syntax", 0..source.text.len(), "not an expression")])
}
