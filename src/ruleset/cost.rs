//! How much work a rule can be at most for one event: told when it is loaded, so that no rule can stall the stream.
//!
//! The bound has two parts: the steps of its expressions, and the entries of state that its features walk through to be
//! read. Message, groups and ids of decisions count like conditions: what they read is read for every event. It is of the worst event there can be: late, at a key that keeps as many entries as it may. Most events
//! cost a few steps. A feature is shared by all rules that read it, and counts in full for each.

use super::cel::{ReadIndex, ReadKey, ReadSource};
use super::program::{Aggregate, Feature, Reach, Rule, RuleSet};

/// What a rule can cost at most for one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Parts of its expressions that are evaluated, and members that they walk through.
    pub steps: u64,
    /// Reads of state: features, and facts about accounts.
    pub reads: u64,
    /// Entries that these walk through.
    pub entries: u64,
}

impl Cost {
    /// What is compared with the bound.
    pub fn total(&self) -> u64 {
        self.steps.saturating_add(self.entries).saturating_add(self.reads)
    }
}

/// What a rule can cost at most, where a key keeps `max_entries` entries unless its feature says otherwise.
pub fn of(set: &RuleSet, rule: &Rule, max_entries: u32) -> Cost {
    let members = |read: ReadIndex| match &set.reads.get(read).source {
        ReadSource::Feature { feature, .. } => {
            let feature = &set.features[feature.0 as usize];
            u64::from(feature.max_entries.unwrap_or(max_entries))
        }
        _ => 0,
    };
    let mut reads: Vec<ReadIndex> = rule.expressions().flat_map(|compiled| &compiled.uses().reads).copied().collect();
    reads.sort_unstable();
    reads.dedup();
    let steps = rule.expressions().map(|compiled| compiled.steps(&members));
    Cost {
        steps: steps.fold(0, u64::saturating_add),
        reads: reads.len() as u64,
        entries: reads.iter().map(|read| read_entries(set, *read, max_entries)).fold(0, u64::saturating_add),
    }
}

/// The feature that costs a rule most, and how many entries reading it walks through at most.
pub fn dearest<'a>(set: &'a RuleSet, rule: &Rule, max_entries: u32) -> Option<(&'a str, u64)> {
    let features = rule.expressions().flat_map(|compiled| &compiled.uses().reads).filter_map(|read| {
        let ReadSource::Feature { feature, .. } = &set.reads.get(*read).source else { return None };
        let feature = &set.features[feature.0 as usize];
        Some((feature.name.as_str(), entries(feature, max_entries)))
    });
    features.max_by_key(|(name, entries)| (*entries, std::cmp::Reverse(*name)))
}

/// How many entries a read walks through at most.
fn read_entries(set: &RuleSet, read: ReadIndex, max_entries: u32) -> u64 {
    match &set.reads.get(read).source {
        ReadSource::Feature { feature, key } => match key {
            ReadKey::Same(_) => 1,
            ReadKey::Own | ReadKey::At(_) => entries(&set.features[feature.0 as usize], max_entries),
        },
        ReadSource::Account { .. } | ReadSource::Geo(_) | ReadSource::Referral(_) => 1,
    }
}

/// How many entries a reading of a feature walks through at most.
pub fn entries(feature: &Feature, max_entries: u32) -> u64 {
    let most = u64::from(feature.max_entries.unwrap_or(max_entries));
    let kept = match (feature.bucket_ms, feature.reach) {
        // Of a window cut at both ends one bucket more.
        (Some(bucket_ms), reach @ (Reach::Window(_) | Reach::Calendar(_))) => {
            most.min(reach.longest_ms().unsigned_abs() / bucket_ms.unsigned_abs().max(1) + 2)
        }
        _ => most,
    };
    match feature.aggregate {
        Aggregate::Count if feature.bucket_ms.is_none() => 1,
        Aggregate::First | Aggregate::Last | Aggregate::Previous | Aggregate::Rate(_) | Aggregate::Component(_) => 1,
        Aggregate::Count
        | Aggregate::Sum(_)
        | Aggregate::Avg(_)
        | Aggregate::Min(_)
        | Aggregate::Max(_)
        | Aggregate::Distinct
        | Aggregate::Set
        | Aggregate::Sequence => kept,
    }
}
