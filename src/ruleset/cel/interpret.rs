//! The general evaluator: any checked tree over facts, in the domain of values.
//!
//! It folds constants when an expression is loaded, and runs what has no compiled form: concatenation, maps, and
//! comprehensions over lists that are known only at run time. It is bounded by a budget of steps.

use std::sync::Arc;

use super::function::Operator;
use super::node::{Comprehension, Declared, Node, NodeKind, Presence, Quantity, Question};
use super::value::{Map, MapKey, Value};
use super::{Facts, Fault, ListIndex, ListKind, ReadIndex, Reading, ReadingValue, apply, device};
use crate::event::{self, AttributeType, AttributeValue, Field, FieldType, Signal, SignalKind};

/// How many parts may be evaluated for one expression and event.
const STEPS_MAX: u32 = 200_000;
/// How many parts may be evaluated to fold one constant; what costs more stays as it is.
const FOLD_STEPS_MAX: u32 = 20_000;

/// Evaluates a checked tree.
///
/// # Errors
///
/// The fault because of which there is no value.
pub(super) fn evaluate<F: Facts>(node: &Node, facts: &F) -> Result<Value, Fault> {
    Interpreter { facts, locals: Vec::new(), steps: STEPS_MAX }.value(node)
}

struct Interpreter<'a, F> {
    facts: &'a F,
    locals: Vec<Value>,
    steps: u32,
}

