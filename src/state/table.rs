//! One feature's keys and windows, and the batched loop over its operations.
//!
//! Before a batch is executed its memory is asked for, in three steps that can be taken for many tables in turn: the index
//! words of all its keys, then their slots, then what has spilled out of the slots. None of them waits for what it asks
//! for, so a batch waits for memory about as long as one operation alone; then the operations run, in order.
//!
//! Invariants: during a batch, slots are added and none is freed, so what an early step found is still right later. What
//! the steps find is a guess, and decides nothing but what is in the cache.

pub(super) mod stored;

use std::collections::BTreeMap;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::classes::Classes;
use super::cut::SlotCut;
use super::index::{Coming, Index, SLOT_MAX, Vacancy};
use super::slab::{Slab, Slot};
use super::summary::Summary as _;
use super::window::{Lost, Window, feed, out_of_reach};
use super::{KeyHash, Limit, Op, Reading, Readings};

/// The guess for a key that is new: no slot has this number.
pub(super) const NO_SLOT: u32 = u32::MAX;
const _: () = assert!(NO_SLOT > SLOT_MAX);
/// Slots that are swept together, so that waits for memory overlap.
const SWEEP_PASS_SLOTS: usize = 64;

#[derive(Debug)]
pub(super) struct Table<W: Window> {
    rule: W::Rule,
    reach_ms: i64,
    index: Index,
    /// The keys of a checkpoint that is read, until all are there.
    coming: Coming,
    slab: Slab<W>,
    /// What was lost to the bound of entries, by slot; kept until it is out of reach. Rare, hence outside the slots.
    dropped: BTreeMap<u32, Dropped<W::Summary>>,
    /// Bytes of these summaries.
    summarised: usize,
    /// Newest time of an event that was refused at a new key.
    refused_ms: Option<i64>,
    /// Newest time of an event that was refused at a known key.
    curbed_ms: Option<i64>,
    /// How many events were refused.
    refused: u64,
    spilled: usize,
    next_swept: usize,
    limit: Limit,
    /// How many keys there may be.
    keys_max: usize,
    /// Once windows take so many bytes outside their slots, known keys are looked at before they grow.
    grown_max: usize,
    classes: Classes,
    /// While the table is written as of a place that was passed.
    cut: Option<Box<SlotCut>>,
}

/// What one key lost to its bound of entries.
#[derive(Debug, Default)]
struct Dropped<S> {
    newest_ms: i64,
    summary: S,
}

/// Bytes outside slots: what windows have spilled, summaries, and the map of these. An entry of that takes its pair and a
/// share of the tree's nodes.
#[inline]
fn outside<S>(spilled: usize, summarised: usize, dropped: &BTreeMap<u32, Dropped<S>>) -> usize {
    spilled + summarised + dropped.len() * 2 * size_of::<(u32, Dropped<S>)>()
}

impl<W: Window> Table<W> {
    pub(super) fn new(rule: W::Rule, reach_ms: i64) -> Table<W> {
        Table {
            rule,
            reach_ms,
            index: Index::new(),
            coming: Coming::default(),
            slab: Slab::new(),
            dropped: BTreeMap::new(),
            summarised: 0,
            refused_ms: None,
            curbed_ms: None,
            refused: 0,
            spilled: 0,
            next_swept: 0,
            limit: Limit::None,
            keys_max: SLOT_MAX as usize,
            grown_max: usize::MAX,
            classes: Classes::default(),
            cut: None,
        }
    }

    /// First step: asks for the index words of keys.
    pub(super) fn fetch_index(&self, ops: &[Op]) {
        ops.iter().for_each(|op| self.index.prefetch(op.key));
    }

    /// Second step: guesses the slot of each key by its index words, and asks for it. Replaces the guesses.
    pub(super) fn fetch_slots(&self, ops: &[Op], guesses: &mut Vec<u32>) {
        guesses.clear();
        guesses.extend(ops.iter().map(|op| {
            let Some(slot) = self.index.guess(op.key) else { return NO_SLOT };
            self.slab.prefetch(slot);
            slot
        }));
    }

    /// Third step: asks for what is outside these slots.
    pub(super) fn fetch_spilled(&self, guesses: &[u32]) {
        for slot in guesses.iter().filter(|slot| **slot != NO_SLOT) {
            self.slab.get(*slot).window.prefetch();
        }
    }

