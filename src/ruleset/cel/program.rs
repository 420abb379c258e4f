//! What runs: a typed tree whose leaves are the comparisons that rules are made of.
//!
//! Evaluation is a `match` that the compiler turns into a jump; nothing is allocated but in the steps called `Slow`,
//! which the interpreter does.

use std::borrow::Cow;

use super::compare::{Comparison, TextSet};
use super::function::Operator;
use super::interpret::{self, has};
use super::node::{Node, Pattern, Presence};
use super::probe::Probe;
use super::time::{self, Part, Zone};
use super::value::Value;
use super::{Facts, Fault, ListIndex, ListKind, ReadIndex, ReadingValue, apply, device, sets};
use crate::event::{self, AttributeValue, Field, Signal};

const MS_NS: i128 = 1_000_000;

/// A condition. A trailing `bool` tells whether the claim or equality is asked for, or its opposite.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum BoolExpr {
    Constant(bool),
    /// A cheap term, and what follows it.
    Probe(Probe, Then),
    Has(Presence),
    ReadDouble(ReadIndex, Comparison, f64),
    SignalDouble(Signal, Comparison, f64),
    FieldText(Field, Box<str>, bool),
    SignalText(Signal, Box<str>, bool),
    SameText(Box<(TextExpr, TextExpr)>, bool),
    Texts(Box<(TextExpr, TextExpr)>, Comparison),
    FieldIn(Field, TextSet),
    SignalIn(Signal, TextSet),
    TextIn(Box<TextExpr>, TextSet),
    Ints(Box<(IntExpr, IntExpr)>, Comparison),
    IntIn(Box<IntExpr>, Box<[i64]>),
    Doubles(Box<(DoubleExpr, DoubleExpr)>, Comparison),
    Times(Box<(NanosExpr, NanosExpr)>, Comparison),
    Same(Box<[BoolExpr; 2]>, bool),
    Contains(Box<(TextExpr, TextExpr)>),
    StartsWith(Box<(TextExpr, TextExpr)>),
    EndsWith(Box<(TextExpr, TextExpr)>),
    Matches(Box<(TextExpr, Pattern)>),
    FieldListed(Field, ListIndex, bool),
    SignalListed(Signal, ListIndex, bool),
    Listed(Box<TextExpr>, ListIndex, ListKind),
    InDateList(Box<NanosExpr>, ListIndex),
    InNetworks(Box<(TextExpr, Box<[ipnet::IpNet]>)>),
    TextInSet(Box<TextExpr>, ReadIndex),
    IntInSet(Box<IntExpr>, ReadIndex),
    HashInSet(ReadIndex, ReadIndex),
    HashOf(ReadIndex, Box<TextExpr>, bool),
    SameHash(ReadIndex, ReadIndex, bool),
    /// Whether two sets have a member in common.
    Meet(ReadIndex, ReadIndex, bool),
    Not(Box<BoolExpr>),
    And(Box<[BoolExpr]>),
    Or(Box<[BoolExpr]>),
    Choice(Box<[BoolExpr; 3]>),
    Slow(Box<Node>),
}

/// What follows a cheap term.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Then {
    /// Nothing: it is the condition.
    Done,
    /// `&&` and the rest.
    And(Box<BoolExpr>),
    /// `||` and the rest.
    Or(Box<BoolExpr>),
}

/// An int.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum IntExpr {
    Constant(i64),
    Field(Field),
    /// Without a value where it is absent.
    Given(Presence),
    Signal(Signal),
    Read(ReadIndex),
    SetSize(ReadIndex),
    Overlap(ReadIndex, ReadIndex),
    TextSize(Box<TextExpr>),
    Part(Part, Box<(NanosExpr, Zone)>),
    FromDouble(Box<DoubleExpr>),
    Arithmetic(Operator, Box<(IntExpr, IntExpr)>),
    Negate(Box<IntExpr>),
    Choice(Box<(BoolExpr, IntExpr, IntExpr)>),
    Slow(Box<Node>),
}

/// A double.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum DoubleExpr {
    Constant(f64),
    Field(Field),
    /// Without a value where it is absent.
    Given(Presence),
    AmountBase,
    Signal(Signal),
    Read(ReadIndex),
    /// An int that is read, as a double.
    ReadInt(ReadIndex),
    FromInt(Box<IntExpr>),
    Arithmetic(Operator, Box<(DoubleExpr, DoubleExpr)>),
    Ratio(Box<(DoubleExpr, DoubleExpr)>),
    Similarity(Box<(TextExpr, TextExpr)>),
    Choice(Box<(BoolExpr, DoubleExpr, DoubleExpr)>),
    Slow(Box<Node>),
}

