//! From a checked tree to the program that runs: typed, with the shapes that rules are made of as single steps.

use super::apply;
use super::compare::{Comparison, TextSet};
use super::function::{Function, Operator};
use super::node::{Node, NodeKind, Presence};
use super::probe::{Probe, Range};
use super::program::{BoolExpr, DoubleExpr, IntExpr, NanosExpr, TextExpr, Then};
use super::time::Zone;
use super::value::Value;
use super::{Element, ListIndex, ListKind, ReadIndex, Type};
use crate::event::FieldType;

const MS_NS: i128 = 1_000_000;

/// A condition.
pub(super) fn bool_expr(node: &Node) -> BoolExpr {
    let lowered = match &node.kind {
        NodeKind::Constant(Value::Bool(value)) => Some(BoolExpr::Constant(*value)),
        NodeKind::Signal(signal) => Some(probe(Probe::Flag(*signal, true))),
        NodeKind::Has(Presence::Field(field)) => Some(probe(Probe::Has(*field, true))),
        NodeKind::Has(presence) => Some(BoolExpr::Has(presence.clone())),
        NodeKind::Ask(question, read) => Some(probe(Probe::Ask(*question, *read, true))),
        NodeKind::Read(read) => Some(probe(Probe::Claim(*read, true))),
        NodeKind::Not(of) => Some(negated(of)),
        NodeKind::And(terms) => Some(logic(terms, true)),
        NodeKind::Or(terms) => Some(logic(terms, false)),
        NodeKind::Choice(parts) => {
            let [condition, yes, no] = parts.as_ref();
            Some(BoolExpr::Choice(Box::new([bool_expr(condition), bool_expr(yes), bool_expr(no)])))
        }
        NodeKind::Operator(operator, args) => comparison(*operator, args),
        NodeKind::Function(function, args) => claim(*function, args),
        NodeKind::Matches(text, pattern) => {
            text_expr(text).map(|text| BoolExpr::Matches(Box::new((text, pattern.clone()))))
        }
        NodeKind::Listed(value, list, ListKind::Date) => {
            nanos_expr(value).map(|instant| BoolExpr::InDateList(Box::new(instant), *list))
        }
        NodeKind::Listed(value, list, kind) => text_expr(value).map(|text| listed(text, *list, *kind)),
        NodeKind::Hashed(operator, left, right) => hashed(*operator, left, right),
        _ => None,
    };
    match lowered {
        Some(expr) if node.ty == Type::Bool => expr,
        _ => BoolExpr::Slow(Box::new(node.clone())),
    }
}

fn negated(of: &Node) -> BoolExpr {
    match bool_expr(of) {
        BoolExpr::Not(of) => *of,
        BoolExpr::Probe(of, Then::Done) => probe(of.negated()),
        BoolExpr::FieldText(field, text, equal) => BoolExpr::FieldText(field, text, !equal),
        BoolExpr::SignalText(signal, text, equal) => BoolExpr::SignalText(signal, text, !equal),
        BoolExpr::FieldListed(field, list, wanted) => BoolExpr::FieldListed(field, list, !wanted),
        BoolExpr::SignalListed(signal, list, wanted) => BoolExpr::SignalListed(signal, list, !wanted),
        BoolExpr::Meet(a, b, wanted) => BoolExpr::Meet(a, b, !wanted),
        BoolExpr::Constant(value) => BoolExpr::Constant(!value),
        of => BoolExpr::Not(Box::new(of)),
    }
}

/// A cheap term that is a condition by itself.
fn probe(of: Probe) -> BoolExpr {
    BoolExpr::Probe(of, Then::Done)
}

/// `&&` or `||`, flat, without the constants that decide nothing.
fn logic(terms: &[Node], all: bool) -> BoolExpr {
    let mut flat = Vec::with_capacity(terms.len());
    for term in flattened(terms, all) {
        match bool_expr(term) {
            BoolExpr::Constant(value) if value == all => {}
            BoolExpr::Constant(value) => return BoolExpr::Constant(value),
            term => flat.push(term),
        }
    }
    chained(flat, all)
}

/// The terms of terms that are joined in the same way.
fn flattened(terms: &[Node], all: bool) -> Vec<&Node> {
    let mut flat = Vec::with_capacity(terms.len());
    for term in terms {
        match &term.kind {
            NodeKind::And(inner) if all => flat.extend(flattened(inner, all)),
            NodeKind::Or(inner) if !all => flat.extend(flattened(inner, all)),
            _ => flat.push(term),
        }
    }
    flat
}