    /// Executes operations in order, with a guess for each.
    pub(super) fn apply(&mut self, ops: &[Op], guesses: &[u32], ids: &[[u8; 16]], out: &mut Readings) {
        out.readings.reserve(ops.len());
        if self.cut.is_some() {
            self.keep_for_cut(ops, guesses);
        }
        for (op, guess) in ops.iter().zip(guesses) {
            let reading = self.execute(op, *guess, ids, &mut out.members);
            out.readings.push(reading);
        }
    }

    #[inline]
    fn execute(&mut self, op: &Op, guess: u32, ids: &[[u8; 16]], members: &mut Vec<u64>) -> Reading {
        if op.time_ms < op.horizon_ms {
            // What is before the horizon is not counted, and reads as of the horizon, so that it does not matter whether
            // what only it could see is still there.
            return self.execute_on_time(&Op { add: false, time_ms: op.horizon_ms, ..*op }, guess, ids, members);
        }
        self.execute_on_time(op, guess, ids, members)
    }

    #[inline]
    fn execute_on_time(&mut self, op: &Op, guess: u32, ids: &[[u8; 16]], members: &mut Vec<u64>) -> Reading {
        let slot = match self.find(op.key, guess) {
            Ok(slot) => slot,
            Err(vacancy) if op.add && !self.is_full() && self.classes.takes(op.key) => self.insert(op, vacancy),
            Err(_) => {
                if op.add {
                    self.refuse(op);
                }
                let refused_ms = self.refused_ms.max(self.classes.refused_ms(op.key));
                let exact = refused_ms.is_none_or(|refused| out_of_reach(refused, op.time_ms, self.reach_ms));
                return Reading { exact, ..self.nothing() };
            }
        };
        let may_grow = !op.add || self.grown() < self.grown_max && self.classes.may_grow(op.key);
        let has_room = may_grow || self.has_room(slot, op);
        let grown = outside(self.spilled, self.summarised, &self.dropped);
        let Slot { key, window } = self.slab.get_mut(slot);
        let counted = op.again && (window.is_truncated() || !W::KNOWS_EVENTS);
        if op.add && has_room && !counted {
            let before = window.spilled_bytes();
            let id = ids.get(op.id as usize).unwrap_or(&[0; 16]);
            window.add(&self.rule, op, id);
            if window.is_truncated() || window.overflows(&self.rule) {
                Self::summarise(&mut self.dropped, &mut self.summarised, &self.rule, slot, window, op);
            }
            self.spilled = self.spilled + window.spilled_bytes() - before;
            self.classes.grew(*key, grown, outside(self.spilled, self.summarised, &self.dropped));
        }
        let mut lost = Lost { newest_ms: None, summary: None };
        if window.is_truncated() {
            lost.newest_ms = self.refused_ms.max(self.curbed_ms).max(self.classes.lost_ms(*key));
            if let Some(dropped) = self.dropped.get_mut(&slot) {
                let newest_ms = lost.newest_ms.max(Some(dropped.newest_ms));
                // When all that was lost is out of reach, the window is what is kept.
                let plays = !out_of_reach(dropped.newest_ms, op.time_ms, self.reach_ms);
                lost = Lost { newest_ms, summary: plays.then_some(&mut dropped.summary) };
            }
        }
        let answer = window.read(&self.rule, op, lost, members);
        Reading { value: answer.value, known: answer.known, exact: answer.exact }
    }

    /// The slot of a key, or where it would be added.
    #[inline]
    fn find(&self, key: KeyHash, guess: u32) -> Result<u32, Vacancy> {
        if guess != NO_SLOT && self.slab.get(guess).key == key {
            return Ok(guess);
        }
        self.index.find(key, |slot| self.slab.get(slot).key == key)
    }

    /// What windows take outside their slots.
    #[inline]
    fn grown(&self) -> usize {
        self.spilled + self.summarised
    }

    /// Whether a key can count an event within the limit; if not, the event is refused.
    #[cold]
    fn has_room(&mut self, slot: u32, op: &Op) -> bool {
        let Slot { key, window } = self.slab.get_mut(slot);
        let within_quota = self.classes.may_grow(*key);
        let entries_max = if within_quota { self.limit.entries_max() } else { 0 };
        let has_room = window.has_room(&self.rule, op.horizon_ms, entries_max);
        if !has_room {
            window.set_truncated(true);
            if within_quota {
                self.curbed_ms = self.curbed_ms.max(Some(op.time_ms));
                self.refused += 1;
            } else {
                self.classes.curb(*key, op.time_ms);
            }
        }
        has_room
    }

