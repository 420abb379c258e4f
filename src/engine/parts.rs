//! The parts that the state's memory is made of, under one number each: features in the order of the rule set, facts about
//! accounts, identities, decisions, events that wait. What bounds them and what measures them goes over this list, so that nothing is left out.

use super::account::AccountMemory;
use super::decisions::Decisions;
use super::remembered::Remembered;
use super::waiting::Waiting;
use crate::ruleset::program::RuleSet;
use crate::state::{Dedup, FeatureTable, Limit};

/// What identities and decisions ask for at once, about: a chunk and its verdicts, or the decisions of 1024 events.
const STEP_BYTES: usize = 512 << 10;
/// How many identities are forgotten at a look, at most, so that nobody waits long.
const FORGOTTEN_MAX: u64 = 16_384;
/// And at least, if any: as many as come between two looks.
const FORGOTTEN_LEAST: u64 = 1024;

/// The number of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part(pub usize);

/// All parts of the state.
pub(super) struct Parts<'a> {
    pub rules: &'a RuleSet,
    pub tables: &'a mut [FeatureTable],
    pub accounts: &'a mut AccountMemory,
    pub waiting: &'a Waiting,
    pub dedup: &'a mut Dedup,
    pub remembered: &'a mut Remembered,
    pub decisions: &'a mut Decisions,
    /// Bytes of what is bounded by itself: breakers.
    pub beside_bytes: usize,
}

/// What a number stands for.
enum Kind {
    Feature(usize),
    Account(usize),
    Identities,
    Decisions,
    Waiting,
}

impl Parts<'_> {
    pub(super) fn len(&self) -> usize {
        self.tables.len() + self.accounts.tables().len() + 3
    }

    /// Their numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = Part> + use<> {
        (0..self.len()).map(Part)
    }

    /// Bytes of the whole.
    pub(super) fn bytes(&self) -> usize {
        self.all().map(|part| self.bytes_of(part)).sum::<usize>() + self.beside_bytes
    }

    /// The same with what limited parts may take again.
    pub(super) fn claimed_bytes(&self) -> usize {
        let identities = self.dedup.bytes() + self.remembered.bytes();
        let limit = self.dedup.limit_bytes();
        self.bytes() + limit.map_or(0, |limit| (limit + STEP_BYTES).saturating_sub(identities))
    }

    fn kind(&self, part: Part) -> Kind {
        let (features, accounts) = (self.tables.len(), self.accounts.tables().len());
        match part.0 {
            place if place < features => Kind::Feature(place),
            place if place < features + accounts => Kind::Account(place - features),
            place if place == features + accounts => Kind::Identities,
            place if place == features + accounts + 1 => Kind::Decisions,
            _ => Kind::Waiting,
        }
    }

    fn table(&self, part: Part) -> Option<&FeatureTable> {
        match self.kind(part) {
            Kind::Feature(place) => self.tables.get(place),
            Kind::Account(place) => self.accounts.tables().get(place),
            Kind::Identities | Kind::Decisions | Kind::Waiting => None,
        }
    }

    /// What it is called. A feature's name has no dot, so that no two are called alike.
    pub(super) fn name(&self, part: Part) -> String {
        match self.kind(part) {
            Kind::Feature(place) => self.rules.features[place].name.clone(),
            Kind::Account(place) => self.accounts.name(place).to_owned(),
            Kind::Identities => "state.identities".to_owned(),
            Kind::Decisions => "state.decisions".to_owned(),
            Kind::Waiting => "state.waiting".to_owned(),
        }
    }

    /// Its bytes, everything counted.
    pub(super) fn bytes_of(&self, part: Part) -> usize {
        match self.kind(part) {
            Kind::Feature(place) => self.tables[place].bytes(),
            Kind::Account(place) => self.accounts.bytes_of(place),
            Kind::Identities => self.dedup.bytes() + self.remembered.bytes(),
            Kind::Decisions => self.decisions.bytes(),
            Kind::Waiting => self.waiting.bytes(),
        }
    }

    /// How many keys, identities or subjects it has.
    pub(super) fn keys(&self, part: Part) -> usize {
        match self.kind(part) {
            Kind::Identities => self.dedup.entries(),
            Kind::Decisions => self.decisions.len(),
            Kind::Waiting => self.waiting.len(),
            Kind::Feature(_) | Kind::Account(_) => self.table(part).map_or(0, FeatureTable::keys),
        }
    }

    /// How many events it refused; of identities, how many were forgotten early.
    pub(super) fn refused(&self, part: Part) -> u64 {
        match self.kind(part) {
            Kind::Identities => self.dedup.forgotten_early(),
            Kind::Decisions => self.decisions.refused(),
            Kind::Waiting => self.waiting.refused(),
            Kind::Feature(_) | Kind::Account(_) => self.table(part).map_or(0, FeatureTable::refused),
        }
    }

    /// About the most that it asks for at once.
    pub(super) fn step_bytes(&self, part: Part) -> usize {
        match self.kind(part) {
            // It is bounded by itself.
            Kind::Waiting => 0,
            _ => self.table(part).map_or(STEP_BYTES, FeatureTable::step_bytes),
        }
    }

    pub(super) fn limit(&self, part: Part) -> Limit {
        let limited = |is_limited| if is_limited { Limit::Keys } else { Limit::None };
        match self.kind(part) {
            Kind::Identities => limited(self.dedup.limit_bytes().is_some()),
            Kind::Decisions => limited(self.decisions.is_limited()),
            Kind::Waiting => Limit::None,
            Kind::Feature(_) | Kind::Account(_) => self.table(part).map_or(Limit::None, FeatureTable::limit),
        }
    }

    /// How it can be limited further.
    pub(super) fn next_limit(&self, part: Part) -> Option<Limit> {
        match (self.limit(part), self.table(part)) {
            (Limit::None, _) if matches!(self.kind(part), Kind::Waiting) => None,
            (Limit::None, _) => Some(Limit::Keys),
            (Limit::Keys, Some(_)) => Some(Limit::Busy),
            (Limit::Busy, Some(_)) => Some(Limit::Memory),
            _ => None,
        }
    }

    /// Whether so many keys have left since it was limited that it has room for an eighth as many.
    pub(super) fn has_slack(&self, part: Part) -> bool {
        self.table(part).is_some_and(|table| table.keys() < table.keys_max() / 8 * 7)
    }

    pub(super) fn set_limit(&mut self, part: Part, limit: Limit) {
        match self.kind(part) {
            Kind::Feature(place) => self.tables[place].set_limit(limit),
            Kind::Account(place) => self.accounts.tables_mut()[place].set_limit(limit),
            Kind::Identities => {
                // With what may come between two looks it is what there is now.
                let bytes = self.bytes_of(part).saturating_sub(STEP_BYTES);
                self.dedup.set_limit((limit != Limit::None).then_some(bytes));
            }
            Kind::Decisions => self.decisions.set_limited(limit != Limit::None),
            Kind::Waiting => {}
        }
    }

    /// Lets each part grow by so many bytes at known keys until the next look.
    pub(super) fn allow(&mut self, bytes: usize) {
        self.tables.iter_mut().chain(self.accounts.tables_mut()).for_each(|table| table.allow(bytes));
        self.decisions.allow(bytes);
    }

    /// Identities under a limit keep within it: what they have more than that leaves, the oldest first.
    pub(super) fn keep_to_limit(&mut self, part: Part) {
        if let (Kind::Identities, Some(limit)) = (self.kind(part), self.dedup.limit_bytes())
            && self.bytes_of(part) > limit
        {
            let (bytes, entries) = (self.bytes_of(part), self.dedup.entries() as u64);
            let excess = entries * (bytes - limit) as u64 / bytes.max(1) as u64;
            self.dedup.forget_oldest((excess + FORGOTTEN_LEAST).min(FORGOTTEN_MAX));
            self.remembered.trim(self.dedup.oldest());
        }
    }
}

