//! From packs as written to the program that runs: names become indexes, texts become compiled expressions.
//!
//! Names are global over all packs, so this sees all of them at once. Faults are collected, and a faulty definition keeps
//! its name with an unknown type, so that one fault is told once. May import `pack`, `cel` and `program`.

mod absence;
mod features;
mod lists;
mod macros;
mod names;
mod rules;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cel::{
    self, Compiled, FeatureDecl, FeatureIndex, ListDecl, ListIndex, Position, ReadSource, ReadTable, Scope, Source,
    Type, Uses, Wanted,
};
use super::cost;
use super::diagnostic::{Diagnostic, SourceFile};
use super::load::Premises;
use super::pack::{AggregateWord, CaseDef, FeatureDef, ListDef, MacroDef, Name, Pack, RuleDef, unknown_rule};
use super::program::{DecideSubject, Expectation, Place, RuleSet, TestCase, TypePlan};
use super::yaml::Reader;
use crate::event::{KINDS, Mode, Presence, Signal, SignalSet};
use names::TypeNames;

/// How much a rule set holds: far more than people can oversee, and little enough to be checked in a moment.
const LISTS_MAX: usize = 1000;
const MACROS_MAX: usize = 1000;
const FEATURES_MAX: usize = 2000;
const RULES_MAX: usize = 5000;

/// All packs' definitions of one kind together.
struct Definitions {
    lists: Vec<ListDef>,
    macros: Vec<MacroDef>,
    features: Vec<FeatureDef>,
    rules: Vec<PackRule>,
}

/// A rule and the pack that it came from.
struct PackRule {
    pack: String,
    off: bool,
    rule: RuleDef,
}

/// A list file, by the path a pack names it with; an error in words.
pub(super) type ListFile<'a> = dyn FnMut(&str) -> Result<Arc<SourceFile>, String> + 'a;

/// Compiles packs, in the order of their files. What is wrong is added to `reader`; with an error the set is not whole.
pub(super) fn compile(
    packs: Vec<Pack>,
    premises: &Premises,
    list_file: &mut ListFile<'_>,
    reader: &mut Reader,
) -> RuleSet {
    let mut set = RuleSet::default();
    let (mut definitions, cases) = gather(packs, reader);
    let mut types = TypeNames::of(&definitions.features, &definitions.rules);
    if types.cut()
        && let Some(rule) = definitions.rules.first()
    {
        reader.push(rule.rule.id.error("too-large", "the packs name too many event types that refguard does not know"));
    }
    set.types = types.unknown().to_vec();
    set.lists = definitions.lists.iter().map(|list| lists::list(list, list_file, reader)).collect();

    let mut reads = ReadTable::default();
    let prints = features::MacroPrints::of(&definitions.macros);
    let mut untyped = features::untyped_scope(&definitions);
    untyped.set_attributes(premises.attributes.clone());
    let mut macros = macros::Macros::of(&definitions.macros);
    macros.check(&mut untyped, reader);
    let compiled: Vec<_> = definitions
        .features
        .iter()
        .map(|feature| features::feature(feature, &prints, &types, &untyped, &mut reads, reader))
        .collect();
    if premises.is_shared {
        refuse_unshareable(&definitions.features, reader);
    }
    let mut scope = features::typed_scope(&definitions, &compiled);
    scope.set_attributes(premises.attributes.clone());
    macros.check(&mut scope, reader);
    set.features = compiled.into_iter().flatten().collect();
    let rules = std::mem::take(&mut definitions.rules);
    // A faulty feature has left its place to the next, so that no index would be right.
    let whole = if set.features.len() == definitions.features.len() { set.features.as_slice() } else { &[] };
    set.rules = rules.iter().filter_map(|rule| rules::rule(rule, &types, &scope, whole, &mut reads, reader)).collect();
    set.reads = reads;
    settle(&mut set);
    bound_costs(&set, premises, &rules, reader);
    set.tests = tests(cases, &rules, reader);
    warn_unused(&set, &definitions, &rules, reader);
    set
}

/// Refuses features that instances cannot share.
fn refuse_unshareable(features: &[FeatureDef], reader: &mut Reader) {
    for feature in features {
        if feature.body.as_ref().is_some_and(|body| body.aggregate == AggregateWord::Component) {
            let message =
                format!("the component `{}` is one graph, and cannot be shared by instances", feature.name.text);
            let hint = "take it out with the rules that read it, or write `state: {backend: embedded}`";
            reader.push(feature.name.error("not-shared", message).hint(hint));
        }
    }
}

/// What follows from the rules that are on.
fn settle(set: &mut RuleSet) {
    note_members(set);
    (set.signals, set.fields) = wanted(set);
    set.by_type = by_type(set);
}

