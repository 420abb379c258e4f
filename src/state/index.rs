//! From key to slot: an open-addressing index in segments, which grow and then split, one at a time.
//!
//! A word is 32 bits of the key's hash (the tag) and a slot number. A segment doubles until it has
//! [`SEGMENT_WORDS_MAX`] words and then splits in two, told apart by one more bit of the tag; a directory of the tag's
//! leading bits says which segment holds a key (extendible hashing: Fagin, Nievergelt, Pippenger, Strong, ACM TODS 1979).
//! So no insertion rescans more than one segment, however large the table, and a small table is one small segment.
//! Growing reads words alone and touches no slot: keys are not stored here; the caller compares them at the slot.
//!
//! Invariants: a segment's length is a power of two; at most 3/4 of it is in use; a word stands between its home and the
//! next empty word (linear probing, deletion by backward shift); all tags of a segment agree in their first `depth` bits,
//! and the directory's entries for these bits name it.

mod build;

pub(super) use build::Coming;

use prefetch_index::prefetch_index;

use super::KeyHash;

/// Words of a segment before it splits: 64 KiB, rescanned in some 50 microseconds.
const SEGMENT_WORDS_MAX: usize = 8192;
/// Words of a segment that holds anything.
const SEGMENT_WORDS_MIN: usize = 8;
/// How full a segment may be. With linear probing a search for a new key looks at 8 words at 3/4 and at 32 at 7/8 (Knuth,
/// The Art of Computer Programming, volume 3, 6.4): most keys of a stream are new to some table.
const FULL: (usize, usize) = (3, 4);
/// Bits of a tag.
const TAG_BITS: u32 = 32;
/// Leading bits of a tag that the directory may tell apart: the others place a word in its segment. Enough for 3 * 10^9
/// keys; past them segments double again.
const DEPTH_MAX: u32 = TAG_BITS - SEGMENT_WORDS_MAX.trailing_zeros();
/// The empty word: slot numbers are stored plus one.
const EMPTY: u64 = 0;

/// The largest slot number that fits.
pub(super) const SLOT_MAX: u32 = u32::MAX - 1;

#[derive(Debug)]
pub(super) struct Index {
    /// By the first `depth` bits of the tag: the segment's place in `segments`.
    directory: Vec<u32>,
    depth: u32,
    segments: Vec<Segment>,
    words: usize,
    keys: usize,
}

#[derive(Debug, Default)]
struct Segment {
    words: Box<[u64]>,
    used: u32,
    /// How many leading bits all its tags share.
    depth: u32,
}

/// The empty place at which the search for a key ended: good until the index changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vacancy(usize);

fn tag_of(key: KeyHash) -> u32 {
    key.low as u32
}

fn word(tag: u32, slot: u32) -> u64 {
    u64::from(tag) << TAG_BITS | u64::from(slot + 1)
}

fn tag(word: u64) -> u32 {
    (word >> TAG_BITS) as u32
}

fn slot(word: u64) -> u32 {
    word as u32 - 1
}

/// The first `depth` bits of a tag.
#[inline]
fn leading(tag: u32, depth: u32) -> usize {
    (u64::from(tag) >> (TAG_BITS - depth)) as usize
}

impl Index {
    pub(super) fn new() -> Index {
        Index { directory: vec![0], depth: 0, segments: vec![Segment::default()], words: 0, keys: 0 }
    }

    pub(super) fn keys(&self) -> usize {
        self.keys
    }