/// The size of one part of the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureSize {
    /// The feature's name; of another part, as [`SaturationChange`](super::SaturationChange) calls it.
    pub feature: String,
    /// Keys remembered.
    pub keys: usize,
    /// Bytes, everything counted.
    pub bytes: usize,
    /// Keys that lost entries to `max_entries`.
    pub truncated_keys: usize,
    /// What would make it grow is refused.
    pub saturated: bool,
    /// How many events were refused since it was made; of identities, how many were forgotten early.
    pub refused: u64,
}

/// The size of the whole state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateSize {
    /// By feature, in the order of the rule set.
    pub features: Vec<FeatureSize>,
    /// The other parts: facts about accounts, then identities, then decisions, then events that wait for a referral.
    pub others: Vec<FeatureSize>,
    /// Bytes of the facts about accounts.
    pub account_bytes: usize,
    /// Identities remembered.
    pub identities: usize,
    /// Bytes of identities and remembered verdicts.
    pub identity_bytes: usize,
    /// Bytes of decisions on subjects, and of breakers.
    pub decision_bytes: usize,
    /// Bytes of events that wait for a referral.
    pub waiting_bytes: usize,
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
            + self.waiting_bytes
    }

    pub(super) fn of(parts: &Parts<'_>) -> StateSize {
        let size = |part: Part| FeatureSize {
            feature: parts.name(part),
            keys: parts.keys(part),
            bytes: parts.bytes_of(part),
            truncated_keys: parts.table(part).map_or(0, FeatureTable::truncated_keys),
            saturated: parts.limit(part) != Limit::None,
            refused: parts.refused(part),
        };
        let mut features: Vec<FeatureSize> = parts.all().map(size).collect();
        let others = features.split_off(parts.tables.len());
        let accounts = parts.accounts.tables().len();
        StateSize {
            features,
            account_bytes: others[..accounts].iter().map(|part| part.bytes).sum(),
            identities: parts.dedup.entries(),
            identity_bytes: others[accounts].bytes,
            decision_bytes: others[accounts + 1].bytes + parts.beside_bytes,
            waiting_bytes: others[accounts + 2].bytes,
            dedup_horizon_ms: parts.dedup.horizon_ms(),
            others,
        }
    }
}
