//! The checked tree: every part typed, every name a slot. Folding, the interpreter and lowering all work on it.

use std::sync::Arc;

use super::function::{Function, Operator};
use super::value::Value;
use super::{ListIndex, ListKind, ReadIndex, Type};
use crate::event::{AttributeType, Field, Signal};

/// A checked part of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub kind: NodeKind,
    pub ty: Type,
}

impl Node {
    pub(super) fn new(kind: NodeKind, ty: Type) -> Node {
        Node { kind, ty }
    }

    /// What stands where a diagnostic was made.
    pub(super) fn faulty() -> Node {
        Node::new(NodeKind::Faulty, Type::Faulty)
    }

    /// Its value, if it is known before anything runs.
    pub(super) fn constant(&self) -> Option<&Value> {
        match &self.kind {
            NodeKind::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// The parts that it is made of, in the order of the text.
    pub(super) fn children(&self) -> Vec<&Node> {
        match &self.kind {
            NodeKind::Constant(_)
            | NodeKind::Faulty
            | NodeKind::Field(_)
            | NodeKind::Attribute(_)
            | NodeKind::Declared(_)
            | NodeKind::AmountBase
            | NodeKind::Given(_)
            | NodeKind::Program
            | NodeKind::Has(_)
            | NodeKind::Signal(_)
            | NodeKind::Read(_)
            | NodeKind::Ask(..)
            | NodeKind::Local(_)
            | NodeKind::Members(..) => Vec::new(),
            NodeKind::Operator(_, parts)
            | NodeKind::Function(_, parts)
            | NodeKind::And(parts)
            | NodeKind::Or(parts)
            | NodeKind::List(parts) => parts.iter().collect(),
            NodeKind::Matches(part, _)
            | NodeKind::Listed(part, ..)
            | NodeKind::Not(part)
            | NodeKind::HasKey(part, _) => vec![part],
            NodeKind::Hashed(_, left, right) => vec![left, right],
            NodeKind::Choice(parts) => parts.iter().collect(),
            NodeKind::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
            NodeKind::Comprehension(of) => [&of.range, &of.test].into_iter().chain(&of.result).collect(),
        }
    }

    /// Its value, if it is a constant text.
    pub(super) fn constant_text(&self) -> Option<&Arc<str>> {
        match self.constant() {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// What a checked part is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum NodeKind {
    Constant(Value),
    /// What has a diagnostic, here or where it is declared.
    Faulty,
    /// A field of the event, by its type.
    Field(Field),
    /// A value of the field `device`, by its name; `""` when absent.
    Attribute(Arc<str>),
    /// A declared value of the field `attributes`: `""`, 0 or false when absent.
    Declared(Declared),
    AmountBase,
    /// A number or an instant that has no value where it is absent.
    Given(Presence),
    Program,
    Has(Presence),
    Signal(Signal),
    Read(ReadIndex),
    /// `known(f)` and its kin.
    Ask(Question, ReadIndex),
    /// A variable of a comprehension, by its depth.
    Local(usize),
    Operator(Operator, Vec<Node>),
    Function(Function, Vec<Node>),
    Matches(Box<Node>, Pattern),
    /// A declared list itself, which is no value: only `in` and functions take it.
    Members(ListIndex, ListKind),
    /// Membership in a declared list.
    Listed(Box<Node>, ListIndex, ListKind),
    /// Equality or membership where one side is known by its hash: hashes of texts are made of the other side.
    Hashed(Operator, Box<Node>, Box<Node>),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Choice(Box<[Node; 3]>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// `has(map.key)`.
    HasKey(Box<Node>, Arc<str>),
    Comprehension(Box<Comprehension>),
}

/// What may be absent: what `has` and `known` ask of an event.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Presence {
    Field(Field),
    Attribute(Arc<str>),
    Declared(Declared),
    AmountBase,
    /// A signal that is no flag.
    Signal(Signal),
}

/// A declared attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declared {
    pub name: Arc<str>,
    pub of: AttributeType,
}

/// What can be asked of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Known,
    Complete,
    Exact,
}

/// A macro over the members of a list, the keys of a map, or the members of a set.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Comprehension {
    pub quantity: Quantity,
    pub range: Node,
    /// The variable's depth: how many comprehensions are around this one.
    pub local: usize,
    /// The predicate; for `map` with two arguments, `true`.
    pub test: Node,
    /// What `map` makes of a member; for `filter`, the member.
    pub result: Option<Node>,
}

/// What a comprehension asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    All,
    Exists,
    ExistsOne,
    /// `map` and `filter`.
    Collect,
}

/// A regular expression, compiled once.
#[derive(Clone, Debug)]
pub(super) struct Pattern(pub regex::Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}