/// Terms in their order. Each cheap one leads to the rest, up to the first that is not.
fn chained(mut terms: Vec<BoolExpr>, all: bool) -> BoolExpr {
    let dear = terms.iter().position(|term| !matches!(term, BoolExpr::Probe(_, Then::Done)));
    let rest = terms.split_off(dear.unwrap_or(terms.len()));
    let end = match (rest.len(), all) {
        (0, _) => None,
        (1, _) => rest.into_iter().next(),
        (_, true) => Some(BoolExpr::And(rest.into())),
        (_, false) => Some(BoolExpr::Or(rest.into())),
    };
    let joined = terms.into_iter().rev().fold(end, |rest, term| match (term, rest, all) {
        (BoolExpr::Probe(probe, _), Some(rest), true) => Some(BoolExpr::Probe(probe, Then::And(Box::new(rest)))),
        (BoolExpr::Probe(probe, _), Some(rest), false) => Some(BoolExpr::Probe(probe, Then::Or(Box::new(rest)))),
        (last, ..) => Some(last),
    });
    joined.unwrap_or(BoolExpr::Constant(all))
}

/// Comparisons and membership; `None` for what only the interpreter can do.
fn comparison(operator: Operator, args: &[Node]) -> Option<BoolExpr> {
    let [left, right] = args else { return None };
    if operator == Operator::In {
        return member(left, right);
    }
    let comparison = Comparison::from_operator(operator)?;
    // A constant stands on the right.
    let (left, right, comparison) =
        if left.constant().is_some() { (right, left, comparison.mirrored()) } else { (left, right, comparison) };
    match (&left.ty, &right.ty) {
        (Type::Int, Type::Int) => Some(compared_ints(left, comparison, right)),
        (Type::Double | Type::Int, Type::Double | Type::Int) => Some(compared_doubles(left, comparison, right)),
        (Type::Text, Type::Text) => compared_texts(left, comparison, right),
        (Type::Timestamp, Type::Timestamp) | (Type::Duration, Type::Duration) => {
            compared_times(left, comparison, right)
        }
        (Type::Bool, Type::Bool) if matches!(comparison, Comparison::Equal | Comparison::NotEqual) => {
            let sides = Box::new([bool_expr(left), bool_expr(right)]);
            Some(BoolExpr::Same(sides, comparison == Comparison::Equal))
        }
        _ => None,
    }
}

fn compared_ints(left: &Node, comparison: Comparison, right: &Node) -> BoolExpr {
    match (int_expr(left), int_expr(right)) {
        (IntExpr::Read(read), IntExpr::Constant(value)) => probe(Probe::Int(read, Range::of(comparison, value))),
        (IntExpr::SetSize(read), IntExpr::Constant(value)) => probe(Probe::Size(read, Range::of(comparison, value))),
        (IntExpr::Field(field), IntExpr::Constant(value)) => probe(Probe::Field(field, Range::of(comparison, value))),
        (IntExpr::Overlap(a, b), IntExpr::Constant(value)) => match meeting(comparison, value) {
            Some(wanted) => BoolExpr::Meet(a, b, wanted),
            None => {
                let sides = Box::new((IntExpr::Overlap(a, b), IntExpr::Constant(value)));
                BoolExpr::Ints(sides, comparison)
            }
        },
        (left, right) => BoolExpr::Ints(Box::new((left, right)), comparison),
    }
}

/// Whether a comparison of a number of members asks for at least one, or for none; `None`: for something else.
fn meeting(comparison: Comparison, value: i64) -> Option<bool> {
    match (comparison, value) {
        (Comparison::Greater | Comparison::NotEqual, 0) | (Comparison::GreaterOrEqual, 1) => Some(true),
        (Comparison::Equal | Comparison::LessOrEqual, 0) | (Comparison::Less, 1) => Some(false),
        _ => None,
    }
}

fn compared_doubles(left: &Node, comparison: Comparison, right: &Node) -> BoolExpr {
    match (double_expr(left), double_expr(right)) {
        (DoubleExpr::Read(read), DoubleExpr::Constant(value)) => BoolExpr::ReadDouble(read, comparison, value),
        (DoubleExpr::Signal(signal), DoubleExpr::Constant(value)) => BoolExpr::SignalDouble(signal, comparison, value),
        (left, right) => BoolExpr::Doubles(Box::new((left, right)), comparison),
    }
}

