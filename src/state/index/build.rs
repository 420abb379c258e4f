//! The index of keys that have all come, as from a checkpoint.
//!
//! One insertion after the other, each key waits for a word somewhere in a memory that no cache holds, and moves again each
//! time that its segment splits. When all words are known, they are first sorted by the segment that they will be in, and
//! each segment is then filled while it is in the cache, at the size that it needs.

use super::{
    DEPTH_MAX, EMPTY, FULL, Index, SEGMENT_WORDS_MAX, SEGMENT_WORDS_MIN, Segment, leading, slot, tag, tag_of, word,
};
use crate::state::KeyHash;

/// Keys that a segment is meant for: a tenth less than fit, so that it takes those that chance gives it beyond its share.
const SEGMENT_KEYS: usize = SEGMENT_WORDS_MAX * FULL.0 / FULL.1 * 9 / 10;

/// Keys with their slots, in the order in which they came.
#[derive(Debug, Default)]
pub(in crate::state) struct Coming {
    words: Vec<u64>,
}

impl Coming {
    /// A key and its slot.
    #[inline]
    pub(in crate::state) fn push(&mut self, key: KeyHash, slot: u32) {
        self.words.push(word(tag_of(key), slot));
    }

    /// The index of all that came, and how many keys came again: of these the last slot counts. `are_one` says whether the
    /// keys of two slots are the same.
    pub(in crate::state) fn build(&mut self, mut are_one: impl FnMut(u32, u32) -> bool) -> (Index, usize) {
        let words = std::mem::take(&mut self.words);
        let mut depth = 0;
        while depth < DEPTH_MAX && words.len() >> depth > SEGMENT_KEYS {
            depth += 1;
        }
        let (sorted, ends) = by_segment(words, depth);
        let mut index = Index { directory: Vec::new(), depth, segments: Vec::new(), words: 0, keys: 0 };
        let mut start = 0;
        for (place, end) in (0..).zip(&ends) {
            index.directory.push(place);
            let segment = Segment::with_room(end - start, depth);
            index.words += segment.words.len();
            index.segments.push(segment);
            start = *end;
        }
        let before = sorted.len();
        let came_again = sorted.into_iter().filter(|word| index.put(*word, &mut are_one)).count();
        index.keys = before - came_again;
        (index, came_again)
    }
}

/// The words sorted by the first `depth` bits of their tags, else in their order; and where each of these parts ends.
fn by_segment(words: Vec<u64>, depth: u32) -> (Vec<u64>, Vec<usize>) {
    let part = |word: u64| leading(tag(word), depth);
    let mut ends = vec![0; 1 << depth];
    words.iter().for_each(|word| ends[part(*word)] += 1);
    let mut sum = 0;
    for end in &mut ends {
        sum += std::mem::replace(end, sum);
    }
    // Each now says where its part begins, and at last where it ends.
    let mut sorted = vec![EMPTY; words.len()];
    for word in words {
        let place = &mut ends[part(word)];
        sorted[*place] = word;
        *place += 1;
    }
    (sorted, ends)
}

impl Index {
    /// Adds a word; `true`: in place of one whose key is the same.
    fn put(&mut self, word: u64, are_one: &mut impl FnMut(u32, u32) -> bool) -> bool {
        let at = self.segment_of_tag(tag(word));
        let is_same = |known: u32| are_one(known, slot(word));
        match self.segments[at].place(tag(word), is_same) {
            Ok(place) => {
                self.segments[at].words[place] = word;
                true
            }
            Err(_) => {
                self.make_room(tag(word));
                let at = self.segment_of_tag(tag(word));
                self.segments[at].put(word);
                false
            }
        }
    }
}

impl Segment {
    /// An empty one that so many keys fill; when they are more than one takes, it is as long as one can be.
    fn with_room(keys: usize, depth: u32) -> Segment {
        let words = (keys * FULL.1).div_ceil(FULL.0).next_power_of_two();
        let words = if keys == 0 { 0 } else { words.clamp(SEGMENT_WORDS_MIN, SEGMENT_WORDS_MAX) };
        Segment::new(words, depth)
    }
}
