//! Names over all packs: each defined once, and event types numbered.

use std::collections::BTreeSet;

use super::{Definitions, PackRule};
use crate::event::KINDS;
use crate::ruleset::cel::Source;
use crate::ruleset::pack::{FeatureDef, MacroDef, Name, SubjectDef};
use crate::ruleset::program::TypeIndex;
use crate::ruleset::yaml::Reader;

/// Sorts definitions by name and drops every second one of a name, with an error that names both places.
pub(super) fn unique<T>(definitions: &mut Vec<T>, what: &str, name: impl Fn(&T) -> &Name, reader: &mut Reader) {
    // The sort is stable: of equal names the first in the order of files and lines stays.
    definitions.sort_by(|a, b| name(a).text.cmp(&name(b).text));
    let mut first: Option<Name> = None;
    definitions.retain(|definition| {
        let name = name(definition);
        match &first {
            Some(first) if first.text == name.text => {
                reader.push(second(name, what, first));
                false
            }
            _ => {
                first = Some(name.clone());
                true
            }
        }
    });
}

/// Drops macros that have the name of a feature: both are read by the bare name.
pub(super) fn apart(macros: &mut Vec<MacroDef>, features: &[FeatureDef], reader: &mut Reader) {
    macros.retain(|definition| {
        let name = &definition.name;
        let feature = features.binary_search_by(|feature| feature.name.text.cmp(&name.text));
        if let Ok(index) = feature {
            reader.push(second(name, "feature or macro", &features[index].name));
        }
        feature.is_err()
    });
}

fn second(name: &Name, what: &str, first: &Name) -> crate::ruleset::diagnostic::Diagnostic {
    let message = format!("the {what} `{}` is defined a second time", name.text);
    let hint = format!("the first is at {}; names are global over all packs", first.place());
    name.error("duplicate-name", message).hint(hint)
}

/// The event types that packs name, numbered.
pub(super) struct TypeNames {
    unknown: Vec<String>,
}

impl TypeNames {
    /// Collects the types of all features, rules and decisions.
    pub(super) fn of(features: &[FeatureDef], rules: &[PackRule]) -> TypeNames {
        let features = features.iter().filter_map(|feature| feature.body.as_ref()).flat_map(|body| &body.on);
        let decisions = rules.iter().flat_map(|rule| &rule.rule.decide).flat_map(|decide| decide.on.iter().flatten());
        let named = features.chain(rules.iter().flat_map(|rule| &rule.rule.on)).chain(decisions);
        let unknown: BTreeSet<&String> =
            named.filter(|name| !KINDS.iter().any(|kind| kind.name == name.as_str())).collect();
        TypeNames { unknown: unknown.into_iter().cloned().collect() }
    }

    /// Past how many unknown types a rule set is refused.
    const UNKNOWN_MAX: usize = 1000;

    /// Whether there are more unknown types than a rule set may name; their indexes are cut off then.
    pub(super) fn cut(&mut self) -> bool {
        let over = self.unknown.len() > Self::UNKNOWN_MAX;
        self.unknown.truncate(Self::UNKNOWN_MAX);
        over
    }

    /// Those that refguard does not know, sorted.
    pub(super) fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// The indexes of these names, ascending.
    pub(super) fn indexes(&self, names: &[String]) -> Vec<TypeIndex> {
        let index = |name: &String| {
            let known = KINDS.iter().position(|kind| kind.name == name.as_str());
            known.or_else(|| self.unknown.binary_search(name).ok().map(|at| KINDS.len() + at))
        };
        let mut indexes: Vec<TypeIndex> = names.iter().filter_map(index).map(|at| TypeIndex(at as u16)).collect();
        indexes.sort_unstable();
        indexes.dedup();
        indexes
    }
}

/// Every expression and message of features and rules of all packs.
pub(super) fn all_texts<'a>(definitions: &'a Definitions, rules: &'a [PackRule]) -> impl Iterator<Item = &'a Source> {
    let bodies = definitions.features.iter().filter_map(|feature| feature.body.as_ref());
    let features = bodies.flat_map(|body| body.sources());
    let rules = rules.iter().map(|rule| &rule.rule);
    let rules = rules.flat_map(|rule| {
        let ids = rule.decide.iter().filter_map(|decide| match &decide.subject {
            SubjectDef::ById(_, id) => Some(id),
            SubjectDef::Role(_) | SubjectDef::Thing(_) | SubjectDef::Each(_) => None,
        });
        std::iter::once(&rule.when).chain(&rule.except).chain(&rule.message).chain(&rule.group_by).chain(ids)
    });
    features.chain(rules)
}

/// The words of an expression that could be names, in their order, repeats included.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_').filter(|word| !word.is_empty())
}

/// Cuts off definitions past a bound, with an error at the first of them.
pub(super) fn bound<T>(
    definitions: &mut Vec<T>,
    max: usize,
    what: &str,
    name: impl Fn(&T) -> &Name,
    reader: &mut Reader,
) {
    if let Some(first) = definitions.get(max) {
        reader.push(name(first).error("too-large", format!("all packs together have more than {max} {what}")));
        definitions.truncate(max);
    }
}
