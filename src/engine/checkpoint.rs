//! All that the engine knows, to segments of bytes and back: a checkpoint without its file.
//!
//! A segment says by its first byte what is in it and holds whole items, so that it can be written and checked alone. What
//! is kept goes by name and definition, as over a reload: a checkpoint can be read under other rules, and what begins empty
//! then begins with it. Counts of rules for metrics are not kept: they count since the process began. Nor is the layout of
//! memory, which no reading depends on; only what is refused near the bound of memory may fall on other keys than without
//! the restart. May import what the engine is made of. Tested in `tests/oracle_engine/checkpoints.rs`: what goes on after
//! a restart says the same, byte for byte, as what was never stopped.

mod restore;
mod survey;

pub use restore::{RestoreError, Restored, Restoring};
pub use survey::{Survey, SurveyedPart, Surveying};

use super::Engine;
use crate::event::SubjectKind;
use crate::state::{ByteWriter, Cuttable, FeatureTable, KeyHasher, PartHash, Scalar, Segments};

/// What a segment is of.
mod tag {
    /// What there is once: key check, clock, counts.
    pub(super) const HEAD: u8 = 1;
    /// A table begins.
    pub(super) const TABLE: u8 = 2;
    /// Keys of the table that began last: of the first format.
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
    /// Keys of the table of a number.
    pub(super) const KEYS_OF: u8 = 14;
    /// Events that wait for a referral.
    pub(super) const WAITING: u8 = 15;
    /// Holds begin.
    pub(super) const HOLDS: u8 = 16;
    /// What waits for a review.
    pub(super) const REVIEWS: u8 = 17;
    /// The log of decisions.
    pub(super) const DECISION_LOG: u8 = 18;
    /// What verdicts rested on.
    pub(super) const EVIDENCE: u8 = 32;
    /// Whom and what events are about.
    pub(super) const NAMED: u8 = 34;
    /// Entries of managed lists.
    pub(super) const LISTS: u8 = 33;
}

/// Whose table it is.
const OF_FEATURE: u8 = 0;
const OF_ACCOUNTS: u8 = 1;

/// Tells keys apart without telling them: a hash under the key.
pub(super) fn key_check(hasher: &KeyHasher) -> PartHash {
    hasher.part(Scalar::Text("refguard checkpoint"))
}

/// How far a checkpoint is that is written a part at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointStep {
    /// More is to be written.
    Unfinished,
    /// All segments were handed over.
    Finished,
    /// None was begun, or it was cancelled: what was handed over is no checkpoint.
    Cancelled,
}

/// A checkpoint that is under way.
#[derive(Debug)]
pub(super) struct Cut {
    /// Segments that are handed over before all others.
    heads: Vec<Vec<u8>>,
    /// How many parts are written.
    parts: usize,
}

/// What the segments of a table's keys begin with: the tables are numbered in the order of their heads.
fn keys_prefix(table: usize) -> Vec<u8> {
    let mut prefix = ByteWriter::default();
    prefix.byte(tag::KEYS_OF);
    prefix.count(table);
    prefix.into_bytes()
}

impl Engine {
    /// Writes all that the engine knows, between two batches: hands segments to `put`, in order.
    pub fn checkpoint(&self, put: &mut dyn FnMut(&[u8])) {
        self.heads().iter().for_each(|head| put(head));
        for (place, table) in self.tables.iter().chain(self.accounts.tables()).enumerate() {
            table.store_keys(&keys_prefix(place), put);
        }
        if let Some(referrers) = self.accounts.referrers() {
            referrers.store(&[tag::REFERRALS], put);
        }
        self.dedup.store(&[tag::IDENTITIES], put);
        self.remembered.store(&[tag::VERDICTS], put);
        self.recorded.store(&[tag::EVIDENCE], put);
        self.named.store(&[tag::NAMED], put);
        self.managed.store(&[tag::LISTS], put);
        self.decisions.store(&[tag::SUBJECTS], put);
        self.holds.store(&[tag::REVIEWS], put);
        put(&[tag::END]);
    }

    /// Begins a checkpoint of all that the engine knows now, between two batches, to be written by
    /// [`Engine::step_checkpoint`] while it goes on. One that was under way is given up.
    ///
    /// What is small is copied, and a bit of each slot: a millisecond or so for 10^7 keys. From here to the end what an
    /// event changes is written before it changes, once.
    pub fn begin_checkpoint(&mut self) {
        self.cut = Some(Box::new(Cut { heads: self.heads(), parts: 0 }));
        for (place, table) in self.tables.iter_mut().chain(self.accounts.tables_mut()).enumerate() {
            table.begin_cut(&keys_prefix(place));
        }
        if let Some(referrers) = self.accounts.referrers_mut() {
            referrers.begin_cut(&[tag::REFERRALS]);
        }
        self.dedup.begin_cut(&[tag::IDENTITIES]);
        self.remembered.begin_cut(&[tag::VERDICTS]);
        self.recorded.begin_cut(&[tag::EVIDENCE]);
        self.named.begin_cut(&[tag::NAMED]);
        self.managed.begin_cut(&[tag::LISTS]);
        self.decisions.begin_cut(&[tag::SUBJECTS]);
        self.holds.begin_cut(&[tag::REVIEWS]);
    }

