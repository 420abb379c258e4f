//! The type checker: from an expression as written to a tree in which every part has a type and every name is a slot.
//!
//! It goes on after a fault: what is wrong becomes [`Type::Faulty`], which fits everywhere, so that one load tells
//! everything. Constants are folded on the way up.

mod calls;
mod comprehensions;
mod division;
mod names;
mod never;
mod operators;
mod suggest;

#[cfg(test)]
pub(super) use calls::SPECIAL;

use std::ops::Range;
use std::sync::Arc;

use super::function::Function;
use super::node::{Node, NodeKind};
use super::syntax::{Expr, ExprKind, Sign};
use super::value::Value;
use super::{Position, ReadIndex, ReadSource, ReadTable, Scope, Source, Type, Uses, Wanted, interpret};
use crate::ruleset::diagnostic::Diagnostic;

/// The most parts of one expression, macros expanded.
const PARTS_MAX: usize = 10_000;
/// The deepest nesting, macros expanded.
const DEPTH_MAX: usize = 128;

/// Checks one expression.
pub(super) struct Checker<'a> {
    scope: &'a Scope,
    reads: &'a mut ReadTable,
    position: Position,
    /// Whether an absent number has no value, and is not 0: in what is counted by, and what is counted.
    unknown_if_absent: bool,
    /// Whose text the spans count in: the expression's, or that of the macro being expanded.
    source: Source,
    /// The expression itself, whatever is being expanded.
    whole: Source,
    locals: Vec<Local>,
    /// Variables before this one are out of sight: they belong to the user of a macro.
    locals_start: usize,
    /// The macros being expanded, outermost first.
    expanding: Vec<String>,
    parts: usize,
    depth: usize,
    pub uses: Uses,
    pub diagnostics: Vec<Diagnostic>,
    pub warnings: Vec<Diagnostic>,
    /// Types of event that `event.type` is compared with, outside of macros, which are written for more than one rule.
    pub types: Vec<TypeNamed>,
}

/// A type of event that a condition names.
#[derive(Clone, Debug)]
pub struct TypeNamed {
    /// The type.
    pub name: Arc<str>,
    /// The bytes of the file.
    pub span: Range<usize>,
}

/// A variable of a comprehension.
struct Local {
    name: String,
    ty: Type,
}

