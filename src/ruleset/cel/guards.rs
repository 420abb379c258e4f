//! What holds wherever a condition has a value: which features are whole, who is known, which texts are there.
//!
//! A conclusion from absence is sound where the same conjunction asks for what makes it so; what stands on the other side
//! of an `||` guards nothing. Invariant: a guard is told only where every way to that value has it.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::absence::{counted, is_bool, opposite};
use super::function::{Function, Operator};
use super::node::{Node, NodeKind, Presence, Question};
use super::value::Value;
use super::{ReadIndex, Type};
use crate::event::{Field, Signal};

/// What is certain wherever a condition holds.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    /// These features have seen a whole window.
    pub complete: BTreeSet<ReadIndex>,
    /// These have a value.
    pub known: BTreeSet<ReadIndex>,
    /// More than some time passed since the instant, or for the age, that these read.
    pub long: BTreeSet<ReadIndex>,
    /// These are not absent.
    pub present: BTreeSet<TextOf>,
}

/// A text of the event, which is empty where it is absent; or another field that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TextOf {
    /// A field as it came.
    Field(Field),
    /// A signal.
    Signal(Signal),
    /// A value of the field `device`.
    Device(Arc<str>),
    /// A declared value of the field `attributes`.
    Attribute(Arc<str>),
}

impl TextOf {
    /// As rules write it.
    pub fn name(&self) -> String {
        match self {
            TextOf::Field(field) => format!("event.{}", field.name()),
            TextOf::Signal(signal) => format!("{}.{}", signal.group(), signal.name()),
            TextOf::Device(name) => member("event.device", name),
            TextOf::Attribute(name) => member("event.attributes", name),
        }
    }

    /// What must be there for it to be there: signals that follow from one field in any case are one.
    pub(super) fn origin(&self) -> TextOf {
        use Signal::{
            EmailDomain, EmailLocal, EmailNormalized, EmailSkeleton, IpAddress, IpKind, IpPrefix, IpSite, PhoneKind,
            PhoneNormalized, ReferrerEmailDomain, ReferrerEmailLocal, ReferrerEmailNormalized, ReferrerEmailSkeleton,
        };
        match self {
            TextOf::Signal(EmailNormalized | EmailLocal | EmailSkeleton | EmailDomain) => TextOf::Field(Field::Email),
            TextOf::Signal(
                ReferrerEmailNormalized | ReferrerEmailLocal | ReferrerEmailSkeleton | ReferrerEmailDomain,
            ) => TextOf::Field(Field::ReferrerEmail),
            TextOf::Signal(IpAddress | IpKind | IpPrefix | IpSite) => TextOf::Field(Field::Ip),
            TextOf::Signal(PhoneNormalized | PhoneKind) => TextOf::Field(Field::Phone),
            other => other.clone(),
        }
    }

    /// The text that a node is.
    pub(super) fn of(node: &Node) -> Option<TextOf> {
        (node.ty == Type::Text).then(|| TextOf::any(&node.kind)).flatten()
    }

    fn any(kind: &NodeKind) -> Option<TextOf> {
        Some(match kind {
            NodeKind::Field(field) => TextOf::Field(*field),
            NodeKind::Signal(signal) => TextOf::Signal(*signal),
            NodeKind::Attribute(name) => TextOf::Device(Arc::clone(name)),
            NodeKind::Declared(declared) => TextOf::Attribute(Arc::clone(&declared.name)),
            NodeKind::Has(presence) => match presence {
                Presence::Field(field) => TextOf::Field(*field),
                Presence::Signal(signal) => TextOf::Signal(*signal),
                Presence::Attribute(name) => TextOf::Device(Arc::clone(name)),
                Presence::Declared(declared) => TextOf::Attribute(Arc::clone(&declared.name)),
                Presence::AmountBase => return None,
            },
            _ => return None,
        })
    }
}

/// A member of a map, as rules write it.
fn member(map: &str, name: &str) -> String {
    let plain =
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain { format!("{map}.{name}") } else { format!("{map}[\"{}\"]", name.escape_debug()) }
}

