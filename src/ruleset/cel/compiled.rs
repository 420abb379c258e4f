//! An expression that was checked and lowered: what runs.

use std::borrow::Cow;

use super::demand::{self, Demand};
use super::explain::{self, Term};
use super::lower;
use super::node::{Node, NodeKind, Presence as NodePresence};
use super::program::{self, BoolExpr, DoubleExpr, IntExpr, NanosExpr, TextExpr};
use super::value::Value;
use super::{Absence, Facts, Fault, Names, ReadIndex, Scalar, Type, TypeNamed, assume, interpret, text, time, written};
use crate::event::{Field, Presence, Signal, SignalSet};
use crate::ruleset::diagnostic::Diagnostic;

/// What an expression needs to be evaluated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Uses {
    /// The signals, those of `.at` arguments included.
    pub signals: SignalSet,
    /// The fields that are read as they came, those of `.at` arguments included.
    pub fields: Presence,
    /// The reads, those of `.at` arguments included, each once, in the order of first use.
    pub reads: Vec<ReadIndex>,
    /// Whether any of the reads is of a feature.
    pub features: bool,
}

impl Uses {
    /// Adds what another expression uses.
    pub(super) fn add(&mut self, other: &Uses) {
        for signal in Signal::ALL.iter().filter(|signal| other.signals.contains(**signal)) {
            self.signals.insert(*signal);
        }
        self.fields = self.fields.union(other.fields);
        self.features |= other.features;
        for read in &other.reads {
            self.add_read(*read);
        }
    }

    pub(super) fn add_read(&mut self, read: ReadIndex) {
        if !self.reads.contains(&read) {
            self.reads.push(read);
        }
    }
}

/// A checked and compiled expression.
#[derive(Clone, Debug)]
pub struct Compiled {
    result: Type,
    uses: Uses,
    program: Program,
    /// Apart, since nothing that runs reads them.
    findings: Box<Findings>,
}

/// What is known of an expression beside what it computes: read when a rule set is checked, or a verdict explained.
#[derive(Clone, Debug)]
struct Findings {
    node: Node,
    absence: Absence,
    noticed: Noticed,
    demands: Vec<Demand>,
}

/// What was noticed while an expression was checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Noticed {
    pub warnings: Vec<Diagnostic>,
    pub types: Vec<TypeNamed>,
}

/// Equal when they compute the same, wherever they were written.
impl PartialEq for Compiled {
    fn eq(&self, other: &Compiled) -> bool {
        self.result == other.result && self.program == other.program
    }
}

/// An expression that is only a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// A field with a text; empty where it is absent.
    Text(Field),
    /// A signal with a text; empty where it is absent.
    SignalText(Signal),
    /// A field with an int; without a value where it is absent.
    Int(Field),
}

#[derive(Clone, Debug, PartialEq)]
enum Program {
    Bool(BoolExpr),
    Int(IntExpr),
    Double(DoubleExpr),
    Text(TextExpr),
    Timestamp(NanosExpr),
    Duration(NanosExpr),
    Hash(ReadIndex),
    SetSize(ReadIndex),
    Slow(Box<Node>),
}

impl Program {
    fn of(node: &Node) -> Program {
        match (&node.ty, &node.kind) {
            (Type::Bool, _) => Program::Bool(lower::bool_expr(node)),
            (Type::Int, _) => Program::Int(lower::int_expr(node)),
            (Type::Double, _) => Program::Double(lower::double_expr(node)),
            (Type::Hashed(_), NodeKind::Read(read)) => Program::Hash(*read),
            (Type::Set(_), NodeKind::Read(read)) => Program::SetSize(*read),
            _ => match (lower::text_expr(node), lower::nanos_expr(node)) {
                (Some(text), _) => Program::Text(text),
                (_, Some(nanos)) if node.ty == Type::Timestamp => Program::Timestamp(nanos),
                (_, Some(nanos)) => Program::Duration(nanos),
                _ => Program::Slow(Box::new(node.clone())),
            },
        }
    }
}

impl Compiled {
    pub(super) fn new(node: Node, uses: Uses, noticed: Noticed) -> Compiled {
        let result = node.ty.clone();
        let demands = demand::demands(&node);
        let absence = if result == Type::Bool { Absence::of(&node) } else { Absence::default() };
        let program = Program::of(&node);
        Compiled { result, uses, program, findings: Box::new(Findings { node, absence, noticed, demands }) }
    }

    /// The same condition, to be evaluated for events of these types alone: what depends on the type is settled now.
    #[must_use]
    pub fn for_types(self, types: &[&str]) -> Compiled {
        match &self.program {
            Program::Bool(_) => Compiled { program: Program::of(&assume::of_types(self.node(), types)), ..self },
            _ => self,
        }
    }

    /// The type of its value.
    pub fn result(&self) -> &Type {
        &self.result
    }

    /// What it needs.
    pub fn uses(&self) -> &Uses {
        &self.uses
    }

    /// What it takes for absent, if it is a condition.
    pub fn absence(&self) -> &Absence {
        &self.findings.absence
    }

