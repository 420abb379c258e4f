//! The conditions of a pack as the `cel` crate's interpreter runs them: the yardstick for the compiled ones.
//!
//! Everything that can be done once is done before the clock starts: texts are parsed, macros are put in, and the
//! variables of an event are set up. What refguard reads of its state is a plain variable. Times are whole milliseconds
//! and durations too, because the crate's own are behind a feature that is left out; that makes it faster, not slower.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cel::common::ast::{CallExpr, Expr};
use cel::objects::Opaque;
use cel::{Context, Env, ExecutionError, IdedExpr, Program, Value};

use super::packs::PackTexts;
use crate::event::{Field, FieldType, Signal, SignalKind};
use crate::ruleset::cel::{Facts, ReadIndex, ReadKey, ReadSource, ReadingValue, overlap};
use crate::ruleset::program::RuleSet;
use crate::ruleset::yaml::parse_duration_ms;

/// The parsed conditions of a pack, and what every event's variables share.
pub(super) struct Interpreter {
    env: Arc<Env>,
    /// By place of the rule in the rule set.
    conditions: Vec<IdedExpr>,
    /// Fields that some condition asks for by `has`: they are left out where an event does not have them.
    optional: Vec<Field>,
    lists: Value,
}

impl Interpreter {
    /// The conditions of these rules, whose texts these are. `None` if the texts are not those of the rules, or are not
    /// for the interpreter.
    pub(super) fn new(rules: &RuleSet, texts: &PackTexts) -> Option<Interpreter> {
        let mut macros = BTreeMap::new();
        for (name, text) in &texts.macros {
            macros.insert(name.as_str(), parse(text, &macros)?);
        }
        let condition = |rule: &str| parse(texts.conditions.get(rule)?, &macros);
        let asked = |field: &&Field| {
            let asked = format!("has(event.{})", field.name());
            texts.conditions.values().any(|text| text.contains(&asked))
        };
        let lists: HashMap<String, Value> =
            texts.lists.iter().map(|(name, values)| (name.clone(), Value::from(values.clone()))).collect();
        Some(Interpreter {
            env: Arc::new(Env::stdlib()),
            conditions: rules.rules.iter().map(|rule| condition(&rule.id)).collect::<Option<_>>()?,
            optional: Field::ALL.iter().filter(asked).copied().collect(),
            lists: lists.into(),
        })
    }

    /// One event as variables.
    pub(super) fn context<F: Facts>(&self, rules: &RuleSet, facts: &F) -> Context<'static, 'static> {
        let mut context = Context::with_env(Arc::clone(&self.env));
        let added = [
            context.add_function("known", |value: Value| value != Value::Null),
            context.add_function("overlap", set_overlap),
            context.add_function(DURATION_MS, duration_ms),
        ];
        added.into_iter().for_each(|added| added.expect("the interpreter has no functions of these names"));
        let fields = Field::ALL.iter().filter(|field| facts.has(**field) || !self.optional.contains(field));
        let event: HashMap<String, Value> =
            fields.map(|field| (field.name().to_owned(), field_value(facts, *field))).collect();
        context.add_variable_from_value("event", event);
        let mut groups: BTreeMap<&str, HashMap<String, Value>> = BTreeMap::new();
        for signal in Signal::ALL {
            let value = signal_value(facts, *signal);
            groups.entry(signal.group()).or_default().insert(signal.name().to_owned(), value);
        }
        for (group, signals) in groups {
            context.add_variable_from_value(group, signals);
        }
        for (at, read) in rules.reads.reads().iter().enumerate() {
            if let ReadSource::Feature { feature, key } = &read.source
                && !matches!(key, ReadKey::Same(_))
            {
                let name = &rules.features[feature.0 as usize].name;
                let name = if *key == ReadKey::Own { name.clone() } else { at_key(name) };
                context.add_variable_from_value(name, reading_value(facts, ReadIndex(at as u32)));
            }
        }
        context.add_variable_from_value("lists", self.lists.clone());
        context
    }

    /// Whether a condition matches; an error does not.
    #[inline]
    pub(super) fn test(&self, rule: usize, context: &Context<'_, '_>) -> bool {
        Value::resolve(&self.conditions[rule], context) == Ok(Value::Bool(true))
    }
}

