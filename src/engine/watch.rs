//! The bound of the state's memory: near it, the tables that grew most take no new keys, and say so.
//!
//! Nothing is evicted: a key that exists stays exact. It looks only at fixed places of the log, so that what is refused
//! depends on the events alone.

use super::remembered::Remembered;
use crate::ruleset::program::RuleSet;
use crate::state::{Dedup, FeatureTable};

/// New keys are refused from this share of the bound on, in percent.
const REFUSE_PERCENT: usize = 95;
/// They are taken again below this share, in percent.
const ACCEPT_PERCENT: usize = 85;

/// Watches the memory of the state.
#[derive(Debug)]
pub(super) struct MemoryWatch {
    max_bytes: usize,
    refusing: bool,
}

impl MemoryWatch {
    pub(super) fn new(max_bytes: usize) -> MemoryWatch {
        MemoryWatch { max_bytes, refusing: false }
    }

    /// Saturates the largest tables while the bound is near, or releases all of them.
    ///
    /// `other_bytes` is what identities and remembered verdicts take; these have bounds of their own.
    pub(super) fn look(&mut self, features: &mut [FeatureTable], accounts: &mut [FeatureTable], other_bytes: usize) {
        let used: usize = features.iter().chain(accounts.iter()).map(FeatureTable::bytes).sum::<usize>() + other_bytes;
        let share = |percent: usize| self.max_bytes / 100 * percent;
        let tables = || features.iter().chain(accounts.iter());
        if used >= share(REFUSE_PERCENT) {
            self.refusing = true;
            // The largest that still takes keys: what fills the memory is stopped first, one table a look.
            let largest = tables().filter(|table| !table.is_saturated()).map(FeatureTable::bytes).max();
            let mut all = features.iter_mut().chain(accounts);
            if let Some(table) = all.find(|table| !table.is_saturated() && Some(table.bytes()) == largest) {
                table.set_saturated(true);
            }
        } else if self.refusing && used < share(ACCEPT_PERCENT) {
            self.refusing = false;
            features.iter_mut().chain(accounts).for_each(|table| table.set_saturated(false));
        }
    }
}

/// The size of one feature's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureSize {
    /// The feature's name.
    pub feature: String,
    /// Keys remembered.
    pub keys: usize,
    /// Bytes, everything counted.
    pub bytes: usize,
    /// Keys that lost entries to `max_entries`.
    pub truncated_keys: usize,
    /// New keys are refused.
    pub saturated: bool,
}

/// The size of the whole state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateSize {
    /// By feature, in the order of the rule set.
    pub features: Vec<FeatureSize>,
    /// Bytes of the facts about accounts.
    pub account_bytes: usize,
    /// Identities remembered.
    pub identities: usize,
    /// Bytes of identities and remembered verdicts.
    pub identity_bytes: usize,
    /// Bytes of decisions on subjects, and of breakers.
    pub decision_bytes: usize,
    /// Every identity of a later event time is remembered, in milliseconds since the Unix epoch.
    pub dedup_horizon_ms: i64,
}

impl StateSize {
    /// Bytes of the whole.
    pub fn bytes(&self) -> usize {
        self.features.iter().map(|feature| feature.bytes).sum::<usize>()
            + self.account_bytes
            + self.identity_bytes
            + self.decision_bytes
    }

    pub(super) fn of(
        rules: &RuleSet,
        tables: &[FeatureTable],
        accounts: &[FeatureTable],
        dedup: &Dedup,
        remembered: &Remembered,
        decision_bytes: usize,
    ) -> StateSize {
        let size = |(feature, table): (&crate::ruleset::program::Feature, &FeatureTable)| FeatureSize {
            feature: feature.name.clone(),
            keys: table.keys(),
            bytes: table.bytes(),
            truncated_keys: table.truncated_keys(),
            saturated: table.is_saturated(),
        };
        StateSize {
            features: rules.features.iter().zip(tables).map(size).collect(),
            account_bytes: accounts.iter().map(FeatureTable::bytes).sum(),
            identities: dedup.entries(),
            identity_bytes: dedup.bytes() + remembered.bytes(),
            decision_bytes,
            dedup_horizon_ms: dedup.horizon_ms(),
        }
    }
}
