//! The memory of identities in a checkpoint: its bounds, then one record an identity, in the order of arrival.
//!
//! Identities keep their numbers, by which their verdicts are found.

use super::{CHUNK_ENTRIES, Dedup, Entry, Held, NUMBERS, slot_of};
use crate::state::KeyHash;
use crate::state::checkpoint::{Broken, ByteReader, ByteWriter, Segments};
use crate::state::cut::Cuttable;

/// No log has so many events.
const NUMBER_MAX: u64 = 1 << 62;

/// What an identity takes.
const HELD_BYTES: usize = 32;

/// A cut through the identities.
#[derive(Debug)]
pub(crate) struct DedupCut {
    /// Entries before this one are written.
    next: u64,
    /// Entries from this one on are new since.
    end: u64,
    segments: Segments,
}

impl Entry {
    /// Writes its number.
    pub fn store(self, writer: &mut ByteWriter) {
        writer.word(self.0);
    }

    /// Reads what [`Entry::store`] wrote.
    ///
    /// # Errors
    ///
    /// Too few bytes are left.
    pub fn restore(reader: &mut ByteReader<'_>) -> Result<Entry, Broken> {
        reader.word().map(Entry)
    }
}

impl Cuttable for Dedup {
    type Cut = DedupCut;

    fn new_cut(&self, prefix: &[u8]) -> DedupCut {
        DedupCut { next: self.first, end: self.first + self.held, segments: Segments::new(prefix) }
    }

    fn cut_mut(&mut self) -> &mut Option<Box<DedupCut>> {
        &mut self.cut
    }

    fn walk(&self, cut: &mut DedupCut, budget_bytes: &mut usize, put: &mut dyn FnMut(&[u8])) -> bool {
        let count = budget_bytes.div_ceil(HELD_BYTES) as u64;
        let end = cut.end.min(cut.next.saturating_add(count));
        *budget_bytes = budget_bytes.saturating_sub((end - cut.next) as usize * HELD_BYTES);
        self.store_until(cut, end);
        if cut.next < cut.end {
            *budget_bytes = 0;
            cut.segments.hand_over(put);
            return false;
        }
        cut.segments.finish(put);
        true
    }
}

impl Dedup {
    /// Writes everything but the identities.
    pub fn store_head(&self, writer: &mut ByteWriter) {
        writer.time(self.span_ms);
        writer.word(self.max_entries);
        writer.word(self.first);
        writer.word(self.forgotten);
        writer.word(self.forgotten_early);
        writer.time(self.forced_ms);
        writer.time(self.watermark_ms);
        writer.byte(u8::from(self.limit_bytes.is_some()));
        writer.word(self.limit_bytes.unwrap_or(0) as u64);
        writer.count(self.unjudged.len());
        for range in &self.unjudged {
            writer.word(range.start);
            writer.word(range.end);
        }
    }

    /// Reads what [`Dedup::store_head`] wrote. Identities are remembered within the bounds of this memory; where the ones
    /// before were narrower, the horizon says so.
    ///
    /// # Errors
    ///
    /// What is impossible.
    pub fn restore_head(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        let (span_ms, _) = (reader.time()?, reader.word()?);
        self.first = reader.word()?;
        self.forgotten = reader.word()?;
        if self.first > NUMBER_MAX || self.forgotten > NUMBER_MAX {
            return Err(Broken("there were more events than can be"));
        }
        self.forgotten_early = reader.word()?;
        self.forced_ms = reader.time()?;
        self.watermark_ms = reader.time()?;
        if span_ms < self.span_ms {
            self.forced_ms = self.forced_ms.max(self.watermark_ms.saturating_sub(span_ms));
        }
        let is_limited = reader.flag()?;
        let bytes = usize::try_from(reader.word()?).unwrap_or(usize::MAX);
        self.limit_bytes = is_limited.then_some(bytes);
        let mut end = 0;
        for _ in 0..reader.count(16)? {
            let range = reader.word()?..reader.word()?;
            if range.start < end || range.end <= range.start {
                return Err(Broken("the marks of history are out of order"));
            }
            end = range.end;
            self.unjudged.push_back(range);
        }
        // What stands before the first in its chunk is gone.
        let gone = Held { key: KeyHash::default(), time_ms: 0, fingerprint: 0 };
        let before = (self.first % CHUNK_ENTRIES as u64) as usize;
        if before > 0 {
            let mut chunk = Vec::with_capacity(CHUNK_ENTRIES);
            chunk.resize(before, gone);
            self.chunks.push_back(chunk);
        }
        Ok(())
    }

    /// The oldest chunk is about to be cleared.
    pub(super) fn keep_first_chunk(&mut self) {
        let Some(mut cut) = self.cut.take() else { return };
        let end = cut.end.min(self.first + 1);
        self.store_until(&mut cut, end);
        self.cut = Some(cut);
    }

    /// Writes the entries of a cut before this one. What left since stands in its chunk until that is cleared.
    fn store_until(&self, cut: &mut DedupCut, end: u64) {
        let first_chunk = self.first / CHUNK_ENTRIES as u64;
        while cut.next < end {
            let (chunk, place) = (cut.next / CHUNK_ENTRIES as u64, (cut.next % CHUNK_ENTRIES as u64) as usize);
            let held = self.chunks.get((chunk - first_chunk) as usize).map_or(&[][..], |chunk| &chunk[place..]);
            for held in held.iter().take((end - cut.next) as usize) {
                let writer = cut.segments.item();
                writer.key(held.key);
                writer.time(held.time_ms);
                writer.word(held.fingerprint);
            }
            cut.next = end.min((chunk + 1) * CHUNK_ENTRIES as u64);
        }
    }

    /// Reads identities until the end of a segment of theirs. They are known once all of them are there, see
    /// [`Dedup::restored`].
    ///
    /// # Errors
    ///
    /// More than there can be, or one cut short.
    pub fn restore_identities(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        while !reader.is_empty() {
            let held = Held { key: reader.key()?, time_ms: reader.time()?, fingerprint: reader.word()? };
            if self.held >= NUMBERS / 2 {
                return Err(Broken("there are more identities than can be"));
            }
            self.coming.push(held.key, slot_of(self.first + self.held));
            if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK_ENTRIES) {
                self.chunks.push_back(Vec::with_capacity(CHUNK_ENTRIES));
            }
            let chunk = self.chunks.back_mut().expect("a chunk with room was just made sure of");
            chunk.push(held);
            self.held += 1;
        }
        Ok(())
    }

    /// All identities are there. Of a key that came again the newest counts.
    pub fn restored(&mut self) {
        let mut coming = std::mem::take(&mut self.coming);
        (self.index, _) = coming.build(|one, other| self.at_slot(one).key == self.at_slot(other).key);
    }
}
