//! The identities already seen: tells a new event from a repeat and from a reused id.

use super::KeyHash;

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

/// What the memory says of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// Not seen, or forgotten: remembered from now on.
    New(Entry),
    /// The same event again: the first one's entry. It may stand earlier in the same batch.
    Repeat(Entry),
    /// The same identity with other content.
    Reused(Entry),
}

/// The memory of identities.
#[derive(Debug)]
pub struct Dedup {
    span_ms: i64,
    max_entries: u32,
}

impl Dedup {
    /// An empty memory. An identity is remembered while its event time + `span_ms` lies after the watermark, and until
    /// `max_entries` (1 to 2^30; others are clamped) newer ones have arrived.
    pub fn new(span_ms: i64, max_entries: u32) -> Dedup {
        Dedup { span_ms, max_entries }
    }

    /// Looks each event up in order, and remembers the new ones; earlier events of a batch are visible to later ones.
    /// Appends one sighting an event.
    pub fn observe(&mut self, _events: &[Identity], _out: &mut Vec<Sighting>) {
        let _ = (self.span_ms, self.max_entries);
        unimplemented!()
    }

    /// Stores a reference to the verdict of a remembered event; without effect once it is forgotten.
    pub fn set_verdict(&mut self, _entry: Entry, _verdict: u32) {
        unimplemented!()
    }

    /// The reference stored for an event; `None` when none was, or when the entry's memory is gone.
    pub fn verdict(&self, _entry: Entry) -> Option<u32> {
        unimplemented!()
    }

    /// Every identity of an event time later than this is remembered: the watermark less the span, or the newest event
    /// time among those that `max_entries` pushed out early, whichever is later.
    pub fn horizon_ms(&self) -> i64 {
        unimplemented!()
    }

    /// How many identities are held, those not yet removed though forgotten included.
    pub fn entries(&self) -> usize {
        unimplemented!()
    }

    /// Memory in bytes, everything counted.
    pub fn bytes(&self) -> usize {
        unimplemented!()
    }
}