impl<F: Facts> Interpreter<'_, F> {
    fn value(&mut self, node: &Node) -> Result<Value, Fault> {
        self.steps = self.steps.checked_sub(1).ok_or(Fault::TooCostly)?;
        match &node.kind {
            NodeKind::Constant(value) => Ok(value.clone()),
            NodeKind::Field(field) => Ok(self.field(*field)),
            NodeKind::Attribute(name) => {
                Ok(Value::text(&device::attribute(self.facts.text(Field::Device), name).unwrap_or_default()))
            }
            NodeKind::Declared(declared) => Ok(self.declared(declared).unwrap_or_else(|| absent(declared.of))),
            NodeKind::AmountBase => Ok(Value::Double(self.facts.amount_base().unwrap_or(0.0))),
            NodeKind::Given(presence) => self.given(presence),
            NodeKind::Program => Ok(Value::text(self.facts.program())),
            NodeKind::Has(presence) => Ok(Value::Bool(has(presence, self.facts))),
            NodeKind::Signal(signal) => Ok(self.signal(*signal)),
            NodeKind::Read(read) => self.read(*read),
            NodeKind::Ask(question, read) => Ok(Value::Bool(ask(*question, *read, self.facts))),
            NodeKind::Local(depth) => self.locals.get(*depth).cloned().ok_or(Fault::NoSuchOverload),
            NodeKind::Operator(operator, args) => {
                let args = self.values(args)?;
                self.charge(&args)?;
                apply::operator(*operator, &args)
            }
            NodeKind::Function(function, args) => {
                let args = self.values(args)?;
                self.charge(&args)?;
                apply::function(*function, &args)
            }
            NodeKind::Matches(text, pattern) => match self.value(text)? {
                Value::Text(text) => Ok(Value::Bool(pattern.0.is_match(&text))),
                _ => Err(Fault::NoSuchOverload),
            },
            NodeKind::Members(..) | NodeKind::Faulty => Err(Fault::NoSuchOverload),
            NodeKind::Listed(value, list, kind) => {
                let value = self.value(value)?;
                listed(self.facts, *kind, *list, &value).map(Value::Bool)
            }
            NodeKind::Hashed(operator, left, right) => self.hashed(*operator, left, right),
            NodeKind::Not(of) => Ok(Value::Bool(!self.value(of)?.bool()?)),
            NodeKind::And(terms) => self.logic(terms, false),
            NodeKind::Or(terms) => self.logic(terms, true),
            NodeKind::Choice(parts) => {
                let [condition, yes, no] = parts.as_ref();
                let taken = if self.value(condition)?.bool()? { yes } else { no };
                self.value(taken)
            }
            NodeKind::List(members) => Ok(Value::list(self.values(members)?)),
            NodeKind::Map(entries) => self.map(entries),
            NodeKind::HasKey(of, key) => match self.value(of)? {
                Value::Map(map) => Ok(Value::Bool(map.contains_key(&MapKey::Text(Arc::clone(key))))),
                _ => Err(Fault::NoSuchOverload),
            },
            NodeKind::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn values(&mut self, nodes: &[Node]) -> Result<Vec<Value>, Fault> {
        nodes.iter().map(|node| self.value(node)).collect()
    }

    /// Takes steps for the size of what an operator or function is about to walk through.
    fn charge(&mut self, args: &[Value]) -> Result<(), Fault> {
        let weight: usize = args.iter().map(weight).sum();
        self.steps = self.steps.checked_sub((weight / 16) as u32).ok_or(Fault::TooCostly)?;
        Ok(())
    }

    fn field(&self, field: Field) -> Value {
        match field.field_type() {
            FieldType::Text | FieldType::Map => Value::text(self.facts.text(field)),
            FieldType::Int => Value::Int(self.facts.int(field)),
            FieldType::Double => Value::Double(self.facts.double(field)),
            FieldType::Timestamp => Value::Timestamp(i128::from(self.facts.timestamp_ms(field)) * 1_000_000),
        }
    }

    fn given(&self, presence: &Presence) -> Result<Value, Fault> {
        if !has(presence, self.facts) {
            return Err(Fault::Unknown);
        }
        match presence {
            Presence::Field(field) => Ok(self.field(*field)),
            Presence::Signal(signal) => Ok(self.signal(*signal)),
            Presence::AmountBase => self.facts.amount_base().map(Value::Double).ok_or(Fault::Unknown),
            Presence::Declared(declared) => self.declared(declared).ok_or(Fault::Unknown),
            Presence::Attribute(_) => Err(Fault::NoSuchOverload),
        }
    }

    fn declared(&self, declared: &Declared) -> Option<Value> {
        Some(match event::attribute(self.facts.text(Field::Attributes), &declared.name, declared.of)? {
            AttributeValue::Text(text) => Value::text(&text),
            AttributeValue::Int(value) => Value::Int(value),
            AttributeValue::Double(value) => Value::Double(value),
            AttributeValue::Bool(value) => Value::Bool(value),
            AttributeValue::TimeMs(ms) => Value::Timestamp(i128::from(ms) * 1_000_000),
        })
    }

    fn signal(&self, signal: Signal) -> Value {
        match signal.kind() {
            SignalKind::Text => Value::text(self.facts.signal_text(signal)),
            SignalKind::Flag => Value::Bool(self.facts.signal_flag(signal)),
            SignalKind::Int => Value::Int(self.facts.signal_int(signal)),
            SignalKind::Double => Value::Double(self.facts.signal_double(signal)),
        }
    }

    fn read(&self, read: ReadIndex) -> Result<Value, Fault> {
        Ok(match self.facts.reading(read).value {
            ReadingValue::Unknown => return Err(Fault::Unknown),
            ReadingValue::Overflow => return Err(Fault::Overflow),
            ReadingValue::Int(value) => Value::Int(value),
            ReadingValue::Double(value) => Value::Double(value),
            ReadingValue::Bool(value) => Value::Bool(value),
            ReadingValue::TimestampMs(ms) => Value::Timestamp(i128::from(ms) * 1_000_000),
            ReadingValue::DurationMs(ms) => Value::Duration(i128::from(ms) * 1_000_000),
            ReadingValue::Hash(hash) => Value::Hash(hash),
            ReadingValue::Text => Value::text(self.facts.reading_text(read)),
            ReadingValue::Set { size } => Value::Set { members: Arc::from(self.facts.set_members(read)), size },
        })
    }

    /// `==`, `!=` and `in` over hashes: both sides become hashes first.
    fn hashed(&mut self, operator: Operator, left: &Node, right: &Node) -> Result<Value, Fault> {
        let left = hash(self.facts, &self.value(left)?)?;
        let right = match self.value(right)? {
            Value::List(values) => {
                let hashes = values.iter().map(|value| hash(self.facts, value)).collect::<Result<Vec<Value>, Fault>>();
                Value::list(hashes?)
            }
            set @ Value::Set { .. } => set,
            value => hash(self.facts, &value)?,
        };
        apply::operator(operator, &[left, right])
    }

    /// `&&` (absorbed by false) or `||` (absorbed by true): a fault of one term counts only if no other term decides.
    fn logic(&mut self, terms: &[Node], absorbing: bool) -> Result<Value, Fault> {
        let mut fault = None;
        for term in terms {
            match self.value(term).and_then(|value| value.bool()) {
                Ok(value) if value == absorbing => return Ok(Value::Bool(absorbing)),
                Ok(_) => {}
                Err(found) => fault = fault.or(Some(found)),
            }
        }
        fault.map_or(Ok(Value::Bool(!absorbing)), Err)
    }

    fn map(&mut self, entries: &[(Node, Node)]) -> Result<Value, Fault> {
        let mut map = Map::new();
        for (key, value) in entries {
            let key = self.value(key)?;
            let value = self.value(value)?;
            let place = MapKey::declared(&key).ok_or(Fault::InvalidArgument)?;
            if map.insert(place, (key, value)).is_some() {
                return Err(Fault::DuplicateKey);
            }
        }
        Ok(Value::Map(Arc::new(map)))
    }

    fn comprehension(&mut self, comprehension: &Comprehension) -> Result<Value, Fault> {
        let members: Vec<Value> = match self.value(&comprehension.range)? {
            Value::List(values) => values.to_vec(),
            Value::Map(map) => map.values().map(|entry| entry.0.clone()).collect(),
            Value::Set { members, .. } => members.iter().map(|hash| Value::Hash(*hash)).collect(),
            _ => return Err(Fault::NoSuchOverload),
        };
        self.locals.truncate(comprehension.local);
        self.locals.push(Value::Null);
        let value = self.over(comprehension, members);
        self.locals.truncate(comprehension.local);
        value
    }

    fn over(&mut self, comprehension: &Comprehension, members: Vec<Value>) -> Result<Value, Fault> {
        let mut collected = Vec::new();
        let mut matched = 0;
        let mut fault = None;
        for member in members {
            self.locals.truncate(comprehension.local + 1);
            self.locals[comprehension.local] = member;
            let test = self.value(&comprehension.test).and_then(|value| value.bool());
            match (comprehension.quantity, test) {
                (Quantity::All, Ok(false)) => return Ok(Value::Bool(false)),
                (Quantity::Exists, Ok(true)) => return Ok(Value::Bool(true)),
                (Quantity::All | Quantity::Exists, Ok(_)) => {}
                (Quantity::All | Quantity::Exists, Err(Fault::TooCostly)) => return Err(Fault::TooCostly),
                (Quantity::All | Quantity::Exists, Err(found)) => fault = fault.or(Some(found)),
                (Quantity::ExistsOne, test) => matched += usize::from(test?),
                (Quantity::Collect, test) => {
                    if test? {
                        collected.push(match &comprehension.result {
                            Some(result) => self.value(result)?,
                            None => self.locals[comprehension.local].clone(),
                        });
                    }
                }
            }
        }
        match (comprehension.quantity, fault) {
            (Quantity::All | Quantity::Exists, Some(fault)) => Err(fault),
            (Quantity::All, None) => Ok(Value::Bool(true)),
            (Quantity::Exists, None) => Ok(Value::Bool(false)),
            (Quantity::ExistsOne, _) => Ok(Value::Bool(matched == 1)),
            (Quantity::Collect, _) => Ok(Value::list(collected)),
        }
    }
}

/// How much there is to walk through.
fn weight(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len() / 16,
        Value::Bytes(bytes) => bytes.len() / 16,
        Value::List(values) => values.iter().map(|value| 1 + weight(value)).sum(),
        Value::Map(map) => map.values().map(|entry| 1 + weight(&entry.1)).sum(),
        Value::Set { members, .. } => members.len(),
        _ => 0,
    }
}

