//! The identities already seen: tells a new event from a repeat and from a reused id.
//!
//! Entries stand in the order of arrival in chunks, found by the same index as windows; the oldest leave, whole chunks
//! are freed. Whether an identity is remembered is a matter of the order of events alone and is checked when it is looked
//! up; memory is reclaimed later, two entries for each that comes, so that there is no pause.
//!
//! Invariants: entry numbers from `first` to before `first + held` are in the chunks; the index points to the newest
//! entry of a key.

mod stored;

use std::collections::VecDeque;
use std::ops::Range;

use prefetch_index::prefetch_index;

use super::KeyHash;
use super::index::{Coming, Index, Vacancy};
use super::planted::{Defect, is_planted};
use stored::DedupCut;

/// Entries of a chunk.
const CHUNK_ENTRIES: usize = 4096;
/// Events whose memory is asked for together.
const PASS: usize = 128;
/// The most entries that can be asked for.
const ENTRIES_LIMIT: u32 = 1 << 30;
/// Entry numbers in the index are modulo this, twice what can be held.
const NUMBERS: u64 = 1 << 31;

/// One event, as the memory of identities sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Hash of (program, source, id).
    pub key: KeyHash,
    /// Event time, milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// Hash of the event's content.
    pub fingerprint: u64,
    /// The watermark as of this event; never goes back.
    pub watermark_ms: i64,
}

/// A remembered identity: its number in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry(u64);

impl Entry {
    /// The identity of a number, for who numbers them by itself.
    pub fn of_number(number: u64) -> Entry {
        Entry(number)
    }
}

/// What the memory says of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// Not seen, or forgotten: remembered from now on.
    New(Entry),
    /// Counted as history, and not judged yet: remembered from now on as one that is.
    Unjudged(Entry),
    /// The same event again: the first one's entry. It may stand earlier in the same batch.
    Repeat(Entry),
    /// The same identity with other content.
    Reused(Entry),
}

/// The memory of identities.
#[derive(Debug)]
pub struct Dedup {
    span_ms: i64,
    max_entries: u64,
    index: Index,
    /// The identities of a checkpoint that is read, until all are there.
    coming: Coming,
    chunks: VecDeque<Vec<Held>>,
    /// A freed chunk, for the next that is needed: in the steady state nothing is allocated.
    spare: Option<Vec<Held>>,
    /// Number of the oldest entry held.
    first: u64,
    held: u64,
    /// Ranges of the entries that were counted as history, ascending.
    unjudged: VecDeque<Range<u64>>,
    /// Entries before this number are forgotten, whatever the bounds say.
    forgotten: u64,
    /// How many were forgotten for the limit alone.
    forgotten_early: u64,
    /// Bytes that what is remembered of events may take, while memory is short.
    limit_bytes: Option<usize>,
    /// Newest event time among the entries that the bound pushed out early.
    forced_ms: i64,
    watermark_ms: i64,
    /// While identities are written as of a place that was passed.
    cut: Option<Box<DedupCut>>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    key: KeyHash,
    time_ms: i64,
    fingerprint: u64,
}

impl Dedup {
    /// An empty memory. An identity is remembered while its event time + `span_ms` lies after the watermark, and until
    /// `max_entries` (1 to 2^30; others are clamped) newer ones have arrived.
    pub fn new(span_ms: i64, max_entries: u32) -> Dedup {
        Dedup {
            span_ms,
            max_entries: u64::from(max_entries.clamp(1, ENTRIES_LIMIT)),
            index: Index::new(),
            coming: Coming::default(),
            chunks: VecDeque::new(),
            spare: None,
            first: 0,
            held: 0,
            unjudged: VecDeque::new(),
            forgotten: 0,
            forgotten_early: 0,
            limit_bytes: None,
            forced_ms: i64::MIN,
            watermark_ms: i64::MIN,
            cut: None,
        }
    }

    /// For how long an identity is remembered, in milliseconds of event time.
    pub fn span_ms(&self) -> i64 {
        self.span_ms
    }

    /// The time of an event that is remembered.
    pub fn time_ms(&self, entry: Entry) -> i64 {
        self.held(entry).map_or(i64::MIN, |held| held.time_ms)
    }

    /// An empty memory with the same bounds.
    pub fn begun_anew(&self) -> Dedup {
        Dedup::new(self.span_ms, self.max_entries as u32)
    }