    /// Forgets all keys; a small index keeps its memory.
    pub(super) fn clear(&mut self) {
        match self.segments.as_mut_slice() {
            [only] => {
                only.words.fill(EMPTY);
                only.used = 0;
                self.keys = 0;
            }
            _ => *self = Index::new(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.words * size_of::<u64>()
            + self.directory.capacity() * size_of::<u32>()
            + self.segments.capacity() * size_of::<Segment>()
    }

    /// About what a key takes: two words, since segments are half full.
    pub(super) fn key_bytes() -> usize {
        2 * size_of::<u64>()
    }

    /// What a segment asks for at once, at most.
    pub(super) fn step_bytes() -> usize {
        2 * SEGMENT_WORDS_MAX * size_of::<u64>()
    }

    #[inline]
    fn segment_of(&self, key: KeyHash) -> usize {
        self.segment_of_tag(tag_of(key))
    }

    #[inline]
    fn segment_of_tag(&self, tag: u32) -> usize {
        self.directory[leading(tag, self.depth)] as usize
    }

    /// Asks for the first words of a key's search, and does not wait for them.
    #[inline]
    pub(super) fn prefetch(&self, key: KeyHash) {
        let words = &self.segments[self.segment_of(key)].words;
        prefetch_index(words, tag_of(key) as usize & words.len().wrapping_sub(1));
    }

    /// The first slot whose tag is the key's: the right one but for one key in hundreds. It looks at no slot.
    #[inline]
    pub(super) fn guess(&self, key: KeyHash) -> Option<u32> {
        self.segments[self.segment_of(key)].guess(tag_of(key))
    }

    /// The slot of this key, or where it would be added; `is_it` compares the key stored at a slot.
    #[inline]
    pub(super) fn find(&self, key: KeyHash, is_it: impl FnMut(u32) -> bool) -> Result<u32, Vacancy> {
        let segment = &self.segments[self.segment_of(key)];
        segment.place(tag_of(key), is_it).map(|place| slot(segment.words[place]))
    }

    /// Adds a key where [`Index::find`] has just not found it.
    #[inline]
    pub(super) fn insert(&mut self, key: KeyHash, vacancy: Vacancy, slot: u32) {
        let word = word(tag_of(key), slot);
        let at = self.segment_of(key);
        let segment = &mut self.segments[at];
        if segment.is_full() {
            self.make_room(tag_of(key));
            let at = self.segment_of(key);
            self.segments[at].put(word);
        } else {
            segment.words[vacancy.0] = word;
            segment.used += 1;
        }
        self.keys += 1;
    }

    /// Makes room for one more word in the segment of this tag.
    #[cold]
    fn make_room(&mut self, tag: u32) {
        loop {
            let at = self.segment_of_tag(tag);
            let segment = &mut self.segments[at];
            let before = segment.words.len();
            if !segment.is_full() {
                return;
            }
            if before < SEGMENT_WORDS_MAX || segment.depth == DEPTH_MAX {
                segment.resize((before * 2).max(SEGMENT_WORDS_MIN));
                self.words += segment.words.len() - before;
            } else {
                let prefix = leading(tag, segment.depth);
                self.split(at, prefix);
            }
        }
    }

    /// Moves the words of a segment whose next bit is set to a segment of their own; `prefix` is what its tags share.
    fn split(&mut self, at: usize, prefix: usize) {
        let segment = &mut self.segments[at];
        let depth = segment.depth;
        if depth == self.depth {
            self.directory = self.directory.iter().flat_map(|segment| [*segment; 2]).collect();
            self.depth += 1;
        }
        let words = segment.words.len();
        let old = std::mem::replace(segment, Segment::new(words, depth + 1));
        let mut other = Segment::new(words, depth + 1);
        for word in old.words.into_iter().filter(|word| *word != EMPTY) {
            let of = if leading(tag(word), depth + 1) & 1 == 0 { &mut *segment } else { &mut other };
            of.put(word);
        }
        let entries = 1 << (self.depth - depth);
        let upper = prefix * entries + entries / 2;
        self.directory[upper..upper + entries / 2].fill(self.segments.len() as u32);
        self.segments.push(other);
        self.words += words;
    }

    /// Points a key that is at slot `from` to another slot.
    pub(super) fn replace(&mut self, key: KeyHash, from: u32, to: u32) {
        let at = self.segment_of(key);
        let segment = &mut self.segments[at];
        if let Ok(place) = segment.place(tag_of(key), |slot| slot == from) {
            segment.words[place] = word(tag_of(key), to);
        }
    }

    /// Removes the key at this slot, if the index still points there. A segment left seven eighths empty is halved; it is
    /// not joined with another, so that what is left of the largest a table ever was is 100 bytes for 6144 keys.
    pub(super) fn remove(&mut self, key: KeyHash, slot: u32) {
        let at = self.segment_of(key);
        let segment = &mut self.segments[at];
        let Ok(place) = segment.place(tag_of(key), |candidate| candidate == slot) else { return };
        segment.close(place);
        segment.used -= 1;
        self.keys -= 1;
        let words = segment.words.len();
        if segment.used as usize * 8 < words && words > SEGMENT_WORDS_MIN {
            segment.resize(words / 2);
            self.words -= words / 2;
        }
    }
}

impl Segment {
    fn new(words: usize, depth: u32) -> Segment {
        Segment { words: vec![EMPTY; words].into_boxed_slice(), used: 0, depth }
    }

    /// Whether it has no room for one more.
    #[inline]
    fn is_full(&self) -> bool {
        (self.used as usize + 1) * FULL.1 > self.words.len() * FULL.0
    }

    /// The slot of the first word with this tag.
    #[inline]
    fn guess(&self, wanted: u32) -> Option<u32> {
        let mask = self.words.len().wrapping_sub(1);
        let mut place = wanted as usize & mask;
        // An empty segment has no words.
        while let Some(word) = self.words.get(place).filter(|word| **word != EMPTY) {
            if tag(*word) == wanted {
                return Some(slot(*word));
            }
            place = (place + 1) & mask;
        }
        None
    }

    /// The place of the key with this tag, or the empty one at which its search ended.
    #[inline]
    fn place(&self, wanted: u32, mut is_it: impl FnMut(u32) -> bool) -> Result<usize, Vacancy> {
        let mask = self.words.len().wrapping_sub(1);
        let mut place = wanted as usize & mask;
        // An empty segment has no words.
        while let Some(word) = self.words.get(place).filter(|word| **word != EMPTY) {
            if tag(*word) == wanted && is_it(slot(*word)) {
                return Ok(place);
            }
            place = (place + 1) & mask;
        }
        Err(Vacancy(place))
    }

    fn resize(&mut self, words: usize) {
        let old = std::mem::replace(self, Segment::new(words, self.depth));
        old.words.into_iter().filter(|word| *word != EMPTY).for_each(|word| self.put(word));
    }

    fn put(&mut self, word: u64) {
        let mask = self.words.len() - 1;
        let mut place = tag(word) as usize & mask;
        while self.words[place] != EMPTY {
            place = (place + 1) & mask;
        }
        self.words[place] = word;
        self.used += 1;
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

    /// Few tags, so that runs of words are long, wrap around and share tags.
    fn key(number: u16) -> KeyHash {
        KeyHash { low: u64::from(number / 2 % 300) * 0x0100_0001, high: u64::from(number) }
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
            let guess = index.guess(key(*number)).expect("a word with the tag is there");
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
        let key = |number: u64| KeyHash { low: number.wrapping_mul(0x9e37_79b9_7f4a_7c15), high: number };
        for number in 0..100_000 {
            add(&mut index, key(number), number as u32);
        }
        assert!(index.bytes() - empty <= 100_000 * size_of::<u64>() * 2 * FULL.1 / FULL.0);
        assert!(index.segments.iter().all(|segment| segment.words.len() <= SEGMENT_WORDS_MAX));
        for number in 0..100_000 {
            assert_eq!(index.find(key(number), |slot| u64::from(slot) == number).ok(), Some(number as u32));
        }
        for number in 0..100_000 {
            index.remove(key(number), number as u32);
        }
        assert_eq!(index.keys(), 0);
        // What is left of some 30 segments.
        assert!(index.bytes() - empty <= 5000, "{} bytes", index.bytes() - empty);
    }

    #[test]
    fn tags_that_agree_in_all_that_the_directory_tells_apart_grow_one_segment() {
        let mut index = Index::new();
        // Their leading bits are the same: splitting parts them never.
        let key = |number: u64| KeyHash { low: number, high: number };
        for number in 0..10_000 {
            add(&mut index, key(number), number as u32);
        }
        for number in 0..10_000 {
            assert_eq!(index.find(key(number), |slot| u64::from(slot) == number).ok(), Some(number as u32));
        }
    }

    /// What came together is found like what came one by one, the last slot of a key that came again included.
    fn check_built(keys: &[KeyHash]) {
        let (mut coming, mut model) = (Coming::default(), BTreeMap::new());
        for (slot, key) in (0..).zip(keys) {
            coming.push(*key, slot);
            model.insert((key.low, key.high), slot);
        }
        let (index, came_again) = coming.build(|one, other| keys[one as usize] == keys[other as usize]);
        assert_eq!((index.keys(), came_again), (model.len(), keys.len() - model.len()));
        for key in keys {
            let found = index.find(*key, |slot| keys[slot as usize] == *key);
            assert_eq!(found.ok(), model.get(&(key.low, key.high)).copied());
        }
        assert!(index.find(KeyHash { low: u64::MAX, high: u64::MAX }, |_| false).is_err());
        assert!(index.segments.iter().all(|segment| segment.used as usize * FULL.1 <= segment.words.len() * FULL.0));
        assert_eq!(index.words, index.segments.iter().map(|segment| segment.words.len()).sum::<usize>());
        assert_eq!(index.keys(), index.segments.iter().map(|segment| segment.used as usize).sum::<usize>());
    }

    #[test]
    fn what_came_together_is_found() {
        let spread = |number: u64| KeyHash { low: number.wrapping_mul(0x9e37_79b9_7f4a_7c15), high: number };
        for count in [0, 1, 6, 7, 1000, 5529, 5530, 6144, 6145, 100_000] {
            check_built(&(0..count).map(spread).collect::<Vec<_>>());
        }
        // Some that came again, tags that are shared, and all in one segment of many.
        check_built(&(0..20_000).map(|number| spread(number % 15_000)).collect::<Vec<_>>());
        check_built(&(0..20_000).map(|number| key(number as u16)).collect::<Vec<_>>());
        check_built(&(0..20_000).map(|number| KeyHash { low: number, high: 0 }).collect::<Vec<_>>());
    }

    #[test]
    fn what_came_together_takes_no_more_memory_than_one_by_one() {
        for count in [1000u64, 10_000, 50_000, 90_000] {
            let (mut coming, mut index) = (Coming::default(), Index::new());
            let spread = |number: u64| KeyHash { low: number.wrapping_mul(0x9e37_79b9_7f4a_7c15), high: number };
            for number in 0..count {
                coming.push(spread(number), number as u32);
                add(&mut index, spread(number), number as u32);
            }
            let (built, _) = coming.build(|_, _| false);
            assert!(built.bytes() <= index.bytes() * 5 / 4, "{count}: {} beside {}", built.bytes(), index.bytes());
        }
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