fn compared_texts(left: &Node, comparison: Comparison, right: &Node) -> Option<BoolExpr> {
    let equal = match comparison {
        Comparison::Equal => true,
        Comparison::NotEqual => false,
        _ => return Some(BoolExpr::Texts(Box::new((text_expr(left)?, text_expr(right)?)), comparison)),
    };
    Some(match (text_expr(left)?, text_expr(right)?) {
        (TextExpr::Field(field), TextExpr::Constant(text)) => BoolExpr::FieldText(field, text, equal),
        (TextExpr::Signal(signal), TextExpr::Constant(text)) => BoolExpr::SignalText(signal, text, equal),
        (left, right) => BoolExpr::SameText(Box::new((left, right)), equal),
    })
}

fn compared_times(left: &Node, comparison: Comparison, right: &Node) -> Option<BoolExpr> {
    let sides = (nanos_expr(left)?, nanos_expr(right)?);
    Some(match in_ms(&sides.0, comparison, &sides.1) {
        Some(fast) => probe(fast),
        None => BoolExpr::Times(Box::new(sides), comparison),
    })
}

/// A comparison of times that can be made in whole milliseconds.
fn in_ms(left: &NanosExpr, comparison: Comparison, right: &NanosExpr) -> Option<Probe> {
    let range = match right {
        NanosExpr::Constant(ns) if ns % MS_NS == 0 => Range::of(comparison, i64::try_from(ns / MS_NS).ok()?),
        _ => return None,
    };
    match left {
        NanosExpr::Read(read) => Some(Probe::Ms(*read, range)),
        NanosExpr::Shift { add: false, sides, instant: false } => match sides.as_ref() {
            (NanosExpr::Field(field), NanosExpr::Read(read)) => Some(Probe::Since(*field, *read, range)),
            (NanosExpr::Field(field), NanosExpr::Given(from)) => Some(Probe::SinceField(*field, *from, range)),
            _ => None,
        },
        _ => None,
    }
}

/// Membership in a declared list of anything but dates.
fn listed(text: TextExpr, list: ListIndex, kind: ListKind) -> BoolExpr {
    match (text, kind) {
        (TextExpr::Field(field), ListKind::Text) => BoolExpr::FieldListed(field, list, true),
        (TextExpr::Signal(signal), ListKind::Text) => BoolExpr::SignalListed(signal, list, true),
        (text, kind) => BoolExpr::Listed(Box::new(text), list, kind),
    }
}

/// Membership in a list that is known now.
fn member(value: &Node, list: &Node) -> Option<BoolExpr> {
    let Some(Value::List(members)) = list.constant() else { return None };
    match value.ty {
        Type::Text => {
            let texts = members.iter().map(|member| match member {
                Value::Text(text) => Some(text.as_ref()),
                _ => None,
            });
            let set = TextSet::new(texts.collect::<Option<Vec<&str>>>()?);
            Some(match text_expr(value)? {
                TextExpr::Field(field) => BoolExpr::FieldIn(field, set),
                TextExpr::Signal(signal) => BoolExpr::SignalIn(signal, set),
                text => BoolExpr::TextIn(Box::new(text), set),
            })
        }
        Type::Int => {
            let ints = members.iter().map(|member| match member {
                Value::Int(value) => Some(*value),
                _ => None,
            });
            let mut ints = ints.collect::<Option<Vec<i64>>>()?;
            ints.sort_unstable();
            Some(BoolExpr::IntIn(Box::new(int_expr(value)), ints.into()))
        }
        _ => None,
    }
}

/// Functions that give a bool.
fn claim(function: Function, args: &[Node]) -> Option<BoolExpr> {
    match (function, args) {
        (Function::Contains, [a, b]) => Some(BoolExpr::Contains(Box::new((text_expr(a)?, text_expr(b)?)))),
        (Function::StartsWith, [a, b]) => Some(BoolExpr::StartsWith(Box::new((text_expr(a)?, text_expr(b)?)))),
        (Function::EndsWith, [a, b]) => Some(BoolExpr::EndsWith(Box::new((text_expr(a)?, text_expr(b)?)))),
        (Function::InNetwork, [address, networks]) => {
            let Some(Value::List(networks)) = networks.constant() else { return None };
            let networks = networks.iter().map(|network| match network {
                Value::Text(text) => apply::network(text),
                _ => None,
            });
            let networks = networks.collect::<Option<Vec<_>>>()?;
            Some(BoolExpr::InNetworks(Box::new((text_expr(address)?, networks.into()))))
        }
        (Function::Bool, [of]) if of.ty == Type::Bool => Some(bool_expr(of)),
        _ => None,
    }
}

