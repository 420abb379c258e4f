//! All that the engine knows, to segments of bytes and back: a checkpoint without its file.
//!
//! A segment says by its first byte what is in it and holds whole items, so that it can be written and checked alone. What
//! is kept goes by name and definition, as over a reload: a checkpoint can be read under other rules, and what begins empty
//! then begins with it. Counts of rules for metrics are not kept: they count since the process began. Nor is the layout of
//! memory, which no reading depends on; only what is refused near the bound of memory may fall on other keys than without
//! the restart. May import what the engine is made of. Tested in `tests/oracle_engine/checkpoints.rs`: what goes on after
//! a restart says the same, byte for byte, as what was never stopped.

mod restore;

pub use restore::{RestoreError, Restored, Restoring};

use super::Engine;
use crate::event::SubjectKind;
use crate::state::{KeyHasher, PartHash, Scalar, Segments};

/// What a segment is of.
mod tag {
    /// What there is once: key check, clock, counts.
    pub(super) const HEAD: u8 = 1;
    /// A table begins.
    pub(super) const TABLE: u8 = 2;
    /// Keys of the table that began last.
    pub(super) const KEYS: u8 = 3;
    /// Referrers begin.
    pub(super) const REFERRERS: u8 = 4;
    /// Referrers of accounts.
    pub(super) const REFERRALS: u8 = 5;
    /// The memory of identities begins.
    pub(super) const DEDUP: u8 = 6;
    /// Identities.
    pub(super) const IDENTITIES: u8 = 7;
    /// First verdicts.
    pub(super) const VERDICTS: u8 = 8;
    /// Decisions begin.
    pub(super) const DECISIONS: u8 = 9;
    /// Decisions on subjects.
    pub(super) const SUBJECTS: u8 = 10;
    /// Breakers.
    pub(super) const BREAKERS: u8 = 11;
    /// The watch over memory.
    pub(super) const WATCH: u8 = 12;
    /// Nothing more comes.
    pub(super) const END: u8 = 13;
    /// Events that wait for a referral.
    pub(super) const WAITING: u8 = 14;
}

/// Whose table it is.
const OF_FEATURE: u8 = 0;
const OF_ACCOUNTS: u8 = 1;

/// Tells keys apart without telling them: a hash under the key.
fn key_check(hasher: &KeyHasher) -> PartHash {
    hasher.part(Scalar::Text("refguard checkpoint"))
}

impl Engine {
    /// Writes all that the engine knows, between two batches: hands segments to `put`, in order.
    pub fn checkpoint(&self, put: &mut dyn FnMut(&[u8])) {
        let mut segments = Segments::new(put);
        self.store_head(&mut segments);
        for ((feature, planned), table) in self.rules.features.iter().zip(&self.plan.features).zip(&self.tables) {
            let writer = segments.open(tag::TABLE);
            writer.byte(OF_FEATURE);
            writer.text(&feature.name);
            writer.text(&feature.definition);
            writer.maybe_time(planned.since_ms);
            table.store_head(writer);
            segments.open(tag::KEYS);
            table.store_keys(&mut segments);
        }
        for (place, table) in self.accounts.tables().iter().enumerate() {
            let writer = segments.open(tag::TABLE);
            writer.byte(OF_ACCOUNTS);
            writer.text(self.accounts.name(place));
            table.store_head(writer);
            segments.open(tag::KEYS);
            table.store_keys(&mut segments);
        }
        if let Some(referrers) = self.accounts.referrers() {
            referrers.store_head(segments.open(tag::REFERRERS));
            segments.open(tag::REFERRALS);
            referrers.store_records(&mut segments);
        }
        segments.open(tag::WAITING);
        self.waiting.store(&mut segments);
        self.dedup.store_head(segments.open(tag::DEDUP));
        segments.open(tag::IDENTITIES);
        self.dedup.store_identities(&mut segments);
        segments.open(tag::VERDICTS);
        self.remembered.store(&mut segments);
        self.decisions.store_head(segments.open(tag::DECISIONS));
        segments.open(tag::SUBJECTS);
        self.decisions.store(&mut segments);
        segments.open(tag::BREAKERS);
        self.breakers.store(&self.rules, &mut segments);
        let names = self.part_names();
        self.watch.store(names.iter().map(String::as_str), segments.open(tag::WATCH));
        segments.open(tag::END);
        segments.close();
    }

    fn store_head(&self, segments: &mut Segments<'_>) {
        let writer = segments.open(tag::HEAD);
        writer.wide(key_check(&self.hasher).bits());
        writer.word(self.sequence);
        writer.maybe_time(self.started_ms);
        writer.text(&self.rules.hash);
        self.clock.store(writer);
        self.quotas.store(writer);
        // Decisions outlive their rules, and find their subjects by signals: these stay wanted.
        let wanted = |kind: &&SubjectKind| kind.signal().is_some_and(|of| self.plan.signals.contains(of));
        writer.count(SubjectKind::ALL.iter().filter(wanted).count());
        SubjectKind::ALL.iter().filter(wanted).for_each(|kind| writer.text(kind.name()));
    }

    /// What the parts of the state are called, in the order of their numbers.
    fn part_names(&self) -> Vec<String> {
        let features = self.rules.features.iter().map(|feature| feature.name.clone());
        let accounts = (0..self.accounts.tables().len()).map(|place| self.accounts.name(place).to_owned());
        let others = ["state.identities", "state.decisions", "state.waiting"].map(str::to_owned);
        features.chain(accounts).chain(others).collect()
    }
}
