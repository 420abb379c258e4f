//! The records that came of a batch, as lines of JSON, and what was counted.

use super::words::{AlertChange, AlertClosing, AlertEvent};
use crate::event::Severity;

/// What stands before an alert's id in a record.
pub(super) const BEFORE_ID: &[u8] = b"{\"specversion\":\"1\",\"id\":\"";
/// How long an id is, in bytes: `alert-` and 16 hex digits.
pub(super) const ID_BYTES: usize = 22;

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertCounts {
    /// How many are open now, by `Severity as usize`.
    pub open: [usize; Severity::ALL.len()],
    /// Matches that call for an alert, by `AlertEvent as usize`.
    pub events: [u64; AlertEvent::ALL.len()],
    /// Records that were written, by `AlertChange as usize`.
    pub records: [u64; AlertChange::ALL.len()],
    /// Alerts that closed, by `AlertClosing as usize`.
    pub closed: [u64; AlertClosing::ALL.len()],
}

/// Records of alerts, in order. Recycled: the memory is kept.
#[derive(Debug, Default)]
pub struct AlertLines {
    text: Vec<u8>,
    /// For each record: where it ends, its line feed included.
    ends: Vec<usize>,
    /// As of the last of them.
    pub counts: AlertCounts,
}

impl AlertLines {
    /// All records, with their line feeds.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The records, without line feeds, each with its alert's id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let line = &self.text[std::mem::replace(&mut start, *end)..*end - 1];
            let id = &line[BEFORE_ID.len()..BEFORE_ID.len() + ID_BYTES];
            (std::str::from_utf8(id).expect("an id is made of ASCII"), line)
        })
    }

    /// Forgets the records and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Adds what `write` appends as one record.
    pub(super) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.text);
        self.text.push(b'\n');
        self.ends.push(self.text.len());
    }
}
