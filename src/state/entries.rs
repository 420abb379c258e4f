//! The entries of one key, in order: a few inside the slot, more in one allocation of their own.
//!
//! Most keys of a referral program see one event or two; those cost no allocation and no second cache miss. More move to
//! a buffer that is a plain slice with room at both ends: the oldest leave by advancing its head, and readers scan
//! memory in order. It moves down, or grows by half, only when its end is reached.
//!
//! Invariants: entries are ordered by time; `cursor` splits a spilled buffer in two, and `tally` is the sum of what stands
//! behind it. Any split will do: who reads moves it to where the window begins.

mod stored;

use std::fmt::Debug;
use std::ops::Range;

use prefetch_index::prefetch_index;
use siphasher::sip128::SipHasher13;

use super::checkpoint::{Broken, ByteReader, ByteWriter};
use super::spec::WindowSpec;
use super::window::feed;

/// What a window keeps of one event.
pub(super) trait Entry: Copy + Default {
    /// Total order of entries; those equal in it are the same event.
    type Order: Ord;
    /// `u64` where a running sum is of use, else `()`, which takes no room.
    type Weight: Weight;

    fn time_ms(&self) -> i64;

    fn order(&self) -> Self::Order;

    /// What it adds to a tally.
    fn weight(&self) -> Self::Weight;

    /// Whether it is so large that a tally of many like it could overflow.
    fn is_wide(&self) -> bool {
        false
    }

    fn digest(&self, hasher: &mut SipHasher13);

    /// Bytes that it takes in a checkpoint.
    const STORED_BYTES: usize;
    /// Whether it tells the events apart that it counts.
    const KNOWS_EVENTS: bool = true;

    fn store(&self, writer: &mut ByteWriter);

    /// Reads what [`Entry::store`] wrote.
    fn restore(reader: &mut ByteReader<'_>) -> Result<Self, Broken>;
}

/// What a tally adds up.
pub(super) trait Weight: Copy + Default + Debug {
    #[must_use]
    fn plus(self, other: Self) -> Self;
    #[must_use]
    fn minus(self, other: Self) -> Self;
}

impl Weight for () {
    fn plus(self, _other: ()) {}
    fn minus(self, _other: ()) {}
}

/// Modulo 2^64: right as long as the true sum fits, however it came about.
impl Weight for u64 {
    #[inline]
    fn plus(self, other: u64) -> u64 {
        self.wrapping_add(other)
    }

    #[inline]
    fn minus(self, other: u64) -> u64 {
        self.wrapping_sub(other)
    }
}

/// An event's time alone; equal times are one entry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moment {
    pub(super) time_ms: i64,
}

/// An event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stamp {
    pub(super) time_ms: i64,
    pub(super) event: u64,
}

/// An event with its value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Valued {
    pub(super) time_ms: i64,
    pub(super) event: u64,
    pub(super) value: u64,
}

/// An event with its value and the beginning of its id, big-endian: what the order of a sum of doubles depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Named {
    pub(super) time_ms: i64,
    pub(super) id: [u64; 2],
    pub(super) event: u64,
    pub(super) value: u64,
}

impl Entry for Moment {
    type Order = i64;
    type Weight = ();

    fn time_ms(&self) -> i64 {
        self.time_ms
    }

    fn order(&self) -> i64 {
        self.time_ms
    }

    fn weight(&self) {}

    fn digest(&self, hasher: &mut SipHasher13) {
        feed(hasher, self.time_ms as u64);
    }

    const STORED_BYTES: usize = 8;

    fn store(&self, writer: &mut ByteWriter) {
        writer.time(self.time_ms);
    }

    fn restore(reader: &mut ByteReader<'_>) -> Result<Moment, Broken> {
        Ok(Moment { time_ms: reader.time()? })
    }
}

impl Entry for Stamp {
    type Order = (i64, u64);
    type Weight = ();

    fn time_ms(&self) -> i64 {
        self.time_ms
    }

    fn order(&self) -> (i64, u64) {
        (self.time_ms, self.event)
    }

    fn weight(&self) {}

    fn digest(&self, hasher: &mut SipHasher13) {
        feed(hasher, self.time_ms as u64);
        feed(hasher, self.event);
    }

    const STORED_BYTES: usize = 16;