    /// What is odd about it: parts that never have a value, comparisons that never hold.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.findings.noticed.warnings
    }

    /// The types of event that it names itself, and not by a macro.
    pub fn types_named(&self) -> &[TypeNamed] {
        &self.findings.noticed.types
    }

    /// The comparisons of readings that are true only from some value on.
    pub fn demands(&self) -> &[Demand] {
        &self.findings.demands
    }

    /// The checked tree that it was compiled from.
    pub(super) fn node(&self) -> &Node {
        &self.findings.node
    }

    /// It as CEL, macros put in and constants folded.
    pub fn written(&self, names: &dyn Names) -> String {
        written::write(self.node(), names)
    }

    /// Its terms, and what each comes to: for people, and as slow as that allows.
    pub fn explain<F: Facts>(&self, facts: &F, names: &dyn Names) -> Term {
        explain::explain(self.node(), facts, names)
    }

    /// What it is when it is nothing but a field or a signal, so that those who have the event at hand need not evaluate it.
    pub fn leaf(&self) -> Option<Leaf> {
        match &self.program {
            Program::Text(TextExpr::Field(field)) => Some(Leaf::Text(*field)),
            Program::Text(TextExpr::Signal(signal)) => Some(Leaf::SignalText(*signal)),
            Program::Int(IntExpr::Given(NodePresence::Field(field))) => Some(Leaf::Int(*field)),
            _ => None,
        }
    }

    /// What is read, if the expression is no more than a reading that is a text.
    pub fn text_read(&self) -> Option<ReadIndex> {
        match &self.program {
            Program::Text(TextExpr::Read(read)) => Some(*read),
            _ => None,
        }
    }

    /// The value of a condition. It must have been compiled as [`Wanted::Bool`](super::Wanted::Bool).
    ///
    /// # Errors
    ///
    /// The fault because of which there is no value: the condition does not match.
    #[inline]
    pub fn test<F: Facts>(&self, facts: &F) -> Result<bool, Fault> {
        match &self.program {
            Program::Bool(expr) => expr.eval(facts),
            Program::Slow(node) => interpret::evaluate(node, facts)?.bool(),
            _ => Err(Fault::NoSuchOverload),
        }
    }

    /// The value of a key or of a feature's `value`; a set is its size.
    ///
    /// # Errors
    ///
    /// The fault because of which there is no value.
    #[inline]
    pub fn scalar<'a, F: Facts>(&'a self, facts: &'a F) -> Result<Scalar<'a>, Fault> {
        match &self.program {
            Program::Text(expr) => expr.eval(facts).map(Scalar::Text),
            Program::Int(expr) => expr.eval(facts).map(Scalar::Int),
            Program::Bool(expr) => expr.eval(facts).map(Scalar::Bool),
            Program::Double(expr) => expr.eval(facts).map(Scalar::Double),
            Program::Timestamp(expr) => expr.eval(facts).map(Scalar::Timestamp),
            Program::Duration(expr) => expr.eval(facts).map(Scalar::Duration),
            Program::Hash(read) => program::hash(facts, *read).map(Scalar::Hash),
            Program::SetSize(read) => program::set_size(facts, *read).map(Scalar::Int),
            Program::Slow(node) => single(interpret::evaluate(node, facts)?),
        }
    }

    /// Appends the value as a message shows it: timestamps with milliseconds, durations in seconds, sets by size.
    ///
    /// # Errors
    ///
    /// The fault because of which there is no value; nothing is appended then.
    pub fn render<F: Facts>(&self, facts: &F, out: &mut String) -> Result<(), Fault> {
        match self.scalar(facts)? {
            Scalar::Null => out.push_str("null"),
            Scalar::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            Scalar::Int(value) => out.push_str(itoa::Buffer::new().format(value)),
            Scalar::Uint(value) => out.push_str(itoa::Buffer::new().format(value)),
            Scalar::Double(value) => text::write_double(value, out),
            Scalar::Text(text) => out.push_str(&text),
            Scalar::Timestamp(ns) => time::write_timestamp_ms(ns, out),
            Scalar::Duration(ns) => time::write_duration(ns, out),
            Scalar::Hash(_) => return Err(Fault::NoSuchOverload),
        }
        Ok(())
    }
}

fn single(value: Value) -> Result<Scalar<'static>, Fault> {
    Ok(match value {
        Value::Null => Scalar::Null,
        Value::Bool(value) => Scalar::Bool(value),
        Value::Int(value) => Scalar::Int(value),
        Value::Uint(value) => Scalar::Uint(value),
        Value::Double(value) => Scalar::Double(value),
        Value::Text(text) => Scalar::Text(Cow::Owned(text.as_ref().to_owned())),
        Value::Timestamp(ns) => Scalar::Timestamp(ns),
        Value::Duration(ns) => Scalar::Duration(ns),
        Value::Hash(hash) => Scalar::Hash(hash),
        _ => return Err(Fault::NoSuchOverload),
    })
}