/// A text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TextExpr {
    Constant(Box<str>),
    Field(Field),
    Signal(Signal),
    Program,
    Read(ReadIndex),
    Attribute(Box<str>),
    Choice(Box<(BoolExpr, TextExpr, TextExpr)>),
    Slow(Box<Node>),
}

/// A timestamp or duration, in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum NanosExpr {
    Constant(i128),
    Field(Field),
    /// Without a value where it is absent.
    Given(Field),
    Read(ReadIndex),
    /// A sum or difference; `instant` when it is a timestamp, which has another range.
    Shift {
        add: bool,
        sides: Box<(NanosExpr, NanosExpr)>,
        instant: bool,
    },
    Slow(Box<Node>),
}

impl BoolExpr {
    /// Whether the condition holds. Probes run here, where nothing needs a stack; everything else is a jump away.
    pub(super) fn eval<F: Facts>(&self, facts: &F) -> Result<bool, Fault> {
        match self {
            BoolExpr::Probe(probe, then) => match (probe.holds(facts), then) {
                (Ok(true), Then::And(rest)) | (Ok(false), Then::Or(rest)) => rest.eval(facts),
                (Err(fault), Then::And(rest)) => faulted(fault, rest, facts, false),
                (Err(fault), Then::Or(rest)) => faulted(fault, rest, facts, true),
                (answer, _) => answer,
            },
            other => other.eval_common(facts),
        }
    }

    /// What is often compared, and what joins conditions.
    #[inline(never)]
    fn eval_common<F: Facts>(&self, facts: &F) -> Result<bool, Fault> {
        match self {
            BoolExpr::FieldText(field, text, equal) => Ok((facts.text(*field) == &**text) == *equal),
            BoolExpr::SignalText(signal, text, equal) => Ok((facts.signal_text(*signal) == &**text) == *equal),
            BoolExpr::FieldIn(field, set) => Ok(set.contains(facts.text(*field))),
            BoolExpr::SignalIn(signal, set) => Ok(set.contains(facts.signal_text(*signal))),
            BoolExpr::FieldListed(field, list, wanted) => Ok(facts.in_text_list(*list, facts.text(*field)) == *wanted),
            BoolExpr::SignalListed(signal, list, wanted) => {
                Ok(facts.in_text_list(*list, facts.signal_text(*signal)) == *wanted)
            }
            BoolExpr::ReadDouble(read, comparison, value) => comparison.of_doubles(double(facts, *read)?, *value),
            BoolExpr::SignalDouble(signal, comparison, value) => {
                comparison.of_doubles(facts.signal_double(*signal), *value)
            }
            BoolExpr::Doubles(sides, comparison) => comparison.of_doubles(sides.0.eval(facts)?, sides.1.eval(facts)?),
            BoolExpr::Meet(a, b, wanted) => {
                set_size(facts, *a).and(set_size(facts, *b))?;
                Ok(sets::meet(facts.set_members(*a), facts.set_members(*b)) == *wanted)
            }
            BoolExpr::And(terms) => logic(terms, facts, false),
            BoolExpr::Or(terms) => logic(terms, facts, true),
            BoolExpr::Not(of) => of.eval(facts).map(|value| !value),
            BoolExpr::Constant(value) => Ok(*value),
            composed => composed.eval_composed(facts),
        }
    }

    /// Comparisons of what has to be computed first.
    #[inline(never)]
    fn eval_composed<F: Facts>(&self, facts: &F) -> Result<bool, Fault> {
        match self {
            BoolExpr::Ints(sides, comparison) => Ok(comparison.of(&sides.0.eval(facts)?, &sides.1.eval(facts)?)),
            BoolExpr::Times(sides, comparison) => Ok(comparison.of(&sides.0.eval(facts)?, &sides.1.eval(facts)?)),
            BoolExpr::IntIn(of, ints) => Ok(ints.binary_search(&of.eval(facts)?).is_ok()),
            BoolExpr::Same(sides, equal) => Ok((sides[0].eval(facts)? == sides[1].eval(facts)?) == *equal),
            BoolExpr::Choice(parts) => {
                let taken = if parts[0].eval(facts)? { &parts[1] } else { &parts[2] };
                taken.eval(facts)
            }
            BoolExpr::IntInSet(of, set) => in_set(facts, *set, facts.hash_int(of.eval(facts)?)),
            BoolExpr::HashInSet(read, set) => in_set(facts, *set, hash(facts, *read)?),
            BoolExpr::SameHash(a, b, equal) => Ok((hash(facts, *a)? == hash(facts, *b)?) == *equal),
            BoolExpr::InDateList(instant, list) => {
                Ok(facts.in_date_list(*list, instant.eval(facts)?.div_euclid(MS_NS) as i64))
            }
            BoolExpr::Has(presence) => Ok(has(presence, facts)),
            BoolExpr::Slow(node) => interpret::evaluate(node, facts)?.bool(),
            textual => textual.eval_textual(facts),
        }
    }

