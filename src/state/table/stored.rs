//! A table in a checkpoint: its marks, then one record a key, in the order of slots.
//!
//! Keys come to stand without gaps, and windows in as little memory as they need: what is read of them is the same. Room
//! that was granted until the next look at the memory is kept as room.

use std::collections::BTreeMap;

use super::{Dropped, Table, outside};
use crate::state::checkpoint::{Broken, ByteReader, ByteWriter};
use crate::state::cut::{Cuttable, SlotCut};
use crate::state::index::SLOT_MAX;
use crate::state::slab::Slab;
use crate::state::summary::Summary;
use crate::state::window::Window;
use crate::state::{KeyHash, Limit, Op};

/// Marks of a key.
const TRUNCATED: u8 = 1;
const DROPPED: u8 = 2;

const TWICE: Broken = Broken("a key stands there twice");

/// A key as it was read, with what it lost.
type Record<W> = (KeyHash, W, Option<Dropped<<W as Window>::Summary>>);

/// A window as it was read, with what it lost.
type Kept<W> = (W, Option<Dropped<<W as Window>::Summary>>);

/// What a table refuses, and how far it may grow: as it is written.
pub(in crate::state) fn store_limit(limit: Limit, keys_max: usize, room: usize, writer: &mut ByteWriter) {
    writer.byte(match limit {
        Limit::None => 0,
        Limit::Keys => 1,
        Limit::Busy => 2,
        Limit::Memory => 3,
    });
    writer.word(keys_max as u64);
    writer.word(room as u64);
}

/// The same, read: limit, most keys, room.
pub(in crate::state) fn restore_limit(reader: &mut ByteReader<'_>) -> Result<(Limit, usize, usize), Broken> {
    let limit = match reader.byte()? {
        0 => Limit::None,
        1 => Limit::Keys,
        2 => Limit::Busy,
        3 => Limit::Memory,
        _ => return Err(Broken("a limit of no known kind")),
    };
    let bounded = |word: u64| usize::try_from(word).unwrap_or(usize::MAX);
    Ok((limit, bounded(reader.word()?).min(SLOT_MAX as usize), bounded(reader.word()?)))
}

impl<W: Window> Cuttable for Table<W> {
    type Cut = SlotCut;

    fn new_cut(&self, prefix: &[u8]) -> SlotCut {
        SlotCut::new(self.slab.live(), prefix)
    }

    fn cut_mut(&mut self) -> &mut Option<Box<SlotCut>> {
        &mut self.cut
    }

    fn walk(&self, cut: &mut SlotCut, budget_bytes: &mut usize, put: &mut dyn FnMut(&[u8])) -> bool {
        cut.walk(budget_bytes, put, |slot, writer| store_key(&self.slab, &self.dropped, slot, writer))
    }
}

impl<W: Window> Table<W> {
    pub(in crate::state) fn store_head(&self, writer: &mut ByteWriter) {
        writer.maybe_time(self.refused_ms);
        writer.maybe_time(self.curbed_ms);
        writer.word(self.refused);
        // Without a bound it stays without one.
        let room = if self.grown_max == usize::MAX { usize::MAX } else { self.grown_max.saturating_sub(self.grown()) };
        store_limit(self.limit, self.keys_max, room, writer);
        self.classes.store(writer);
    }

    pub(in crate::state) fn restore_head(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        self.refused_ms = reader.maybe_time()?;
        self.curbed_ms = reader.maybe_time()?;
        self.refused = reader.word()?;
        // Until the keys are there, what it may grow to is the room alone.
        (self.limit, self.keys_max, self.grown_max) = restore_limit(reader)?;
        self.classes.restore(reader)
    }

    /// Writes the keys of operations as they are before these. All of them, since a reading may tidy up too, and what is
    /// written while it is in the cache is not waited for later.
    #[cold]
    pub(super) fn keep_for_cut(&mut self, ops: &[Op], guesses: &[u32]) {
        for (op, guess) in ops.iter().zip(guesses) {
            if let Ok(slot) = self.find(op.key, *guess) {
                self.keep_slot(slot);
            }
        }
    }

    /// Writes a key as it is, if the cut has yet to.
    #[inline]
    pub(super) fn keep_slot(&mut self, slot: u32) {
        if let Some(cut) = &mut self.cut
            && let Some(writer) = cut.take(slot)
        {
            store_key(&self.slab, &self.dropped, slot, writer);
        }
    }

    /// Forgets all keys, as a new table does; what it refuses stays.
    pub(in crate::state) fn clear(&mut self) {
        self.index.clear();
        self.slab.clear();
        self.dropped.clear();
        (self.summarised, self.spilled, self.next_swept) = (0, 0, 0);
    }

    /// Whether a key is there.
    pub(in crate::state) fn has(&self, key: KeyHash) -> bool {
        self.index.find(key, |slot| self.slab.get(slot).key == key).is_ok()
    }

