//! What the engine knows, one item after the other, for whoever takes it out: decisions and referrers in clear, windows under
//! hashes of their keys.
//!
//! Values are those that an event at the newest event time would read. It changes nothing that a reading can see.

use super::Engine;
use super::decisions::DecisionRecord;
use crate::state::{FeatureTable, KeyHash, Op, Reading, Readings};

/// How many keys are read together.
const PASS_KEYS: usize = 4096;

/// Something that the engine knows.
#[derive(Clone, Copy, Debug)]
pub enum Exported<'a> {
    /// A subject under a decision.
    Decision(&'a DecisionRecord),
    /// Who invited an account.
    Referrer {
        /// The account's key.
        account: KeyHash,
        /// The referrer, in clear.
        referrer: &'a str,
    },
    /// What a table holds at a key.
    Window {
        /// Name of the feature, or of the fact about an account.
        name: &'a str,
        /// Whether it is a fact about an account.
        is_fact: bool,
        /// The key.
        key: KeyHash,
        /// What it reads there.
        reading: Reading,
    },
}

impl Engine {
    /// Hands over what is known: decisions, then referrers, facts about accounts, features. Nothing before the first event.
    pub fn export(&mut self, put: &mut dyn FnMut(Exported<'_>)) {
        let Some(as_of_ms) = self.clock.latest_ms() else { return };
        self.decisions.records().for_each(|record| put(Exported::Decision(record)));
        if let Some(referrers) = self.accounts.referrers() {
            referrers.known(as_of_ms).for_each(|(account, referrer)| put(Exported::Referrer { account, referrer }));
        }
        let horizon_ms = self.clock.horizon_ms();
        let op = |offset_ms: i64| Op {
            time_ms: as_of_ms.saturating_sub(offset_ms),
            horizon_ms: horizon_ms.saturating_sub(offset_ms),
            ..Op::default()
        };
        for place in 0..self.accounts.tables().len() {
            let name = self.accounts.name(place);
            let table = &mut self.accounts.tables_mut()[place];
            read_all(table, op(0), &mut |key, reading| put(Exported::Window { name, is_fact: true, key, reading }));
        }
        for ((feature, planned), table) in self.rules.features.iter().zip(&self.plan.features).zip(&mut self.tables) {
            let name = feature.name.as_str();
            let put = &mut |key, reading| put(Exported::Window { name, is_fact: false, key, reading });
            read_all(table, op(planned.offset_ms), put);
        }
    }
}

/// Reads every key of a table that has something in reach.
fn read_all(table: &mut FeatureTable, op: Op, put: &mut dyn FnMut(KeyHash, Reading)) {
    let (mut keys, mut readings, mut from) = (Vec::new(), Readings::default(), Some(0));
    while let Some(start) = from {
        keys.clear();
        readings.clear();
        from = table.keys_from(start, PASS_KEYS, &mut keys);
        let ops: Vec<Op> = keys.iter().map(|key| Op { key: *key, ..op }).collect();
        table.apply(&ops, &[], &mut readings);
        let known = keys.iter().zip(&readings.readings).filter(|(_, reading)| reading.known);
        known.for_each(|(key, reading)| put(*key, *reading));
    }
}
