//! From key to slot: an open-addressing index in segments, each of which grows on its own.
//!
//! A word is 32 bits of the key's hash (the tag) and a slot number. Growing a segment reads its words alone and touches no
//! slot, so no pause is longer than one segment's rescan: 0.4 % of the table. Keys are not stored here; the caller
//! compares them at the slot.
//!
//! Invariants: a segment's length is a power of two; at most 3/4 of it is in use; a word stands between its home and the
//! next empty word (linear probing, deletion by backward shift).

use super::KeyHash;

/// Segments of an index. At 10^7 keys each holds 39,000 words, which are rescanned in about a millisecond.
const SEGMENTS: usize = 256;
/// How full a segment may be. With linear probing a search for a new key looks at 8 words at 3/4 and at 32 at 7/8 (Knuth,
/// The Art of Computer Programming, volume 3, 6.4): most keys of a stream are new to some table.
const FULL: (usize, usize) = (3, 4);
/// Words of a segment that holds anything.
const SEGMENT_WORDS_MIN: usize = 8;
/// The empty word: slot numbers are stored plus one.
const EMPTY: u64 = 0;

/// The largest slot number that fits.
pub(super) const SLOT_MAX: u32 = u32::MAX - 1;

#[derive(Debug)]
pub(super) struct Index {
    segments: Vec<Segment>,
    words: usize,
    keys: usize,
}

#[derive(Clone, Debug, Default)]
struct Segment {
    words: Box<[u64]>,
    used: usize,
}

/// Where the search for a key begins: what of it fits in a register.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Home {
    segment: u32,
    place: u32,
}

/// The empty place at which the search for a key ended: good until the index changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vacancy(usize);

fn segment_of(key: KeyHash) -> usize {
    (key.0[0] >> 56) as usize
}

fn tag_of(key: KeyHash) -> u32 {
    key.0[0] as u32
}

fn word(tag: u32, slot: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(slot + 1)
}

fn tag(word: u64) -> u32 {
    (word >> 32) as u32
}

fn slot(word: u64) -> u32 {
    word as u32 - 1
}

impl Index {
    pub(super) fn new() -> Index {
        Index { segments: vec![Segment::default(); SEGMENTS], words: 0, keys: 0 }
    }

    pub(super) fn keys(&self) -> usize {
        self.keys
    }

    pub(super) fn bytes(&self) -> usize {
        self.words * size_of::<u64>() + SEGMENTS * size_of::<Segment>()
    }

    /// The first word of a key's search. Its load depends on nothing but the key: a loop over many keys has all of them
    /// under way at once.
    #[inline]
    pub(super) fn home_word(&self, key: KeyHash) -> (Home, u64) {
        let segment = segment_of(key);
        let words = &self.segments[segment].words;
        let place = tag_of(key) as usize & words.len().wrapping_sub(1);
        let home = Home { segment: segment as u32, place: place as u32 };
        (home, words.get(place).copied().unwrap_or(EMPTY))
    }

    /// The first slot whose tag is the key's, going on from its home word: the right one but for one key in 10^4.
    #[inline]
    pub(super) fn guess(&self, key: KeyHash, home: Home, first: u64) -> Option<u32> {
        let words = &self.segments[home.segment as usize].words;
        let mut place = home.place as usize;
        let mut word = first;
        while word != EMPTY {
            if tag(word) == tag_of(key) {
                return Some(slot(word));
            }
            place = (place + 1) & (words.len() - 1);
            word = words[place];
        }
        None
    }

    /// The slot of this key, or where it would be added; `is_it` compares the key stored at a slot.
    #[inline]
    pub(super) fn find(&self, key: KeyHash, is_it: impl FnMut(u32) -> bool) -> Result<u32, Vacancy> {
        let place = self.place(key, is_it);
        place.map(|place| slot(self.segments[segment_of(key)].words[place]))
    }

    #[inline]
    fn place(&self, key: KeyHash, mut is_it: impl FnMut(u32) -> bool) -> Result<usize, Vacancy> {
        let words = &self.segments[segment_of(key)].words;
        let mask = words.len().wrapping_sub(1);
        let mut place = tag_of(key) as usize & mask;
        // An empty segment has no words.
        while let Some(word) = words.get(place).filter(|word| **word != EMPTY) {
            if tag(*word) == tag_of(key) && is_it(slot(*word)) {
                return Ok(place);
            }
            place = (place + 1) & mask;
        }
        Err(Vacancy(place))
    }

    /// Adds a key where [`Index::find`] has just not found it.
    #[inline]
    pub(super) fn insert(&mut self, key: KeyHash, vacancy: Vacancy, slot: u32) {
        let segment = &mut self.segments[segment_of(key)];
        if (segment.used + 1) * FULL.1 > segment.words.len() * FULL.0 {
            let before = segment.words.len();
            segment.resize((before * 2).max(SEGMENT_WORDS_MIN));
            self.words += segment.words.len() - before;
            segment.put(word(tag_of(key), slot));
        } else {
            segment.words[vacancy.0] = word(tag_of(key), slot);
        }
        segment.used += 1;
        self.keys += 1;
    }

