//! How much work an expression can be at most, before any event comes.
//!
//! A step is one part evaluated once, or one member walked through. The bound holds for every event: both sides of a
//! choice count as the dearer one, no term is spared by another, a set has as many members as its feature keeps. What
//! depends on the length of a text counts as if it were a few steps: an event has at most 64 KiB.

use super::function::Function;
use super::node::{Comprehension, Node, NodeKind, Quantity};
use super::value::Value;
use super::{Compiled, ReadIndex, Type};

/// Steps of a function that goes over texts: a regular expression, a similarity.
const STEPS_OF_TEXT: u64 = 64;
/// Members of what cannot be told before it runs: a list in a `dyn` value.
const MEMBERS_UNKNOWN: u64 = 1000;

impl Compiled {
    /// The most steps that evaluating it takes, where `members` says how many members a set that is read has at most.
    pub fn steps(&self, members: &dyn Fn(ReadIndex) -> u64) -> u64 {
        Bound { members, locals: Vec::new() }.steps(self.node())
    }
}

struct Bound<'a> {
    members: &'a dyn Fn(ReadIndex) -> u64,
    /// How many members a variable of a comprehension has at most, by its depth.
    locals: Vec<u64>,
}

impl Bound<'_> {
    fn steps(&mut self, node: &Node) -> u64 {
        let own: u64 = match &node.kind {
            NodeKind::Comprehension(of) => return self.comprehension(of),
            NodeKind::Choice(parts) => {
                let [condition, yes, no] = parts.as_ref();
                let dearer = self.steps(yes).max(self.steps(no));
                return self.steps(condition).saturating_add(dearer).saturating_add(1);
            }
            NodeKind::Matches(..) | NodeKind::Function(Function::Similarity, _) => STEPS_OF_TEXT,
            // Sets are ordered, so two are walked through side by side, and a member is found by halving.
            NodeKind::Function(Function::Overlap | Function::Median, parts) => {
                parts.iter().map(|part| self.len(part)).fold(1, u64::saturating_add)
            }
            NodeKind::Operator(super::function::Operator::In, parts) => {
                parts.last().map_or(1, |container| self.len(container).max(1))
            }
            _ => 1,
        };
        node.children().into_iter().map(|part| self.steps(part)).fold(own, u64::saturating_add)
    }

    fn comprehension(&mut self, of: &Comprehension) -> u64 {
        let (range, len) = (self.steps(&of.range), self.len(&of.range));
        let element = self.element_len(&of.range);
        self.locals.truncate(of.local);
        self.locals.resize(of.local, 0);
        self.locals.push(element);
        let result = of.result.as_ref().map_or(0, |result| self.steps(result));
        let each = self.steps(&of.test).saturating_add(result).saturating_add(1);
        self.locals.truncate(of.local);
        range.saturating_add(len.saturating_mul(each)).saturating_add(1)
    }

    /// How many members there are at most.
    fn len(&mut self, node: &Node) -> u64 {
        match &node.kind {
            NodeKind::Read(read) if matches!(node.ty, Type::Set(_)) => (self.members)(*read),
            NodeKind::Constant(value) => value_len(value),
            NodeKind::List(members) => members.len() as u64,
            NodeKind::Map(entries) => entries.len() as u64,
            NodeKind::Local(depth) => self.locals.get(*depth).copied().unwrap_or(0),
            NodeKind::Choice(parts) => self.len(&parts[1]).max(self.len(&parts[2])),
            // Of lists only `+` makes a longer one.
            NodeKind::Operator(super::function::Operator::Add, parts) => {
                parts.iter().map(|part| self.len(part)).fold(0, u64::saturating_add)
            }
            NodeKind::Operator(super::function::Operator::Index, parts) => {
                parts.first().map_or(0, |container| self.element_len(container))
            }
            NodeKind::Comprehension(of) if of.quantity == Quantity::Collect => self.len(&of.range),
            NodeKind::Function(Function::Dyn, parts) => parts.first().map_or(0, |part| self.len(part)),
            _ if node.ty.is_open() || matches!(node.ty, Type::List(_) | Type::Map(..)) => MEMBERS_UNKNOWN,
            _ => 0,
        }
    }

    /// How many members a member has at most.
    fn element_len(&mut self, node: &Node) -> u64 {
        match &node.kind {
            NodeKind::Constant(Value::List(members)) => members.iter().map(value_len).max().unwrap_or(0),
            NodeKind::List(members) => members.iter().map(|member| self.len(member)).max().unwrap_or(0),
            NodeKind::Map(entries) => entries.iter().map(|(_, value)| self.len(value)).max().unwrap_or(0),
            _ => match &node.ty {
                Type::List(element) | Type::Map(_, element)
                    if !element.is_open() && !matches!(**element, Type::List(_) | Type::Map(..)) =>
                {
                    0
                }
                Type::Set(_) => 0,
                _ => MEMBERS_UNKNOWN,
            },
        }
    }
}

fn value_len(value: &Value) -> u64 {
    match value {
        Value::List(members) => members.len() as u64,
        Value::Map(entries) => entries.len() as u64,
        _ => 0,
    }
}
