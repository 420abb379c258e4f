//! CEL expressions: text, parsed, checked against what a rule may read, compiled to a typed program, evaluated.
//!
//! Rules are written in the [Common Expression Language](https://cel.dev). Whatever can be wrong with an expression is
//! told when it is loaded; what runs is a typed tree over slots, with constants folded, that costs nanoseconds. The
//! module imports `event`, the diagnostics and pure crates; the engine reaches it through [`Facts`].
//!
//! Invariants: compiling never panics and is bounded by the limits of the text; evaluating never panics, allocates only
//! for values that must be made (concatenation, comprehensions over run-time lists), and is bounded by a budget. Tests
//! are in `tests.rs` here and, through the public interface alone, in `tests/cel.rs`.

mod absence;
mod apply;
mod assume;
mod check;
mod compare;
mod compiled;
mod cost;
mod demand;
mod device;
mod explain;
mod facts;
mod function;
pub mod fuzz;
mod guards;
mod interpret;
mod lexical;
mod listed;
mod lower;
mod node;
mod probe;
mod program;
mod reads;
mod reference;
mod scope;
mod sets;
mod source;
mod syntax;
mod template;
mod text;
mod time;
mod types;
mod value;
mod written;

pub use absence::{Absence, Conclusion, Sign, Unsaid};
pub use compiled::{Compiled, Leaf, Uses};
pub use demand::Demand;
pub use explain::Term;
pub use facts::{Facts, Fault, Reading, ReadingValue, Scalar};
pub use guards::{Guards, TextOf};
pub use listed::compile_listed;
pub use reads::{
    AccountFact, FeatureIndex, GeoFact, ListIndex, Read, ReadIndex, ReadKey, ReadSource, ReadTable, Referral, Role,
};
pub use reference::{FunctionDoc, functions};
pub use scope::{FeatureDecl, ListDecl, Scope, is_reserved};
pub use sets::overlap;
pub use source::{Segment, Source};
pub use template::Template;
pub use types::{Element, ListKind, Type};
pub use written::Names;

use self::check::Checker;
pub use self::check::TypeNamed;
use self::compiled::Noticed;
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
    /// A text: the id of a decision's subject.
    Text,
    /// A part of a key: string, int, uint, bool, timestamp, duration or a hashed one of these.
    Key,
    /// An int or a double, to add or compare.
    Number,
    /// A single value: what a key can be, or a double.
    Scalar,
    /// A part of what alerts are grouped by: what a key can be, in clear. An absent number has no value.
    Group,
    /// Anything that can be printed: a single value, or a set.
    Printable,
}

impl Wanted {
    /// Whether a value of this type will do.
    fn takes(self, ty: &Type) -> bool {
        let key = match ty {
            Type::Text | Type::Int | Type::Uint | Type::Bool | Type::Timestamp | Type::Duration => true,
            Type::Hashed(element) => *element != Element::Double,
            _ => false,
        };
        match self {
            Wanted::Bool => *ty == Type::Bool,
            Wanted::Text => *ty == Type::Text,
            Wanted::Key => key,
            Wanted::Group => key && !matches!(ty, Type::Hashed(_)),
            Wanted::Number => matches!(ty, Type::Int | Type::Double),
            Wanted::Scalar => key || matches!(ty, Type::Double | Type::Hashed(_)),
            Wanted::Printable => {
                matches!(ty, Type::Double | Type::Null | Type::Set(_)) || key && !matches!(ty, Type::Hashed(_))
            }
        }
    }

    /// Whether a value whose type is known only when it runs will do: state wants to know its types.
    fn takes_dyn(self) -> bool {
        matches!(self, Wanted::Bool | Wanted::Printable)
    }

    fn words(self) -> &'static str {
        match self {
            Wanted::Bool => "a bool",
            Wanted::Text => "a string",
            Wanted::Key => "a string, whole number, bool or time",
            Wanted::Number => "an int or a double",
            Wanted::Scalar => "a single value",
            Wanted::Group => "a string, whole number, bool or time that is known in clear",
            Wanted::Printable => "a value that can be printed",
        }
    }
}

/// Checks and compiles an expression. What it reads is added to the rule set's table.
///
/// # Errors
///
/// Everything that is wrong with it, at least one.
pub fn compile(
    source: &Source,
    scope: &Scope,
    reads: &mut ReadTable,
    position: Position,
    wanted: Wanted,
) -> Result<Compiled, Vec<Diagnostic>> {
    let expr = syntax::parse(source)?;
    let mut checker = Checker::new(scope, reads, position, source);
    let node = checker.check(&expr, wanted);
    if node.ty == Type::Faulty && checker.diagnostics.is_empty() {
        // Something declared elsewhere is faulty, and its own diagnostic tells why.
        let message = "this cannot be checked, because something that it reads is faulty";
        checker.diagnostics.push(source.error("faulty-part", 0..source.text.len(), message));
    }
    if checker.diagnostics.is_empty() {
        Ok(Compiled::new(node, checker.uses, Noticed { warnings: checker.warnings, types: checker.types }))
    } else {
        Err(checker.diagnostics)
    }
}

#[cfg(test)]
mod tests;