impl RuleSet {
    /// The same rules, none of them off or in shadow; `None`: it is so already.
    pub fn as_enforced(&self) -> Option<RuleSet> {
        self.rules.iter().any(|rule| rule.mode != Mode::Enforce).then(|| {
            let mut set = self.clone();
            set.rules.iter_mut().for_each(|rule| rule.mode = Mode::Enforce);
            settle(&mut set);
            set
        })
    }
}

/// Refuses rules that could cost too much for one event.
fn bound_costs(set: &RuleSet, premises: &Premises, rules: &[PackRule], reader: &mut Reader) {
    for rule in set.rules.iter().filter(|rule| rule.mode != Mode::Off) {
        let cost = cost::of(set, rule, premises.max_entries);
        let name = rules.iter().map(|known| &known.rule.id).find(|id| id.text == rule.id);
        let Some(name) = name.filter(|_| cost.total() > premises.cost_max) else { continue };
        let message = format!(
            "the rule `{}` can cost {} for one event, and `rules.max_cost` is {}",
            rule.id,
            cost.total(),
            premises.cost_max
        );
        let hint = match cost::dearest(set, rule, premises.max_entries) {
            Some((feature, entries)) if cost.entries > cost.steps => {
                format!(
                    "reading `{feature}` can walk through {entries} entries: give it a `bucket`, or fewer `max_entries`"
                )
            }
            _ => format!(
                "its expressions can take {} steps: a comprehension inside another one, or one over a large set",
                cost.steps
            ),
        };
        reader.push(name.error("too-costly", message).hint(hint));
    }
}

/// Notes which components list their members: their state holds the names of accounts, so it is another.
fn note_members(set: &mut RuleSet) {
    let on = set.rules.iter().filter(|rule| rule.mode != Mode::Off);
    let listed = on.flat_map(|rule| &rule.decide).filter_map(|decide| match decide.subject {
        DecideSubject::Members(read) => Some(read),
        _ => None,
    });
    for read in listed {
        if let ReadSource::Feature { feature, .. } = set.reads.get(read).source {
            features::list_members(&mut set.features[feature.0 as usize]);
        }
    }
}

/// Puts the packs' definitions together, sorted by name, without second definitions.
fn gather(packs: Vec<Pack>, reader: &mut Reader) -> (Definitions, Vec<(String, CaseDef)>) {
    let mut all = Definitions { lists: Vec::new(), macros: Vec::new(), features: Vec::new(), rules: Vec::new() };
    let mut pack_names: Vec<Name> = Vec::new();
    let mut cases = Vec::new();
    for pack in packs {
        let name = pack.name.text.clone();
        let off = pack.off;
        cases.extend(pack.cases.into_iter().map(|case| (name.clone(), case)));
        all.lists.extend(pack.lists);
        all.macros.extend(pack.macros);
        all.features.extend(pack.features);
        all.rules.extend(pack.rules.into_iter().map(|rule| PackRule { pack: name.clone(), off, rule }));
        pack_names.push(pack.name);
    }
    names::unique(&mut pack_names, "pack", |name| name, reader);
    names::unique(&mut all.lists, "list", |list| &list.name, reader);
    names::unique(&mut all.macros, "macro", |definition| &definition.name, reader);
    names::unique(&mut all.features, "feature", |feature| &feature.name, reader);
    names::unique(&mut all.rules, "rule", |rule| &rule.rule.id, reader);
    names::apart(&mut all.macros, &all.features, reader);
    names::bound(&mut all.lists, LISTS_MAX, "lists", |list| &list.name, reader);
    names::bound(&mut all.macros, MACROS_MAX, "macros", |definition| &definition.name, reader);
    names::bound(&mut all.features, FEATURES_MAX, "features", |feature| &feature.name, reader);
    names::bound(&mut all.rules, RULES_MAX, "rules", |rule| &rule.rule.id, reader);
    (all, cases)
}

/// The signals that features and rules read, and those that name the subjects of decisions; and the fields that are read
/// as they came.
fn wanted(set: &RuleSet) -> (SignalSet, Presence) {
    let (mut signals, mut fields) = (SignalSet::default(), Presence::default());
    let mut add = |uses: &Uses| {
        fields = fields.union(uses.fields);
        for signal in Signal::ALL.iter().filter(|signal| uses.signals.contains(**signal)) {
            signals.insert(*signal);
        }
    };
    for feature in &set.features {
        feature.expressions().for_each(|compiled| add(compiled.uses()));
    }
    let on = || set.rules.iter().filter(|rule| rule.mode != Mode::Off);
    for rule in on() {
        rule.expressions().for_each(|compiled| add(compiled.uses()));
    }
    on().flat_map(|rule| &rule.decide).filter_map(rules::subject_signal).for_each(|signal| signals.insert(signal));
    (signals, fields)
}