impl<'a> Checker<'a> {
    pub(super) fn new(scope: &'a Scope, reads: &'a mut ReadTable, position: Position, source: &Source) -> Checker<'a> {
        Checker {
            scope,
            reads,
            position,
            unknown_if_absent: false,
            source: source.clone(),
            whole: source.clone(),
            locals: Vec::new(),
            locals_start: 0,
            expanding: Vec::new(),
            parts: 0,
            depth: 0,
            uses: Uses::default(),
            diagnostics: Vec::new(),
            warnings: Vec::new(),
            types: Vec::new(),
        }
    }

    /// Checks the whole expression, and that its value is of a wanted type.
    pub(super) fn check(&mut self, expr: &Expr, wanted: Wanted) -> Node {
        let counted = self.position == Position::Feature && wanted != Wanted::Bool;
        self.unknown_if_absent = counted || wanted == Wanted::Group;
        let node = self.node(expr);
        if !node.ty.is_open() && !wanted.takes(&node.ty) || node.ty == Type::Dyn && !wanted.takes_dyn() {
            let message = format!("{} is wanted here, and this is {}", wanted.words(), with_article(&node.ty));
            let key = matches!(wanted, Wanted::Key | Wanted::Group);
            let hint = (key && node.ty == Type::Double)
                .then(|| "doubles that look alike can differ: write `int(...)`, or `string(...)` of an int".to_owned());
            self.error_hint("wrong-type", &expr.span, message, hint);
        }
        node
    }

    fn error(&mut self, code: &'static str, span: &Range<usize>, message: impl Into<String>) -> Node {
        self.error_hint(code, span, message, None)
    }

    fn error_hint(
        &mut self,
        code: &'static str,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Node {
        let mut diagnostic = self.source.error(code, span.clone(), message);
        diagnostic.hint = hint;
        let told = |other: &Diagnostic| {
            other.code == code && other.span == diagnostic.span && Arc::ptr_eq(&other.file, &diagnostic.file)
        };
        if !self.diagnostics.iter().any(told) {
            self.diagnostics.push(diagnostic);
        }
        Node::faulty()
    }

    /// Checks the text of a macro by itself; its value may be of any type.
    pub(super) fn check_macro(&mut self, name: &str, expr: &Expr) {
        self.expanding.push(name.to_owned());
        self.node(expr);
    }

    /// Checks one part.
    fn node(&mut self, expr: &Expr) -> Node {
        self.parts += 1;
        if self.parts > PARTS_MAX || self.depth >= DEPTH_MAX {
            let message = format!(
                "with its macros the expression has more than {PARTS_MAX} parts, or nests deeper than {DEPTH_MAX}"
            );
            let whole = self.whole.error("too-deep", 0..self.whole.text.len(), message);
            if self.diagnostics.iter().all(|other| other.code != whole.code) {
                self.diagnostics.push(whole);
            }
            return Node::faulty();
        }
        self.depth += 1;
        let node = self.part(expr);
        self.depth -= 1;
        self.folded(node, &expr.span)
    }

    fn part(&mut self, expr: &Expr) -> Node {
        match &expr.kind {
            ExprKind::Literal(value) => Node::new(NodeKind::Constant(value.clone()), literal_type(value)),
            ExprKind::Name(name) => self.name(name, &expr.span),
            ExprKind::Select { of, field, field_span } => self.select(of, field, field_span, &expr.span),
            ExprKind::Call { name, name_span, target, args } => {
                self.call(name, name_span, target.as_deref(), args, &expr.span)
            }
            ExprKind::Operator(operator, args) => self.operator(*operator, args, &expr.span),
            ExprKind::Not(of) => {
                let of = self.condition(of);
                Node::new(NodeKind::Not(Box::new(of)), Type::Bool)
            }
            ExprKind::Undone(Sign::Not, of) => self.condition(of),
            ExprKind::Undone(Sign::Minus, of) => self.number_of(of, &expr.span),
            ExprKind::And(terms) => {
                let terms = terms.iter().map(|term| self.condition(term)).collect();
                Node::new(NodeKind::And(terms), Type::Bool)
            }
            ExprKind::Or(terms) => {
                let terms = terms.iter().map(|term| self.condition(term)).collect();
                Node::new(NodeKind::Or(terms), Type::Bool)
            }
            ExprKind::Choice(parts) => self.choice(parts, &expr.span),
            ExprKind::List(members) => self.list(members),
            ExprKind::Map(entries) => self.map(entries),
            ExprKind::Message(name) => {
                self.error("not-supported", &expr.span, format!("messages such as `{name}` are not supported"))
            }
        }
    }

    /// A part whose value is wanted to be a bool.
    fn condition(&mut self, expr: &Expr) -> Node {
        let node = self.node(expr);
        if node.ty != Type::Bool && !node.ty.is_open() {
            let hint = match node.ty {
                Type::Int | Type::Uint | Type::Double => Some("compare it, such as `... > 0`".to_owned()),
                Type::Text => Some("compare it, such as `... != \"\"`".to_owned()),
                _ => None,
            };
            let message = format!("a bool is wanted here, and this is {}", with_article(&node.ty));
            return self.error_hint("wrong-type", &expr.span, message, hint);
        }
        node
    }

    fn choice(&mut self, parts: &[Expr; 3], span: &Range<usize>) -> Node {
        let condition = self.condition(&parts[0]);
        let (yes, no) = (self.node(&parts[1]), self.node(&parts[2]));
        let Some(ty) = unified(&yes.ty, &no.ty) else {
            let message = format!("both sides of `:` must be of one type, and these are {} and {}", yes.ty, no.ty);
            return self.error("wrong-type", span, message);
        };
        Node::new(NodeKind::Choice(Box::new([condition, yes, no])), ty)
    }

    fn list(&mut self, members: &[Expr]) -> Node {
        let nodes: Vec<Node> = members.iter().map(|member| self.member(member)).collect();
        let ty = self.joined(&nodes, members);
        Node::new(NodeKind::List(nodes), Type::list(ty))
    }

    fn map(&mut self, entries: &[(Expr, Expr)]) -> Node {
        let mut nodes = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let key_node = self.member(key);
            let plain = matches!(key_node.ty, Type::Bool | Type::Int | Type::Uint | Type::Text);
            if !plain && !key_node.ty.is_open() {
                let message =
                    format!("a map's key is a bool, int, uint or string, and this is {}", with_article(&key_node.ty));
                self.error("wrong-type", &key.span, message);
            }
            nodes.push((key_node, self.member(value)));
        }
        let key = nodes.iter().map(|(key, _)| key.ty.clone()).reduce(join).unwrap_or(Type::Dyn);
        let value = nodes.iter().map(|(_, value)| value.ty.clone()).reduce(join).unwrap_or(Type::Dyn);
        Node::new(NodeKind::Map(nodes), Type::map(key, value))
    }

    /// A member of a list or map: anything that is a value of its own.
    fn member(&mut self, expr: &Expr) -> Node {
        let node = self.node(expr);
        match node.ty {
            Type::Set(_) | Type::Members(_) | Type::Component => {
                let message = format!("{} cannot be a member of a list or map", with_article(&node.ty));
                self.error("wrong-type", &expr.span, message)
            }
            _ => node,
        }
    }

    /// The type of a list's members. Hashed values stand only beside what they can be compared with.
    fn joined(&mut self, nodes: &[Node], exprs: &[Expr]) -> Type {
        let hashed = nodes.iter().find_map(|node| match node.ty {
            Type::Hashed(element) => Some(element),
            _ => None,
        });
        let Some(element) = hashed else {
            return nodes.iter().map(|node| node.ty.clone()).reduce(join).unwrap_or(Type::Dyn);
        };
        for (node, expr) in nodes.iter().zip(exprs) {
            if node.ty != Type::Hashed(element) && node.ty != element.ty() && node.ty != Type::Faulty {
                let message = format!("{} cannot stand beside a {}", with_article(&node.ty), Type::Hashed(element));
                self.error("wrong-type", &expr.span, message);
            }
        }
        Type::Hashed(element)
    }

    /// The node, or its value if that is known already. A constant part that has no value gets a warning, and an error where
    /// it is written out as an instant or a span of time.
    fn folded(&mut self, node: Node, span: &Range<usize>) -> Node {
        if !self.diagnostics.is_empty() {
            return node;
        }
        match interpret::fold(&node) {
            None | Some(Err(super::Fault::TooCostly)) => node,
            Some(Ok(value)) => Node::new(NodeKind::Constant(value), node.ty),
            Some(Err(fault)) => {
                if let Some((message, hint)) = never_a_time(&node) {
                    return self.error_hint("no-value", span, message, Some(hint));
                }
                let file_span = self.source.file_span(span.clone());
                let message = format!("this never has a value: {}", fault.code().replace('_', " "));
                self.warnings.push(Diagnostic::warning("no-value", &self.source.file, file_span, message));
                node
            }
        }
    }

    /// Adds a read to the table, and to what the expression uses.
    fn read(&mut self, source: ReadSource) -> ReadIndex {
        let feature = matches!(source, ReadSource::Feature { .. });
        let read = self.reads.intern(source);
        self.uses.features |= feature;
        for uses in self.reads.key_uses(read) {
            self.uses.add(uses);
        }
        self.uses.add_read(read);
        read
    }
}