    /// Notes an event that was refused at a new key, and for whose sake.
    #[cold]
    fn refuse(&mut self, op: &Op) {
        if self.is_full() {
            self.refused_ms = self.refused_ms.max(Some(op.time_ms));
            self.refused += 1;
        } else {
            self.classes.refuse(op.key, op.time_ms);
        }
    }

    /// Moves what is past the bound of a key to its summary, which is made with the first.
    #[cold]
    fn summarise(
        dropped: &mut BTreeMap<u32, Dropped<W::Summary>>,
        bytes: &mut usize,
        rule: &W::Rule,
        slot: u32,
        window: &mut W,
        op: &Op,
    ) {
        if !window.overflows(rule) && !dropped.contains_key(&slot) {
            return;
        }
        let key = dropped.entry(slot).or_insert_with(|| Dropped { newest_ms: i64::MIN, ..Dropped::default() });
        let before = key.summary.bytes();
        let newest_ms = window.summarise(rule, op, &mut key.summary);
        key.newest_ms = key.newest_ms.max(newest_ms.unwrap_or(i64::MIN));
        *bytes = *bytes + key.summary.bytes() - before;
        window.set_truncated(true);
    }

    /// Whether new keys are refused: by order, or because slot numbers have run out.
    fn is_full(&self) -> bool {
        self.index.keys() >= self.keys_max || self.slab.slots() >= SLOT_MAX as usize
    }

    #[inline]
    fn insert(&mut self, op: &Op, vacancy: Vacancy) -> u32 {
        let slot = self.slab.insert(op.key);
        self.index.insert(op.key, vacancy, slot);
        self.classes.came(op.key);
        // Events of this key may have been refused before.
        if self
            .refused_ms
            .max(self.classes.refused_ms(op.key))
            .is_some_and(|refused| !out_of_reach(refused, op.horizon_ms, self.reach_ms))
        {
            self.slab.get_mut(slot).window.set_truncated(true);
        }
        slot
    }

    /// What a key without events reads.
    pub(super) fn nothing(&self) -> Reading {
        Reading { value: W::nothing(&self.rule), known: false, exact: true }
    }

    pub(super) fn sweep(&mut self, horizon_ms: i64, budget_slots: usize) {
        let slots = self.slab.slots();
        let budget = budget_slots.min(slots);
        let (start, end) = (self.next_swept, self.next_swept + budget);
        self.sweep_range(start, end.min(slots), horizon_ms);
        self.sweep_range(0, end.saturating_sub(slots), horizon_ms);
        self.next_swept = if end >= slots { end - slots } else { end };
    }

    fn sweep_range(&mut self, from: usize, end: usize, horizon_ms: i64) {
        for from in (from..end).step_by(SWEEP_PASS_SLOTS) {
            let end = end.min(from + SWEEP_PASS_SLOTS);
            self.fetch_idle(from, end, horizon_ms);
            self.sweep_pass(from, end, horizon_ms);
        }
    }

    /// Asks for the index words of keys that may leave: they have nothing to do with the order of slots.
    fn fetch_idle(&self, mut from: usize, end: usize, horizon_ms: i64) {
        while let Some(slot) = self.slab.next_live(from, end) {
            from = slot as usize + 1;
            let entry = self.slab.get(slot);
            if !entry.window.is_settled(&self.rule, horizon_ms) {
                self.index.prefetch(entry.key);
            }
        }
    }

    fn sweep_pass(&mut self, mut from: usize, end: usize, horizon_ms: i64) {
        while let Some(slot) = self.slab.next_live(from, end) {
            from = slot as usize + 1;
            let window = &self.slab.get(slot).window;
            if window.is_settled(&self.rule, horizon_ms) && !window.is_truncated() {
                continue;
            }
            self.keep_slot(slot);
            let grown = outside(self.spilled, self.summarised, &self.dropped);
            if self.slab.get(slot).window.is_truncated() {
                self.forget_dropped(slot, horizon_ms);
            }
            let Slot { key, window } = self.slab.get_mut(slot);
            let (key, before) = (*key, window.spilled_bytes());
            let nothing_left = window.expire(&self.rule, horizon_ms);
            self.spilled = self.spilled + window.spilled_bytes() - before;
            if nothing_left && !window.is_truncated() {
                self.take_out(key, slot);
            }
            self.classes.grew(key, grown, outside(self.spilled, self.summarised, &self.dropped));
        }
    }