/// Equality and membership of what is known by its hash.
fn hashed(operator: Operator, left: &Node, right: &Node) -> Option<BoolExpr> {
    if operator == Operator::In {
        return match (&right.kind, &right.ty) {
            (NodeKind::Read(set), Type::Set(Element::Text)) if left.ty == Type::Text => {
                Some(BoolExpr::TextInSet(Box::new(text_expr(left)?), *set))
            }
            (NodeKind::Read(set), Type::Set(Element::Int)) if left.ty == Type::Int => {
                Some(BoolExpr::IntInSet(Box::new(int_expr(left)), *set))
            }
            (NodeKind::Read(set), Type::Set(_)) => Some(BoolExpr::HashInSet(hash_read(left)?, *set)),
            _ => None,
        };
    }
    let equal = operator == Operator::Equal;
    let (read, other) = match (hash_read(left), hash_read(right)) {
        (Some(left), Some(right)) => return Some(BoolExpr::SameHash(left, right, equal)),
        (Some(read), None) => (read, right),
        (None, Some(read)) => (read, left),
        (None, None) => return None,
    };
    text_expr(other).map(|text| BoolExpr::HashOf(read, Box::new(text), equal))
}

fn hash_read(node: &Node) -> Option<ReadIndex> {
    match (&node.kind, &node.ty) {
        (NodeKind::Read(read), Type::Hashed(_)) => Some(*read),
        _ => None,
    }
}

/// An int.
pub(super) fn int_expr(node: &Node) -> IntExpr {
    let lowered = match &node.kind {
        NodeKind::Constant(Value::Int(value)) => Some(IntExpr::Constant(*value)),
        NodeKind::Field(field) if field.field_type() == FieldType::Int => Some(IntExpr::Field(*field)),
        NodeKind::Signal(signal) => Some(IntExpr::Signal(*signal)),
        NodeKind::Given(presence) => Some(IntExpr::Given(presence.clone())),
        NodeKind::Read(read) => Some(IntExpr::Read(*read)),
        NodeKind::Choice(parts) => {
            let [condition, yes, no] = parts.as_ref();
            Some(IntExpr::Choice(Box::new((bool_expr(condition), int_expr(yes), int_expr(no)))))
        }
        NodeKind::Operator(Operator::Negate, args) => match args.as_slice() {
            [of] => Some(IntExpr::Negate(Box::new(int_expr(of)))),
            _ => None,
        },
        NodeKind::Operator(operator, args) if *operator != Operator::Index => match args.as_slice() {
            [left, right] if left.ty == Type::Int && right.ty == Type::Int => {
                Some(IntExpr::Arithmetic(*operator, Box::new((int_expr(left), int_expr(right)))))
            }
            _ => None,
        },
        NodeKind::Function(function, args) => int_function(*function, args),
        _ => None,
    };
    match lowered {
        Some(expr) if node.ty == Type::Int => expr,
        _ => IntExpr::Slow(Box::new(node.clone())),
    }
}

fn int_function(function: Function, args: &[Node]) -> Option<IntExpr> {
    match (function, args) {
        (Function::Size, [of]) => match (&of.kind, &of.ty) {
            (NodeKind::Read(read), Type::Set(_)) => Some(IntExpr::SetSize(*read)),
            (_, Type::Text) => Some(IntExpr::TextSize(Box::new(text_expr(of)?))),
            _ => None,
        },
        (Function::Overlap, [a, b]) => match (&a.kind, &b.kind) {
            (NodeKind::Read(a), NodeKind::Read(b)) => Some(IntExpr::Overlap(*a, *b)),
            _ => None,
        },
        (Function::Part(part), [of]) if of.ty == Type::Timestamp => {
            Some(IntExpr::Part(part, Box::new((nanos_expr(of)?, Zone::UTC))))
        }
        (Function::Part(part), [of, zone]) => {
            let zone = Zone::parse(zone.constant_text()?).ok()?;
            Some(IntExpr::Part(part, Box::new((nanos_expr(of)?, zone))))
        }
        (Function::Int, [of]) => match of.ty {
            Type::Int => Some(int_expr(of)),
            Type::Double => Some(IntExpr::FromDouble(Box::new(double_expr(of)))),
            _ => None,
        },
        _ => None,
    }
}