/// What an attribute reads as where it is absent; an instant has no such value, and is never read like this.
fn absent(of: AttributeType) -> Value {
    match of {
        AttributeType::Text => Value::text(""),
        AttributeType::Int => Value::Int(0),
        AttributeType::Double => Value::Double(0.0),
        AttributeType::Bool => Value::Bool(false),
        AttributeType::Timestamp => Value::Null,
    }
}

/// Whether the event came with something.
#[inline]
pub(super) fn has<F: Facts>(presence: &Presence, facts: &F) -> bool {
    match presence {
        Presence::Field(field) => facts.has(*field),
        Presence::AmountBase => facts.amount_base().is_some(),
        Presence::Signal(signal) => has_signal(*signal, facts),
        Presence::Attribute(name) => device::attribute(facts.text(Field::Device), name).is_some(),
        Presence::Declared(of) => event::attribute(facts.text(Field::Attributes), &of.name, of.of).is_some(),
    }
}

/// Whether a signal has a value. None of the whole numbers is ever 0, and the double is one of every address.
#[inline]
fn has_signal<F: Facts>(signal: Signal, facts: &F) -> bool {
    match signal.kind() {
        SignalKind::Text => !facts.signal_text(signal).is_empty(),
        SignalKind::Int => facts.signal_int(signal) != 0,
        SignalKind::Double if signal.group() == "referrer_email" => facts.has(Field::ReferrerEmail),
        SignalKind::Double => facts.has(Field::Email),
        SignalKind::Flag => facts.signal_flag(signal),
    }
}

/// What a reading answers.
#[inline]
pub(super) fn ask<F: Facts>(question: Question, read: ReadIndex, facts: &F) -> bool {
    let reading = facts.reading(read);
    match question {
        Question::Known => reading.known,
        Question::Complete => reading.complete,
        Question::Exact => reading.exact,
    }
}

fn listed<F: Facts>(facts: &F, kind: ListKind, list: ListIndex, value: &Value) -> Result<bool, Fault> {
    match (kind, value) {
        (ListKind::Text, Value::Text(text)) => Ok(facts.in_text_list(list, text)),
        (ListKind::Domain, Value::Text(text)) => Ok(facts.in_domain_list(list, text)),
        (ListKind::Network, Value::Text(text)) => Ok(facts.in_network_list(list, text)),
        (ListKind::Date, Value::Timestamp(ns)) => Ok(facts.in_date_list(list, ns.div_euclid(1_000_000) as i64)),
        _ => Err(Fault::NoSuchOverload),
    }
}

