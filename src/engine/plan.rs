//! Which operations an event needs: the rule set, turned into steps by event type.
//!
//! Made once a rule set is loaded, so that planning an event is a walk over its type's steps. Every expression that
//! makes a part of a key, or a value that is kept as a hash, is interned: it is evaluated and hashed once an event,
//! however many features use it. Invariant: what state is asked for an event depends on its type, its fields and the
//! first round alone, never on what a window holds.

use super::account::AccountTables;
use super::calendar::Calendar;
use super::programs::Program;
use super::rule_text::RuleText;
use super::waiting::Hole;
use crate::event::{Field, KINDS, SignalSet};
use crate::ruleset::cel::{AccountFact, Compiled, Element, FeatureIndex, Leaf, ReadIndex, ReadKey, ReadSource};
use crate::ruleset::program::{self, DecideSubject, Feature, Rule, RuleSet, Scope, TypeIndex};
use crate::ruleset::yaml::CalendarUnit;
use crate::state::{self, Broken, ByteReader, ByteWriter, Class, KeyHash, KeyHasher, PartHash, Steps, WindowSpec};

/// An interned expression, by its place in [`Plan::parts`].
pub(super) type PartIndex = u16;

/// What an event of one type asks of one feature.
#[derive(Clone, Debug)]
pub(super) struct TypeStep {
    /// The feature, by its place in the rule set: also the place of its table.
    pub feature: u32,
    /// Whether such an event is counted.
    pub feeds: bool,
    /// The parts of the event's own key.
    pub key: Box<[PartIndex]>,
    /// Where in it a referrer stands for whom the event can wait.
    pub hole: Option<Hole>,
    /// Where the reading at the own key goes; `None`: nobody reads it.
    pub own: Option<Own>,
    /// Readings at other keys.
    pub others: Box<[Other]>,
}

/// A reading at the event's own key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    pub read: ReadIndex,
    pub members: bool,
}

/// A reading at another key.
#[derive(Clone, Debug)]
pub(super) struct Other {
    pub read: ReadIndex,
    pub key: Box<[PartIndex]>,
    pub members: bool,
    /// Whether the key's parts are two accounts of a component, to be compared.
    pub same: bool,
}

/// Everything that happens to events of one type.
#[derive(Clone, Debug, Default)]
pub(super) struct TypeSteps {
    /// The parts to hash, ascending.
    pub parts: Box<[PartIndex]>,
    /// Readings of accounts and places that its rules, filters or keys use.
    pub accounts: Box<[ReadIndex]>,
    /// By feature.
    pub steps: Box<[TypeStep]>,
}

/// How a feature's value reaches its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueUse {
    /// It has none.
    None,
    /// As 64 bits of a number or an instant.
    Bits,
    /// As `amount_minor`, which nearly every sum is of.
    Amount,
    /// As the hash of this part.
    Hashed(PartIndex),
    /// As the steps of a sequence that the event can be.
    Steps,
    /// As the values that link its account.
    Links,
}

/// The first part of keys, and for whose quota they count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FirstPart {
    part: PartHash,
    class: Class,
}

impl FirstPart {
    /// For nobody's quota, and in all programs.
    #[cfg(test)]
    pub(super) const GLOBAL: FirstPart = FirstPart { part: PartHash::GLOBAL, class: Class::NONE };

    /// Writes it to a checkpoint.
    pub(super) fn store(self, writer: &mut ByteWriter) {
        writer.wide(self.part.bits());
        writer.byte(self.class.0);
    }

    /// Reads it from one.
    pub(super) fn restore(reader: &mut ByteReader<'_>) -> Result<FirstPart, Broken> {
        let (part, class) = (PartHash::from_bits(reader.wide()?), reader.byte()?);
        Ok(FirstPart { part, class: reader.class(class) })
    }

    /// The key of it and other parts.
    #[inline]
    pub(super) fn key(self, hasher: &KeyHasher, parts: &[PartHash]) -> KeyHash {
        hasher.key(self.part, parts).of_class(self.class)
    }
}

