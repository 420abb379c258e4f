//! Texts about events that were judged, the newest in a bounded number of bytes: what verdicts rested on, for whoever asks why, later;
//! whom and what events are about.
//!
//! Nothing is kept where no bytes are allowed. Texts stand in chunks that leave whole, so that in the steady state nothing is allocated. No verdict depends on
//! them. Invariants: at most as many chunks as were allowed; identities ascend.

use std::collections::VecDeque;

use crate::state::{Broken, ByteReader, Cuttable, Entry, Segments};

/// Bytes of the texts of a chunk, but for one text that is longer.
const CHUNK_BYTES: usize = 64 << 10;

/// Texts in the order of arrival.
#[derive(Debug, Default)]
struct Chunk {
    /// Of each the identity of its event, and where it ends.
    ends: Vec<(Entry, u32)>,
    text: Vec<u8>,
}

/// The texts, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    /// How many chunks there may be.
    chunks_max: usize,
    chunks: VecDeque<Chunk>,
    /// How many chunks have left.
    left: u64,
    /// One that was emptied, for the next that is needed.
    spare: Option<Chunk>,
    /// Where a text is written first.
    writing: Vec<u8>,
    /// While they are written as of a place that was passed.
    cut: Option<Box<RecordedCut>>,
}

/// A cut through the texts.
#[derive(Debug)]
pub(super) struct RecordedCut {
    /// Number of the chunk and place in it: those before are written.
    next: (u64, usize),
    /// Those from here on are new since.
    end: (u64, usize),
    segments: Segments,
}

impl Recorded {
    /// Nothing yet, and about so many bytes at most.
    pub(super) fn new(bytes_max: usize) -> Recorded {
        Recorded { chunks_max: bytes_max.div_ceil(CHUNK_BYTES), ..Recorded::default() }
    }

    /// Whether anything is kept.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.chunks_max > 0
    }

    /// Keeps what is written of the event of this identity.
    pub(super) fn record(&mut self, entry: Entry, write: impl FnOnce(&mut Vec<u8>)) {
        let mut text = std::mem::take(&mut self.writing);
        text.clear();
        write(&mut text);
        self.put(entry, &text);
        self.writing = text;
    }

    fn put(&mut self, entry: Entry, text: &[u8]) {
        let is_full = |chunk: &Chunk| chunk.text.len() + text.len() > CHUNK_BYTES && !chunk.ends.is_empty();
        if self.chunks.back().is_none_or(is_full) {
            if self.chunks.len() >= self.chunks_max {
                self.drop_oldest();
            }
            let chunk =
                self.spare.take().unwrap_or_else(|| Chunk { ends: Vec::new(), text: Vec::with_capacity(CHUNK_BYTES) });
            self.chunks.push_back(chunk);
        }
        let chunk = self.chunks.back_mut().expect("a chunk with room was just made sure of");
        chunk.text.extend_from_slice(text);
        chunk.ends.push((entry, chunk.text.len() as u32));
    }

    /// What was kept of the event of this identity.
    pub(super) fn find(&self, entry: Entry) -> Option<&[u8]> {
        let after = self.chunks.partition_point(|chunk| chunk.ends.first().is_some_and(|(first, _)| *first <= entry));
        let chunk = self.chunks.get(after.checked_sub(1)?)?;
        let place = chunk.ends.binary_search_by_key(&entry, |(known, _)| *known).ok()?;
        Some(chunk.piece(place))
    }

    /// All that is kept.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = (Entry, &[u8])> {
        let of = |chunk: &'_ Chunk| (0..chunk.ends.len()).rev();
        let places = self.chunks.iter().rev().flat_map(move |chunk| of(chunk).map(move |place| (chunk, place)));
        places.map(|(chunk, place)| (chunk.ends[place].0, chunk.piece(place)))
    }

    /// Drops what was kept of identities before this one, which are forgotten.
    pub(super) fn trim(&mut self, oldest: Entry) {
        while self.chunks.front().is_some_and(|chunk| chunk.ends.iter().all(|(entry, _)| *entry < oldest)) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(mut cut) = self.cut.take() {
            while cut.next.0 == self.left && self.store_next(&mut cut) {}
            self.cut = Some(cut);
        }
        if let Some(mut chunk) = self.chunks.pop_front() {
            self.left += 1;
            chunk.ends.clear();
            chunk.text.clear();
            self.spare = Some(chunk);
        }
    }

    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.ends.len()).sum()
    }

    /// Memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.iter().chain(&self.spare).map(Chunk::bytes).sum::<usize>() + self.writing.capacity()
    }

    /// Writes the next one of a cut; `false`: there is none.
    fn store_next(&self, cut: &mut RecordedCut) -> bool {
        if cut.next >= cut.end {
            return false;
        }
        let (number, place) = cut.next;
        let Some(chunk) = number.checked_sub(self.left).and_then(|at| self.chunks.get(at as usize)) else {
            return false;
        };
        let Some((entry, _)) = chunk.ends.get(place) else {
            cut.next = (number + 1, 0);
            return true;
        };
        let writer = cut.segments.item();
        entry.store(writer);
        writer.bytes(chunk.piece(place));
        cut.next = (number, place + 1);
        true
    }

    /// Reads what a cut wrote.
    pub(super) fn restore(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        while !reader.is_empty() {
            let (entry, text) = (Entry::restore(reader)?, reader.bytes()?);
            if self.is_on() {
                self.put(entry, text);
            }
        }
        Ok(())
    }
}