    /// What is asked of texts, which may have to be made.
    #[inline(never)]
    fn eval_textual<F: Facts>(&self, facts: &F) -> Result<bool, Fault> {
        match self {
            BoolExpr::SameText(sides, equal) => Ok((sides.0.eval(facts)? == sides.1.eval(facts)?) == *equal),
            BoolExpr::Texts(sides, comparison) => Ok(comparison.of(&sides.0.eval(facts)?, &sides.1.eval(facts)?)),
            BoolExpr::TextIn(text, set) => Ok(set.contains(&text.eval(facts)?)),
            BoolExpr::Contains(sides) => Ok(sides.0.eval(facts)?.contains(&*sides.1.eval(facts)?)),
            BoolExpr::StartsWith(sides) => Ok(sides.0.eval(facts)?.starts_with(&*sides.1.eval(facts)?)),
            BoolExpr::EndsWith(sides) => Ok(sides.0.eval(facts)?.ends_with(&*sides.1.eval(facts)?)),
            BoolExpr::Matches(of) => Ok(of.1.0.is_match(&of.0.eval(facts)?)),
            BoolExpr::Listed(text, list, kind) => {
                let text = text.eval(facts)?;
                Ok(match kind {
                    ListKind::Text => facts.in_text_list(*list, &text),
                    ListKind::Network => facts.in_network_list(*list, &text),
                    ListKind::Domain => facts.in_domain_list(*list, &text),
                    ListKind::Date => false,
                })
            }
            BoolExpr::InNetworks(of) => {
                let address = apply::address(&of.0.eval(facts)?);
                Ok(address.is_some_and(|address| of.1.iter().any(|network| network.contains(&address))))
            }
            BoolExpr::TextInSet(text, set) => in_set(facts, *set, facts.hash_text(&text.eval(facts)?)),
            BoolExpr::HashOf(read, text, equal) => {
                Ok((hash(facts, *read)? == facts.hash_text(&text.eval(facts)?)) == *equal)
            }
            simple => simple.eval(facts),
        }
    }
}

/// A cheap term has no value: the others may still decide.
#[cold]
#[inline(never)]
fn faulted<F: Facts>(fault: Fault, rest: &BoolExpr, facts: &F, deciding: bool) -> Result<bool, Fault> {
    match rest.eval(facts) {
        Ok(value) if value == deciding => Ok(deciding),
        _ => Err(fault),
    }
}

/// `&&` (decided by false) or `||` (decided by true). A term without a value counts only if no other term decides.
#[inline]
fn logic<F: Facts>(terms: &[BoolExpr], facts: &F, deciding: bool) -> Result<bool, Fault> {
    let mut fault = None;
    for term in terms {
        match term.eval(facts) {
            Ok(value) if value == deciding => return Ok(deciding),
            Ok(_) => {}
            Err(found) => fault = fault.or(Some(found)),
        }
    }
    fault.map_or(Ok(!deciding), Err)
}

/// The fault of a reading of another kind than the feature's type says, which is mostly no reading at all.
#[cold]
pub(super) fn mismatch(value: ReadingValue) -> Fault {
    match value {
        ReadingValue::Unknown => Fault::Unknown,
        ReadingValue::Overflow => Fault::Overflow,
        _ => Fault::NoSuchOverload,
    }
}

#[inline]
fn int<F: Facts>(facts: &F, read: ReadIndex) -> Result<i64, Fault> {
    match facts.reading(read).value {
        ReadingValue::Int(value) => Ok(value),
        value => Err(mismatch(value)),
    }
}

#[inline]
fn double<F: Facts>(facts: &F, read: ReadIndex) -> Result<f64, Fault> {
    match facts.reading(read).value {
        ReadingValue::Double(value) => Ok(value),
        value => Err(mismatch(value)),
    }
}

