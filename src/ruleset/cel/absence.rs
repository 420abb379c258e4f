//! Whether a condition concludes from absence: whether it can hold because nothing is known yet.
//!
//! While state is young nothing is known of anybody, and a rule such as `logins == 0` takes everybody for new. Found in
//! the checked tree, macros expanded, so that it does not matter how the absence is written.

use std::cmp::Ordering;

use super::function::{Function, Operator};
use super::node::{Node, NodeKind, Question};
use super::value::Value;
use super::{ReadIndex, Type};

/// What a condition reads in a way that youth of the state misleads, and what it asks about that.
#[derive(Clone, Debug, Default)]
pub struct Absence {
    /// The condition can hold because these are not known.
    pub unknown: Vec<ReadIndex>,
    /// It can hold because these numbers or sets are small, where nothing was counted.
    pub few: Vec<ReadIndex>,
    /// It can hold because these claims are true.
    pub claims: Vec<ReadIndex>,
    /// It asks whether these have seen a whole window.
    pub complete_asked: Vec<ReadIndex>,
    /// Their values are compared, or they are asked to be known: without a value the comparison does not hold.
    pub needed: Vec<ReadIndex>,
}

impl Absence {
    /// Looks through a checked condition.
    pub(super) fn of(node: &Node) -> Absence {
        let mut absence = Absence::default();
        absence.look(node, true);
        absence
    }

    /// `wanted`: the value of the node with which the whole condition can hold.
    fn look(&mut self, node: &Node, wanted: bool) {
        match &node.kind {
            NodeKind::Not(of) => self.look(of, !wanted),
            NodeKind::And(terms) | NodeKind::Or(terms) => terms.iter().for_each(|term| self.look(term, wanted)),
            NodeKind::Choice(parts) => {
                let [condition, yes, no] = parts.as_ref();
                // A side that is the other value says that the condition decides.
                self.look(condition, !is_bool(yes, !wanted));
                self.look(yes, wanted);
                self.look(no, wanted);
            }
            NodeKind::Ask(Question::Complete, read) => self.complete_asked.push(*read),
            NodeKind::Ask(Question::Known, read) if wanted => self.needed.push(*read),
            NodeKind::Ask(Question::Known, read) => self.unknown.push(*read),
            NodeKind::Read(read) if node.ty == Type::Bool && wanted => self.claims.push(*read),
            NodeKind::Hashed(Operator::In, _, set) if !wanted => self.few.extend(counted(set)),
            NodeKind::Operator(operator, sides) => {
                if let [left, right] = sides.as_slice() {
                    self.compared(*operator, left, right, wanted);
                }
            }
            _ => {}
        }
    }

    fn compared(&mut self, operator: Operator, left: &Node, right: &Node, wanted: bool) {
        if left.ty == Type::Bool && right.ty == Type::Bool {
            let same = (operator == Operator::Equal) == wanted;
            match (left, right) {
                (side, other) | (other, side) if is_bool(other, true) => return self.look(side, same),
                (side, other) | (other, side) if is_bool(other, false) => return self.look(side, !same),
                _ => return,
            }
        }
        let (of, to, operator) =
            if left.constant().is_some() { (right, left, operator.mirrored()) } else { (left, right, operator) };
        let operator = if wanted { operator } else { opposite(operator) };
        let order = to.constant().and_then(|value| Value::Int(0).compare(value).ok().flatten());
        let holds_for_0 = match operator {
            Operator::Equal => order == Some(Ordering::Equal),
            Operator::Less => order == Some(Ordering::Less),
            Operator::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            _ => false,
        };
        let reads = if holds_for_0 { &mut self.few } else { &mut self.needed };
        reads.extend(counted(of));
    }
}

/// The reads whose number a node is.
fn counted(node: &Node) -> Vec<ReadIndex> {
    match &node.kind {
        NodeKind::Read(read) => vec![*read],
        NodeKind::Function(Function::Size | Function::Overlap | Function::Double | Function::Int, of) => {
            of.iter().flat_map(counted).collect()
        }
        NodeKind::Operator(Operator::Add | Operator::Subtract, of) => of.iter().flat_map(counted).collect(),
        _ => Vec::new(),
    }
}

fn is_bool(node: &Node, value: bool) -> bool {
    node.constant() == Some(&Value::Bool(value))
}

fn opposite(operator: Operator) -> Operator {
    match operator {
        Operator::Equal => Operator::NotEqual,
        Operator::NotEqual => Operator::Equal,
        Operator::Less => Operator::GreaterOrEqual,
        Operator::LessOrEqual => Operator::Greater,
        Operator::Greater => Operator::LessOrEqual,
        Operator::GreaterOrEqual => Operator::Less,
        other => other,
    }
}
