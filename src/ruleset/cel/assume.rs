//! What is left of a condition when the type of the event is one of a few.
//!
//! A rule judges the types that its `on` names, so that `event.type in [...]`, which macros are full of, is mostly
//! settled before any event comes. What runs is made from what is left; explanations keep the whole.

use super::function::Operator;
use super::node::{Node, NodeKind};
use super::value::Value;
use crate::event::Field;

/// The condition for events of these types. Where one of them comes, it has the value, or the fault, of the whole.
pub(super) fn of_types(node: &Node, types: &[&str]) -> Node {
    let of = |node: &Node| of_types(node, types);
    let kind = match &node.kind {
        NodeKind::Operator(operator, sides) => match settled(*operator, sides, types) {
            Some(value) => NodeKind::Constant(Value::Bool(value)),
            None => return node.clone(),
        },
        NodeKind::Not(inner) => NodeKind::Not(Box::new(of(inner))),
        NodeKind::And(terms) => NodeKind::And(terms.iter().map(of).collect()),
        NodeKind::Or(terms) => NodeKind::Or(terms.iter().map(of).collect()),
        NodeKind::Choice(parts) => {
            let [condition, yes, no] = parts.as_ref();
            let condition = of(condition);
            match condition.constant() {
                Some(Value::Bool(taken)) => return of(if *taken { yes } else { no }),
                _ => NodeKind::Choice(Box::new([condition, of(yes), of(no)])),
            }
        }
        _ => return node.clone(),
    };
    Node::new(kind, node.ty.clone())
}

/// What `event.type == 'a'`, `!=` and `in` come to, if all types agree.
fn settled(operator: Operator, sides: &[Node], types: &[&str]) -> Option<bool> {
    let [left, right] = sides else { return None };
    let holds = |of: &str| match (operator, &left.kind, &right.kind) {
        (Operator::In, NodeKind::Field(Field::Type), NodeKind::Constant(Value::List(members))) => {
            Some(members.iter().any(|member| member.equals(&Value::text(of))))
        }
        (Operator::Equal, NodeKind::Field(Field::Type), NodeKind::Constant(Value::Text(text)))
        | (Operator::Equal, NodeKind::Constant(Value::Text(text)), NodeKind::Field(Field::Type)) => {
            Some(text.as_ref() == of)
        }
        (Operator::NotEqual, NodeKind::Field(Field::Type), NodeKind::Constant(Value::Text(text)))
        | (Operator::NotEqual, NodeKind::Constant(Value::Text(text)), NodeKind::Field(Field::Type)) => {
            Some(text.as_ref() != of)
        }
        _ => None,
    };
    let (first, others) = types.split_first()?;
    let first = holds(first)?;
    others.iter().all(|of| holds(of) == Some(first)).then_some(first)
}