/// What stands before the parts of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space {
    scope: Scope,
    calendar: Option<CalendarUnit>,
}

impl Space {
    fn of(feature: &Feature) -> Space {
        let calendar = match feature.reach {
            program::Reach::Calendar(unit) => Some(unit),
            program::Reach::Window(_) | program::Reach::Retention(_) => None,
        };
        Space { scope: feature.scope, calendar }
    }

    /// The first part of the key of an event at this time. A unit of the calendar is a part of the key: its events are
    /// those of one key, so a window that is at least as long has exactly those of the unit.
    #[inline]
    pub(super) fn first(self, program: &Program, hasher: &KeyHasher, time_ms: i64) -> FirstPart {
        // Keys of all programs count for nobody's quota.
        let (part, class) = match self.scope {
            Scope::Program => (program.part, program.class),
            Scope::Global => (PartHash::GLOBAL, Class::NONE),
        };
        match self.calendar {
            None => FirstPart { part, class },
            Some(unit) => {
                let part = hasher.within(part, self.calendar_of(program).period(unit, time_ms).start_ms);
                FirstPart { part, class }
            }
        }
    }

    /// Whether the events of all programs meet at its keys.
    pub(super) fn is_global(self) -> bool {
        self.scope == Scope::Global
    }

    /// When the unit that a time lies in began; `None` without a calendar.
    #[inline]
    pub(super) fn start_ms<'a>(self, program: impl FnOnce() -> &'a Program, time_ms: i64) -> Option<i64> {
        self.calendar.map(|unit| self.calendar_of(program()).period(unit, time_ms).start_ms)
    }

    /// What all programs share follows one calendar.
    fn calendar_of(self, program: &Program) -> &Calendar {
        match self.scope {
            Scope::Program => &program.calendar,
            Scope::Global => &program.shared_calendar,
        }
    }
}

/// What planning and applying need of a feature, side by side.
#[derive(Clone, Copy, Debug)]
pub(super) struct FeaturePlan {
    /// How far its windows are shifted back, in milliseconds.
    pub offset_ms: i64,
    /// Whose events meet at a key, and the calendar's unit that they share.
    pub space: Space,
    /// How far its windows reach, in milliseconds.
    pub reach_ms: i64,
    /// How its value is kept.
    pub value: ValueUse,
    /// The type of what `previous` gives back.
    pub element: Option<Element>,
    /// Whether ties are ordered by the event's id (sums of doubles).
    pub ordered_by_id: bool,
    /// From this event time on it has counted every event; `None`: from the first one that the engine took in.
    pub since_ms: Option<i64>,
    /// The number of the reload that it came with: one that went and came again is another.
    pub came_with: u64,
}

impl FeaturePlan {
    fn new(feature: &Feature, parts: &mut Parts) -> FeaturePlan {
        FeaturePlan {
            offset_ms: feature.offset_ms,
            space: Space::of(feature),
            reach_ms: window_spec(feature, WindowSpec::MAX_ENTRIES).reach_ms(),
            value: value_use(feature, parts),
            element: feature.value.as_ref().and_then(|value| Element::of(value.result())),
            ordered_by_id: is_ordered_by_id(feature),
            since_ms: None,
            came_with: 0,
        }
    }

    /// Whether the feature has seen a whole window before this time, whatever the calendar.
    #[inline]
    pub(super) fn is_complete(&self, time_ms: i64, started_ms: i64) -> bool {
        time_ms.saturating_sub(self.reach_ms) >= self.since_ms.unwrap_or(started_ms)
    }

    /// Whether it has seen the whole window that ends at this time, for a program.
    #[inline]
    pub(super) fn is_complete_for<'a>(
        &self,
        program: impl FnOnce() -> &'a Program,
        time_ms: i64,
        started_ms: i64,
    ) -> bool {
        match self.space.start_ms(program, time_ms) {
            Some(start_ms) => start_ms >= self.since_ms.unwrap_or(started_ms),
            None => self.is_complete(time_ms, started_ms),
        }
    }
}

