//! History into state: events that happened before refguard watched, or before a feature was defined, are counted and not
//! judged.
//!
//! *Whole* history comes before the events that are judged, in the same log and clock: everything that is remembered
//! learns from it, and only deciding is left out. An event of it that comes again to be judged is judged, since it has no
//! verdict yet, and is not counted a second time.
//!
//! History for *some features* comes while other events are judged: those that a reload brought, which began empty. It has
//! a clock and a memory of identities of its own, so that what is late in it, sent twice or under a used id counts as it
//! would have, had the feature been there; only the tables of these features change. Counting an event twice changes
//! nothing where a window keeps the events apart, so that history may overlap with what was counted since. `rate` depends
//! on the order of arrival and does not take part: it is whole again by itself once its period has passed.
//!
//! Tested in `tests/engine/backfill.rs` and, against judging, in `tests/oracle_engine/histories.rs`.

use super::Engine;
use super::chunk::Entry;
use super::clock::Clock;
use super::erasure::up_to_erasure;
use super::machine::CHUNK_EVENTS;
use super::plan::FeaturePlan;
use super::quotas::Meters;
use crate::event::{EventBatch, Signals};
use crate::ruleset::program::Feature;
use crate::state::{Aggregate, Dedup, FeatureTable, Sighting};

/// What history is counted into.
#[derive(Debug)]
pub enum Backfill {
    /// Everything that is remembered.
    Whole,
    /// The windows of some features.
    Features(Box<Filling>),
}

/// History on its way into some features.
#[derive(Debug)]
pub struct Filling {
    /// By name, with the reload that each came with.
    features: Vec<(String, u64)>,
    clock: Clock,
    dedup: Dedup,
    meters: Meters,
}

/// What became of events of history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backfilled {
    /// Counted.
    pub counted: u64,
    /// The same event again: they changed nothing.
    pub repeats: u64,
    /// Other content under the name of an earlier event: they changed nothing.
    pub reused: u64,
    /// Older than the horizon: they changed nothing.
    pub late: u64,
    /// Past their program's quota: they changed nothing.
    pub over_quota: u64,
}

impl Backfilled {
    /// Adds what became of others.
    pub fn add(&mut self, other: Backfilled) {
        self.counted += other.counted;
        self.repeats += other.repeats;
        self.reused += other.reused;
        self.late += other.late;
        self.over_quota += other.over_quota;
    }

    fn take(&mut self, entries: &[Entry]) {
        for entry in entries {
            let became = match entry.sighting {
                _ if entry.moment.late => &mut self.late,
                Some(Sighting::Repeat(_) | Sighting::Unjudged(_)) => &mut self.repeats,
                Some(Sighting::Reused(_)) => &mut self.reused,
                Some(Sighting::New(_)) | None if entry.over_quota => &mut self.over_quota,
                Some(Sighting::New(_)) | None => &mut self.counted,
            };
            *became += 1;
        }
    }
}

impl Engine {
    /// Begins to count history into the features of these names that are there now. One that another rule set changes
    /// meanwhile drops out.
    pub fn begin_backfill(&self, features: &[String]) -> Backfill {
        let there = self.rules.features.iter().zip(&self.plan.features);
        let wanted = there.filter(|(feature, _)| features.contains(&feature.name));
        let features = wanted.map(|(feature, planned)| (feature.name.clone(), planned.came_with)).collect();
        let (clock, dedup) = (self.clock.begun_anew(), self.dedup.begun_anew());
        Backfill::Features(Box::new(Filling { features, clock, dedup, meters: self.quotas.meters_anew() }))
    }

    /// A partition of the history comes into use, as [`Engine::assign`].
    pub fn assign_history(&mut self, partition: u32, into: &mut Backfill) {
        match into {
            Backfill::Whole => self.clock.assign(partition),
            Backfill::Features(filling) => filling.clock.assign(partition),
        }
    }

    /// A partition of the history was read to its end, as [`Engine::revoke`].
    pub fn revoke_history(&mut self, partition: u32, into: &mut Backfill) {
        match into {
            Backfill::Whole => self.clock.revoke(partition),
            Backfill::Features(filling) => filling.clock.revoke(partition),
        }
    }

