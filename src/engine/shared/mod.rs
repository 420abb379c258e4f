//! State that several engines share: a chunk of events is judged over the few records that it needs.
//!
//! The records of all keys are kept elsewhere, where every engine reaches them. An engine says which of them a chunk of
//! events needs ([`SharedChunk::wanted`]), is given them, judges as it always does, and says what has become of them
//! ([`SharedChunk::state_changes`], then [`SharedChunk::verdict_changes`]); who keeps them writes a record only if nobody
//! else has meanwhile, and lets the chunk be judged again where somebody has. So windows are computed by the same code as in
//! one process, and nothing of them is computed anywhere else. May import what the engine is made of; no I/O.
//!
//! Invariants: a verdict is remembered after everything else that came of its event was written, so an event that has one
//! is applied; one without is judged again, and what a try before has written of it counts once: windows know their events,
//! what does not is told by [`Applied`], and decisions by the place of their event. An event that comes again from the same
//! place of the log is the same delivery and gets its first verdict as it was; from another place it is a repeat.
//! Tested in `tests/shared.rs` against an engine that keeps all by itself.

mod decisions;
mod fill;
mod flow;
mod identity;
mod records;

use super::Engine;
use super::breaker::Breakers;
use super::checkpoint::key_check;
use super::tally::Tally;
use crate::event::SubjectKind;
use crate::ruleset::program::{Aggregate, DecideSubject, RuleSet};
use crate::state::FeatureTable;

pub use flow::{Change, Next, SharedChunk};
pub use records::{RecordKind, RecordName};

use records::Records;

/// The place of an event in a log that is kept: the same whoever reads it, and however often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Hash of the name of its partition.
    pub partition: u64,
    /// Its number there.
    pub offset: u64,
}

impl Origin {
    /// Whether it is this place or one behind it in the same partition.
    pub(super) fn is_from(self, at: Origin) -> bool {
        self.partition == at.partition && self.offset >= at.offset
    }
}

/// Whether what came of the event at a place of the log was written to a record by a try that may not have come to its end.
pub type Applied<'a> = &'a dyn Fn(RecordName<'_>, Origin) -> bool;

/// A table whose windows stand in records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SharedTable {
    /// What it is called.
    pub name: String,
    /// What it must be to hold the same windows.
    pub definition: Vec<u8>,
}

/// What engines that share their state agree on for a rule set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// By table, in the order of [`Engine::shared_tables`]: the number that its windows have in records. From 2 on.
    pub sections: Vec<u32>,
    /// By feature: from which event time on every engine has counted it; `None`: from the first event on.
    pub since_ms: Vec<Option<i64>>,
    /// Event time of the first event that was ever taken in.
    pub started_ms: Option<i64>,
    /// The kinds of subjects that may stand under a decision.
    pub subjects: Vec<SubjectKind>,
}

/// What is needed to judge over shared state.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    terms: Terms,
    records: Records,
    /// Records and the tables whose windows in them may have changed.
    changed: Vec<(u32, u32)>,
    /// How many of the records were there when facts about accounts were: what those behind hold of accounts stays as it is.
    accounts_end: usize,
    /// The lowest horizon of all engines, as far as that is known; `None`: there is but this one.
    lowest_ms: Option<i64>,
    /// What was as it is before the chunk.
    before: Option<(Breakers, Tally)>,
}

impl Sharing {
    /// Of the own horizon and that of the engine that is furthest behind, the earlier.
    fn forgotten_ms(&self, horizon_ms: i64) -> i64 {
        self.lowest_ms.map_or(horizon_ms, |lowest_ms| lowest_ms.min(horizon_ms))
    }
}

impl RuleSet {
    /// The features that engines cannot share: a component is one graph of a whole program, not a window by key.
    pub fn unshareable(&self) -> impl Iterator<Item = &str> {
        let of = self.features.iter().filter(|feature| matches!(feature.aggregate, Aggregate::Component(_)));
        of.map(|feature| feature.name.as_str())
    }

