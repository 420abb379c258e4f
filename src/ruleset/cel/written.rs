//! A checked tree as CEL again, with macros expanded and constants folded: what `explain` shows beside the values.
//!
//! Parentheses stand only where they are needed. Names of features and lists come from whoever has them.

use std::fmt::Write as _;

use super::function::{Function, OVERLOADS, Operator};
use super::node::{Comprehension, Node, NodeKind, Presence, Quantity, Question};
use super::value::Value;
use super::{Compiled, FeatureIndex, ListIndex, ReadIndex, ReadKey, ReadSource, text, time};
use crate::event::{Field, Signal};

/// The names that a rule set gives what expressions know by index.
pub trait Names {
    /// The name of a feature.
    fn feature(&self, feature: FeatureIndex) -> &str;
    /// The name of a list, without `lists.`.
    fn list(&self, list: ListIndex) -> &str;
    /// What a read stands for.
    fn read(&self, read: ReadIndex) -> &ReadSource;
}

/// How many members of a constant list are written.
const MEMBERS_MAX: usize = 12;

/// How tightly a part binds: CEL's precedences, ascending.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Choice,
    Or,
    And,
    Relation,
    Sum,
    Product,
    Unary,
    Primary,
}

/// A tree as text.
pub(super) fn write(node: &Node, names: &dyn Names) -> String {
    let mut writer = Writer { names, out: String::new() };
    writer.node(node, Binding::Choice);
    writer.out
}

struct Writer<'a> {
    names: &'a dyn Names,
    out: String,
}

