//! Another rule set takes the place of the one in force, between two events.
//!
//! A reload is an input like an event: it has a place in the order of everything that is judged, and what follows from it
//! depends on that place alone. What is kept goes by name, never by index, since all indexes are places in one rule set.
//! Kept are the tables of features whose definition stands, what is remembered of accounts, identities and first verdicts,
//! decisions, and the counts of rules that are still there. Tested in `tests/reload.rs`.

use std::sync::Arc;

use super::Engine;
use super::account::AccountTables;
use super::chunk::Chunk;
use super::plan::{FeaturePlan, Plan, window_spec};
use super::programs::Programs;
use crate::event::SubjectKind;
use crate::ruleset::program::RuleSet;
use crate::signals::Wanted;
use crate::state::FeatureTable;

/// What must be derived of events once this rule set takes the place of one for which `before` was derived.
///
/// Decisions outlive the rule that made them, and find their subjects by signals: these stay wanted.
pub fn wanted_after(before: Wanted, rules: &RuleSet) -> Wanted {
    let mut wanted = Wanted { signals: Plan::new(rules).signals, fields: rules.fields };
    keep_subjects(before, &mut wanted);
    wanted
}

/// What is remembered of accounts for the second rule set and not for the first, in words: it begins with a reload.
pub fn begins_to_remember(from: &RuleSet, to: &RuleSet) -> Vec<&'static str> {
    let tables = |rules: &RuleSet| AccountTables::new(rules.reads.reads().iter().map(|read| &read.source));
    tables(to).beyond(&tables(from))
}

fn keep_subjects(before: Wanted, wanted: &mut Wanted) {
    let subjects = SubjectKind::ALL.iter().filter_map(|kind| kind.signal());
    subjects.filter(|signal| before.signals.contains(*signal)).for_each(|signal| wanted.signals.insert(signal));
}

impl Engine {
    /// Puts another rule set in force for the events from here on.
    ///
    /// A feature keeps its counts if it has the same name and definition in both; another one starts empty, and is complete
    /// once a whole window lies behind the newest event that was shown before. Keys that were watched for are given up, and
    /// so is a checkpoint that is under way: whoever wants it finishes it first.
    /// Events must be derived for [`Engine::wanted`] as it is afterwards: [`wanted_after`] tells it beforehand. Answers which
    /// features start empty.
    pub fn reload(&mut self, rules: Arc<RuleSet>) -> Vec<String> {
        // Its parts would no longer be those that it began with.
        self.cancel_checkpoint();
        self.reloads += 1;
        // Tables that go take their counts along.
        self.look_at_quotas();
        let mut plan = Plan::new(&rules);
        let mut wanted = Wanted { signals: plan.signals, fields: rules.fields };
        keep_subjects(self.wanted(), &mut wanted);
        plan.signals = wanted.signals;
        let features = self.rules.features.len();
        let mut places = self.reload_features(&rules, &mut plan);
        self.waiting.reload(|feature| {
            let now = places.iter().position(|before| *before == Some(feature as usize));
            now.map(|place| place as u32)
        });
        let accounts = self.accounts.reload(&self.plan.accounts, &plan.accounts, self.retention_ms, self.max_entries);
        places.extend(accounts.into_iter().map(|place| place.map(|place| features + place)));
        self.quotas.open(&mut self.tables, self.accounts.tables_mut(), self.clock.watermark_ms());
        // Identities, decisions and what waits stand behind the tables.
        let before = self.swept_keys.len();
        self.watch.reload(places.iter().copied().chain((before..before + 3).map(Some)));
        let swept = |place: usize| self.swept_keys.get(place).copied();
        self.swept_keys = places.into_iter().map(|place| place.and_then(swept).unwrap_or(0)).collect();
        self.tally = self.tally.carried(&self.rules, &rules);
        self.breakers.reload(&self.rules, &rules, self.every_rule_in_force);
        // Thresholds stand there by type, and what the last chunk holds by place.
        self.programs = Programs::default();
        self.chunk = Chunk::default();
        self.watching = None;
        self.managed.reload(&rules);
        self.plan = plan;
        self.rules = rules;
        let features = self.rules.features.iter().zip(&self.plan.features);
        let empty = features.filter(|(_, planned)| planned.came_with == self.reloads);
        empty.map(|(feature, _)| feature.name.clone()).collect()
    }

    /// Goes over to the tables of another rule set. Answers for each of its features which one before it is.
    fn reload_features(&mut self, rules: &RuleSet, plan: &mut Plan) -> Vec<Option<usize>> {
        // An event at the very time of the newest may have been among those that were missed.
        let since_ms = self.clock.latest_ms().map(|latest_ms| latest_ms.saturating_add(1));
        let mut before: Vec<Option<FeatureTable>> = std::mem::take(&mut self.tables).into_iter().map(Some).collect();
        let mut places = Vec::with_capacity(rules.features.len());
        for (feature, planned) in rules.features.iter().zip(&mut plan.features) {
            let spec = window_spec(feature, self.max_entries);
            let place = self.rules.features.binary_search_by(|known| known.name.cmp(&feature.name)).ok();
            let known = place.filter(|place| self.rules.features[*place].definition == feature.definition);
            let known = known.map(|place| (place, before[place].take()));
            // The types of values are no part of the text of a definition.
            if let Some((place, Some(table))) = known
                && *table.spec() == spec
            {
                let FeaturePlan { since_ms, came_with, .. } = self.plan.features[place];
                (planned.since_ms, planned.came_with) = (since_ms, came_with);
                self.tables.push(table);
                places.push(Some(place));
            } else {
                (planned.since_ms, planned.came_with) = (since_ms, self.reloads);
                self.tables.push(FeatureTable::new(spec));
                places.push(None);
            }
        }
        places
    }
}
