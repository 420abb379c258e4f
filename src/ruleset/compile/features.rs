//! Features: types checked by aggregate, expressions compiled, and a fingerprint of the definition.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::rules::{both_absent, warn_of_types};
use super::{Definitions, TypeNames, absence, expression, names, place, scope_with, take};
use crate::ruleset::cel::{self, Compiled, Element, Guards, Position, ReadTable, Scope, Source, Type, Wanted};
use crate::ruleset::pack::{AggregateWord, ComponentDef, FeatureBody, FeatureDef, MacroDef};
use crate::ruleset::program::{Aggregate, Feature, Link, Number, Step};
use crate::ruleset::yaml::Reader;

/// The names while features are compiled: those of features are known, so that reading one is refused in plain words.
pub(super) fn untyped_scope(definitions: &Definitions) -> Scope {
    scope_with(definitions, |_| (Type::Faulty, Vec::new()))
}

/// The names while rules are compiled. A feature whose definition is faulty is of unknown type.
pub(super) fn typed_scope(definitions: &Definitions, features: &[Option<Feature>]) -> Scope {
    scope_with(definitions, |index| match &features[index] {
        Some(feature) => (result(feature), feature.key.iter().map(|part| part.result().clone()).collect()),
        None => (Type::Faulty, Vec::new()),
    })
}

/// Compiles one feature; `None` when it is faulty.
pub(super) fn feature(
    definition: &FeatureDef,
    macros: &MacroPrints<'_>,
    types: &TypeNames,
    scope: &Scope,
    reads: &mut ReadTable,
    reader: &mut Reader,
) -> Option<Feature> {
    let body = definition.body.as_ref()?;
    let mut compile = |source: &Source, wanted| expression(source, scope, reads, Position::Feature, wanted, reader);
    let filter = body.filter.as_ref().map(|source| compile(source, Wanted::Bool));
    if let (Some(source), Some(Some(filter))) = (&body.filter, &filter) {
        warn_of_types("feature", &body.on, source, filter, reader);
        warn_of_unsaid(&body.on, source, filter, reader);
    }
    let mut compile = |source: &Source, wanted| expression(source, scope, reads, Position::Feature, wanted, reader);
    let key: Vec<Option<Compiled>> = body.key.iter().map(|source| compile(source, Wanted::Key)).collect();
    let wanted = if is_numeric(body.aggregate) { Wanted::Number } else { Wanted::Scalar };
    let value = body.value.as_ref().map(|source| compile(source, wanted));
    let steps: Vec<Option<Step>> = body
        .steps
        .iter()
        .map(|step| {
            let filter = match &step.filter {
                Some(source) => Some(compile(source, Wanted::Bool)?),
                None => None,
            };
            Some(Step { on: types.indexes(&step.on), filter, min: step.min })
        })
        .collect();
    for (written, step) in body.steps.iter().zip(&steps) {
        if let (Some(source), Some(Step { filter: Some(filter), .. })) = (&written.filter, step) {
            warn_of_unsaid(&written.on, source, filter, reader);
        }
    }
    let links = body.component.as_ref().map_or(Some(Vec::new()), |component| links(component, scope, reads, reader));
    let aggregate = aggregate(body, value.as_ref().and_then(Option::as_ref), reader);
    Some(Feature {
        name: definition.name.text.clone(),
        place: place(&definition.name),
        on: types.indexes(&body.on),
        filter: match filter {
            Some(compiled) => Some(compiled?),
            None => None,
        },
        key: key.into_iter().collect::<Option<Vec<_>>>()?,
        value: match value {
            Some(compiled) => Some(compiled?),
            None => None,
        },
        steps: steps.into_iter().collect::<Option<Vec<_>>>()?,
        links: links?,
        lists_members: false,
        aggregate: aggregate?,
        reach: body.reach,
        scope: body.scope,
        offset_ms: body.offset_ms,
        bucket_ms: body.bucket_ms,
        max_entries: body.max_entries,
        definition: fingerprint(body, macros),
    })
}

/// What was not said is not the same on both sides: an event without both texts would be counted.
fn warn_of_unsaid(on: &[String], source: &Source, filter: &Compiled, reader: &mut Reader) {
    let on: Vec<&str> = on.iter().map(String::as_str).collect();
    if let Some(unsaid) = absence::unsaid(filter, &on, &Guards::default()) {
        reader.push(both_absent(source, unsaid));
    }
}

/// What links the accounts of a component.
fn links(component: &ComponentDef, scope: &Scope, reads: &mut ReadTable, reader: &mut Reader) -> Option<Vec<Link>> {
    let mut link = |source: &Source| {
        let value = expression(source, scope, reads, Position::Feature, Wanted::Text, reader)?;
        let ignored = match component.ignore.as_slice() {
            [] => None,
            ignored => Some(take(cel::compile_listed(&value, ignored, scope), reader)?),
        };
        Some(Link { value, ignored })
    };
    let links: Vec<Option<Link>> = component.links.iter().map(&mut link).collect();
    links.into_iter().collect()
}

/// Makes a component list its members.
pub(super) fn list_members(feature: &mut Feature) {
    if !feature.lists_members {
        feature.lists_members = true;
        let mut hash = Hash::new();
        hash.part(&feature.definition);
        hash.part("members");
        feature.definition = hash.hex();
    }
}

fn is_numeric(word: AggregateWord) -> bool {
    matches!(word, AggregateWord::Sum | AggregateWord::Avg | AggregateWord::Min | AggregateWord::Max)
}