impl Chunk {
    fn piece(&self, place: usize) -> &[u8] {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before].1);
        &self.text[start as usize..self.ends[place].1 as usize]
    }

    fn bytes(&self) -> usize {
        self.ends.capacity() * size_of::<(Entry, u32)>() + self.text.capacity()
    }
}

impl Cuttable for Recorded {
    type Cut = RecordedCut;

    fn new_cut(&self, prefix: &[u8]) -> RecordedCut {
        let last = self.chunks.back().map_or(0, |chunk| chunk.ends.len());
        let end = (self.left + self.chunks.len().saturating_sub(1) as u64, last);
        RecordedCut { next: (self.left, 0), end, segments: Segments::new(prefix) }
    }

    fn cut_mut(&mut self) -> &mut Option<Box<RecordedCut>> {
        &mut self.cut
    }

    fn walk(&self, cut: &mut RecordedCut, budget_bytes: &mut usize, put: &mut dyn FnMut(&[u8])) -> bool {
        let start = cut.segments.bytes();
        while cut.segments.bytes() - start < *budget_bytes {
            if !self.store_next(cut) {
                *budget_bytes -= cut.segments.bytes() - start;
                cut.segments.finish(put);
                return true;
            }
        }
        *budget_bytes = 0;
        cut.segments.hand_over(put);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: u64) -> Vec<u8> {
        format!("{number}:{}", "x".repeat((number % 900) as usize)).into_bytes()
    }

    fn come(recorded: &mut Recorded, numbers: std::ops::Range<u64>) {
        numbers.for_each(|number| recorded.record(Entry::of_number(number), |out| out.extend(text(number))));
    }

    #[test]
    fn the_newest_are_kept_in_as_many_bytes_as_were_allowed() {
        let mut recorded = Recorded::new(300_000);
        come(&mut recorded, 0..5000);
        let kept: Vec<u64> = (0..5000).filter(|number| recorded.find(Entry::of_number(*number)).is_some()).collect();
        assert_eq!(kept.last(), Some(&4999));
        assert!(kept.windows(2).all(|two| two[0] + 1 == two[1]), "without gaps");
        let bytes: usize = kept.iter().map(|number| text(*number).len()).sum();
        assert!((200_000..=5 * CHUNK_BYTES).contains(&bytes), "{bytes}");
        assert!(recorded.bytes() < 7 * (CHUNK_BYTES + (8 << 10)), "{}", recorded.bytes());
        for number in kept {
            assert_eq!(recorded.find(Entry::of_number(number)), Some(&*text(number)));
        }
        recorded.trim(Entry::of_number(5000));
        assert_eq!(recorded.find(Entry::of_number(4999)), None);
        // One that is longer than a chunk has one for itself.
        recorded.record(Entry::of_number(5007), |out| out.resize(2 * CHUNK_BYTES, b'y'));
        come(&mut recorded, 5008..5010);
        assert_eq!(recorded.find(Entry::of_number(5007)).map(<[u8]>::len), Some(2 * CHUNK_BYTES));
        assert_eq!(recorded.find(Entry::of_number(5009)), Some(&*text(5009)));
        let newest: Vec<Entry> = recorded.newest_first().map(|(entry, _)| entry).collect();
        assert_eq!(newest, [5009, 5008, 5007].map(Entry::of_number));
        let off = Recorded::new(0);
        assert!(!off.is_on());
    }

    #[test]
    fn a_cut_has_what_was_there_whatever_comes_while_it_is_written() {
        let gathered = |segments: &[Vec<u8>]| -> Vec<u8> { segments.iter().flat_map(|of| &of[1..]).copied().collect() };
        for (step_bytes, count) in [(2000, 300), (1, 5), (60_000, 4000)] {
            let mut recorded = Recorded::new(500_000);
            come(&mut recorded, 0..3000);
            let mut next = 3000;
            let (mut whole, mut cut) = (Vec::new(), Vec::new());
            recorded.store(&[7], &mut |segment| whole.push(segment.to_vec()));
            recorded.begin_cut(&[7]);
            while !recorded.store_cut(&mut { step_bytes }, &mut |segment| cut.push(segment.to_vec())) {
                come(&mut recorded, next..next + count);
                next += count;
            }
            assert!(gathered(&whole) == gathered(&cut), "{step_bytes} bytes a step");
            let mut read = Recorded::new(500_000);
            cut.iter()
                .for_each(|segment| read.restore(&mut ByteReader::new(&segment[1..])).expect("it was written whole"));
            assert_eq!(read.find(Entry::of_number(2999)), Some(&*text(2999)));
            let mut off = Recorded::new(0);
            cut.iter().for_each(|segment| off.restore(&mut ByteReader::new(&segment[1..])).expect("it is passed over"));
            assert_eq!(off.bytes(), 0);
        }
    }
}