impl Guards {
    /// What holds wherever the node has this value; `None` if it never has.
    pub(super) fn of(node: &Node, wanted: bool) -> Option<Guards> {
        match &node.kind {
            NodeKind::Constant(Value::Bool(value)) if *value != wanted => None,
            NodeKind::Not(of) => Guards::of(of, !wanted),
            NodeKind::And(terms) if wanted => Guards::all(terms, wanted),
            NodeKind::Or(terms) if !wanted => Guards::all(terms, wanted),
            NodeKind::And(terms) | NodeKind::Or(terms) => {
                Guards::common(terms.iter().map(|term| Guards::of(term, wanted)))
            }
            NodeKind::Choice(parts) => {
                let [condition, yes, no] = parts.as_ref();
                Guards::common(
                    [(true, yes), (false, no)]
                        .into_iter()
                        .map(|(taken, side)| Some(Guards::of(condition, taken)?.and(&Guards::of(side, wanted)?))),
                )
            }
            NodeKind::Operator(operator, sides) => match sides.as_slice() {
                [left, right] => Guards::compared(*operator, left, right, wanted),
                _ => Some(Guards::default()),
            },
            kind if wanted => Some(Guards::claimed(kind)),
            _ => Some(Guards::default()),
        }
    }

    /// With what another condition guards that holds too.
    #[must_use]
    pub fn and(mut self, other: &Guards) -> Guards {
        self.complete.extend(&other.complete);
        self.known.extend(&other.known);
        self.long.extend(&other.long);
        self.present.extend(other.present.iter().cloned());
        self
    }

    fn all(terms: &[Node], wanted: bool) -> Option<Guards> {
        let mut terms = terms.iter().map(|term| Guards::of(term, wanted));
        terms.try_fold(Guards::default(), |all, term| Some(all.and(&term?)))
    }

    /// What is in each of the ways that can be taken.
    fn common(ways: impl Iterator<Item = Option<Guards>>) -> Option<Guards> {
        ways.flatten().reduce(|mut all, way| {
            all.complete.retain(|read| way.complete.contains(read));
            all.known.retain(|read| way.known.contains(read));
            all.long.retain(|read| way.long.contains(read));
            all.present.retain(|text| way.present.contains(text));
            all
        })
    }

    /// What a claim that is true says.
    fn claimed(kind: &NodeKind) -> Guards {
        let mut guards = Guards::default();
        match kind {
            NodeKind::Ask(Question::Complete, read) => guards.complete.extend([*read]),
            NodeKind::Ask(Question::Known, read) => guards.known.extend([*read]),
            NodeKind::Has(_) => guards.present.extend(TextOf::any(kind).map(|text| text.origin())),
            // Neither a declared list nor a set has an empty text.
            NodeKind::Listed(of, ..) | NodeKind::Hashed(Operator::In, of, _) => guards.has(of),
            NodeKind::Function(Function::Contains | Function::StartsWith | Function::EndsWith, parts) => {
                if let [of, part] = parts.as_slice()
                    && part.constant_text().is_some_and(|part| !part.is_empty())
                {
                    guards.has(of);
                }
            }
            _ => {}
        }
        guards
    }

    fn has(&mut self, node: &Node) {
        self.present.extend(TextOf::of(node).map(|text| text.origin()));
    }

    fn compared(operator: Operator, left: &Node, right: &Node, wanted: bool) -> Option<Guards> {
        if left.ty == Type::Bool && right.ty == Type::Bool {
            let same = (operator == Operator::Equal) == wanted;
            return match (left, right) {
                (side, other) | (other, side) if is_bool(other, true) => Guards::of(side, same),
                (side, other) | (other, side) if is_bool(other, false) => Guards::of(side, !same),
                _ => Some(Guards::default()),
            };
        }
        let mut guards = Guards::default();
        guards.known.extend(counted(left).into_iter().chain(counted(right)));
        if let Some(passed) = Passed::of(operator, left, right, wanted) {
            guards.known.insert(passed.read);
            if !passed.little {
                guards.long.insert(passed.read);
            }
        }
        let (of, to, operator) = constant_last(operator, left, right);
        let operator = if wanted { operator } else { opposite(operator) };
        let filled = match (operator, to.constant()) {
            (Operator::NotEqual | Operator::Greater, Some(Value::Text(text))) => text.is_empty(),
            (Operator::Equal, Some(Value::Text(text))) => !text.is_empty(),
            (Operator::In, Some(Value::List(texts))) => {
                wanted && !texts.iter().any(|text| text.equals(&Value::text("")))
            }
            _ => false,
        };
        if filled {
            guards.has(of);
        }
        if let NodeKind::Function(Function::Size, sized) = &of.kind
            && holds_for(0, operator, to) == Some(false)
        {
            sized.iter().for_each(|text| guards.has(text));
        }
        Some(guards)
    }
}

