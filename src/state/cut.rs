//! What of a collection is still to be written of a cut: its state at one place of the log, written while it goes on.
//!
//! A walk writes a part at a time, in order. Before something changes that the walk has not reached, it is written as it
//! is, and marked as written; what is new since the cut counts as written from the beginning. So each value is written
//! once, as of the cut, however the steps of the walk fall among the changes. Tested by the oracle of checkpoints.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::checkpoint::{ByteWriter, Segments};

/// What can be written as it is at one place of the log: at once, or a part at a time while it changes.
pub(crate) trait Cuttable {
    /// How far one has come.
    type Cut;

    /// A cut through what is there now, of which nothing is written. Segments begin with the prefix.
    fn new_cut(&self, prefix: &[u8]) -> Self::Cut;

    /// The cut that is under way.
    fn cut_mut(&mut self) -> &mut Option<Box<Self::Cut>>;

    /// Writes what the cut has yet to, until so many bytes are written, which are taken off the budget. Hands over the
    /// segments that are full, and answers whether that was all.
    fn walk(&self, cut: &mut Self::Cut, budget_bytes: &mut usize, put: &mut dyn FnMut(&[u8])) -> bool;

    /// Writes all of it.
    fn store(&self, prefix: &[u8], put: &mut dyn FnMut(&[u8])) {
        self.walk(&mut self.new_cut(prefix), &mut usize::MAX.clone(), put);
    }

    /// Begins to write what is there now.
    fn begin_cut(&mut self, prefix: &[u8]) {
        *self.cut_mut() = Some(Box::new(self.new_cut(prefix)));
    }

    /// Goes on until the budget is spent; whether that was all: then there is no cut any more.
    fn store_cut(&mut self, budget_bytes: &mut usize, put: &mut dyn FnMut(&[u8])) -> bool {
        let Some(mut cut) = self.cut_mut().take() else { return true };
        let is_all = self.walk(&mut cut, budget_bytes, put);
        if !is_all {
            *self.cut_mut() = Some(cut);
        }
        is_all
    }

    /// Gives the cut up.
    fn cancel_cut(&mut self) {
        *self.cut_mut() = None;
    }
}

/// A cut through slots that never move.
#[derive(Debug)]
pub(super) struct SlotCut {
    /// A bit a slot: it was in use at the cut, and is not written.
    pending: Vec<u64>,
    /// Below this word no bit is set.
    from: usize,
    segments: Segments,
}

impl SlotCut {
    /// Nothing is written of these slots, a bit each.
    pub(super) fn new(live: Vec<u64>, prefix: &[u8]) -> SlotCut {
        SlotCut { pending: live, from: 0, segments: Segments::new(prefix) }
    }

    /// Where to write a slot that is about to change, if it is to be written; it counts as written then.
    #[inline]
    pub(super) fn take(&mut self, slot: u32) -> Option<&mut ByteWriter> {
        let word = self.pending.get_mut(slot as usize / 64)?;
        let bit = 1 << (slot % 64);
        if *word & bit == 0 {
            return None;
        }
        *word &= !bit;
        Some(self.segments.item())
    }

    /// Takes slots in order and writes them, until so many bytes are written, which are taken off the budget. Hands over
    /// the segments that are full, and answers whether that is all.
    pub(super) fn walk(
        &mut self,
        budget_bytes: &mut usize,
        put: &mut dyn FnMut(&[u8]),
        mut store: impl FnMut(u32, &mut ByteWriter),
    ) -> bool {
        let start = self.segments.bytes();
        while self.segments.bytes() - start < *budget_bytes {
            let Some(word) = self.pending.get_mut(self.from) else {
                *budget_bytes -= self.segments.bytes() - start;
                self.segments.finish(put);
                return true;
            };
            if *word == 0 {
                self.from += 1;
                continue;
            }
            let slot = self.from * 64 + word.trailing_zeros() as usize;
            *word &= *word - 1;
            store(slot as u32, self.segments.item());
        }
        *budget_bytes = budget_bytes.saturating_sub(self.segments.bytes() - start);
        self.segments.hand_over(put);
        false
    }
}

/// A cut through what stands in order.
#[derive(Clone, Debug)]
pub struct OrderedCut<K> {
    /// What was walked over last.
    last: Option<K>,
    /// What is written or new behind it.
    passed: BTreeSet<K>,
}

impl<K: Ord + Copy> Default for OrderedCut<K> {
    fn default() -> OrderedCut<K> {
        OrderedCut { last: None, passed: BTreeSet::new() }
    }
}

impl<K: Ord + Copy> OrderedCut<K> {
    /// Told of every key before it is added, changed or removed: whether what is there under it is to be written first.
    pub fn take(&mut self, key: K) -> bool {
        self.last.is_none_or(|last| key > last) && self.passed.insert(key)
    }

    /// Walks over a key: whether it is to be written.
    pub fn walk(&mut self, key: K) -> bool {
        self.last = Some(key);
        !self.passed.remove(&key)
    }

    /// The keys that the walk comes to.
    pub fn rest(&self) -> (Bound<K>, Bound<K>) {
        (self.last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
    }
}
