//! What the engine says of each event of a batch, before it is written.

use super::holds::HoldName;
use super::said::Said;
use crate::event::{Cause, Verdict};

/// What became of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It was judged.
    #[default]
    Judged,
    /// It is a repeat: the judgement is the first one.
    Repeat,
    /// Its name belongs to an event with other content: it is refused, and goes to the dead letters.
    IdReused,
}

/// A piece of [`Judgements::text`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// The verdict on one event and what it rests on. Lists are pieces of JSON in [`Judgements::text`]; nearly all events
/// have none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Judgement {
    /// What became of the event.
    pub outcome: Outcome,
    /// The answer.
    pub verdict: Verdict,
    /// What it would have been in a program that is not only observed.
    pub would_be: Option<Verdict>,
    /// What it is now, of an event that was judged before; `None`: the same.
    pub current: Option<Verdict>,
    /// What the hold that it made is named by; `None`: nobody is to review it.
    pub held: Option<HoldName>,
    /// What made it so heavy.
    pub cause: Cause,
    /// Sum of the scores of the enforced rules that matched.
    pub score: i64,
    /// What it means for the referrer and the referee, for events that have both.
    pub parties: Option<(Verdict, Verdict)>,
    /// It came after the horizon: judged, and it fed nothing.
    pub late: bool,
    /// Its program had had as many events as it may: judged, and it fed nothing.
    pub over_quota: bool,
    /// Elements of `rules`.
    pub rules: Piece,
    /// Elements of `evidence`.
    pub evidence: Piece,
    /// Elements of `decisions`.
    pub decisions: Piece,
    /// Elements of `created`.
    pub created: Piece,
}

/// A match that calls for an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raised {
    /// Its event's place in the batch.
    pub event: u32,
    /// Its rule's place in the rule set.
    pub rule: u32,
    /// Its program is not among those that are configured: anybody may have made it up.
    pub unnamed: bool,
    /// The instant that the event was judged as of, in milliseconds since the Unix epoch: its own time, or the horizon if
    /// that is later.
    pub as_of_ms: i64,
    /// The gravest of the event's verdict (as it would be, where the program is only observed) and of what the rule has
    /// decided of others.
    pub verdict: Verdict,
    /// What its alerts are grouped by: members of a JSON object, each a string.
    pub group: Piece,
    /// Its message: a JSON string, or `null`.
    pub message: Piece,
}

/// How far event time has come at a fixed place of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimePassed {
    /// How many events of the batch lie before it.
    pub events: u32,
    /// What every partition in use has reached.
    pub watermark_ms: i64,
    /// No event is judged as of an earlier instant from here on.
    pub horizon_ms: i64,
}

/// A change in the log of decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its number in the log.
    pub number: u64,
    /// The record's key.
    pub key: Piece,
    /// The record as it is now; at its end a final one, which says why.
    pub line: Piece,
    /// What the record added to the checksum; `None`: it did not stand.
    pub before: Option<u64>,
    /// What it adds now; `None`: it has ended.
    pub after: Option<u64>,
}

/// The judgements of a batch, one an event, in order. Recycled: the memory is kept.
#[derive(Clone, Debug, Default)]
pub struct Judgements {
    /// One an event of the batch.
    pub events: Vec<Judgement>,
    /// The matches that call for an alert, in the order of the events, then of the rules.
    pub raised: Vec<Raised>,
    /// Where event time was looked at, in order.
    pub times: Vec<TimePassed>,
    /// What has become of decisions, in the order of their numbers, where that is wanted.
    pub changed: Vec<Changed>,
    /// What is to be said of what people and time did.
    pub said: Vec<Said>,
    /// JSON that the pieces point into.
    pub text: Vec<u8>,
}

impl Judgements {
    /// Forgets the judgements and keeps the memory.
    pub fn clear(&mut self) {
        self.events.clear();
        self.raised.clear();
        self.times.clear();
        self.changed.clear();
        self.said.clear();
        self.text.clear();
    }

    /// The JSON of a piece.
    pub fn piece(&self, piece: Piece) -> &[u8] {
        &self.text[piece.start as usize..piece.end as usize]
    }

    /// Adds a piece by what `write` appends.
    pub(super) fn add(&mut self, write: impl FnOnce(&mut Elements<'_>)) -> Piece {
        let start = self.text.len() as u32;
        write(&mut Elements { text: &mut self.text, first: true });
        Piece { start, end: self.text.len() as u32 }
    }

    /// Adds a change in the log of decisions, by what `write` appends.
    pub(super) fn add_changed(
        &mut self,
        number: u64,
        [before, after]: [Option<u64>; 2],
        key: &str,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let key = self.add_bytes(key.as_bytes());
        let start = self.text.len() as u32;
        write(&mut self.text);
        let line = Piece { start, end: self.text.len() as u32 };
        self.changed.push(Changed { number, key, line, before, after });
    }

    /// Adds a piece that was written before.
    pub(super) fn add_bytes(&mut self, bytes: &[u8]) -> Piece {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(bytes);
        Piece { start, end: self.text.len() as u32 }
    }
}

/// The elements of a JSON array, one after the other.
pub(super) struct Elements<'a> {
    text: &'a mut Vec<u8>,
    first: bool,
}

impl Elements<'_> {
    /// The text to append the next element to.
    pub(super) fn next(&mut self) -> &mut Vec<u8> {
        if !self.first {
            self.text.push(b',');
        }
        self.first = false;
        self.text
    }
}