/// A double; of an int, the double that it is.
pub(super) fn double_expr(node: &Node) -> DoubleExpr {
    if node.ty == Type::Int {
        return match int_expr(node) {
            IntExpr::Constant(value) => DoubleExpr::Constant(value as f64),
            IntExpr::Read(read) => DoubleExpr::ReadInt(read),
            of => DoubleExpr::FromInt(Box::new(of)),
        };
    }
    let lowered = match &node.kind {
        NodeKind::Constant(Value::Double(value)) => Some(DoubleExpr::Constant(*value)),
        NodeKind::Field(field) => Some(DoubleExpr::Field(*field)),
        NodeKind::AmountBase => Some(DoubleExpr::AmountBase),
        NodeKind::Signal(signal) => Some(DoubleExpr::Signal(*signal)),
        NodeKind::Given(presence) => Some(DoubleExpr::Given(presence.clone())),
        NodeKind::Read(read) => Some(DoubleExpr::Read(*read)),
        NodeKind::Choice(parts) => {
            let [condition, yes, no] = parts.as_ref();
            Some(DoubleExpr::Choice(Box::new((bool_expr(condition), double_expr(yes), double_expr(no)))))
        }
        NodeKind::Operator(operator, args) => match args.as_slice() {
            [left, right] if left.ty == Type::Double && right.ty == Type::Double => {
                Some(DoubleExpr::Arithmetic(*operator, Box::new((double_expr(left), double_expr(right)))))
            }
            _ => None,
        },
        NodeKind::Function(function, args) => match (function, args.as_slice()) {
            (Function::Ratio, [a, b]) if !a.ty.is_open() && !b.ty.is_open() => {
                Some(DoubleExpr::Ratio(Box::new((double_expr(a), double_expr(b)))))
            }
            (Function::Similarity, [a, b]) => match (text_expr(a), text_expr(b)) {
                (Some(a), Some(b)) => Some(DoubleExpr::Similarity(Box::new((a, b)))),
                _ => None,
            },
            (Function::Double, [of]) if matches!(of.ty, Type::Int | Type::Double) => Some(double_expr(of)),
            _ => None,
        },
        _ => None,
    };
    match lowered {
        Some(expr) if node.ty == Type::Double => expr,
        _ => DoubleExpr::Slow(Box::new(node.clone())),
    }
}

/// A text; `None` for what is no text, or only when it runs.
pub(super) fn text_expr(node: &Node) -> Option<TextExpr> {
    if node.ty != Type::Text {
        return None;
    }
    Some(match &node.kind {
        NodeKind::Constant(Value::Text(text)) => TextExpr::Constant(text.as_ref().into()),
        NodeKind::Field(field) => TextExpr::Field(*field),
        NodeKind::Signal(signal) => TextExpr::Signal(*signal),
        NodeKind::Program => TextExpr::Program,
        NodeKind::Read(read) => TextExpr::Read(*read),
        NodeKind::Attribute(name) => TextExpr::Attribute(name.as_ref().into()),
        NodeKind::Choice(parts) => {
            let [condition, yes, no] = parts.as_ref();
            TextExpr::Choice(Box::new((bool_expr(condition), text_expr(yes)?, text_expr(no)?)))
        }
        _ => TextExpr::Slow(Box::new(node.clone())),
    })
}

/// A timestamp or duration; `None` for what is neither, or only when it runs.
pub(super) fn nanos_expr(node: &Node) -> Option<NanosExpr> {
    if !matches!(node.ty, Type::Timestamp | Type::Duration) {
        return None;
    }
    Some(match &node.kind {
        NodeKind::Constant(Value::Timestamp(ns) | Value::Duration(ns)) => NanosExpr::Constant(*ns),
        NodeKind::Field(field) => NanosExpr::Field(*field),
        NodeKind::Given(Presence::Field(field)) => NanosExpr::Given(*field),
        NodeKind::Read(read) => NanosExpr::Read(*read),
        NodeKind::Operator(operator @ (Operator::Add | Operator::Subtract), args) => match args.as_slice() {
            [left, right] if !left.ty.is_open() && !right.ty.is_open() => {
                let sides = Box::new((nanos_expr(left)?, nanos_expr(right)?));
                NanosExpr::Shift { add: *operator == Operator::Add, sides, instant: node.ty == Type::Timestamp }
            }
            _ => NanosExpr::Slow(Box::new(node.clone())),
        },
        _ => NanosExpr::Slow(Box::new(node.clone())),
    })
}
