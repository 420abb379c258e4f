//! Where the windows of a table live: fixed chunks of slots, so that none ever moves.
//!
//! A `Vec` of all slots would copy gigabytes when it grows; a chunk is allocated once, and given back when its last slot
//! is freed. Free slots of a chunk form a list through their key field; chunks with room form a stack.
//!
//! Invariant: a chunk is on the stack `open` once if it has room (one that was given back has), else not at all.

use prefetch_index::prefetch_index;

use super::KeyHash;

/// Slots of a chunk.
const CHUNK_SLOTS: usize = 4096;
/// End of a chunk's list of free slots.
const END: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Slot<W> {
    /// The key; in a free slot, the place of the next free one.
    pub(super) key: KeyHash,
    pub(super) window: W,
}

#[derive(Debug)]
pub(super) struct Slab<W> {
    /// The slots of each chunk, apart from what is read rarely.
    chunks: Vec<Vec<Slot<W>>>,
    uses: Vec<Use>,
    open: Vec<u32>,
    allocated: usize,
}

/// Which slots of a chunk are in use.
#[derive(Debug)]
struct Use {
    live: [u64; CHUNK_SLOTS / 64],
    used: u32,
    /// First of the free slots that were in use before.
    free: u64,
}

impl<W: Default> Slab<W> {
    pub(super) fn new() -> Slab<W> {
        Slab { chunks: Vec::new(), uses: Vec::new(), open: Vec::new(), allocated: 0 }
    }