    /// Looks each event up in order, and remembers the new ones; earlier events of a batch are visible to later ones.
    /// Appends one sighting an event. How events are cut into calls does not matter.
    pub fn observe(&mut self, events: &[Identity], out: &mut Vec<Sighting>) {
        out.reserve(events.len());
        for pass in events.chunks(PASS) {
            self.fetch(pass);
            for event in pass {
                let sighting = self.sight(event);
                out.push(sighting);
            }
        }
    }

    /// Asks for the memory of all events of a pass: all index words first, then all entries.
    #[inline]
    fn fetch(&self, events: &[Identity]) {
        events.iter().for_each(|event| self.index.prefetch(event.key));
        for slot in events.iter().filter_map(|event| self.index.guess(event.key)) {
            if let Some((chunk, place)) = self.place(Entry(self.number(slot))) {
                prefetch_index(&self.chunks[chunk], place);
            }
        }
        // What is forgotten meanwhile leaves the index, at places that have nothing to do with those of the events.
        let oldest = self.first..(self.first + 2 * events.len() as u64).min(self.first + self.held);
        for number in oldest {
            match self.held(Entry(number)) {
                Some(held) if !self.is_remembered(number, held.time_ms) => self.index.prefetch(held.key),
                _ => break,
            }
        }
    }

    fn sight(&mut self, event: &Identity) -> Sighting {
        self.watermark_ms = self.watermark_ms.max(event.watermark_ms);
        let known = self.index.find(event.key, |slot| self.at_slot(slot).key == event.key);
        if let Ok(slot) = known {
            let entry = Entry(self.number(slot));
            let held = self.at_slot(slot);
            if self.is_remembered(entry.0, held.time_ms) && !is_planted(Defect::AddedTwice) {
                if held.fingerprint != event.fingerprint {
                    return Sighting::Reused(entry);
                }
                if self.is_unjudged(entry.0) {
                    return Sighting::Unjudged(self.remember(event, known));
                }
                return Sighting::Repeat(entry);
            }
        }
        Sighting::New(self.remember(event, known))
    }

    /// The entry of a key that is remembered, and was judged. It says nothing of the event's content.
    pub fn judged(&self, key: KeyHash) -> Option<Entry> {
        let slot = self.index.find(key, |slot| self.at_slot(slot).key == key).ok()?;
        let number = self.number(slot);
        let is_remembered = self.is_remembered(number, self.at_slot(slot).time_ms);
        (is_remembered && !self.is_unjudged(number)).then_some(Entry(number))
    }

    fn is_unjudged(&self, number: u64) -> bool {
        let after = self.unjudged.partition_point(|range| range.end <= number);
        self.unjudged.get(after).is_some_and(|range| range.contains(&number))
    }

    fn is_remembered(&self, number: u64, time_ms: i64) -> bool {
        time_ms.saturating_add(self.span_ms) > self.watermark_ms
            && number >= self.forgotten
            && self.first + self.held - number <= self.max_entries
    }