/// The compiled plan of a rule set.
#[derive(Debug)]
pub(super) struct Plan {
    /// The interned expressions.
    pub parts: Vec<Part>,
    /// By feature.
    pub features: Vec<FeaturePlan>,
    /// By feature: the values that link its accounts.
    pub links: Vec<Box<[PartIndex]>>,
    /// By rule.
    pub rule_texts: Vec<RuleText>,
    /// By [`TypeIndex`]; the last is for types that nobody names.
    pub by_type: Vec<TypeSteps>,
    /// The tables behind facts about accounts and places.
    pub accounts: AccountTables,
    /// How many readings an event has.
    pub reads: usize,
    /// The signals to derive.
    pub signals: SignalSet,
}

impl Plan {
    /// Plans a rule set.
    pub(super) fn new(rules: &RuleSet) -> Plan {
        let mut parts = Parts::default();
        let features = rules.features.iter().map(|feature| FeaturePlan::new(feature, &mut parts)).collect();
        let links = rules.features.iter().map(|feature| link_parts(feature, &mut parts)).collect();
        let mut signals = rules.signals;
        let reads = rules.reads.reads();
        let accounts = AccountTables::new(reads.iter().map(|read| &read.source));
        accounts.signals().for_each(|signal| signals.insert(signal));
        let types = KINDS.len() + rules.types.len();
        let by_type = (0..types).map(|of| type_steps(rules, TypeIndex(of as u16), &mut parts)).collect::<Vec<_>>();
        Plan {
            parts: parts.0,
            features,
            links,
            rule_texts: rules.rules.iter().map(RuleText::new).collect(),
            by_type: by_type.into_iter().chain([TypeSteps::default()]).collect(),
            accounts,
            reads: reads.len(),
            signals,
        }
    }

    /// The steps of a type; of an unnamed one, none.
    #[inline]
    pub(super) fn steps(&self, of: Option<TypeIndex>) -> &TypeSteps {
        let index = of.map_or(self.by_type.len() - 1, |of| of.0 as usize);
        &self.by_type[index]
    }
}

/// An interned expression. Most are only a field or a signal, and are read without evaluating anything.
#[derive(Debug)]
pub(super) struct Part {
    pub expression: Compiled,
    pub leaf: Option<Leaf>,
}

#[derive(Default)]
struct Parts(Vec<Part>);

impl Parts {
    fn intern(&mut self, part: &Compiled) -> PartIndex {
        let known = self.0.iter().position(|known| known.expression == *part);
        let index = known.unwrap_or_else(|| {
            self.0.push(Part { expression: part.clone(), leaf: part.leaf() });
            self.0.len() - 1
        });
        PartIndex::try_from(index).expect("the loader bounds how many expressions a rule set has")
    }

    fn intern_all<'a>(&mut self, parts: impl IntoIterator<Item = &'a Compiled>) -> Box<[PartIndex]> {
        parts.into_iter().map(|part| self.intern(part)).collect()
    }
}