    /// The kinds of subjects that its rules decide about.
    pub fn decided_subjects(&self) -> Vec<SubjectKind> {
        let decides = self.rules.iter().flat_map(|rule| &rule.decide);
        let mut kinds: Vec<SubjectKind> = decides
            .map(|decide| match &decide.subject {
                DecideSubject::Role(_) | DecideSubject::Members(_) => SubjectKind::Account,
                DecideSubject::Thing(kind) | DecideSubject::ById(kind, _) => *kind,
            })
            .collect();
        kinds.sort_unstable_by_key(|kind| *kind as usize);
        kinds.dedup();
        kinds
    }
}

impl Engine {
    /// The tables whose windows stand in records: features in the order of the rule set, then facts about accounts.
    pub fn shared_tables(&self) -> Vec<SharedTable> {
        let features = self.rules.features.iter().zip(&self.tables).map(|(feature, table)| SharedTable {
            name: feature.name.clone(),
            definition: [feature.definition.as_bytes(), &[0], &table.definition()].concat(),
        });
        let accounts = self.accounts.tables().iter().enumerate().map(|(place, table)| SharedTable {
            name: self.accounts.name(place).to_owned(),
            definition: table.definition(),
        });
        features.chain(accounts).collect()
    }

    /// Judges over shared state from here on, by these terms: once before the first event, and after each reload.
    pub fn share(&mut self, terms: Terms) {
        let tables = self.tables.len() + self.accounts.tables().len();
        assert_eq!(terms.sections.len(), tables, "every table has its number");
        for (feature, since_ms) in self.plan.features.iter_mut().zip(&terms.since_ms) {
            feature.since_ms = *since_ms;
        }
        self.started_ms = terms.started_ms.or(self.started_ms);
        for signal in terms.subjects.iter().filter_map(|kind| kind.signal()) {
            self.plan.signals.insert(signal);
        }
        if let Some(referrers) = self.accounts.referrers_mut() {
            referrers.note_missed();
        }
        let before = self.sharing.take().map(|sharing| *sharing).unwrap_or_default();
        let Sharing { records, lowest_ms, .. } = before;
        self.sharing = Some(Box::new(Sharing { terms, records, lowest_ms, ..Sharing::default() }));
    }

    /// Tells the key of hashes apart from others, without telling it.
    pub fn key_check(&self) -> u128 {
        key_check(&self.hasher).bits()
    }

    /// Identities of events before this time are forgotten.
    pub fn identity_horizon_ms(&self) -> i64 {
        let watermark_ms = self.forgotten_ms().saturating_add(self.clock.allowed_lateness_ms());
        watermark_ms.saturating_sub(self.dedup.span_ms())
    }

    /// Takes the first event to have been of this time.
    pub fn begin_at(&mut self, started_ms: i64) {
        self.started_ms = Some(started_ms);
    }

    /// Event time of the first event that was taken in.
    pub fn started_ms(&self) -> Option<i64> {
        self.started_ms
    }

    /// A partition comes into use that has shown this event time to who read it before.
    pub fn resume(&mut self, partition: u32, newest_ms: i64) {
        self.clock.resume(partition, newest_ms);
    }

    /// What other engines tell: the lowest newest event time of the partitions that they read (`None`: there are none), and of
    /// all engines the highest watermark and the lowest, as they told them.
    pub fn read_elsewhere(&mut self, newest_ms: Option<i64>, watermarks_ms: Option<(i64, i64)>) {
        self.clock.read_elsewhere(newest_ms, watermarks_ms.map(|(highest_ms, _)| highest_ms));
        if let (Some(sharing), Some((_, lowest_ms))) = (&mut self.sharing, watermarks_ms) {
            sharing.lowest_ms = Some(lowest_ms.saturating_sub(self.clock.allowed_lateness_ms()));
        }
    }

    /// Nothing that is older is asked for by any engine.
    pub fn forgotten_ms(&self) -> i64 {
        let horizon_ms = self.clock.horizon_ms();
        self.sharing.as_ref().map_or(horizon_ms, |sharing| sharing.forgotten_ms(horizon_ms))
    }

    /// Forgets what the records of the last chunk held.
    fn clear_shared(&mut self) {
        self.tables.iter_mut().chain(self.accounts.tables_mut()).for_each(FeatureTable::clear);
        if let Some(referrers) = self.accounts.referrers_mut() {
            referrers.clear();
        }
        self.waiting.clear();
        self.decisions.clear();
    }
}
