//! Features: types checked by aggregate, expressions compiled, and a fingerprint of the definition.

use sha2::{Digest, Sha256};

use super::{Definitions, TypeNames, names, scope_with, take};
use crate::ruleset::cel::{self, Compiled, Element, Position, ReadTable, Scope, Source, Type, Wanted};
use crate::ruleset::pack::{AggregateWord, FeatureBody, FeatureDef, MacroDef};
use crate::ruleset::program::{Aggregate, Feature, Number};
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
    macros: &[MacroDef],
    types: &TypeNames,
    scope: &Scope,
    reads: &mut ReadTable,
    reader: &mut Reader,
) -> Option<Feature> {
    let body = definition.body.as_ref()?;
    let mut compile =
        |source: &Source, wanted| take(cel::compile(source, scope, reads, Position::Feature, wanted), reader);
    let filter = body.filter.as_ref().map(|source| compile(source, Wanted::Bool));
    let key: Vec<Option<Compiled>> = body.key.iter().map(|source| compile(source, Wanted::Key)).collect();
    let wanted = if is_numeric(body.aggregate) { Wanted::Number } else { Wanted::Scalar };
    let value = body.value.as_ref().map(|source| compile(source, wanted));
    let aggregate = aggregate(body, value.as_ref().and_then(Option::as_ref), reader);
    Some(Feature {
        name: definition.name.text.clone(),
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
        aggregate: aggregate?,
        reach: body.reach,
        offset_ms: body.offset_ms,
        max_entries: body.max_entries,
        definition: fingerprint(body, macros),
    })
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
        // These were refused when the pack was read.
        AggregateWord::Sequence | AggregateWord::Component => return None,
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
        Aggregate::Count | Aggregate::Distinct => Type::Int,
        Aggregate::Sum(of) | Aggregate::Min(of) | Aggregate::Max(of) => number(of),
        Aggregate::Avg(_) => Type::Double,
        Aggregate::Set => element().map_or(Type::Faulty, Type::Set),
        Aggregate::First | Aggregate::Last => Type::Timestamp,
        Aggregate::Rate(_) => Type::Bool,
        // A text is kept as its hash; what fits into 64 bits is kept as it is.
        Aggregate::Previous => match element() {
            Some(Element::Text) => Type::Hashed(Element::Text),
            Some(other) => other.ty(),
            None => Type::Faulty,
        },
    }
}

/// First 16 hex digits of the SHA-256 over everything that decides what the feature's state means.
///
/// The texts count as written: a definition that only looks different starts empty, which is safe.
fn fingerprint(body: &FeatureBody, macros: &[MacroDef]) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    let mut on = body.on.clone();
    on.sort_unstable();
    part(&on.join("\n"));
    let texts: Vec<&Source> = body.filter.iter().chain(&body.key).chain(&body.value).collect();
    part(body.filter.as_ref().map_or("", |source| &source.text));
    part(&body.key.len().to_string());
    texts.iter().for_each(|source| part(&source.text));
    let how = (body.aggregate, body.rate, body.reach, body.offset_ms, body.max_entries);
    part(&format!("{how:?}"));
    for definition in used_macros(&texts, macros) {
        part(&definition.name.text);
        part(&definition.text.text);
    }
    let digest = hash.finalize();
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The macros that texts mention, and those that these mention, in the order of their names.
fn used_macros<'a>(texts: &[&Source], macros: &'a [MacroDef]) -> Vec<&'a MacroDef> {
    let mut used = vec![false; macros.len()];
    let mut grown = true;
    while grown {
        grown = false;
        for (index, definition) in macros.iter().enumerate().filter(|(index, _)| !used[*index]).collect::<Vec<_>>() {
            let name = &definition.name.text;
            let by_macro =
                macros.iter().zip(&used).any(|(by, by_used)| *by_used && names::mentions(&by.text.text, name));
            if by_macro || texts.iter().any(|text| names::mentions(&text.text, name)) {
                used[index] = true;
                grown = true;
            }
        }
    }
    macros.iter().zip(used).filter(|(_, used)| *used).map(|(definition, _)| definition).collect()
}