fn type_steps(rules: &RuleSet, of: TypeIndex, parts: &mut Parts) -> TypeSteps {
    let Some(plan) = rules.by_type.get(of.0 as usize) else { return TypeSteps::default() };
    let mut reads = Vec::new();
    for rule in plan.rules.iter().map(|rule| &rules.rules[*rule as usize]) {
        expressions(rule, &mut |uses| reads.extend_from_slice(uses));
    }
    for feature in plan.features.iter().map(|feature| &rules.features[*feature as usize]) {
        feature.expressions().for_each(|expression| reads.extend_from_slice(&expression.uses().reads));
    }
    let mut at = 0;
    while let Some(read) = reads.get(at) {
        // A read comes after those that its own expressions need: they were interned before it.
        let parts: &[Compiled] = match &rules.reads.get(*read).source {
            ReadSource::Feature { feature, key: ReadKey::Own } => &rules.features[feature.0 as usize].key,
            ReadSource::Feature { key: ReadKey::At(parts) | ReadKey::Same(parts), .. } => parts,
            ReadSource::Referral(referral) => referral.accounts(),
            ReadSource::Account { .. } | ReadSource::Geo(_) => &[],
        };
        let behind: Vec<ReadIndex> = parts.iter().flat_map(|part| part.uses().reads.iter().copied()).collect();
        behind.into_iter().for_each(|read| {
            if !reads.contains(&read) {
                reads.push(read)
            }
        });
        at += 1;
    }
    reads.sort_unstable();
    reads.dedup();
    let features = 0..rules.features.len() as u32;
    let steps: Box<[TypeStep]> = features.filter_map(|feature| step(rules, plan, &reads, feature, parts)).collect();
    let mut hashed: Vec<PartIndex> = steps.iter().flat_map(|step| step_parts(rules, step, parts)).collect();
    hashed.sort_unstable();
    hashed.dedup();
    let is_account = |read: &ReadIndex| !matches!(rules.reads.get(*read).source, ReadSource::Feature { .. });
    TypeSteps { parts: hashed.into(), accounts: reads.iter().copied().filter(is_account).collect(), steps }
}

/// The expressions of a rule that are evaluated when it judges.
fn expressions(rule: &Rule, note: &mut dyn FnMut(&[ReadIndex])) {
    let parts = rule.group_by.iter().map(|part| &part.value);
    std::iter::once(&rule.when).chain(&rule.except).chain(parts).for_each(|one| note(&one.uses().reads));
    if let Some(message) = &rule.message {
        note(&message.uses().reads);
    }
    for decide in &rule.decide {
        match &decide.subject {
            DecideSubject::ById(_, id) => note(&id.uses().reads),
            DecideSubject::Members(read) => note(&[*read]),
            DecideSubject::Role(_) | DecideSubject::Thing(_) => {}
        }
    }
}

fn step(
    rules: &RuleSet,
    plan: &program::TypePlan,
    reads: &[ReadIndex],
    feature: u32,
    parts: &mut Parts,
) -> Option<TypeStep> {
    let feeds = plan.features.contains(&feature);
    let mut own = None;
    let mut others = Vec::new();
    for read in reads {
        let known = rules.reads.get(*read);
        let ReadSource::Feature { feature: FeatureIndex(of), key } = &known.source else { continue };
        if *of != feature {
            continue;
        }
        let members = known.wants_contents;
        match key {
            ReadKey::Own => own = Some(Own { read: *read, members }),
            ReadKey::At(keys) | ReadKey::Same(keys) => {
                let same = matches!(key, ReadKey::Same(_));
                others.push(Other { read: *read, key: parts.intern_all(keys), members, same });
            }
        }
    }
    if !feeds && own.is_none() && others.is_empty() {
        return None;
    }
    let key = parts.intern_all(&rules.features[feature as usize].key);
    let hole = feeds.then(|| hole(rules, &rules.features[feature as usize])).flatten();
    Some(TypeStep { feature, feeds, key, hole, own, others: others.into() })
}

/// Where a feature's key names a referrer, if it does so once, as it is. A component counts no event by itself.
fn hole(rules: &RuleSet, feature: &Feature) -> Option<Hole> {
    let referrer_of = |part: &Compiled| match rules.reads.get(part.text_read()?).source {
        ReadSource::Account { role, fact: AccountFact::Referrer } => Some(role),
        _ => None,
    };
    let named = feature.key.iter().enumerate();
    let mut holes = named.filter_map(|(place, part)| Some(Hole { place, role: referrer_of(part)? }));
    let hole = holes.next().filter(|_| !matches!(feature.aggregate, program::Aggregate::Component(_)));
    hole.filter(|_| holes.next().is_none())
}