/// A value by its hash, as state hashes it.
fn hash<F: Facts>(facts: &F, value: &Value) -> Result<Value, Fault> {
    Ok(Value::Hash(match value {
        Value::Hash(hash) => *hash,
        Value::Text(text) => facts.hash_text(text),
        Value::Int(value) => facts.hash_int(*value),
        Value::Double(value) => facts.hash_double(*value),
        Value::Bool(value) => facts.hash_bool(*value),
        Value::Timestamp(ns) | Value::Duration(ns) => facts.hash_int(ns.div_euclid(1_000_000) as i64),
        _ => return Err(Fault::NoSuchOverload),
    }))
}

/// The value of a tree without names; `None` for a tree that has some.
pub(super) fn fold(node: &Node) -> Option<Result<Value, Fault>> {
    let pure = match &node.kind {
        NodeKind::Constant(_) => return None,
        NodeKind::Operator(_, args) | NodeKind::Function(_, args) | NodeKind::List(args) => all_constant(args),
        NodeKind::Matches(of, _) | NodeKind::Not(of) | NodeKind::HasKey(of, _) => of.constant().is_some(),
        NodeKind::Choice(parts) => all_constant(parts.as_ref()),
        NodeKind::And(terms) | NodeKind::Or(terms) => all_constant(terms),
        NodeKind::Map(entries) => {
            entries.iter().all(|(key, value)| key.constant().is_some() && value.constant().is_some())
        }
        NodeKind::Comprehension(comprehension) => comprehension.local == 0 && is_closed(node),
        _ => false,
    };
    pure.then(|| Interpreter { facts: &NoFacts, locals: Vec::new(), steps: FOLD_STEPS_MAX }.value(node))
}

fn all_constant(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| node.constant().is_some())
}

/// Whether nothing in a tree depends on an event.
fn is_closed(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Constant(_) | NodeKind::Local(_) => true,
        NodeKind::Operator(_, args) | NodeKind::Function(_, args) | NodeKind::List(args) => args.iter().all(is_closed),
        NodeKind::Matches(of, _) | NodeKind::Not(of) | NodeKind::HasKey(of, _) => is_closed(of),
        NodeKind::Choice(parts) => parts.iter().all(is_closed),
        NodeKind::And(terms) | NodeKind::Or(terms) => terms.iter().all(is_closed),
        NodeKind::Map(entries) => entries.iter().all(|(key, value)| is_closed(key) && is_closed(value)),
        NodeKind::Comprehension(of) => {
            is_closed(&of.range) && is_closed(&of.test) && of.result.as_ref().is_none_or(is_closed)
        }
        _ => false,
    }
}

/// Facts for trees that read none.
struct NoFacts;

/// For what a tree without names can never ask.
impl Facts for NoFacts {
    fn has(&self, _: Field) -> bool {
        false
    }
    fn text(&self, _: Field) -> &str {
        ""
    }
    fn int(&self, _: Field) -> i64 {
        0
    }
    fn double(&self, _: Field) -> f64 {
        0.0
    }
    fn timestamp_ms(&self, _: Field) -> i64 {
        0
    }
    fn amount_base(&self) -> Option<f64> {
        None
    }
    fn program(&self) -> &str {
        ""
    }
    fn signal_text(&self, _: Signal) -> &str {
        ""
    }
    fn signal_int(&self, _: Signal) -> i64 {
        0
    }
    fn signal_double(&self, _: Signal) -> f64 {
        0.0
    }
    fn signal_flag(&self, _: Signal) -> bool {
        false
    }
    fn reading(&self, _: ReadIndex) -> Reading {
        Reading::of(ReadingValue::Unknown)
    }
    fn set_members(&self, _: ReadIndex) -> &[u64] {
        &[]
    }
    fn reading_text(&self, _: ReadIndex) -> &str {
        ""
    }
    fn hash_text(&self, _: &str) -> u64 {
        0
    }
    fn hash_int(&self, _: i64) -> u64 {
        0
    }
    fn hash_double(&self, _: f64) -> u64 {
        0
    }
    fn hash_bool(&self, _: bool) -> u64 {
        0
    }
    fn in_text_list(&self, _: ListIndex, _: &str) -> bool {
        false
    }
    fn in_domain_list(&self, _: ListIndex, _: &str) -> bool {
        false
    }
    fn in_network_list(&self, _: ListIndex, _: &str) -> bool {
        false
    }
    fn in_date_list(&self, _: ListIndex, _: i64) -> bool {
        false
    }
}