impl Writer<'_> {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Writes a part inside one that binds like `around`: in parentheses if it binds less tightly.
    fn node(&mut self, node: &Node, around: Binding) {
        let loose = binding(node) < around;
        if loose {
            self.put("(");
        }
        self.bare(node);
        if loose {
            self.put(")");
        }
    }

    fn bare(&mut self, node: &Node) {
        match &node.kind {
            NodeKind::Constant(value) => self.put(&constant(value)),
            NodeKind::Faulty => self.put("?"),
            NodeKind::Field(field) => self.field(*field),
            NodeKind::Attribute(name) => self.attribute(name),
            NodeKind::Declared(declared) => self.declared(&declared.name),
            NodeKind::AmountBase => self.put("event.amount_base"),
            NodeKind::Given(presence) => self.presence(presence),
            NodeKind::Program => self.put("program"),
            NodeKind::Has(presence) => self.has(presence),
            NodeKind::Signal(signal) => self.signal(*signal),
            NodeKind::Read(read) => self.read(*read),
            NodeKind::Ask(question, read) => {
                self.put(match question {
                    Question::Known => "known(",
                    Question::Complete => "complete(",
                    Question::Exact => "exact(",
                });
                self.read(*read);
                self.put(")");
            }
            NodeKind::Local(depth) => self.local(*depth),
            NodeKind::Operator(operator, args) => self.operator(*operator, args),
            NodeKind::Function(function, args) => self.function(*function, args),
            NodeKind::Matches(of, pattern) => {
                self.node(of, Binding::Primary);
                self.put(".matches(");
                self.put(&quoted(pattern.0.as_str()));
                self.put(")");
            }
            NodeKind::Members(list, _) => self.list(*list),
            NodeKind::Listed(value, list, _) => {
                self.node(value, Binding::Sum);
                self.put(" in ");
                self.list(*list);
            }
            NodeKind::Hashed(operator, left, right) => self.infix(*operator, left, right),
            NodeKind::Not(of) => {
                self.put("!");
                self.node(of, Binding::Unary);
            }
            NodeKind::And(terms) => self.joined(terms, " && ", Binding::Relation),
            NodeKind::Or(terms) => self.joined(terms, " || ", Binding::And),
            NodeKind::Choice(parts) => {
                let [condition, yes, no] = parts.as_ref();
                self.node(condition, Binding::Or);
                self.put(" ? ");
                self.node(yes, Binding::Or);
                self.put(" : ");
                self.node(no, Binding::Choice);
            }
            NodeKind::List(members) => {
                self.put("[");
                self.joined(members, ", ", Binding::Choice);
                self.put("]");
            }
            NodeKind::Map(entries) => self.map(entries),
            NodeKind::HasKey(of, key) => {
                self.put("has(");
                self.node(of, Binding::Primary);
                self.put(".");
                self.put(key);
                self.put(")");
            }
            NodeKind::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn joined(&mut self, parts: &[Node], between: &str, around: Binding) {
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                self.put(between);
            }
            self.node(part, around);
        }
    }

    fn field(&mut self, field: Field) {
        self.put("event.");
        self.put(field.name());
    }

    fn attribute(&mut self, name: &str) {
        self.field(Field::Device);
        self.put(".");
        self.put(name);
    }

    fn has(&mut self, presence: &Presence) {
        self.put(if matches!(presence, Presence::Signal(_)) { "known(" } else { "has(" });
        self.presence(presence);
        self.put(")");
    }

    fn declared(&mut self, name: &str) {
        self.field(Field::Attributes);
        self.put(".");
        self.put(name);
    }

    fn signal(&mut self, signal: Signal) {
        self.put(signal.group());
        self.put(".");
        self.put(signal.name());
    }

    fn presence(&mut self, presence: &Presence) {
        match presence {
            Presence::Field(field) => self.field(*field),
            Presence::Attribute(name) => self.attribute(name),
            Presence::Declared(declared) => self.declared(&declared.name),
            Presence::AmountBase => self.put("event.amount_base"),
            Presence::Signal(signal) => self.signal(*signal),
        }
    }

    fn list(&mut self, list: ListIndex) {
        self.put("lists.");
        let names = self.names;
        self.put(names.list(list));
    }

    fn read(&mut self, read: ReadIndex) {
        let names = self.names;
        match names.read(read) {
            ReadSource::Feature { feature, key } => {
                let (before, parts, behind) = match key {
                    ReadKey::Own => ("", &[] as &[Compiled], ""),
                    ReadKey::At(parts) => (".at(", parts.as_slice(), ")"),
                    ReadKey::Same(parts) => (", ", parts.as_slice(), ")"),
                };
                if matches!(key, ReadKey::Same(_)) {
                    self.put("same(");
                }
                self.put(names.feature(*feature));
                self.put(before);
                self.listed(parts);
                self.put(behind);
            }
            ReadSource::Account { role, fact } => {
                self.put(role.name());
                self.put(".");
                self.put(fact.name());
            }
            ReadSource::Referral(referral) => {
                self.put(referral.name());
                self.put("(");
                self.listed(referral.accounts());
                self.put(")");
            }
            ReadSource::Geo(fact) => {
                self.put("geo.");
                self.put(fact.name());
            }
        }
    }

    /// Expressions with commas between them.
    fn listed(&mut self, parts: &[Compiled]) {
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                self.put(", ");
            }
            self.node(part.node(), Binding::Choice);
        }
    }

    /// Variables have names only in the text that was written; here they are told apart by depth.
    fn local(&mut self, depth: usize) {
        self.put("x");
        if depth > 0 {
            write!(self.out, "{depth}").expect("writing to a string cannot fail");
        }
    }

    fn operator(&mut self, operator: Operator, args: &[Node]) {
        match (operator, args) {
            (Operator::Negate, [of]) => {
                self.put("-");
                self.node(of, Binding::Unary);
            }
            (Operator::Index, [of, index]) => {
                self.node(of, Binding::Primary);
                self.put("[");
                self.node(index, Binding::Choice);
                self.put("]");
            }
            (_, [left, right]) => self.infix(operator, left, right),
            _ => self.joined(args, operator.sign(), Binding::Primary),
        }
    }

    /// Operators of one precedence bind from the left, and comparisons do not chain.
    fn infix(&mut self, operator: Operator, left: &Node, right: &Node) {
        let (before, behind) = match precedence(operator) {
            Binding::Sum => (Binding::Sum, Binding::Product),
            Binding::Product => (Binding::Product, Binding::Unary),
            _ => (Binding::Sum, Binding::Sum),
        };
        self.node(left, before);
        self.put(" ");
        self.put(operator.sign());
        self.put(" ");
        self.node(right, behind);
    }

    fn function(&mut self, function: Function, args: &[Node]) {
        let called = |of: &&super::function::Overload| of.function == function && of.parameters.len() == args.len();
        let overload = OVERLOADS.iter().find(called);
        let (name, member) = overload.map_or(("?", false), |of| (of.name, of.member));
        let args = match args {
            [of, rest @ ..] if member => {
                self.node(of, Binding::Primary);
                self.put(".");
                rest
            }
            args => args,
        };
        self.put(name);
        self.put("(");
        self.joined(args, ", ", Binding::Choice);
        self.put(")");
    }

    fn map(&mut self, entries: &[(Node, Node)]) {
        self.put("{");
        for (at, (key, value)) in entries.iter().enumerate() {
            if at > 0 {
                self.put(", ");
            }
            self.node(key, Binding::Choice);
            self.put(": ");
            self.node(value, Binding::Choice);
        }
        self.put("}");
    }

    fn comprehension(&mut self, of: &Comprehension) {
        self.node(&of.range, Binding::Primary);
        let filters = matches!(&of.result, Some(result) if result.kind == NodeKind::Local(of.local));
        self.put(match of.quantity {
            Quantity::All => ".all(",
            Quantity::Exists => ".exists(",
            Quantity::ExistsOne => ".exists_one(",
            Quantity::Collect if filters => ".filter(",
            Quantity::Collect => ".map(",
        });
        self.local(of.local);
        let tests = of.test.constant() != Some(&Value::Bool(true));
        if tests || of.result.is_none() || filters {
            self.put(", ");
            self.node(&of.test, Binding::Choice);
        }
        if let Some(result) = of.result.as_ref().filter(|_| !filters) {
            self.put(", ");
            self.node(result, Binding::Choice);
        }
        self.put(")");
    }
}