    /// Adds an entry; `known` is the slot of an older one of the same key, which is forgotten, or where there is none.
    fn remember(&mut self, event: &Identity, known: Result<u32, Vacancy>) -> Entry {
        let number = self.first + self.held;
        let slot = slot_of(number);
        match known {
            Ok(old) => self.index.replace(event.key, old, slot),
            Err(vacancy) => self.index.insert(event.key, vacancy, slot),
        }
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK_ENTRIES) {
            let chunk = self.spare.take().unwrap_or_else(|| Vec::with_capacity(CHUNK_ENTRIES));
            self.chunks.push_back(chunk);
        }
        let chunk = self.chunks.back_mut().expect("a chunk with room was just made sure of");
        let Identity { key, time_ms, fingerprint, .. } = *event;
        chunk.push(Held { key, time_ms, fingerprint });
        self.held += 1;
        if self.held > self.max_entries {
            self.note_forced(number - self.max_entries);
        }
        self.reclaim();
        Entry(number)
    }

    /// An entry was just pushed out by the bound.
    fn note_forced(&mut self, number: u64) {
        let Some(held) = self.held(Entry(number)) else { return };
        if held.time_ms.saturating_add(self.span_ms) > self.watermark_ms {
            self.forced_ms = self.forced_ms.max(held.time_ms);
        }
    }

    /// Frees up to two of the oldest entries that are forgotten.
    fn reclaim(&mut self) {
        for _ in 0..2 {
            let Some(oldest) = self.held(Entry(self.first)).copied() else { return };
            if self.is_remembered(self.first, oldest.time_ms) {
                return;
            }
            self.index.remove(oldest.key, slot_of(self.first));
            if (self.first + 1).is_multiple_of(CHUNK_ENTRIES as u64) {
                self.keep_first_chunk();
            }
            self.first += 1;
            self.held -= 1;
            if self.first.is_multiple_of(CHUNK_ENTRIES as u64) {
                self.spare = self.chunks.pop_front();
                self.spare.iter_mut().for_each(Vec::clear);
            }
        }
    }

    /// The entry that the next new event gets.
    pub fn next(&self) -> Entry {
        Entry(self.first + self.held)
    }

    /// Notes that all entries from this one on were counted as history and have no verdict: a repeat of theirs is to be
    /// judged.
    pub fn note_unjudged(&mut self, from: Entry) {
        while self.unjudged.front().is_some_and(|range| range.end <= self.first) {
            self.unjudged.pop_front();
        }
        let end = self.next().0;
        match self.unjudged.back_mut() {
            Some(last) if last.end == from.0 => last.end = end,
            _ if from.0 < end => self.unjudged.push_back(from.0..end),
            _ => {}
        }
    }

    /// Sets how many bytes what is remembered of events may take while memory is short: whoever measures them keeps to it
    /// by [`Dedup::forget_oldest`].
    pub fn set_limit(&mut self, bytes: Option<usize>) {
        self.limit_bytes = bytes;
    }

    /// That limit.
    pub fn limit_bytes(&self) -> Option<usize> {
        self.limit_bytes
    }

    /// Forgets the oldest identities, at most so many, and gives back their memory.
    pub fn forget_oldest(&mut self, count: u64) {
        let end = (self.first + count).min(self.first + self.held);
        for number in self.first..end {
            let remembered = self.held(Entry(number)).is_some_and(|held| self.is_remembered(number, held.time_ms));
            if remembered {
                self.note_forced(number);
                self.forgotten_early += 1;
            }
        }
        self.forgotten = self.forgotten.max(end);
        while self.first < end {
            self.reclaim();
        }
    }

    /// How many identities were forgotten by [`Dedup::forget_oldest`] though the bounds had kept them.
    pub fn forgotten_early(&self) -> u64 {
        self.forgotten_early
    }

    /// The oldest entry whose memory is not reclaimed: what is kept elsewhere for earlier ones can go, but not while the
    /// sightings of a call that named them are still being read.
    pub fn oldest(&self) -> Entry {
        Entry(self.first)
    }

    /// Every identity of an event time later than this is remembered: the watermark less the span, or the newest event
    /// time among those that `max_entries` pushed out early, whichever is later. `i64::MIN` before the first event.
    pub fn horizon_ms(&self) -> i64 {
        self.watermark_ms.saturating_sub(self.span_ms).max(self.forced_ms)
    }

    /// How many identities are held, those not yet reclaimed though forgotten included.
    pub fn entries(&self) -> usize {
        self.held as usize
    }

    /// Memory in bytes, everything counted but the allocator's own.
    pub fn bytes(&self) -> usize {
        size_of::<Dedup>()
            + self.index.bytes()
            + (self.chunks.len() + usize::from(self.spare.is_some())) * CHUNK_ENTRIES * size_of::<Held>()
            + self.chunks.capacity() * size_of::<Vec<Held>>()
    }

    fn number(&self, slot: u32) -> u64 {
        let ahead = u64::from(slot).wrapping_sub(self.first) % NUMBERS;
        self.first + ahead
    }

    fn at_slot(&self, slot: u32) -> &Held {
        self.held(Entry(self.number(slot))).expect("the index names entries that are held")
    }

    fn held(&self, entry: Entry) -> Option<&Held> {
        let (chunk, place) = self.place(entry)?;
        self.chunks.get(chunk)?.get(place)
    }

    /// Chunk and place of an entry that has not been reclaimed.
    fn place(&self, entry: Entry) -> Option<(usize, usize)> {
        let first_chunk = self.first / CHUNK_ENTRIES as u64;
        let chunk = entry.0 / CHUNK_ENTRIES as u64;
        (entry.0 >= self.first).then(|| ((chunk - first_chunk) as usize, (entry.0 % CHUNK_ENTRIES as u64) as usize))
    }
}

/// An entry's number as the index keeps it.
fn slot_of(number: u64) -> u32 {
    (number % NUMBERS) as u32
}

#[cfg(test)]
mod tests;
