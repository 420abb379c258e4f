//! All that is kept about one account and can be found by its id: for the person it is about.
//!
//! Windows lie under keyed hashes, so only those can be found whose key is an account's id alone. What an account has with a
//! device, an address or a card lies under keys that nobody can tell from its id; it leaves with its window.

use super::chunk::reading;
use super::decisions::DecisionRecord;
use super::machine::Engine;
use super::record::write_value;
use crate::event::{Field, SubjectKind};
use crate::ruleset::cel::Leaf;
use crate::ruleset::program::Feature;
use crate::state::{KeyHash, Op, Readings, Scalar};

pub use super::account::KnownFact;

/// What is kept about an account.
#[derive(Clone, Debug, Default)]
pub struct Dossier {
    /// The newest event time, as of which the rest is told; `None`: there was no event yet.
    pub as_of_ms: Option<i64>,
    /// What stands on the account, with causes that have ended and were not yet forgotten.
    pub decision: Option<DecisionRecord>,
    /// Facts, by name.
    pub facts: Vec<(&'static str, KnownFact)>,
    /// Who invited it.
    pub referrer: Option<String>,
    /// What was counted under its id.
    pub features: Vec<KeptFeature>,
}

/// What a feature counted under the id of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFeature {
    /// Its name.
    pub feature: String,
    /// The field of events that the id stood in.
    pub field: &'static str,
    /// What is computed, in one word.
    pub aggregate: &'static str,
    /// The value as JSON.
    pub value: Vec<u8>,
    /// Whether nothing that would matter was summarised or refused.
    pub exact: bool,
}

impl Engine {
    /// All that is kept about an account of a program; what programs share, only if `everywhere`. It changes nothing that a
    /// reading can see.
    pub fn dossier(&mut self, program: &str, account: &str, everywhere: bool) -> Dossier {
        self.programs.trim();
        let place = self.programs.place(program, &self.policy, &self.rules, &self.hasher);
        let part = |text| self.hasher.part(Scalar::Text(text));
        let (first, id) = (self.programs.get(place).part, part(account));
        let subject = self.hasher.key(first, &[part(SubjectKind::Account.name()), id]);
        let decision = self.decisions.record(subject).cloned();
        let Some(as_of_ms) = self.clock.latest_ms() else { return Dossier { decision, ..Dossier::default() } };
        let op = Op { time_ms: as_of_ms, horizon_ms: self.clock.horizon_ms(), ..Op::default() };
        let key = self.hasher.key(first, &[id]).of_class(self.programs.get(place).class);
        let (facts, referrer) = self.accounts.known(key, op);
        let referrer = referrer.map(str::to_owned);
        let features = self.kept_features(place, account, op, everywhere);
        Dossier { as_of_ms: Some(as_of_ms), decision, facts, referrer, features }
    }

    fn kept_features(&mut self, place: usize, account: &str, op: Op, everywhere: bool) -> Vec<KeptFeature> {
        let (mut kept, mut readings) = (Vec::new(), Readings::default());
        let program = self.programs.get(place);
        let id = self.hasher.part(Scalar::Text(account));
        let started_ms = self.started_ms.unwrap_or(i64::MAX);
        for ((feature, planned), table) in self.rules.features.iter().zip(&self.plan.features).zip(&mut self.tables) {
            let Some(field) = account_field(feature).filter(|_| everywhere || !planned.space.is_global()) else {
                continue;
            };
            let time_ms = op.time_ms.saturating_sub(planned.offset_ms);
            let key: KeyHash = planned.space.first(program, &self.hasher, time_ms).key(&self.hasher, &[id]);
            readings.clear();
            let horizon_ms = op.horizon_ms.saturating_sub(planned.offset_ms);
            table.apply(&[Op { key, time_ms, horizon_ms, ..op }], &[], &mut readings);
            let Some(seen) = readings.readings.first().filter(|seen| seen.known) else { continue };
            let mut value = Vec::new();
            let complete = planned.is_complete_for(|| program, time_ms, started_ms);
            write_value(&mut value, &reading(seen, planned, complete));
            kept.push(KeptFeature {
                feature: feature.name.clone(),
                field: field.name(),
                aggregate: feature.aggregate.name(),
                value,
                exact: seen.exact,
            });
        }
        kept
    }
}

/// The field with the account that a feature counts by, if it counts by nothing else.
pub(super) fn account_field(feature: &Feature) -> Option<Field> {
    let [only] = feature.key.as_slice() else { return None };
    match only.leaf() {
        Some(Leaf::Text(field @ (Field::AccountId | Field::ReferrerId | Field::RecipientId))) => Some(field),
        _ => None,
    }
}