/// What is wrong with an instant or a span of time that is written out and is none, and what to write; `None` of other nodes.
fn never_a_time(node: &Node) -> Option<(&'static str, String)> {
    let NodeKind::Function(function, args) = &node.kind else { return None };
    let [arg] = args.as_slice() else { return None };
    let text = arg.constant_text()?;
    match function {
        Function::Timestamp => {
            let hint = "write it as RFC 3339, such as `timestamp(\"2026-01-31T00:00:00Z\")`, in the years 1 to 9999";
            Some(("this is no instant", hint.to_owned()))
        }
        Function::Duration => {
            let days =
                text.strip_suffix('d').filter(|days| !days.is_empty() && days.bytes().all(|b| b.is_ascii_digit()));
            let hint = match days {
                Some(days) => format!("CEL knows no days here: write `days({days})`"),
                None => "write hours, minutes and seconds, such as `duration(\"1h30m\")`, or `days(7)`".to_owned(),
            };
            Some(("this is no span of time", hint))
        }
        _ => None,
    }
}

/// The type of a literal.
fn literal_type(value: &Value) -> Type {
    match value {
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Uint(_) => Type::Uint,
        Value::Double(_) => Type::Double,
        Value::Text(_) => Type::Text,
        Value::Bytes(_) => Type::Bytes,
        Value::Null => Type::Null,
        _ => Type::Dyn,
    }
}

/// The type of members of two types: `dyn` unless they are the same.
fn join(a: Type, b: Type) -> Type {
    unified(&a, &b).unwrap_or(Type::Dyn)
}

/// The one type of two alternatives; `None` when they have none.
fn unified(a: &Type, b: &Type) -> Option<Type> {
    match (a, b) {
        (a, b) if a == b => Some(a.clone()),
        (Type::Faulty, other) | (other, Type::Faulty) => Some(other.clone()),
        (Type::Dyn, _) | (_, Type::Dyn) => Some(Type::Dyn),
        (Type::List(a), Type::List(b)) => unified(a, b).map(Type::list),
        (Type::Map(ak, av), Type::Map(bk, bv)) => Some(Type::map(unified(ak, bk)?, unified(av, bv)?)),
        _ => None,
    }
}

/// Whether values of two types can be equal.
fn comparable(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Set(_) | Type::Hashed(_) | Type::Members(_) | Type::Component, _) => false,
        (_, Type::Set(_) | Type::Hashed(_) | Type::Members(_) | Type::Component) => false,
        (a, b) if a.is_open() || b.is_open() || a == b || a.is_number() && b.is_number() => true,
        (Type::List(a), Type::List(b)) => comparable(a, b),
        (Type::Map(ak, av), Type::Map(bk, bv)) => comparable(ak, bk) && comparable(av, bv),
        _ => false,
    }
}

/// A type with its article.
fn with_article(ty: &Type) -> String {
    let name = ty.to_string();
    let article = if name.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    match ty {
        Type::Null | Type::Dyn => name,
        _ => format!("{article} {name}"),
    }
}