    fn store(&self, writer: &mut ByteWriter) {
        writer.time(self.time_ms);
        writer.word(self.event);
    }

    fn restore(reader: &mut ByteReader<'_>) -> Result<Stamp, Broken> {
        Ok(Stamp { time_ms: reader.time()?, event: reader.word()? })
    }
}

impl Entry for Valued {
    type Order = (i64, u64);
    type Weight = u64;

    fn time_ms(&self) -> i64 {
        self.time_ms
    }

    fn order(&self) -> (i64, u64) {
        (self.time_ms, self.event)
    }

    #[inline]
    fn weight(&self) -> u64 {
        self.value
    }

    #[inline]
    fn is_wide(&self) -> bool {
        (self.value as i64).unsigned_abs() >= NARROW
    }

    fn digest(&self, hasher: &mut SipHasher13) {
        feed(hasher, self.time_ms as u64);
        feed(hasher, self.event);
        feed(hasher, self.value);
    }

    const STORED_BYTES: usize = 24;

    fn store(&self, writer: &mut ByteWriter) {
        writer.time(self.time_ms);
        writer.word(self.event);
        writer.word(self.value);
    }

    fn restore(reader: &mut ByteReader<'_>) -> Result<Valued, Broken> {
        Ok(Valued { time_ms: reader.time()?, event: reader.word()?, value: reader.word()? })
    }
}

impl Entry for Named {
    type Order = (i64, [u64; 2], u64);
    type Weight = ();

    fn time_ms(&self) -> i64 {
        self.time_ms
    }

    fn order(&self) -> (i64, [u64; 2], u64) {
        (self.time_ms, self.id, self.event)
    }

    fn weight(&self) {}

    fn digest(&self, hasher: &mut SipHasher13) {
        feed(hasher, self.time_ms as u64);
        feed(hasher, self.event);
        feed(hasher, self.value);
    }

    const STORED_BYTES: usize = 40;

    fn store(&self, writer: &mut ByteWriter) {
        writer.time(self.time_ms);
        self.id.iter().for_each(|half| writer.word(*half));
        writer.word(self.event);
        writer.word(self.value);
    }

    fn restore(reader: &mut ByteReader<'_>) -> Result<Named, Broken> {
        Ok(Named {
            time_ms: reader.time()?,
            id: [reader.word()?, reader.word()?],
            event: reader.word()?,
            value: reader.word()?,
        })
    }
}

/// Entries in order, up to `N` of them in place.
#[derive(Debug)]
pub(super) enum Entries<E: Entry, const N: usize> {
    Few { entries: [E; N], len: u8, truncated: bool },
    Many(Spill<E>),
}

/// Entries outside the slot.
#[derive(Debug)]
pub(super) struct Spill<E: Entry> {
    buffer: Box<[E]>,
    head: u32,
    len: u32,
    cursor: u32,
    truncated: bool,
    /// Whether some entry was wide: then the tally is not trusted.
    wide: bool,
    tally: E::Weight,
}

/// Capacity of the first buffer.
const SPILL_MIN: usize = 4;
/// A tally of at most `MAX_ENTRIES_LIMIT` values below this bound stays within an `i64`.
const NARROW: u64 = (1 << 62) / WindowSpec::MAX_ENTRIES_LIMIT as u64;

impl<E: Entry, const N: usize> Default for Entries<E, N> {
    fn default() -> Self {
        Entries::Few { entries: [E::default(); N], len: 0, truncated: false }
    }
}

impl<E: Entry, const N: usize> Entries<E, N> {
    /// All of them, oldest first.
    #[inline]
    pub(super) fn as_slice(&self) -> &[E] {
        match self {
            Entries::Few { entries, len, .. } => &entries[..*len as usize],
            Entries::Many(spill) => spill.as_slice(),
        }
    }

    /// All of them, to change what neither their order nor a tally depends on.
    #[inline]
    pub(super) fn as_mut_slice(&mut self) -> &mut [E] {
        match self {
            Entries::Few { entries, len, .. } => &mut entries[..*len as usize],
            Entries::Many(spill) => &mut spill.buffer[spill.head as usize..(spill.head + spill.len) as usize],
        }
    }