    #[inline]
    pub(super) fn get(&self, slot: u32) -> &Slot<W> {
        &self.chunks[slot as usize / CHUNK_SLOTS][slot as usize % CHUNK_SLOTS]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Slot<W> {
        &mut self.chunks[slot as usize / CHUNK_SLOTS][slot as usize % CHUNK_SLOTS]
    }

    /// Asks for the memory of a slot, and does not wait for it: its first cache line and its last.
    #[inline]
    pub(super) fn prefetch(&self, slot: u32) {
        let (chunk, place) = (&self.chunks[slot as usize / CHUNK_SLOTS], slot as usize % CHUNK_SLOTS);
        prefetch_index(chunk, place);
        prefetch_index(chunk, place + 1);
    }

    /// How many slots the chunks have room for; slot numbers lie below it.
    pub(super) fn slots(&self) -> usize {
        self.chunks.len() * CHUNK_SLOTS
    }

    pub(super) fn bytes(&self) -> usize {
        self.allocated * CHUNK_SLOTS * size_of::<Slot<W>>()
            + self.chunks.capacity() * size_of::<Vec<Slot<W>>>()
            + self.uses.capacity() * size_of::<Use>()
            + self.open.capacity() * size_of::<u32>()
    }

    /// What the slots of a chunk take.
    pub(super) fn chunk_bytes(&self) -> usize {
        CHUNK_SLOTS * size_of::<Slot<W>>()
    }

    /// The first slot in use at `from` or after it, before `end`.
    pub(super) fn next_live(&self, mut from: usize, end: usize) -> Option<u32> {
        while from < end {
            let rest = self.uses[from / CHUNK_SLOTS].live[from % CHUNK_SLOTS / 64] >> (from % 64);
            if rest != 0 {
                let slot = from + rest.trailing_zeros() as usize;
                return (slot < end).then_some(slot as u32);
            }
            from = (from / 64 + 1) * 64;
        }
        None
    }

    /// Appends the keys in the next `slots` slots from one on. Answers where to go on; `None` at the end.
    pub(super) fn keys_from(&self, from: usize, slots: usize, keys: &mut Vec<KeyHash>) -> Option<usize> {
        let end = from.saturating_add(slots).min(self.slots());
        let mut next = from;
        while let Some(slot) = self.next_live(next, end) {
            keys.push(self.get(slot).key);
            next = slot as usize + 1;
        }
        (end < self.slots()).then_some(end)
    }

    /// A bit a slot: whether it is in use.
    pub(super) fn live(&self) -> Vec<u64> {
        self.uses.iter().flat_map(|uses| uses.live).collect()
    }

    /// Puts a key with an empty window into a free slot.
    pub(super) fn insert(&mut self, key: KeyHash) -> u32 {
        let chunk = match self.open.last() {
            Some(chunk) => *chunk as usize,
            None => self.add_chunk(),
        };
        let (slots, uses) = (&mut self.chunks[chunk], &mut self.uses[chunk]);
        if slots.capacity() == 0 {
            slots.reserve_exact(CHUNK_SLOTS);
            self.allocated += 1;
        }
        let place = if uses.free == END {
            slots.push(Slot { key, window: W::default() });
            slots.len() - 1
        } else {
            let place = uses.free as usize;
            uses.free = slots[place].key.low;
            slots[place].key = key;
            place
        };
        uses.live[place / 64] |= 1 << (place % 64);
        uses.used += 1;
        if uses.used as usize == CHUNK_SLOTS {
            self.open.pop();
        }
        (chunk * CHUNK_SLOTS + place) as u32
    }

    fn add_chunk(&mut self) -> usize {
        let chunk = self.chunks.len();
        self.chunks.push(Vec::new());
        self.uses.push(Use { live: [0; CHUNK_SLOTS / 64], used: 0, free: END });
        self.open.push(chunk as u32);
        chunk
    }

    /// Frees all slots; the memory of the first chunk is kept.
    pub(super) fn clear(&mut self) {
        self.chunks.truncate(1);
        self.uses.truncate(1);
        self.open.clear();
        self.open.extend(self.chunks.first().map(|_| 0));
        for (slots, uses) in self.chunks.iter_mut().zip(&mut self.uses) {
            slots.clear();
            *uses = Use { live: [0; CHUNK_SLOTS / 64], used: 0, free: END };
        }
        self.allocated = self.chunks.iter().filter(|slots| slots.capacity() > 0).count();
    }

    /// Frees a slot that is in use.
    pub(super) fn remove(&mut self, slot: u32) {
        let (chunk, place) = (slot as usize / CHUNK_SLOTS, slot as usize % CHUNK_SLOTS);
        let (slots, uses) = (&mut self.chunks[chunk], &mut self.uses[chunk]);
        if uses.used as usize == CHUNK_SLOTS {
            self.open.push(chunk as u32);
        }
        uses.used -= 1;
        uses.live[place / 64] &= !(1 << (place % 64));
        if uses.used == 0 {
            *slots = Vec::new();
            uses.free = END;
            self.allocated -= 1;
        } else {
            slots[place] = Slot { key: KeyHash { low: uses.free, high: 0 }, window: W::default() };
            uses.free = place as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn key(number: u64) -> KeyHash {
        KeyHash { low: number, high: !number }
    }

    fn live(slab: &Slab<u64>) -> Vec<u32> {
        let (mut found, mut from) = (Vec::new(), 0);
        while let Some(slot) = slab.next_live(from, slab.slots()) {
            found.push(slot);
            from = slot as usize + 1;
        }
        found
    }

    #[test]
    fn slots_are_reused_and_chunks_given_back() {
        let mut slab: Slab<u64> = Slab::new();
        let mut model = BTreeMap::new();
        for number in 0..3 * CHUNK_SLOTS as u64 {
            let slot = slab.insert(key(number));
            slab.get_mut(slot).window = number;
            assert!(model.insert(slot, number).is_none());
        }
        let full = slab.bytes();
        for slot in (0..slab.slots() as u32).filter(|slot| slot % 3 != 0 || *slot >= 2 * CHUNK_SLOTS as u32) {
            slab.remove(slot);
            model.remove(&slot);
        }
        assert_eq!(live(&slab), model.keys().copied().collect::<Vec<_>>());
        assert!(slab.bytes() + CHUNK_SLOTS * size_of::<Slot<u64>>() <= full);
        for number in 0..2 * CHUNK_SLOTS as u64 {
            let slot = slab.insert(key(number));
            assert_eq!(slab.get(slot).window, 0, "a reused slot is empty");
            slab.get_mut(slot).window = number;
            assert!(model.insert(slot, number).is_none());
        }
        for (slot, number) in &model {
            assert_eq!(slab.get(*slot).window, *number);
        }
        assert_eq!(slab.slots(), 3 * CHUNK_SLOTS);
        assert_eq!(live(&slab), model.keys().copied().collect::<Vec<_>>());
    }
}