/// A comparison that says how long an account has been known, or since when.
pub(super) struct Passed {
    /// `account.age`, or `account.first_seen`.
    pub read: ReadIndex,
    /// Whether little time must have passed, and not much.
    pub little: bool,
    /// How much, in milliseconds.
    pub span_ms: i64,
}

impl Passed {
    /// What a comparison with this value says; `None` if it is about something else.
    pub(super) fn of(operator: Operator, left: &Node, right: &Node, wanted: bool) -> Option<Passed> {
        let operator = if wanted { operator } else { opposite(operator) };
        let (read, operator, span) = match (span_since(left), span_since(right)) {
            (Some(read), _) => (read, operator, ms(right)?),
            (_, Some(read)) => (read, operator.mirrored(), ms(left)?),
            // `first_seen > event.time - days(7)` says what `event.time - first_seen < days(7)` does.
            _ => match (instant(left), instant(right)) {
                (Some(read), _) => (read, operator.mirrored(), before_now(right)?),
                (_, Some(read)) => (read, operator, before_now(left)?),
                _ => return None,
            },
        };
        let little = match operator {
            Operator::Less | Operator::LessOrEqual | Operator::Equal => true,
            Operator::Greater | Operator::GreaterOrEqual => false,
            _ => return None,
        };
        Some(Passed { read, little, span_ms: span })
    }
}

/// The read, if the node is a span since an account was first known: a duration that is read, or `event.time - instant`.
fn span_since(node: &Node) -> Option<ReadIndex> {
    match &node.kind {
        NodeKind::Read(read) if node.ty == Type::Duration => Some(*read),
        NodeKind::Operator(Operator::Subtract, sides) => match sides.as_slice() {
            [now, since] if is_now(now) => instant(since),
            _ => None,
        },
        _ => None,
    }
}

/// The read, if the node is an instant that is read.
fn instant(node: &Node) -> Option<ReadIndex> {
    match node.kind {
        NodeKind::Read(read) if node.ty == Type::Timestamp => Some(read),
        _ => None,
    }
}

/// How long before the event, in milliseconds: of `event.time`, and `event.time - days(7)`.
fn before_now(node: &Node) -> Option<i64> {
    match &node.kind {
        _ if is_now(node) => Some(0),
        NodeKind::Operator(Operator::Subtract, sides) => match sides.as_slice() {
            [now, span] if is_now(now) => ms(span),
            _ => None,
        },
        _ => None,
    }
}

fn is_now(node: &Node) -> bool {
    node.kind == NodeKind::Field(Field::Time)
}

/// A constant span in milliseconds.
fn ms(node: &Node) -> Option<i64> {
    match node.constant() {
        Some(Value::Duration(ns)) => i64::try_from(ns / 1_000_000).ok(),
        _ => None,
    }
}

/// The comparison with a constant on its right, if there is one.
pub(super) fn constant_last<'n>(operator: Operator, left: &'n Node, right: &'n Node) -> (&'n Node, &'n Node, Operator) {
    if left.constant().is_some() && operator != Operator::In {
        (right, left, operator.mirrored())
    } else {
        (left, right, operator)
    }
}

/// Whether a whole number compares so with a constant; `None` where that cannot be told.
pub(super) fn holds_for(number: i64, operator: Operator, to: &Node) -> Option<bool> {
    let order = Value::Int(number).compare(to.constant()?).ok().flatten()?;
    Some(match operator {
        Operator::Equal => order == Ordering::Equal,
        Operator::NotEqual => order != Ordering::Equal,
        Operator::Less => order == Ordering::Less,
        Operator::LessOrEqual => order != Ordering::Greater,
        Operator::Greater => order == Ordering::Greater,
        Operator::GreaterOrEqual => order != Ordering::Less,
        _ => return None,
    })
}