    /// Adds an entry at its place in the order, unless it is there.
    #[inline]
    pub(super) fn insert_ordered(&mut self, entry: E) {
        let entries = self.as_slice();
        let place = match entries.last() {
            Some(last) if entry.order() <= last.order() => match entries.binary_search_by_key(&entry.order(), E::order)
            {
                Ok(_) => return,
                Err(place) => place,
            },
            _ => entries.len(),
        };
        self.insert_at(place, entry);
    }

    /// Adds an entry at a place that keeps the order.
    #[inline]
    pub(super) fn insert_at(&mut self, place: usize, entry: E) {
        match self {
            Entries::Few { entries, len, .. } if (*len as usize) < N => {
                entries.copy_within(place..*len as usize, place + 1);
                entries[place] = entry;
                *len += 1;
            }
            Entries::Few { entries, truncated, .. } => {
                let mut spill = Spill::new(entries, *truncated);
                spill.insert_at(place, entry);
                *self = Entries::Many(spill);
            }
            Entries::Many(spill) => spill.insert_at(place, entry),
        }
    }

    /// Whether one more fits into the memory that it has.
    pub(super) fn has_room(&self) -> bool {
        match self {
            Entries::Few { len, .. } => (*len as usize) < N,
            Entries::Many(spill) => spill.has_room(),
        }
    }

    /// Drops the `count` oldest.
    #[inline]
    pub(super) fn drop_front(&mut self, count: usize) {
        match self {
            _ if count == 0 => {}
            Entries::Few { entries, len, .. } => {
                entries.copy_within(count..*len as usize, 0);
                *len -= count as u8;
            }
            Entries::Many(spill) => spill.drop_front(count),
        }
    }

    /// Drops those that are out of the window from `horizon_ms` on.
    #[inline]
    pub(super) fn expire(&mut self, horizon_ms: i64, reach_ms: i64) {
        let bound_ms = horizon_ms.saturating_sub(reach_ms);
        let entries = self.as_slice();
        if entries.first().is_some_and(|oldest| oldest.time_ms() <= bound_ms) {
            let count = entries.partition_point(|entry| entry.time_ms() <= bound_ms);
            self.drop_front(count);
        }
    }

    /// Whether [`Entries::shrink`] would give nothing back.
    #[inline]
    pub(super) fn is_snug(&self) -> bool {
        match self {
            Entries::Few { .. } => true,
            Entries::Many(spill) => {
                let len = spill.len as usize;
                len > N && len.max(SPILL_MIN) * 4 > spill.buffer.len()
            }
        }
    }

    /// Gives back memory that is not needed: not after each event, so that a key that goes up and down does not allocate
    /// each time.
    pub(super) fn shrink(&mut self) {
        if self.is_snug() {
            return;
        }
        if let Entries::Many(spill) = self {
            let len = spill.len as usize;
            if len <= N {
                let mut entries = [E::default(); N];
                entries[..len].copy_from_slice(spill.as_slice());
                *self = Entries::Few { entries, len: len as u8, truncated: spill.truncated };
            } else {
                spill.move_to(len * 2);
            }
        }
    }

    /// The entries with times in `(t - reach, t]` as a range, and their tally if it is at hand. In order (`t` at the newest entry or later)
    /// the cursor makes it a matter of the few entries that left since.
    #[inline]
    pub(super) fn window(&mut self, time_ms: i64, reach_ms: i64) -> (Range<usize>, Option<E::Weight>) {
        let after_ms = time_ms.saturating_sub(reach_ms);
        match self {
            Entries::Many(spill) if spill.as_slice().last().is_some_and(|newest| newest.time_ms() <= time_ms) => {
                spill.move_cursor(after_ms);
                (spill.cursor as usize..spill.len as usize, (!spill.wide).then_some(spill.tally))
            }
            _ => (range(self.as_slice(), after_ms, time_ms), None),
        }
    }

    pub(super) fn is_truncated(&self) -> bool {
        match self {
            Entries::Few { truncated, .. } => *truncated,
            Entries::Many(spill) => spill.truncated,
        }
    }

    pub(super) fn set_truncated(&mut self, value: bool) {
        match self {
            Entries::Few { truncated, .. } => *truncated = value,
            Entries::Many(spill) => spill.truncated = value,
        }
    }

