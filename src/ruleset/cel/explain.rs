//! Why a condition holds, or does not: its terms with what each came to.
//!
//! The checked tree is walked by the general evaluator, whose answers equal the compiled program's; what the condition
//! did not need, because another term had decided it, is marked and told all the same.

use super::node::{Node, NodeKind};
use super::value::Value;
use super::written::{self, Names};
use super::{Facts, Fault, interpret};

/// A part of an expression, and what it came to for one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// The part as CEL, macros expanded.
    pub text: String,
    /// Its value, as people read it.
    pub value: Result<String, Fault>,
    /// Whether the condition needed it: a term behind one that decided is not evaluated. Its value is told all the same.
    pub evaluated: bool,
    /// What it is made of; constants and what needs the variable of a comprehension are left out.
    pub terms: Vec<Term>,
}

impl Term {
    /// Whether it is a condition that holds.
    pub fn holds(&self) -> bool {
        self.value.as_deref() == Ok("true")
    }
}

/// Walks a tree over facts.
pub(super) fn explain<F: Facts>(node: &Node, facts: &F, names: &dyn Names) -> Term {
    Walk { facts, names }.term(node, true)
}

struct Walk<'a, F> {
    facts: &'a F,
    names: &'a dyn Names,
}

impl<F: Facts> Walk<'_, F> {
    fn term(&self, node: &Node, evaluated: bool) -> Term {
        let value = interpret::evaluate(node, self.facts);
        let terms = match &node.kind {
            NodeKind::And(terms) => self.logic(terms, evaluated, false),
            NodeKind::Or(terms) => self.logic(terms, evaluated, true),
            NodeKind::Choice(parts) => {
                let [condition, yes, no] = parts.as_ref();
                let taken = interpret::evaluate(condition, self.facts).and_then(|value| value.bool());
                let terms = [(condition, true), (yes, taken == Ok(true)), (no, taken == Ok(false))];
                let varies = |(node, _): &(&Node, bool)| varies(node);
                terms.into_iter().filter(varies).map(|(node, on)| self.term(node, evaluated && on)).collect()
            }
            _ => parts(node).into_iter().filter(|part| varies(part)).map(|part| self.term(part, evaluated)).collect(),
        };
        Term {
            text: written::write(node, self.names),
            value: value.as_ref().map(written::shown).map_err(|of| *of),
            evaluated,
            terms,
        }
    }

    /// The terms of `&&` (decided by false) or `||` (decided by true).
    fn logic(&self, terms: &[Node], mut evaluated: bool, deciding: bool) -> Vec<Term> {
        let mut told = Vec::new();
        for node in terms {
            told.push(self.term(node, evaluated));
            evaluated &= interpret::evaluate(node, self.facts) != Ok(Value::Bool(deciding));
        }
        told
    }
}

/// What a part is made of.
fn parts(node: &Node) -> Vec<&Node> {
    match &node.kind {
        NodeKind::Operator(_, parts) | NodeKind::Function(_, parts) | NodeKind::List(parts) => parts.iter().collect(),
        NodeKind::Matches(of, _) | NodeKind::Listed(of, ..) | NodeKind::Not(of) | NodeKind::HasKey(of, _) => vec![of],
        NodeKind::Hashed(_, left, right) => vec![left, right],
        NodeKind::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
        NodeKind::Comprehension(comprehension) => vec![&comprehension.range],
        _ => Vec::new(),
    }
}

/// Whether a part is worth a line: it has a value, and one that differs between events.
fn varies(node: &Node) -> bool {
    !matches!(node.kind, NodeKind::Constant(_) | NodeKind::Members(..) | NodeKind::Local(_) | NodeKind::Faulty)
        && !mentions_local(node)
}

fn mentions_local(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Local(_) => true,
        NodeKind::And(parts) | NodeKind::Or(parts) => parts.iter().any(mentions_local),
        NodeKind::Choice(parts) => parts.iter().any(mentions_local),
        // A variable inside is the comprehension's own, or its range mentions one of those around it.
        _ => parts(node).into_iter().any(mentions_local),
    }
}