#[inline]
fn ms<F: Facts>(facts: &F, read: ReadIndex) -> Result<i64, Fault> {
    match facts.reading(read).value {
        ReadingValue::TimestampMs(value) | ReadingValue::DurationMs(value) => Ok(value),
        value => Err(mismatch(value)),
    }
}

#[inline]
pub(super) fn hash<F: Facts>(facts: &F, read: ReadIndex) -> Result<u64, Fault> {
    match facts.reading(read).value {
        ReadingValue::Hash(value) => Ok(value),
        value => Err(mismatch(value)),
    }
}

#[inline]
pub(super) fn set_size<F: Facts>(facts: &F, read: ReadIndex) -> Result<i64, Fault> {
    match facts.reading(read).value {
        ReadingValue::Set { size } => i64::try_from(size).map_err(|_| Fault::Overflow),
        value => Err(mismatch(value)),
    }
}

fn in_set<F: Facts>(facts: &F, set: ReadIndex, hash: u64) -> Result<bool, Fault> {
    set_size(facts, set)?;
    Ok(facts.set_members(set).binary_search(&hash).is_ok())
}

/// A whole number that has no value where it is absent.
#[inline]
fn given_int<F: Facts>(presence: &Presence, facts: &F) -> Result<i64, Fault> {
    match presence {
        Presence::Field(field) if facts.has(*field) => Ok(facts.int(*field)),
        Presence::Signal(signal) if has(presence, facts) => Ok(facts.signal_int(*signal)),
        Presence::Declared(of) => match event::attribute(facts.text(Field::Attributes), &of.name, of.of) {
            Some(AttributeValue::Int(value)) => Ok(value),
            _ => Err(Fault::Unknown),
        },
        _ => Err(Fault::Unknown),
    }
}

/// A double that has no value where it is absent.
#[inline]
fn given_double<F: Facts>(presence: &Presence, facts: &F) -> Result<f64, Fault> {
    match presence {
        Presence::Field(field) if facts.has(*field) => Ok(facts.double(*field)),
        Presence::AmountBase => facts.amount_base().ok_or(Fault::Unknown),
        Presence::Signal(signal) if has(presence, facts) => Ok(facts.signal_double(*signal)),
        Presence::Declared(of) => match event::attribute(facts.text(Field::Attributes), &of.name, of.of) {
            Some(AttributeValue::Double(value)) => Ok(value),
            _ => Err(Fault::Unknown),
        },
        _ => Err(Fault::Unknown),
    }
}

impl IntExpr {
    /// Its value.
    pub(super) fn eval<F: Facts>(&self, facts: &F) -> Result<i64, Fault> {
        match self {
            IntExpr::Constant(value) => Ok(*value),
            IntExpr::Field(field) => Ok(facts.int(*field)),
            IntExpr::Given(presence) => given_int(presence, facts),
            IntExpr::Signal(signal) => Ok(facts.signal_int(*signal)),
            IntExpr::Read(read) => int(facts, *read),
            IntExpr::SetSize(read) => set_size(facts, *read),
            IntExpr::Arithmetic(operator, sides) => apply::ints(*operator, sides.0.eval(facts)?, sides.1.eval(facts)?),
            IntExpr::Negate(of) => of.eval(facts)?.checked_neg().ok_or(Fault::Overflow),
            rare => rare.eval_rare(facts),
        }
    }

    #[inline(never)]
    fn eval_rare<F: Facts>(&self, facts: &F) -> Result<i64, Fault> {
        match self {
            IntExpr::Overlap(a, b) => {
                set_size(facts, *a).and(set_size(facts, *b))?;
                Ok(sets::overlap(facts.set_members(*a), facts.set_members(*b)))
            }
            IntExpr::TextSize(text) => Ok(text.eval(facts)?.chars().count() as i64),
            IntExpr::Part(part, of) => Ok(part.of_timestamp(of.0.eval(facts)?, &of.1)),
            IntExpr::FromDouble(of) => apply::double_to_int(of.eval(facts)?),
            IntExpr::Choice(parts) => {
                let taken = if parts.0.eval(facts)? { &parts.1 } else { &parts.2 };
                taken.eval(facts)
            }
            IntExpr::Slow(node) => match interpret::evaluate(node, facts)? {
                Value::Int(value) => Ok(value),
                _ => Err(Fault::NoSuchOverload),
            },
            common => common.eval(facts),
        }
    }
}