/// The aggregate with the type of its numbers; `None` when the value has no type it could take.
fn aggregate(body: &FeatureBody, value: Option<&Compiled>, reader: &mut Reader) -> Option<Aggregate> {
    let number = || match value?.result() {
        Type::Double => Some(Number::Double),
        _ => Some(Number::Int),
    };
    let mut kept = || {
        let compiled = value?;
        if Element::of(compiled.result()).is_some() {
            return Some(());
        }
        let source = body.value.as_ref()?;
        let message = format!("`{}` cannot keep a value of type {}", body.aggregate.name(), compiled.result());
        let span = source.file_span(0..source.text.len());
        let diagnostic = crate::ruleset::diagnostic::Diagnostic::error("type", &source.file, span, message);
        reader.push(diagnostic.hint("it keeps string, int, double, bool, timestamp and duration"));
        None
    };
    Some(match body.aggregate {
        AggregateWord::Count => Aggregate::Count,
        AggregateWord::Sum => Aggregate::Sum(number()?),
        AggregateWord::Avg => Aggregate::Avg(number()?),
        AggregateWord::Min => Aggregate::Min(number()?),
        AggregateWord::Max => Aggregate::Max(number()?),
        AggregateWord::Distinct => kept().map(|()| Aggregate::Distinct)?,
        AggregateWord::Set => kept().map(|()| Aggregate::Set)?,
        AggregateWord::Previous => kept().map(|()| Aggregate::Previous)?,
        AggregateWord::First => Aggregate::First,
        AggregateWord::Last => Aggregate::Last,
        AggregateWord::Rate => Aggregate::Rate(body.rate?),
        AggregateWord::Sequence => Aggregate::Sequence,
        AggregateWord::Component => Aggregate::Component(body.component.as_ref()?.shape),
    })
}

/// The type that a condition reads the feature as.
fn result(feature: &Feature) -> Type {
    let number = |number| match number {
        Number::Int => Type::Int,
        Number::Double => Type::Double,
    };
    let element = || feature.value.as_ref().and_then(|value| Element::of(value.result()));
    match feature.aggregate {
        Aggregate::Count | Aggregate::Distinct | Aggregate::Sequence => Type::Int,
        Aggregate::Sum(of) | Aggregate::Min(of) | Aggregate::Max(of) => number(of),
        Aggregate::Avg(_) => Type::Double,
        Aggregate::Set => element().map_or(Type::Faulty, Type::Set),
        Aggregate::First | Aggregate::Last => Type::Timestamp,
        Aggregate::Rate(_) => Type::Bool,
        Aggregate::Component(_) => Type::Component,
        // A text is kept as its hash; what fits into 64 bits is kept as it is.
        Aggregate::Previous => match element() {
            Some(Element::Text) => Type::Hashed(Element::Text),
            Some(other) => other.ty(),
            None => Type::Faulty,
        },
    }
}

/// Of every macro a hash of its text and of the macros that it mentions.
pub(super) struct MacroPrints<'a>(BTreeMap<&'a str, String>);

impl<'a> MacroPrints<'a> {
    pub(super) fn of(macros: &'a [MacroDef]) -> MacroPrints<'a> {
        let texts: BTreeMap<&str, &str> =
            macros.iter().map(|of| (of.name.text.as_str(), of.text.text.as_str())).collect();
        let mut prints = MacroPrints(BTreeMap::new());
        for name in texts.keys() {
            prints.add(name, &texts);
        }
        prints
    }

    /// Adds a macro after those that it mentions. One that mentions itself is refused when macros are checked; here it counts
    /// once, as nothing.
    fn add(&mut self, name: &'a str, texts: &BTreeMap<&'a str, &'a str>) {
        let Some(text) = texts.get(name).filter(|_| !self.0.contains_key(name)) else { return };
        self.0.insert(name, String::new());
        let mut hash = Hash::new();
        hash.part(text);
        for word in names::words(text) {
            self.add_known(word, texts);
            if let Some(print) = self.0.get(word) {
                hash.part(print);
            }
        }
        self.0.insert(name, hash.hex());
    }

    fn add_known(&mut self, word: &str, texts: &BTreeMap<&'a str, &'a str>) {
        if let Some((name, _)) = texts.get_key_value(word) {
            self.add(name, texts);
        }
    }
}

/// A SHA-256 over parts, each with its length before it.
pub(super) struct Hash(Sha256);

impl Hash {
    pub(super) fn new() -> Hash {
        Hash(Sha256::new())
    }

    pub(super) fn part(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    /// First 16 hex digits.
    pub(super) fn hex(self) -> String {
        self.0.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// First 16 hex digits of the SHA-256 over everything that decides what the feature's state means.
///
/// The texts count as written: a definition that only looks different starts empty, which is safe.
fn fingerprint(body: &FeatureBody, macros: &MacroPrints<'_>) -> String {
    let mut hash = Hash::new();
    let mut on = body.on.clone();
    on.sort_unstable();
    hash.part(&on.join("\n"));
    hash.part(&format!("{} {}", body.filter.is_some(), body.key.len()));
    for step in &body.steps {
        hash.part(&format!("{} {} {}", step.on.join("\n"), step.min, step.filter.is_some()));
    }
    for source in body.sources() {
        hash.part(&source.text);
        names::words(&source.text).filter_map(|word| macros.0.get(word)).for_each(|print| hash.part(print));
    }
    if let Some(component) = &body.component {
        hash.part(&format!("{} {:?}", component.links.len(), component.shape));
    }
    if let Some(bucket_ms) = body.bucket_ms {
        hash.part(&format!("bucket {bucket_ms}"));
    }
    hash.part(&format!("{:?}", (body.aggregate, body.rate, body.reach, body.scope, body.offset_ms, body.max_entries)));
    hash.hex()
}
