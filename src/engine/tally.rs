//! What the engine counts while it works; the roof turns it into metrics.

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
}