/// What each type of event feeds and is judged by.
fn by_type(set: &RuleSet) -> Vec<TypePlan> {
    let mut plans = vec![TypePlan::default(); KINDS.len() + set.types.len()];
    for (index, feature) in set.features.iter().enumerate() {
        for on in &feature.on {
            plans[on.0 as usize].features.push(index as u32);
        }
    }
    for (index, rule) in set.rules.iter().enumerate().filter(|(_, rule)| rule.mode != Mode::Off) {
        for on in &rule.on {
            plans[on.0 as usize].rules.push(index as u32);
        }
    }
    plans
}

fn tests(cases: Vec<(String, CaseDef)>, rules: &[PackRule], reader: &mut Reader) -> Vec<TestCase> {
    let known: BTreeSet<&str> = rules.iter().map(|rule| rule.rule.id.text.as_str()).collect();
    let mut tests = Vec::new();
    for (pack, case) in cases {
        for name in case.rules.iter().chain(&case.not_rules).filter(|name| !known.contains(name.text.as_str())) {
            reader.push(unknown_rule(name, &known));
        }
        let texts = |names: Vec<Name>| names.into_iter().map(|name| name.text).collect();
        let expect = Expectation {
            verdict: case.verdict,
            score: case.score,
            rules: texts(case.rules),
            not_rules: texts(case.not_rules),
        };
        tests.push(TestCase { pack, name: case.name, place: place(&case.place), events: case.events, expect });
    }
    tests
}

/// What is defined and never read costs memory for nothing, and is often a misspelt name elsewhere.
fn warn_unused(set: &RuleSet, definitions: &Definitions, rules: &[PackRule], reader: &mut Reader) {
    // A faulty rule has lost its reads: what it would have read must not be called unused.
    if reader.failed() {
        return;
    }
    for (index, feature) in definitions.features.iter().enumerate() {
        let read = set.reads.reads().iter().any(
            |read| matches!(&read.source, ReadSource::Feature { feature, .. } if *feature == FeatureIndex(index as u32)),
        );
        if !read {
            let warning = feature.name.warning("unused", format!("no rule reads the feature `{}`", feature.name.text));
            reader.push(warning.hint("it costs memory for every key; take it out if nothing else needs it"));
        }
    }
    let texts = names::all_texts(definitions, rules).map(|source| source.text.as_str());
    let words = macros::words_used(texts, &definitions.macros);
    for list in definitions.lists.iter().filter(|list| !words.contains(list.name.text.as_str())) {
        let name = &list.name;
        reader.push(name.warning("unused", format!("no rule or feature uses the list `{}`", name.text)));
    }
    for definition in &definitions.macros {
        if !words.contains(definition.name.text.as_str()) {
            let name = &definition.name;
            reader.push(name.warning("unused", format!("no rule or feature uses the macro `{}`", name.text)));
        }
    }
}

fn place(name: &Name) -> Place {
    let (line, column) = name.file.line_column(name.span.start);
    Place { path: name.file.path.clone(), line, column }
}

/// Takes the value, or hands the faults over.
fn take<T>(result: Result<T, Vec<Diagnostic>>, reader: &mut Reader) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(found) => {
            found.into_iter().for_each(|diagnostic| reader.push(diagnostic));
            None
        }
    }
}

/// Compiles an expression, and hands its faults and warnings over.
fn expression(
    source: &Source,
    scope: &Scope,
    reads: &mut ReadTable,
    position: Position,
    wanted: Wanted,
    reader: &mut Reader,
) -> Option<Compiled> {
    let compiled = take(cel::compile(source, scope, reads, position, wanted), reader)?;
    compiled.warnings().iter().for_each(|warning| reader.push(warning.clone()));
    Some(compiled)
}

/// The names that expressions may use; the features with the types that `result` gives.
fn scope_with(definitions: &Definitions, result: impl Fn(usize) -> (Type, Vec<Type>)) -> Scope {
    let mut scope = Scope::new();
    for (index, list) in definitions.lists.iter().enumerate() {
        let index = ListIndex(index as u32);
        scope.add_list(&list.name.text, ListDecl { index, kind: list.kind });
    }
    for definition in &definitions.macros {
        scope.add_macro(&definition.name.text, definition.text.clone());
    }
    for (index, feature) in definitions.features.iter().enumerate() {
        let (result, key) = result(index);
        let index = FeatureIndex(index as u32);
        scope.add_feature(&feature.name.text, FeatureDecl { index, result, key });
    }
    scope
}