    #[inline]
    pub(super) fn spilled_bytes(&self) -> usize {
        match self {
            Entries::Few { .. } => 0,
            Entries::Many(spill) => spill.buffer.len() * size_of::<E>(),
        }
    }

    #[inline]
    pub(super) fn prefetch(&self) {
        if let Entries::Many(spill) = self {
            // Where the window begins, and where the next entry goes.
            prefetch_index(&spill.buffer, (spill.head + spill.cursor) as usize);
            prefetch_index(&spill.buffer, (spill.head + spill.len) as usize);
        }
    }

    pub(super) fn digest(&self, hasher: &mut SipHasher13) {
        self.as_slice().iter().for_each(|entry| entry.digest(hasher));
    }
}

/// The entries with times in `(after, until]`.
#[inline]
pub(super) fn range<E: Entry>(entries: &[E], after_ms: i64, until_ms: i64) -> Range<usize> {
    let start = entries.partition_point(|entry| entry.time_ms() <= after_ms);
    let end = start + entries[start..].partition_point(|entry| entry.time_ms() <= until_ms);
    start..end
}

impl<E: Entry> Spill<E> {
    fn new(entries: &[E], truncated: bool) -> Spill<E> {
        let mut buffer = vec![E::default(); SPILL_MIN.max(entries.len() * 2)].into_boxed_slice();
        buffer[..entries.len()].copy_from_slice(entries);
        let tally = entries.iter().fold(E::Weight::default(), |sum, entry| sum.plus(entry.weight()));
        let wide = entries.iter().any(E::is_wide);
        Spill { buffer, head: 0, len: entries.len() as u32, cursor: 0, truncated, wide, tally }
    }

    #[inline]
    fn as_slice(&self) -> &[E] {
        &self.buffer[self.head as usize..(self.head + self.len) as usize]
    }

    #[inline]
    fn insert_at(&mut self, place: usize, entry: E) {
        if (self.head + self.len) as usize == self.buffer.len() {
            self.make_room();
        }
        let (start, end) = (self.head as usize + place, (self.head + self.len) as usize);
        if start < end {
            self.buffer.copy_within(start..end, start + 1);
        }
        self.buffer[start] = entry;
        self.len += 1;
        if place < self.cursor as usize {
            self.cursor += 1;
        } else {
            self.tally = self.tally.plus(entry.weight());
        }
        self.wide |= entry.is_wide();
    }

    /// Whether one more fits: at the end, or by moving down.
    fn has_room(&self) -> bool {
        let capacity = self.buffer.len();
        ((self.head + self.len) as usize) < capacity || self.head as usize * 4 >= capacity
    }

    /// Room at the end: by moving down if a quarter is free, so that each move is paid for by as many departures.
    fn make_room(&mut self) {
        let capacity = self.buffer.len();
        if self.head as usize * 4 >= capacity {
            self.buffer.copy_within(self.head as usize.., 0);
            self.head = 0;
        } else {
            self.move_to(capacity + (capacity / 2).max(2));
        }
    }

    fn move_to(&mut self, capacity: usize) {
        let mut buffer = vec![E::default(); capacity].into_boxed_slice();
        buffer[..self.len as usize].copy_from_slice(self.as_slice());
        self.buffer = buffer;
        self.head = 0;
    }

    #[inline]
    fn drop_front(&mut self, count: usize) {
        let from = (self.cursor as usize).min(count);
        for place in from..count {
            self.tally = self.tally.minus(self.as_slice()[place].weight());
        }
        self.cursor = self.cursor.saturating_sub(count as u32);
        self.head += count as u32;
        self.len -= count as u32;
    }

    /// Moves the split to the first entry after `after_ms`, from where it is.
    #[inline]
    fn move_cursor(&mut self, after_ms: i64) {
        let entries = &self.buffer[self.head as usize..(self.head + self.len) as usize];
        while let Some(entry) = entries.get(self.cursor as usize).filter(|entry| entry.time_ms() <= after_ms) {
            self.tally = self.tally.minus(entry.weight());
            self.cursor += 1;
        }
        while let Some(entry) = (self.cursor as usize).checked_sub(1).map(|place| &entries[place]) {
            if entry.time_ms() <= after_ms {
                break;
            }
            self.tally = self.tally.plus(entry.weight());
            self.cursor -= 1;
        }
    }
}