impl DoubleExpr {
    /// Its value.
    pub(super) fn eval<F: Facts>(&self, facts: &F) -> Result<f64, Fault> {
        match self {
            DoubleExpr::Constant(value) => Ok(*value),
            DoubleExpr::Field(field) => Ok(facts.double(*field)),
            DoubleExpr::Given(presence) => given_double(presence, facts),
            DoubleExpr::Signal(signal) => Ok(facts.signal_double(*signal)),
            DoubleExpr::Read(read) => double(facts, *read),
            DoubleExpr::ReadInt(read) => int(facts, *read).map(|value| value as f64),
            DoubleExpr::Arithmetic(operator, sides) => {
                apply::doubles(*operator, sides.0.eval(facts)?, sides.1.eval(facts)?)
            }
            DoubleExpr::Ratio(sides) => Ok(apply::ratio(sides.0.eval(facts)?, sides.1.eval(facts)?)),
            rare => rare.eval_rare(facts),
        }
    }

    #[inline(never)]
    fn eval_rare<F: Facts>(&self, facts: &F) -> Result<f64, Fault> {
        match self {
            DoubleExpr::AmountBase => Ok(facts.amount_base().unwrap_or(0.0)),
            DoubleExpr::FromInt(of) => Ok(of.eval(facts)? as f64),
            DoubleExpr::Similarity(sides) => Ok(apply::similarity(&sides.0.eval(facts)?, &sides.1.eval(facts)?)),
            DoubleExpr::Choice(parts) => {
                let taken = if parts.0.eval(facts)? { &parts.1 } else { &parts.2 };
                taken.eval(facts)
            }
            DoubleExpr::Slow(node) => match interpret::evaluate(node, facts)? {
                Value::Double(value) => Ok(value),
                _ => Err(Fault::NoSuchOverload),
            },
            common => common.eval(facts),
        }
    }
}

impl TextExpr {
    /// Its value; borrowed unless it had to be made.
    #[inline]
    pub(super) fn eval<'a, F: Facts>(&'a self, facts: &'a F) -> Result<Cow<'a, str>, Fault> {
        match self {
            TextExpr::Constant(text) => Ok(Cow::Borrowed(text)),
            TextExpr::Field(field) => Ok(Cow::Borrowed(facts.text(*field))),
            TextExpr::Signal(signal) => Ok(Cow::Borrowed(facts.signal_text(*signal))),
            TextExpr::Program => Ok(Cow::Borrowed(facts.program())),
            rare => rare.eval_rare(facts),
        }
    }

    #[inline(never)]
    fn eval_rare<'a, F: Facts>(&'a self, facts: &'a F) -> Result<Cow<'a, str>, Fault> {
        match self {
            TextExpr::Read(read) => match facts.reading(*read).value {
                ReadingValue::Text => Ok(Cow::Borrowed(facts.reading_text(*read))),
                value => Err(mismatch(value)),
            },
            TextExpr::Attribute(name) => Ok(device::attribute(facts.text(Field::Device), name).unwrap_or_default()),
            TextExpr::Choice(parts) => {
                let taken = if parts.0.eval(facts)? { &parts.1 } else { &parts.2 };
                taken.eval(facts)
            }
            TextExpr::Slow(node) => match interpret::evaluate(node, facts)? {
                Value::Text(text) => Ok(Cow::Owned(text.as_ref().to_owned())),
                _ => Err(Fault::NoSuchOverload),
            },
            common => common.eval(facts),
        }
    }
}

impl NanosExpr {
    /// Its value.
    pub(super) fn eval<F: Facts>(&self, facts: &F) -> Result<i128, Fault> {
        match self {
            NanosExpr::Constant(ns) => Ok(*ns),
            NanosExpr::Field(field) => Ok(i128::from(facts.timestamp_ms(*field)) * MS_NS),
            NanosExpr::Given(field) if !facts.has(*field) => Err(Fault::Unknown),
            NanosExpr::Given(field) => Ok(i128::from(facts.timestamp_ms(*field)) * MS_NS),
            NanosExpr::Read(read) => Ok(i128::from(ms(facts, *read)?) * MS_NS),
            NanosExpr::Shift { add, sides, instant } => {
                let (a, b) = (sides.0.eval(facts)?, sides.1.eval(facts)?);
                let ns = if *add { a + b } else { a - b };
                if *instant { time::timestamp(ns) } else { time::duration(ns) }
            }
            NanosExpr::Slow(node) => match interpret::evaluate(node, facts)? {
                Value::Timestamp(ns) | Value::Duration(ns) => Ok(ns),
                _ => Err(Fault::NoSuchOverload),
            },
        }
    }
}