    /// Writes about so many bytes of the checkpoint that is under way, at least one item, between two batches; hands the
    /// segments that are full to `put`, with those that events have filled since the step before. A step of 64 KiB takes
    /// some 0.1 ms.
    pub fn step_checkpoint(&mut self, budget_bytes: usize, put: &mut dyn FnMut(&[u8])) -> CheckpointStep {
        let Some(mut cut) = self.cut.take() else { return CheckpointStep::Cancelled };
        cut.heads.drain(..).for_each(|head| put(&head));
        let mut budget_bytes = budget_bytes.max(1);
        while let Some(is_all) = self.store_part(cut.parts, &mut budget_bytes, put) {
            if !is_all || budget_bytes == 0 {
                cut.parts += usize::from(is_all);
                self.cut = Some(cut);
                return CheckpointStep::Unfinished;
            }
            cut.parts += 1;
        }
        put(&[tag::END]);
        CheckpointStep::Finished
    }

    /// Whether a checkpoint is under way.
    pub fn has_checkpoint(&self) -> bool {
        self.cut.is_some()
    }

    /// Gives up the checkpoint that is under way, if there is one.
    pub fn cancel_checkpoint(&mut self) {
        self.cut = None;
        self.tables.iter_mut().chain(self.accounts.tables_mut()).for_each(FeatureTable::cancel_cut);
        if let Some(referrers) = self.accounts.referrers_mut() {
            referrers.cancel_cut();
        }
        self.dedup.cancel_cut();
        self.remembered.cancel_cut();
        self.recorded.cancel_cut();
        self.named.cancel_cut();
        self.managed.cancel_cut();
        self.decisions.cancel_cut();
        self.holds.cancel_cut();
    }

    /// Writes of one part; `None`: there are no more.
    fn store_part(&mut self, part: usize, budget_bytes: &mut usize, put: &mut dyn FnMut(&[u8])) -> Option<bool> {
        let features = self.tables.len();
        let tables = features + self.accounts.tables().len();
        let table = if part < features {
            self.tables.get_mut(part)
        } else {
            self.accounts.tables_mut().get_mut(part - features)
        };
        if let Some(table) = table {
            return Some(table.store_cut(budget_bytes, put));
        }
        let is_all = match part - tables {
            0 => self.accounts.referrers_mut().is_none_or(|referrers| referrers.store_cut(budget_bytes, put)),
            1 => self.dedup.store_cut(budget_bytes, put),
            2 => self.remembered.store_cut(budget_bytes, put),
            3 => self.decisions.store_cut(budget_bytes, put),
            4 => self.holds.store_cut(budget_bytes, put),
            5 => self.recorded.store_cut(budget_bytes, put),
            6 => self.managed.store_cut(budget_bytes, put),
            7 => self.named.store_cut(budget_bytes, put),
            _ => return None,
        };
        Some(is_all)
    }

    /// The segments of what is small, which come first.
    fn heads(&self) -> Vec<Vec<u8>> {
        let mut heads = Vec::new();
        let mut add = |tag: u8, store: &dyn Fn(&mut ByteWriter)| {
            let mut writer = ByteWriter::default();
            writer.byte(tag);
            store(&mut writer);
            heads.push(writer.into_bytes());
        };
        add(tag::HEAD, &|writer| self.store_head(writer));
        for ((feature, planned), table) in self.rules.features.iter().zip(&self.plan.features).zip(&self.tables) {
            add(tag::TABLE, &|writer| {
                writer.byte(OF_FEATURE);
                writer.text(&feature.name);
                writer.text(&feature.definition);
                writer.maybe_time(planned.since_ms);
                table.store_head(writer);
            });
        }
        for (place, table) in self.accounts.tables().iter().enumerate() {
            add(tag::TABLE, &|writer| {
                writer.byte(OF_ACCOUNTS);
                writer.text(self.accounts.name(place));
                table.store_head(writer);
            });
        }
        if let Some(referrers) = self.accounts.referrers() {
            add(tag::REFERRERS, &|writer| referrers.store_head(writer));
        }
        add(tag::DEDUP, &|writer| self.dedup.store_head(writer));
        add(tag::DECISIONS, &|writer| self.decisions.store_head(writer));
        add(tag::DECISION_LOG, &|writer| self.decisions.store_log(writer));
        add(tag::HOLDS, &|writer| self.holds.store_head(writer));
        let names = self.part_names();
        add(tag::WATCH, &|writer| self.watch.store(names.iter().map(String::as_str), writer));
        // There are a few thousand counters at most.
        let mut breakers = Segments::new(&[tag::BREAKERS]);
        self.breakers.store(&self.rules, &mut breakers);
        breakers.finish(&mut |segment| heads.push(segment.to_vec()));
        let mut waiting = Segments::new(&[tag::WAITING]);
        self.waiting.store(&mut waiting);
        waiting.finish(&mut |segment| heads.push(segment.to_vec()));
        heads
    }

    fn store_head(&self, writer: &mut ByteWriter) {
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