    /// Puts a key in that is not there, with the window that [`Table::store_window`] wrote.
    pub(in crate::state) fn put_window(&mut self, key: KeyHash, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        let (window, dropped) = Self::restore_window(reader)?;
        let slot = self.put(key, window)?;
        if let Some(dropped) = dropped {
            self.summarised += dropped.summary.bytes();
            self.dropped.insert(slot, dropped);
        }
        Ok(())
    }

    /// Writes the window of a key, without the key; `false`: it is not there.
    pub(in crate::state) fn store_window(&self, key: KeyHash, writer: &mut ByteWriter) -> bool {
        let found = self.index.find(key, |slot| self.slab.get(slot).key == key);
        found.map(|slot| store_window(&self.slab, &self.dropped, slot, writer)).is_ok()
    }

    /// Reads keys into slots; they are found once all of them are there, see [`Table::restored`].
    pub(in crate::state) fn restore_keys(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        while !reader.is_empty() {
            let (key, window, dropped) = Self::restore_key(reader)?;
            let grown = self.outside();
            let slot = self.hold(key, window)?;
            self.coming.push(key, slot);
            if let Some(dropped) = dropped {
                self.summarised += dropped.summary.bytes();
                self.dropped.insert(slot, dropped);
            }
            self.classes.grew(key, grown, self.outside());
        }
        Ok(())
    }

    /// Reads keys and keeps none. Answers how many they were.
    pub(in crate::state) fn skim_keys(&mut self, reader: &mut ByteReader<'_>) -> Result<usize, Broken> {
        let mut keys = 0;
        while !reader.is_empty() {
            Self::restore_key(reader)?;
            keys += 1;
        }
        Ok(keys)
    }

    fn restore_key(reader: &mut ByteReader<'_>) -> Result<Record<W>, Broken> {
        let key = reader.key()?;
        let (window, dropped) = Self::restore_window(reader)?;
        Ok((key, window, dropped))
    }

    fn restore_window(reader: &mut ByteReader<'_>) -> Result<Kept<W>, Broken> {
        let marks = reader.byte()?;
        if marks > TRUNCATED | DROPPED {
            return Err(Broken("a key has marks of no known kind"));
        }
        let mut window = W::restore(reader)?;
        window.set_truncated(marks & TRUNCATED != 0);
        let mut dropped = None;
        if marks & DROPPED != 0 {
            dropped = Some(Dropped { newest_ms: reader.time()?, summary: W::Summary::restore(reader)? });
        }
        Ok((window, dropped))
    }

    fn outside(&self) -> usize {
        outside(self.spilled, self.summarised, &self.dropped)
    }

    fn put(&mut self, key: KeyHash, window: W) -> Result<u32, Broken> {
        let found = self.index.find(key, |slot| self.slab.get(slot).key == key);
        let Err(vacancy) = found else { return Err(TWICE) };
        let slot = self.hold(key, window)?;
        self.index.insert(key, vacancy, slot);
        Ok(slot)
    }

    /// Puts a key and its window into a slot, where the index does not find it yet.
    fn hold(&mut self, key: KeyHash, window: W) -> Result<u32, Broken> {
        if self.slab.slots() >= SLOT_MAX as usize {
            return Err(Broken("a table has more keys than there are slots"));
        }
        let slot = self.slab.insert(key);
        self.classes.came(key);
        self.spilled += window.spilled_bytes();
        self.slab.get_mut(slot).window = window;
        Ok(slot)
    }

    /// All keys are there.
    pub(in crate::state) fn restored(&mut self) -> Result<(), Broken> {
        let key = |slot| self.slab.get(slot).key;
        let (index, came_again) = self.coming.build(|one, other| key(one) == key(other));
        if came_again > 0 {
            return Err(TWICE);
        }
        self.index = index;
        self.grown_max = if self.limit >= Limit::Busy { 0 } else { self.grown().saturating_add(self.grown_max) };
        Ok(())
    }
}

fn store_key<W: Window>(
    slab: &Slab<W>,
    dropped: &BTreeMap<u32, Dropped<W::Summary>>,
    slot: u32,
    writer: &mut ByteWriter,
) {
    writer.key(slab.get(slot).key);
    store_window(slab, dropped, slot, writer);
}

fn store_window<W: Window>(
    slab: &Slab<W>,
    dropped: &BTreeMap<u32, Dropped<W::Summary>>,
    slot: u32,
    writer: &mut ByteWriter,
) {
    let entry = slab.get(slot);
    let truncated = entry.window.is_truncated();
    // Only what was truncated has lost anything.
    let dropped = if truncated { dropped.get(&slot) } else { None };
    writer.byte(if truncated { TRUNCATED } else { 0 } | if dropped.is_some() { DROPPED } else { 0 });
    entry.window.store(writer);
    if let Some(dropped) = dropped {
        writer.time(dropped.newest_ms);
        dropped.summary.store(writer);
    }
}