fn step_parts(rules: &RuleSet, step: &TypeStep, parts: &mut Parts) -> Vec<PartIndex> {
    let mut used: Vec<PartIndex> = step.key.to_vec();
    used.extend(step.others.iter().flat_map(|other| other.key.iter().copied()));
    let feature = &rules.features[step.feature as usize];
    if step.feeds
        && let ValueUse::Hashed(value) = value_use(feature, parts)
    {
        used.push(value);
    }
    if step.feeds {
        used.extend(link_parts(feature, parts));
    }
    used
}

/// The values that link the accounts of a component.
fn link_parts(feature: &Feature, parts: &mut Parts) -> Box<[PartIndex]> {
    parts.intern_all(feature.links.iter().map(|link| &link.value))
}

fn value_use(feature: &Feature, parts: &mut Parts) -> ValueUse {
    use program::Aggregate::{Component, Distinct, Previous, Sequence, Set};
    match (&feature.value, feature.aggregate) {
        (None, Sequence) => ValueUse::Steps,
        (None, Component(_)) => ValueUse::Links,
        (None, _) => ValueUse::None,
        (Some(value), Distinct | Set) => ValueUse::Hashed(parts.intern(value)),
        (Some(value), Previous) if Element::of(value.result()) == Some(Element::Text) => {
            ValueUse::Hashed(parts.intern(value))
        }
        (Some(value), _) if value.leaf() == Some(Leaf::Int(Field::AmountMinor)) => ValueUse::Amount,
        (Some(_), _) => ValueUse::Bits,
    }
}

fn is_ordered_by_id(feature: &Feature) -> bool {
    use program::{Aggregate, Number};
    feature.bucket_ms.is_none()
        && matches!(feature.aggregate, Aggregate::Sum(Number::Double) | Aggregate::Avg(Number::Double))
}

/// The definition of a feature's table.
pub(super) fn window_spec(feature: &Feature, default_max_entries: u32) -> WindowSpec {
    use program::Aggregate;
    let number = |number| match number {
        program::Number::Int => state::Number::Int,
        program::Number::Double => state::Number::Double,
    };
    let aggregate = match feature.aggregate {
        Aggregate::Count => state::Aggregate::Count,
        Aggregate::Sum(of) => state::Aggregate::Sum(number(of)),
        Aggregate::Avg(of) => state::Aggregate::Avg(number(of)),
        Aggregate::Min(of) => state::Aggregate::Min(number(of)),
        Aggregate::Max(of) => state::Aggregate::Max(number(of)),
        Aggregate::Distinct => state::Aggregate::Distinct,
        Aggregate::Set => state::Aggregate::Set,
        Aggregate::First => state::Aggregate::First,
        Aggregate::Last => state::Aggregate::Last,
        Aggregate::Previous => state::Aggregate::Previous,
        Aggregate::Sequence => {
            const { assert!(program::STEPS_MAX <= Steps::MAX) };
            state::Aggregate::Sequence(Steps::new(feature.steps.iter().map(|step| step.min)))
        }
        Aggregate::Component(component) => state::Aggregate::Component {
            generation_ms: component.generation_ms,
            hub: component.hub,
            lists_members: feature.lists_members,
        },
        Aggregate::Rate(rate) => state::Aggregate::Rate { limit: rate.limit, per_ms: rate.per_ms, burst: rate.burst },
    };
    let reach = match feature.reach {
        program::Reach::Window(ms) => state::Reach::Window(ms),
        // The unit is a part of the key, so all of a key's events are in it.
        program::Reach::Calendar(unit) => state::Reach::Window(unit.longest_ms()),
        program::Reach::Retention(ms) => state::Reach::Retention(ms),
    };
    let max_entries = feature.max_entries.unwrap_or(default_max_entries);
    WindowSpec { bucket_ms: feature.bucket_ms, max_entries, ..WindowSpec::new(aggregate, reach) }
}