    /// Forgets a key.
    pub(super) fn forget(&mut self, key: KeyHash) {
        let Ok(slot) = self.find(key, NO_SLOT) else { return };
        self.keep_slot(slot);
        let grown = outside(self.spilled, self.summarised, &self.dropped);
        if let Some(dropped) = self.dropped.remove(&slot) {
            self.summarised -= dropped.summary.bytes();
        }
        self.take_out(key, slot);
        self.classes.grew(key, grown, outside(self.spilled, self.summarised, &self.dropped));
    }

    /// Takes a key out of its slot, and what its window has outside.
    fn take_out(&mut self, key: KeyHash, slot: u32) {
        self.spilled -= self.slab.get(slot).window.spilled_bytes();
        self.index.remove(key, slot);
        self.slab.remove(slot);
        self.classes.left(key);
    }

    /// Drops what no reading can see of what a key lost; at last the mark that it lost something.
    fn forget_dropped(&mut self, slot: u32, horizon_ms: i64) {
        let is_gone = |time_ms: i64| out_of_reach(time_ms, horizon_ms, self.reach_ms);
        if let Some(dropped) = self.dropped.get_mut(&slot) {
            let before = dropped.summary.bytes();
            if is_gone(dropped.newest_ms) {
                self.dropped.remove(&slot);
                self.summarised -= before;
            } else {
                dropped.summary.expire(horizon_ms, self.reach_ms);
                self.summarised = self.summarised + dropped.summary.bytes() - before;
            }
        }
        let lost_ms = self.refused_ms.max(self.curbed_ms).max(self.classes.lost_ms(self.slab.get(slot).key));
        if !self.dropped.contains_key(&slot) && lost_ms.is_none_or(is_gone) {
            self.slab.get_mut(slot).window.set_truncated(false);
        }
    }

    pub(super) fn entry_bytes(&self) -> usize {
        W::ENTRY_BYTES
    }

    pub(super) fn keys(&self) -> usize {
        self.index.keys()
    }

    pub(super) fn keys_from(&self, from: usize, slots: usize, keys: &mut Vec<KeyHash>) -> Option<usize> {
        self.slab.keys_from(from, slots, keys)
    }

    pub(super) fn slots(&self) -> usize {
        self.slab.slots()
    }

    pub(super) fn bytes(&self) -> usize {
        let outside = outside(self.spilled, self.summarised, &self.dropped);
        size_of::<Table<W>>() + self.index.bytes() + self.slab.bytes() + outside + self.classes.bytes()
    }

    pub(super) fn truncated_keys(&self) -> usize {
        self.dropped.len()
    }

    pub(super) fn classes(&self) -> &Classes {
        &self.classes
    }

    pub(super) fn classes_mut(&mut self) -> &mut Classes {
        &mut self.classes
    }

    /// What a key takes however small its window: its slot, and two words of the index, since that is half full.
    pub(super) fn key_bytes(&self) -> usize {
        size_of::<Slot<W>>() + Index::key_bytes()
    }

    pub(super) fn limit(&self) -> Limit {
        self.limit
    }

    pub(super) fn set_limit(&mut self, limit: Limit) {
        if limit == Limit::None {
            self.keys_max = SLOT_MAX as usize;
        } else if self.limit == Limit::None {
            self.keys_max = self.index.keys();
        }
        self.limit = limit;
        self.allow(usize::MAX);
    }

    pub(super) fn allow(&mut self, bytes: usize) {
        self.grown_max = if self.limit >= Limit::Busy { 0 } else { self.grown().saturating_add(bytes) };
    }

    pub(super) fn keys_max(&self) -> usize {
        self.keys_max
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    pub(super) fn step_bytes(&self) -> usize {
        self.slab.chunk_bytes() + Index::step_bytes()
    }

    pub(super) fn digest(&self) -> u64 {
        let mut sum = 0u64;
        let mut from = 0;
        while let Some(slot) = self.slab.next_live(from, self.slab.slots()) {
            from = slot as usize + 1;
            let entry = self.slab.get(slot);
            let mut hasher = SipHasher13::new();
            feed(&mut hasher, entry.key.low);
            feed(&mut hasher, entry.key.high);
            entry.window.digest(&mut hasher);
            if let Some(dropped) = self.dropped.get(&slot) {
                feed(&mut hasher, dropped.newest_ms as u64);
                dropped.summary.digest(&mut hasher);
            }
            // A sum, so that the place of a key does not matter.
            sum = sum.wrapping_add(hasher.finish128().h1);
        }
        sum
    }
}