fn precedence(operator: Operator) -> Binding {
    match operator {
        Operator::Add | Operator::Subtract => Binding::Sum,
        Operator::Multiply | Operator::Divide | Operator::Remainder => Binding::Product,
        Operator::Negate => Binding::Unary,
        Operator::Index => Binding::Primary,
        _ => Binding::Relation,
    }
}

fn binding(node: &Node) -> Binding {
    match &node.kind {
        NodeKind::Choice(_) => Binding::Choice,
        NodeKind::Or(_) => Binding::Or,
        NodeKind::And(_) => Binding::And,
        NodeKind::Operator(operator, _) | NodeKind::Hashed(operator, ..) => precedence(*operator),
        NodeKind::Listed(..) => Binding::Relation,
        NodeKind::Not(_) => Binding::Unary,
        _ => Binding::Primary,
    }
}

/// A constant as it would be written.
fn constant(value: &Value) -> String {
    match value {
        Value::Timestamp(ns) => {
            let mut out = String::new();
            time::write_timestamp(*ns, &mut out);
            format!("timestamp({})", quoted(&out))
        }
        Value::Duration(ns) => {
            let mut out = String::new();
            time::write_duration(*ns, &mut out);
            format!("duration({})", quoted(&out))
        }
        Value::Uint(value) => format!("{value}u"),
        // A double is told from an int by its point.
        Value::Double(value) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{value:.1}"),
        other => shown(other),
    }
}

/// A value as people read it: texts in quotes, what is known by its hash alone said so, long lists cut.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Text(text) => quoted(text),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Value::Type(name) => (*name).to_owned(),
        Value::Hash(_) => "(known by its hash)".to_owned(),
        Value::Set { size: 1, .. } => "{1 value}".to_owned(),
        Value::Set { size, .. } => format!("{{{size} values}}"),
        Value::List(values) => {
            let mut parts: Vec<String> = values.iter().take(MEMBERS_MAX).map(shown).collect();
            if values.len() > MEMBERS_MAX {
                parts.push(format!("... {} more", values.len() - MEMBERS_MAX));
            }
            format!("[{}]", parts.join(", "))
        }
        Value::Map(map) => {
            let entries: Vec<String> = map
                .values()
                .take(MEMBERS_MAX)
                .map(|(key, value)| format!("{}: {}", shown(key), shown(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => text::of(other).unwrap_or_default(),
    }
}

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    crate::event::json::write_string(&mut out, text);
    String::from_utf8_lossy(&out).into_owned()
}