    /// Counts the events of a batch of history into what `into` says, in order, without judging them. Answers what became
    /// of them.
    ///
    /// `signals` are those of [`Engine::wanted`], one row an event.
    pub fn backfill(&mut self, batch: &EventBatch, signals: &[Signals], into: &mut Backfill) -> Backfilled {
        assert_eq!(batch.events.len(), signals.len(), "signals were derived for every event of the batch");
        match into {
            Backfill::Whole => self.backfill_whole(batch, signals),
            Backfill::Features(filling) => self.backfill_features(batch, signals, filling),
        }
    }

    /// Says that history was counted from this instant on without a gap: what was filled is complete once a whole window
    /// lies behind it.
    pub fn backfilled(&mut self, into: &Backfill, since_ms: i64) {
        match into {
            Backfill::Whole => self.started_ms = Some(since_ms),
            Backfill::Features(filling) => {
                let taking_part = self.taking_part(filling);
                for (feature, _) in self.plan.features.iter_mut().zip(taking_part).filter(|(_, part)| *part) {
                    feature.since_ms = Some(feature.since_ms.map_or(since_ms, |ms| ms.min(since_ms)));
                }
            }
        }
    }

    /// How far back from an event history matters to these features, in milliseconds: the longest reach, offsets included.
    /// `None` when there is none that takes part.
    pub fn backfill_reach_ms(&self, into: &Backfill) -> Option<i64> {
        let taking_part = match into {
            Backfill::Whole => vec![true; self.plan.features.len()],
            Backfill::Features(filling) => self.taking_part(filling),
        };
        let reaches = self.plan.features.iter().zip(taking_part).filter(|(_, part)| *part);
        let reaches = reaches.map(|(feature, _)| feature.reach_ms.saturating_add(feature.offset_ms));
        let accounts = (matches!(into, Backfill::Whole) && !self.plan.accounts.is_empty()).then_some(self.retention_ms);
        reaches.chain(accounts).max()
    }

    /// By feature, whether it is among these and takes part.
    fn taking_part(&self, filling: &Filling) -> Vec<bool> {
        let features = self.rules.features.iter().zip(&self.plan.features).zip(&self.tables);
        let takes_part = |((feature, planned), table): ((&Feature, &FeaturePlan), &FeatureTable)| {
            let wanted = |(name, came_with): &(String, u64)| *name == feature.name && *came_with == planned.came_with;
            filling.features.iter().any(wanted) && !matches!(table.spec().aggregate, Aggregate::Rate { .. })
        };
        features.map(takes_part).collect()
    }

    fn backfill_whole(&mut self, batch: &EventBatch, signals: &[Signals]) -> Backfilled {
        let mut tally = Backfilled::default();
        let first = self.dedup.next();
        self.in_chunks(&batch.events, 0..batch.events.len(), |engine, chunk| {
            engine.place(batch, &batch.events[chunk.clone()]);
            tally.take(&engine.chunk.entries);
            engine.count(batch, chunk.start, &signals[chunk.clone()], None);
            engine.sequence += chunk.len() as u64;
            engine.erase_history(batch, &batch.events[chunk], None);
            engine.keep_up();
        });
        self.dedup.note_unjudged(first);
        tally
    }

    fn backfill_features(&mut self, batch: &EventBatch, signals: &[Signals], filling: &mut Filling) -> Backfilled {
        let mut tally = Backfilled::default();
        let taking_part = self.taking_part(filling);
        let horizon_ms = self.clock.horizon_ms();
        let mut from = 0;
        while from < signals.len() {
            let size = up_to_erasure(&batch.events[from..signals.len().min(from + CHUNK_EVENTS)]);
            let (events, signals) = (&batch.events[from..from + size], &signals[from..from + size]);
            // No place of upkeep comes while there are no events to judge.
            self.look_at_quotas();
            self.exchange(filling);
            self.place(batch, events);
            self.exchange(filling);
            tally.take(&self.chunk.entries);
            // What events that are judged can still see stays, and what history can still add to is not refused.
            for entry in &mut self.chunk.entries {
                entry.moment.horizon_ms = entry.moment.horizon_ms.min(horizon_ms);
            }
            self.count(batch, from, signals, Some(&taking_part));
            self.erase_history(batch, events, Some(&taking_part));
            from += size;
        }
        tally
    }

    fn exchange(&mut self, filling: &mut Filling) {
        std::mem::swap(&mut self.clock, &mut filling.clock);
        std::mem::swap(&mut self.dedup, &mut filling.dedup);
        self.quotas.exchange(&mut filling.meters);
    }
}
