//! What the engine counts while it works; the roof turns it into metrics.

use crate::ruleset::program::RuleSet;

/// Counts since the engine was made, by place in the rule set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Matches by rule: enforced, then in shadow.
    pub rule_matches: Vec<[u64; 2]>,
    /// Conditions and exceptions that erred on an event, by rule.
    pub rule_errors: Vec<u64>,
}

impl Tally {
    /// Zero for each of so many rules.
    pub(super) fn new(rules: usize) -> Tally {
        Tally { rule_matches: vec![[0; 2]; rules], rule_errors: vec![0; rules] }
    }

    /// The same counts by place in another rule set: a rule keeps those of its id.
    pub(super) fn carried(&self, from: &RuleSet, to: &RuleSet) -> Tally {
        let mut carried = Tally::new(to.rules.len());
        for (place, rule) in to.rules.iter().enumerate() {
            if let Ok(before) = from.rules.binary_search_by(|known| known.id.cmp(&rule.id)) {
                carried.rule_matches[place] = self.rule_matches[before];
                carried.rule_errors[place] = self.rule_errors[before];
            }
        }
        carried
    }
}
