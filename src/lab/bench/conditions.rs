//! Every condition of the pack, compiled, against the interpreter: on the same facts of real events, in turns.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::figures::{geometric_mean, median};
use super::interpreter::Interpreter;
use super::packs::BuiltIn;
use super::steps::Subject;
use crate::event::{EventBatch, EventKind, Field};
use crate::ruleset::cel::Facts;
use crate::ruleset::program::{Rule, RuleSet};

/// How many times a round looks at the facts of some dozens of new events.
const LOOKS: usize = 48;
/// How often each side tries, in turns; its least time counts, because another process can only add to it, and adds more
/// to whoever takes longer.
const TRIES: usize = 5;
/// How often a compiled condition goes over them in a try: long beside reading the clock.
const COMPILED_PASSES: u32 = 50;
/// How often an interpreted one does.
const INTERPRETED_PASSES: u32 = 3;

/// One condition. The figures are the medians of the rounds.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Its rule.
    pub rule: String,
    /// Compiled, nanoseconds an evaluation.
    pub compiled_ns: f64,
    /// Interpreted, nanoseconds an evaluation.
    pub interpreted_ns: f64,
    /// How many times as long the interpreter takes.
    pub ratio: f64,
}

/// All conditions.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// By rule.
    pub conditions: Vec<Condition>,
    /// On how many facts, of an event and a condition each, the two were compared.
    pub compared: u64,
    /// On how many of these they did not agree: there must be none.
    pub differences: u64,
}

impl Conditions {
    /// The geometric mean of the ratios.
    pub fn geometric_mean(&self) -> f64 {
        geometric_mean(self.conditions.iter().map(|condition| condition.ratio))
    }
}

/// How long evaluations took in a round.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    compiled: Duration,
    interpreted: Duration,
    /// How many pairs of an event and the condition there were.
    facts: u32,
}

/// Measures the built-in pack's conditions on events of this population, whose engine has its rules.
pub(super) fn measure(subject: &mut Subject, rounds: usize, monotonic: fn() -> Instant) -> Conditions {
    let rules = Arc::clone(subject.replay.engine().rules());
    let interpreter =
        Interpreter::new(&rules, &BuiltIn::BENCH.texts()).expect("the built-in pack is for the interpreter too");
    let mut by_rule: Vec<Vec<Spent>> = vec![Vec::new(); rules.rules.len()];
    let (mut compared, mut differences) = (0, 0);
    for _ in 0..rounds {
        let mut round = vec![Spent::default(); rules.rules.len()];
        for _ in 0..LOOKS {
            subject.judge_next();
            let look = Look::new(&rules, &interpreter, subject, monotonic);
            for (at, spent) in round.iter_mut().enumerate() {
                differences += look.spend(at, spent);
            }
        }
        compared += round.iter().map(|spent| u64::from(spent.facts)).sum::<u64>();
        by_rule.iter_mut().zip(round).for_each(|(rounds, spent)| rounds.push(spent));
    }
    let conditions = rules.rules.iter().zip(by_rule).map(|(rule, rounds)| condition(rule, &rounds)).collect();
    Conditions { conditions, compared, differences }
}

fn condition(rule: &Rule, rounds: &[Spent]) -> Condition {
    let each = |took: Duration, passes: u32, spent: &Spent| {
        took.as_nanos() as f64 / f64::from(passes) / f64::from(spent.facts.max(1))
    };
    let compiled = |spent: &Spent| each(spent.compiled, COMPILED_PASSES, spent);
    let interpreted = |spent: &Spent| each(spent.interpreted, INTERPRETED_PASSES, spent);
    Condition {
        rule: rule.id.clone(),
        compiled_ns: median(rounds.iter().map(compiled)),
        interpreted_ns: median(rounds.iter().map(interpreted)),
        ratio: median(rounds.iter().map(|spent| interpreted(spent) / compiled(spent).max(f64::MIN_POSITIVE))),
    }
}

/// Some events, as both sides see them.
struct Look<'a, F> {
    rules: &'a RuleSet,
    interpreter: &'a Interpreter,
    monotonic: fn() -> Instant,
    events: Vec<(Seen<'a>, F, cel::Context<'static, 'static>)>,
}

/// An event's type.
#[derive(Clone, Copy)]
struct Seen<'a> {
    kind: EventKind,
    name: &'a str,
}

impl<'a> Look<'a, ()> {
    fn new(
        rules: &'a RuleSet,
        interpreter: &'a Interpreter,
        subject: &'a Subject,
        monotonic: fn() -> Instant,
    ) -> Look<'a, impl Facts + 'a> {
        let batch: &EventBatch = subject.replay.batch();
        let events = subject.replay.last_facts().map(|(event, facts)| {
            let context = interpreter.context(rules, &facts);
            (Seen { kind: event.kind, name: batch.field(event, Field::Type) }, facts, context)
        });
        Look { rules, interpreter, monotonic, events: events.collect() }
    }
}

impl<F: Facts> Look<'_, F> {
    /// Evaluates the condition of a rule over all events that it judges, compiled and interpreted. Answers on how many
    /// they differ.
    fn spend(&self, at: usize, spent: &mut Spent) -> u64 {
        let rule = &self.rules.rules[at];
        let judged = self.events.iter().filter(|(seen, ..)| {
            self.rules.type_index(seen.kind, seen.name).is_some_and(|index| rule.on.contains(&index))
        });
        let judged: Vec<_> = judged.collect();
        let timed = |least: &mut Duration, passes: u32, each: &mut dyn FnMut()| {
            let start = (self.monotonic)();
            (0..passes).for_each(|_| each());
            *least = (self.monotonic)().duration_since(start).min(*least);
        };
        let (mut compiled, mut interpreted) = (Duration::MAX, Duration::MAX);
        for _ in 0..TRIES {
            timed(&mut compiled, COMPILED_PASSES, &mut || {
                for (_, facts, _) in &judged {
                    black_box(black_box(&rule.when).test(black_box(facts))).ok();
                }
            });
            timed(&mut interpreted, INTERPRETED_PASSES, &mut || {
                for (.., context) in &judged {
                    black_box(self.interpreter.test(at, black_box(context)));
                }
            });
        }
        spent.compiled += compiled;
        spent.interpreted += interpreted;
        spent.facts += judged.len() as u32;
        let differs = |(_, facts, context): &&&(Seen<'_>, F, cel::Context<'static, 'static>)| {
            (rule.when.test(facts) == Ok(true)) != self.interpreter.test(at, context)
        };
        judged.iter().filter(differs).count() as u64
    }
}
