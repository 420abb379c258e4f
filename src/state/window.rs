//! What a table asks of a window, so that one batched loop serves every aggregate and is compiled for each.

use std::hash::Hasher;

use siphasher::sip128::SipHasher13;

use super::checkpoint::{Broken, ByteReader, ByteWriter};
use super::summary::Summary;
use super::{Op, Value};

/// The answer of a window, without what the table adds to make it a [`Reading`](super::Reading).
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) value: Value,
    pub(super) known: bool,
    /// Whether dropped entries could not have changed it.
    pub(super) exact: bool,
}

impl Answer {
    /// An answer that something dropped at or before `dropped_ms` leaves exact if it is out of reach at t.
    #[inline]
    pub(super) fn new(value: Value, known: bool, dropped_ms: Option<i64>, time_ms: i64, reach_ms: i64) -> Answer {
        Answer { value, known, exact: dropped_ms.is_none_or(|dropped| out_of_reach(dropped, time_ms, reach_ms)) }
    }
}

/// Whether an event at `entry_ms` is out of the window `(t - reach, t]` for every t from `time_ms` on.
#[inline]
pub(super) fn out_of_reach(entry_ms: i64, time_ms: i64, reach_ms: i64) -> bool {
    entry_ms.saturating_add(reach_ms) <= time_ms
}

/// What a key lost to its bound, or was refused.
#[derive(Debug)]
pub(super) struct Lost<'a, S> {
    /// The newest time of it.
    pub(super) newest_ms: Option<i64>,
    /// What is left of it, if the window reaches back to it.
    pub(super) summary: Option<&'a mut S>,
}

/// The memory of one key. The default is the empty window, which allocates nothing.
pub(super) trait Window: Default {
    /// What is the same for all keys of a feature.
    type Rule;
    /// What is left of entries past the bound.
    type Summary: Summary;
    /// Bytes of one of its entries; 0 for what keeps none.
    const ENTRY_BYTES: usize;
    /// Whether an event that is counted twice counts once, as long as nothing is summarised.
    const KNOWS_EVENTS: bool;

    /// What a key without events reads.
    fn nothing(rule: &Self::Rule) -> Value;

    /// Counts an event, having dropped what no reading from the horizon on can see. `id` is the beginning of the event's
    /// id.
    fn add(&mut self, rule: &Self::Rule, op: &Op, id: &[u8; 16]);

    /// Whether it can count an event without asking for memory, or has at most `few` entries. Drops what no reading from the horizon on can see, where that
    /// is quickly found; so it may say no where a closer look would find that it can.
    fn has_room(&mut self, rule: &Self::Rule, horizon_ms: i64, few: usize) -> bool;

    /// Whether it has more entries than its bound.
    fn overflows(&self, rule: &Self::Rule) -> bool;

    /// After an event was counted, moves what is past the bound to the summary: the oldest first. Answers the newest time
    /// among them. A key that has a summary is summarised after each event that it counts.
    fn summarise(&mut self, rule: &Self::Rule, op: &Op, summary: &mut Self::Summary) -> Option<i64>;

    /// Reads at the operation's time; after [`Window::add`] if the operation adds. Members of a set are appended if they
    /// are wanted.
    fn read(&mut self, rule: &Self::Rule, op: &Op, lost: Lost<'_, Self::Summary>, members: &mut Vec<u64>) -> Answer;

    /// Drops what no reading from `horizon_ms` on can see, gives back memory that is not needed, and tells whether nothing
    /// is left.
    fn expire(&mut self, rule: &Self::Rule, horizon_ms: i64) -> bool;

    /// Whether [`Window::expire`] would change nothing and leave something: what a sweep finds of most keys.
    fn is_settled(&self, rule: &Self::Rule, horizon_ms: i64) -> bool;

    /// Whether something may be missing: the table then knows until when.
    fn is_truncated(&self) -> bool;

    /// Sets that mark.
    fn set_truncated(&mut self, truncated: bool);

    /// Bytes allocated outside the slot.
    fn spilled_bytes(&self) -> usize {
        0
    }

    /// Asks for what is outside the slot, and does not wait for it.
    #[inline]
    fn prefetch(&self) {}

    /// Writes all that is remembered, but for the mark that something may be missing.
    fn store(&self, writer: &mut ByteWriter);

    /// Reads what [`Window::store`] wrote.
    fn restore(reader: &mut ByteReader<'_>) -> Result<Self, Broken>;

    /// Feeds all that is remembered to a hash.
    fn digest(&self, hasher: &mut SipHasher13);
}

/// Feeds a number to a hash.
pub(super) fn feed(hasher: &mut SipHasher13, word: u64) {
    hasher.write(&word.to_le_bytes());
}
