//! Whether a text is in one of some declared lists, or one of some texts: what a component ignores.

use super::function::Operator;
use super::node::{Node, NodeKind};
use super::value::Value;
use super::{Compiled, ListKind, Scope, Source, Type};
use crate::event::nearest;
use crate::ruleset::diagnostic::Diagnostic;

/// How the name of a list begins; what begins otherwise is a text.
const LISTS: &str = "lists.";

/// The condition that the value of an expression is in one of these: `lists.NAME`, or a text as it is.
///
/// # Errors
///
/// Lists that are not declared, or hold no texts.
pub fn compile_listed(value: &Compiled, members: &[Source], scope: &Scope) -> Result<Compiled, Vec<Diagnostic>> {
    let (mut terms, mut texts, mut found) = (Vec::new(), Vec::new(), Vec::new());
    let of = || value.node().clone();
    for member in members {
        let Some(name) = member.text.strip_prefix(LISTS) else {
            texts.push(Value::text(&member.text));
            continue;
        };
        match scope.lists.get(name) {
            Some(list) if list.kind == ListKind::Date => {
                let message = format!("`{name}` is a list of days, and here are texts");
                found.push(member.error("wrong-type", 0..member.text.len(), message));
            }
            Some(list) => {
                terms.push(Node::new(NodeKind::Listed(Box::new(of()), list.index, list.kind), Type::Bool));
            }
            None => {
                let message = format!("there is no list `{}`", name.escape_debug());
                let mut diagnostic = member.error("unknown-list", LISTS.len()..member.text.len(), message);
                diagnostic.hint =
                    nearest(name, scope.lists.keys().map(String::as_str)).map(|name| format!("did you mean `{name}`?"));
                found.push(diagnostic);
            }
        }
    }
    if !found.is_empty() {
        return Err(found);
    }
    if !texts.is_empty() {
        let list = Node::new(NodeKind::Constant(Value::list(texts)), Type::list(Type::Text));
        terms.push(Node::new(NodeKind::Operator(Operator::In, vec![of(), list]), Type::Bool));
    }
    Ok(Compiled::new(
        Node::new(NodeKind::Or(terms), Type::Bool),
        value.uses().clone(),
        super::compiled::Noticed::default(),
    ))
}
