//! What comparisons demand of a reading: the least value for which they can be true.
//!
//! A feature keeps a bounded number of entries, so a comparison with more than that is never true; whoever knows the
//! bound can say so before an event comes. Looks at whole numbers written out beside a reading, and at nothing else.

use super::ReadIndex;
use super::function::Operator;
use super::node::{Node, NodeKind};
use super::value::Value;

/// A comparison that is true only from some value of a reading on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// What is compared.
    pub read: ReadIndex,
    /// The least value for which the comparison is true.
    pub least: i64,
}

/// Every demand in a checked tree, in the order of the text.
pub(super) fn demands(node: &Node) -> Vec<Demand> {
    let mut found = Vec::new();
    walk(node, &mut found);
    found
}

/// The depth is that of the checked tree, which is bounded.
fn walk(node: &Node, found: &mut Vec<Demand>) {
    match &node.kind {
        NodeKind::Operator(operator, operands) => {
            if let [left, right] = operands.as_slice() {
                found.extend(demand(*operator, left, right));
            }
            operands.iter().for_each(|operand| walk(operand, found));
        }
        NodeKind::And(parts) | NodeKind::Or(parts) => parts.iter().for_each(|part| walk(part, found)),
        NodeKind::Not(part) => walk(part, found),
        NodeKind::Choice(parts) => parts.iter().for_each(|part| walk(part, found)),
        _ => {}
    }
}

fn demand(operator: Operator, left: &Node, right: &Node) -> Option<Demand> {
    // `5000 < f` demands what `f > 5000` does.
    let (operator, of, constant) = match (left.constant(), right.constant()) {
        (None, Some(constant)) => (operator, left, constant),
        (Some(constant), None) => (operator.mirrored(), right, constant),
        _ => return None,
    };
    let Value::Int(constant) = constant else { return None };
    let read = reading(of)?;
    let least = match operator {
        Operator::Greater => constant.checked_add(1)?,
        Operator::GreaterOrEqual | Operator::Equal => *constant,
        _ => return None,
    };
    Some(Demand { read, least })
}

/// The reading itself, or the size of the set that it is.
fn reading(node: &Node) -> Option<ReadIndex> {
    match &node.kind {
        NodeKind::Read(read) => Some(*read),
        NodeKind::Function(_, arguments) => match arguments.as_slice() {
            [Node { kind: NodeKind::Read(read), ty: super::Type::Set(_) }] => Some(*read),
            _ => None,
        },
        _ => None,
    }
}
