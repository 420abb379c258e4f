//! What the keys of each class take in one table, and how much more they may: so that a quota holds over many tables.
//!
//! Whoever owns the tables adds up what a class takes in all of them, at places of its choice, and gives each table room
//! until the next. In between a table decides alone, by the order of its own operations. A key takes the bytes of its slot
//! and of its place in the index, however full these are, and what its window has outside: so what a class takes depends
//! on the operations at its own keys, and never on those of another.
//!
//! Invariants: [`Class::NONE`] and classes that are not metered may take anything; what is refused for a class makes nothing
//! of another class inexact.

use super::checkpoint::{Broken, ByteReader, ByteWriter};
use super::hash::{Class, KeyHash};

/// What the keys of a class take in a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassUse {
    /// How many keys there are.
    pub keys: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// How much more the keys of a class may take in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassRoom {
    /// How many keys may be added.
    pub keys: usize,
    /// Whether it is for the sake of bytes that there may not be more.
    pub keys_for_bytes: bool,
    /// How many bytes the windows of keys may grow by outside their slots.
    pub grown_bytes: usize,
}

/// How many events a table did not count for a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassRefused {
    /// For want of keys.
    pub keys: u64,
    /// For want of bytes.
    pub bytes: u64,
}

/// The classes of a table.
#[derive(Debug, Default)]
pub(super) struct Classes {
    /// By class from the first one on.
    of: Vec<Metered>,
}

#[derive(Clone, Debug)]
struct Metered {
    keys: usize,
    /// Bytes outside slots.
    grown: usize,
    keys_max: usize,
    keys_for_bytes: bool,
    grown_max: usize,
    /// Newest time of an event that was refused at a new key.
    refused_ms: Option<i64>,
    /// Newest time of an event that was refused at a known key.
    curbed_ms: Option<i64>,
    refused: ClassRefused,
}

impl Classes {
    /// Counts for so many classes; those that are counted stay so.
    pub(super) fn meter(&mut self, classes: usize) {
        let free = Metered {
            keys: 0,
            grown: 0,
            keys_max: usize::MAX,
            keys_for_bytes: false,
            grown_max: usize::MAX,
            refused_ms: None,
            curbed_ms: None,
            refused: ClassRefused::default(),
        };
        self.of.resize(classes, free);
    }

    #[inline]
    fn get(&self, class: Class) -> Option<&Metered> {
        self.of.get(usize::from(class.0).wrapping_sub(1))
    }

    #[inline]
    fn get_mut(&mut self, class: Class) -> Option<&mut Metered> {
        self.of.get_mut(usize::from(class.0).wrapping_sub(1))
    }

    /// Whether a new key of this class may be added.
    #[inline]
    pub(super) fn takes(&self, key: KeyHash) -> bool {
        self.get(key.class()).is_none_or(|of| of.keys < of.keys_max)
    }

    /// Whether the window of a key may grow.
    #[inline]
    pub(super) fn may_grow(&self, key: KeyHash) -> bool {
        self.get(key.class()).is_none_or(|of| of.grown < of.grown_max)
    }

    /// A key was added.
    #[inline]
    pub(super) fn came(&mut self, key: KeyHash) {
        if let Some(of) = self.get_mut(key.class()) {
            of.keys += 1;
        }
    }

    /// A key was dropped.
    pub(super) fn left(&mut self, key: KeyHash) {
        if let Some(of) = self.get_mut(key.class()) {
            of.keys -= 1;
        }
    }

    /// What the table takes outside its slots has changed by something at this key.
    #[inline]
    pub(super) fn grew(&mut self, key: KeyHash, before: usize, now: usize) {
        if before != now
            && let Some(of) = self.get_mut(key.class())
        {
            of.grown = of.grown + now - before;
        }
    }

    /// An event was refused at a new key.
    #[cold]
    pub(super) fn refuse(&mut self, key: KeyHash, time_ms: i64) {
        if let Some(of) = self.get_mut(key.class()) {
            of.refused_ms = of.refused_ms.max(Some(time_ms));
            *(if of.keys_for_bytes { &mut of.refused.bytes } else { &mut of.refused.keys }) += 1;
        }
    }

    /// An event was refused at a known key, whose window would have grown.
    #[cold]
    pub(super) fn curb(&mut self, key: KeyHash, time_ms: i64) {
        if let Some(of) = self.get_mut(key.class()) {
            of.curbed_ms = of.curbed_ms.max(Some(time_ms));
            of.refused.bytes += 1;
        }
    }

    /// Newest time of an event that was refused at a new key of this class.
    #[inline]
    pub(super) fn refused_ms(&self, key: KeyHash) -> Option<i64> {
        self.get(key.class()).and_then(|of| of.refused_ms)
    }

    /// The same at any key of it.
    pub(super) fn lost_ms(&self, key: KeyHash) -> Option<i64> {
        self.get(key.class()).and_then(|of| of.refused_ms.max(of.curbed_ms))
    }

    /// What a class takes, with so many bytes for each key.
    pub(super) fn used(&self, class: Class, key_bytes: usize) -> ClassUse {
        self.get(class)
            .map_or(ClassUse::default(), |of| ClassUse { keys: of.keys, bytes: of.keys * key_bytes + of.grown })
    }

    /// Gives a class room until this is called again.
    pub(super) fn allow(&mut self, class: Class, room: ClassRoom) {
        if let Some(of) = self.get_mut(class) {
            of.keys_max = of.keys.saturating_add(room.keys);
            of.keys_for_bytes = room.keys_for_bytes;
            of.grown_max = of.grown.saturating_add(room.grown_bytes);
        }
    }

    /// What was refused since the last call.
    pub(super) fn take_refused(&mut self, class: Class) -> ClassRefused {
        self.get_mut(class).map_or(ClassRefused::default(), |of| std::mem::take(&mut of.refused))
    }

    /// Writes what was refused and when: what keys take is counted anew when they are read.
    pub(super) fn store(&self, writer: &mut ByteWriter) {
        let lost = |of: &&Metered| of.refused_ms.max(of.curbed_ms).is_some();
        writer.count(self.of.iter().filter(lost).count());
        for (class, of) in (1u8..).zip(&self.of).filter(|(_, of)| lost(of)) {
            writer.byte(class);
            writer.maybe_time(of.refused_ms);
            writer.maybe_time(of.curbed_ms);
        }
    }

    /// Reads that. What was refused of a class that is not metered any more makes nothing inexact: its keys are refused no
    /// more, and those that were are not there.
    pub(super) fn restore(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        for _ in 0..reader.count(3)? {
            let written = reader.byte()?;
            let class = reader.class(written);
            let (refused_ms, curbed_ms) = (reader.maybe_time()?, reader.maybe_time()?);
            if let Some(of) = self.get_mut(class) {
                of.refused_ms = of.refused_ms.max(refused_ms);
                of.curbed_ms = of.curbed_ms.max(curbed_ms);
            }
        }
        Ok(())
    }

    /// Memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.of.capacity() * size_of::<Metered>()
    }
}

#[cfg(test)]
#[path = "classes/tests.rs"]
mod tests;
