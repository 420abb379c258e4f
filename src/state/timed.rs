//! Windows made of entries in the order of time: what is common to `count`, `sum`, `avg`, `min`, `max`, `first` over a
//! window, `last` and `previous`. Each of them says what it keeps of an event and how it reads.

use std::fmt::Debug;
use std::marker::PhantomData;

use siphasher::sip128::SipHasher13;

use super::checkpoint::{Broken, ByteReader, ByteWriter};
use super::entries::{Entries, Entry};
use super::summary::Summary;
use super::window::{Answer, Lost, Window, out_of_reach};
use super::{Op, Value};

/// What is the same for all keys of a feature; `K` tells kin apart that share a layout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule<K> {
    pub(super) reach_ms: i64,
    pub(super) entries_max: usize,
    pub(super) kind: K,
}

/// How an aggregate keeps and reads entries of type `E`, of which a slot holds `N`.
pub(super) trait Fold<E: Entry, const N: usize>: Debug {
    type Kind: Copy + Debug;
    /// What is left of entries past the bound.
    type Summary: Summary;

    fn nothing(kind: Self::Kind) -> Value;

    fn entry(op: &Op, id: &[u8; 16], kind: &Self::Kind) -> E;

    fn insert(entries: &mut Entries<E, N>, entry: E, _kind: &Self::Kind) {
        entries.insert_ordered(entry);
    }

    fn expire(entries: &mut Entries<E, N>, rule: &Rule<Self::Kind>, horizon_ms: i64) {
        entries.expire(horizon_ms, rule.reach_ms);
    }

    /// Whether that would drop nothing; may say no though it is so.
    #[inline]
    fn keeps_all(entries: &[E], rule: &Rule<Self::Kind>, horizon_ms: i64) -> bool {
        entries.first().is_some_and(|oldest| !out_of_reach(oldest.time_ms(), horizon_ms, rule.reach_ms))
    }

    /// Adds an entry past the bound to the summary.
    fn summarise(_entry: &E, _rule: &Rule<Self::Kind>, _summary: &mut Self::Summary) {}

    fn read(entries: &mut Entries<E, N>, rule: &Rule<Self::Kind>, op: &Op, lost: Lost<'_, Self::Summary>) -> Answer;
}

/// The window of one key.
#[derive(Debug)]
pub(super) struct Timed<F, E: Entry, const N: usize> {
    entries: Entries<E, N>,
    fold: PhantomData<F>,
}

impl<F, E: Entry, const N: usize> Default for Timed<F, E, N> {
    fn default() -> Self {
        Timed { entries: Entries::default(), fold: PhantomData }
    }
}

impl<F: Fold<E, N>, E: Entry, const N: usize> Window for Timed<F, E, N> {
    type Rule = Rule<F::Kind>;
    type Summary = F::Summary;
    const ENTRY_BYTES: usize = size_of::<E>();
    const KNOWS_EVENTS: bool = E::KNOWS_EVENTS;

    fn nothing(rule: &Self::Rule) -> Value {
        F::nothing(rule.kind)
    }

    #[inline]
    fn add(&mut self, rule: &Self::Rule, op: &Op, id: &[u8; 16]) {
        F::expire(&mut self.entries, rule, op.horizon_ms);
        F::insert(&mut self.entries, F::entry(op, id, &rule.kind), &rule.kind);
    }

    #[cold]
    fn has_room(&mut self, rule: &Self::Rule, horizon_ms: i64, few: usize) -> bool {
        F::expire(&mut self.entries, rule, horizon_ms);
        let entries = self.entries.as_slice().len();
        entries < rule.entries_max && (entries < few || self.entries.has_room())
    }

    #[inline]
    fn overflows(&self, rule: &Self::Rule) -> bool {
        self.entries.as_slice().len() > rule.entries_max
    }

    #[cold]
    fn summarise(&mut self, rule: &Self::Rule, _op: &Op, summary: &mut F::Summary) -> Option<i64> {
        let excess = self.entries.as_slice().len().saturating_sub(rule.entries_max);
        let oldest = &self.entries.as_slice()[..excess];
        oldest.iter().for_each(|entry| F::summarise(entry, rule, summary));
        let newest_ms = oldest.last().map(E::time_ms);
        self.entries.drop_front(excess);
        newest_ms
    }

    #[inline]
    fn read(&mut self, rule: &Self::Rule, op: &Op, lost: Lost<'_, F::Summary>, _members: &mut Vec<u64>) -> Answer {
        F::read(&mut self.entries, rule, op, lost)
    }

    #[inline]
    fn is_settled(&self, rule: &Self::Rule, horizon_ms: i64) -> bool {
        self.entries.is_snug() && F::keeps_all(self.entries.as_slice(), rule, horizon_ms)
    }

    fn expire(&mut self, rule: &Self::Rule, horizon_ms: i64) -> bool {
        F::expire(&mut self.entries, rule, horizon_ms);
        self.entries.shrink();
        self.entries.as_slice().is_empty()
    }

    #[inline]
    fn is_truncated(&self) -> bool {
        self.entries.is_truncated()
    }

    fn set_truncated(&mut self, truncated: bool) {
        self.entries.set_truncated(truncated);
    }

    #[inline]
    fn spilled_bytes(&self) -> usize {
        self.entries.spilled_bytes()
    }

    #[inline]
    fn prefetch(&self) {
        self.entries.prefetch();
    }

    fn store(&self, writer: &mut ByteWriter) {
        self.entries.store(writer);
    }

    fn restore(reader: &mut ByteReader<'_>) -> Result<Self, Broken> {
        Ok(Timed { entries: Entries::restore(reader)?, fold: PhantomData })
    }

    fn digest(&self, hasher: &mut SipHasher13) {
        self.entries.digest(hasher);
    }
}
