//! The warning that a rule concludes from absence: new, dormant, first.

use crate::ruleset::cel::{AccountFact, Compiled, FeatureIndex, ReadIndex, ReadSource, ReadTable};
use crate::ruleset::program::{Aggregate, Feature};

/// What a condition takes for absent though it may only be too early to know; `None` when it asks, or does not.
///
/// `features` are by index, so all of them must be whole.
pub(super) fn concludes_from(when: &Compiled, reads: &ReadTable, features: &[Feature]) -> Option<String> {
    let absence = when.absence();
    let feature = |read: &ReadIndex| match reads.get(*read).source {
        ReadSource::Feature { feature: FeatureIndex(index), .. } => features.get(index as usize),
        _ => None,
    };
    let asked_ms = absence.complete_asked.iter().filter_map(feature).map(seen_ms).max();
    let account_known =
        asked_ms.is_some() || absence.needed.iter().any(|read| tells_since_when(&reads.get(*read).source));
    let waits = |feature: &Feature| asked_ms.is_some_and(|asked_ms| asked_ms >= seen_ms(feature));
    let few = absence.few.iter().filter_map(feature).filter(|feature| reads_as_nothing(feature));
    let unknown = absence.unknown.iter().filter_map(feature);
    let features = few.chain(unknown).find(|feature| !waits(feature)).map(|feature| feature.name.clone());
    let facts = absence.unknown.iter().chain(&absence.claims).filter(|_| !account_known);
    features.or_else(|| {
        facts.into_iter().find_map(|read| match reads.get(*read).source {
            ReadSource::Account { role, fact } => Some(format!("{}.{}", role.name(), fact.name())),
            _ => None,
        })
    })
}

/// How long the feature must have been fed before what it reads is whole.
fn seen_ms(feature: &Feature) -> i64 {
    let generation_ms = match feature.aggregate {
        Aggregate::Component(component) => component.generation_ms,
        _ => 0,
    };
    feature.reach.longest_ms().saturating_add(feature.offset_ms).saturating_add(generation_ms)
}

/// Whether it is 0 or empty where nothing was counted, and not unknown.
fn reads_as_nothing(feature: &Feature) -> bool {
    matches!(
        feature.aggregate,
        Aggregate::Count
            | Aggregate::Sum(_)
            | Aggregate::Distinct
            | Aggregate::Set
            | Aggregate::Sequence
            | Aggregate::Component(_)
    )
}

/// Whether a fact, once known, says for how long its account was seen.
fn tells_since_when(source: &ReadSource) -> bool {
    use AccountFact::{Age, FirstSeen, LastActive, LastSeen};
    matches!(source, ReadSource::Account { fact: Age | FirstSeen | LastActive | LastSeen, .. })
}