/// The variable that stands for a feature at another key than the event's own.
fn at_key(feature: &str) -> String {
    format!("{feature}_at")
}

/// Stands for `duration`, which the interpreter has too, or not, as its crate was built: times are milliseconds here.
const DURATION_MS: &str = "duration_ms";

/// Parses a text, and puts macros and readings at other keys in.
fn parse(text: &str, macros: &BTreeMap<&str, IdedExpr>) -> Option<IdedExpr> {
    let mut expr = Program::compile(text).ok()?.expression().clone();
    put_in(&mut expr, macros);
    Some(expr)
}

fn put_in(part: &mut IdedExpr, macros: &BTreeMap<&str, IdedExpr>) {
    match &mut part.expr {
        Expr::Ident(name) => {
            if let Some(text) = macros.get(name.as_str()) {
                *part = text.clone();
            }
        }
        Expr::Select(select) => put_in(&mut select.operand, macros),
        Expr::List(list) => list.elements.iter_mut().for_each(|element| put_in(element, macros)),
        Expr::Call(call) => match feature_at_key(call) {
            Some(variable) => part.expr = Expr::Ident(variable),
            None => {
                if call.func_name == "duration" {
                    call.func_name = DURATION_MS.to_owned();
                }
                call.target.as_deref_mut().into_iter().chain(&mut call.args).for_each(|of| put_in(of, macros));
            }
        },
        _ => {}
    }
}

/// `feature.at(...)` as the name of a variable.
fn feature_at_key(call: &CallExpr) -> Option<String> {
    match call.target.as_ref().map(|target| &target.expr) {
        Some(Expr::Ident(feature)) if call.func_name == "at" => Some(at_key(feature)),
        _ => None,
    }
}

/// A set as a value that the interpreter passes on without looking into it: a list would be copied at every call.
#[derive(Debug, PartialEq, Eq)]
struct Members(Vec<u64>);

impl Opaque for Members {
    fn runtime_type_name(&self) -> &str {
        "refguard.set"
    }
}

/// The same function over sets as the compiled conditions call: what differs is how they get there. `overlap(a, b) > 0`
/// runs compiled as a question that the first common member answers; where there is none, both look as far.
fn set_overlap(one: Arc<dyn Opaque>, other: Arc<dyn Opaque>) -> Result<i64, ExecutionError> {
    let (Some(Members(one)), Some(Members(other))) = (one.downcast_ref(), other.downcast_ref()) else {
        return Err(ExecutionError::function_error("overlap", "takes two sets"));
    };
    Ok(overlap(one, other))
}

fn duration_ms(text: Arc<String>) -> Result<i64, ExecutionError> {
    parse_duration_ms(&text).ok_or_else(|| ExecutionError::function_error("duration", "no duration"))
}

fn field_value<F: Facts>(facts: &F, field: Field) -> Value {
    match field.field_type() {
        FieldType::Text | FieldType::Map => facts.text(field).into(),
        FieldType::Int => Value::Int(facts.int(field)),
        FieldType::Double => Value::Float(facts.double(field)),
        FieldType::Timestamp => Value::Int(facts.timestamp_ms(field)),
    }
}

fn signal_value<F: Facts>(facts: &F, signal: Signal) -> Value {
    match signal.kind() {
        SignalKind::Text => facts.signal_text(signal).into(),
        SignalKind::Flag => Value::Bool(facts.signal_flag(signal)),
        SignalKind::Int => Value::Int(facts.signal_int(signal)),
        SignalKind::Double => Value::Float(facts.signal_double(signal)),
    }
}

fn reading_value<F: Facts>(facts: &F, read: ReadIndex) -> Value {
    match facts.reading(read).value {
        ReadingValue::Unknown | ReadingValue::Overflow => Value::Null,
        ReadingValue::Int(value) | ReadingValue::TimestampMs(value) | ReadingValue::DurationMs(value) => {
            Value::Int(value)
        }
        ReadingValue::Double(value) => Value::Float(value),
        ReadingValue::Bool(value) => Value::Bool(value),
        ReadingValue::Hash(value) => Value::UInt(value),
        ReadingValue::Text => facts.reading_text(read).into(),
        ReadingValue::Set { .. } => Value::Opaque(Arc::new(Members(facts.set_members(read).to_vec()))),
    }
}