    /// Points a key that is at slot `from` to another slot.
    pub(super) fn replace(&mut self, key: KeyHash, from: u32, to: u32) {
        if let Ok(place) = self.place(key, |slot| slot == from) {
            self.segments[segment_of(key)].words[place] = word(tag_of(key), to);
        }
    }

    /// Removes the key at this slot, if the index still points there. A segment left seven eighths empty is halved.
    pub(super) fn remove(&mut self, key: KeyHash, slot: u32) {
        let Ok(place) = self.place(key, |candidate| candidate == slot) else { return };
        let segment = &mut self.segments[segment_of(key)];
        segment.close(place);
        segment.used -= 1;
        self.keys -= 1;
        if segment.used * 8 < segment.words.len() && segment.words.len() > SEGMENT_WORDS_MIN {
            let before = segment.words.len();
            segment.resize(before / 2);
            self.words -= before / 2;
        }
    }
}

impl Segment {
    fn resize(&mut self, words: usize) {
        let old = std::mem::replace(&mut self.words, vec![EMPTY; words].into_boxed_slice());
        for word in old.into_iter().filter(|word| *word != EMPTY) {
            self.put(word);
        }
    }

    fn put(&mut self, word: u64) {
        let mask = self.words.len() - 1;
        let mut place = tag(word) as usize & mask;
        while self.words[place] != EMPTY {
            place = (place + 1) & mask;
        }
        self.words[place] = word;
    }

    /// Empties a place and moves back those words behind it that a search would no longer reach.
    fn close(&mut self, mut hole: usize) {
        let mask = self.words.len() - 1;
        let mut place = hole;
        loop {
            place = (place + 1) & mask;
            let word = self.words[place];
            if word == EMPTY {
                break;
            }
            let from_home = place.wrapping_sub(tag(word) as usize) & mask;
            let from_hole = place.wrapping_sub(hole) & mask;
            if from_home >= from_hole {
                self.words[hole] = word;
                hole = place;
            }
        }
        self.words[hole] = EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Few segments and few tags, so that runs of words are long, wrap around and share tags.
    fn key(number: u16) -> KeyHash {
        let segment = u64::from(number % 2) << 56;
        KeyHash([segment | (u64::from(number / 2 % 300) * 0x0100_0001), u64::from(number)])
    }

    fn check(steps: &[(u16, bool)]) {
        let mut index = Index::new();
        let mut model: BTreeMap<u16, u32> = BTreeMap::new();
        let mut keys = Vec::new();
        for (number, add) in steps {
            let found = index.find(key(*number), |slot| keys[slot as usize] == *number);
            assert_eq!(found.ok(), model.get(number).copied());
            if let (true, Err(vacancy)) = (*add, found) {
                index.insert(key(*number), vacancy, keys.len() as u32);
                model.insert(*number, keys.len() as u32);
                keys.push(*number);
            } else if let (false, Ok(slot)) = (*add, found) {
                index.remove(key(*number), slot);
                model.remove(number);
            }
            assert_eq!(index.keys(), model.len());
        }
        for (number, slot) in &model {
            assert_eq!(index.find(key(*number), |slot| keys[slot as usize] == *number).ok(), Some(*slot));
            let (home, first) = index.home_word(key(*number));
            let guess = index.guess(key(*number), home, first).expect("a word with the tag is there");
            assert_eq!(tag_of(key(keys[guess as usize])), tag_of(key(*number)));
        }
        let words: usize = index.segments.iter().map(|segment| segment.words.len()).sum();
        assert_eq!(words, index.words);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn is_a_map(steps in prop::collection::vec((0u16..900, prop::bool::weighted(0.7)), 0..3000)) {
            check(&steps);
        }
    }

    /// Adds a key that is not there.
    fn add(index: &mut Index, key: KeyHash, slot: u32) {
        let vacancy = index.find(key, |_| false).expect_err("nothing is it");
        index.insert(key, vacancy, slot);
    }

    #[test]
    fn grows_and_shrinks_again() {
        let mut index = Index::new();
        let empty = index.bytes();
        let key = |number: u64| KeyHash([number.wrapping_mul(0x9e37_79b9_7f4a_7c15), number]);
        for number in 0..100_000 {
            add(&mut index, key(number), number as u32);
        }
        assert!(index.bytes() - empty <= 100_000 * size_of::<u64>() * 2 * FULL.1 / FULL.0);
        for number in 0..100_000 {
            index.remove(key(number), number as u32);
        }
        assert_eq!(index.keys(), 0);
        assert!(index.bytes() - empty <= SEGMENTS * SEGMENT_WORDS_MIN * 8);
    }

    #[test]
    fn a_replaced_slot_is_removed_under_its_new_number_only() {
        let mut index = Index::new();
        add(&mut index, key(1), 5);
        index.replace(key(1), 5, 9);
        index.remove(key(1), 5);
        assert_eq!(index.find(key(1), |_| true).ok(), Some(9));
        index.remove(key(1), 9);
        assert_eq!(index.find(key(1), |_| true).ok(), None);
    }
}
