//! What goes into a table and what comes out: operations and readings.

use super::{Guesses, KeyHash};

/// One event at one key of a feature: count it and read, or read only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Op {
    /// The key.
    pub key: KeyHash,
    /// Event time t, milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// Watermark less allowed lateness as of this event: nothing before it will be counted, and what no reading from it
    /// on can see may be dropped. Never goes back from one operation to the next. An operation before it is not
    /// counted, and reads as of the horizon.
    pub horizon_ms: i64,
    /// Hash of the event's identity: a second event of equal time and hash is not counted again.
    pub event: u64,
    /// The feature's `value`: an `i64`, an `f64` by its bits, milliseconds, or [`PartHash::value`](super::PartHash::value)
    /// of a text; what [`Links::give`](super::Links::give) answered; unused by aggregates without a value.
    pub value: u64,
    /// Index of the event's id in the `ids` given with the operations; read by sums and means of doubles alone.
    pub id: u32,
    /// Whether to count the event at this key; else only to read, as at a key given by `.at`.
    pub add: bool,
    /// Whether it may have been counted at this key before, by a try that did not come to its end: what cannot tell by the
    /// event itself, because it has summarised or keeps a rate, does not count it again.
    pub again: bool,
    /// Whether the members of a set or component are wanted, not only their number.
    pub members: bool,
    /// Of a component: whether its account is to be compared with another, and not counted or read.
    pub compare: bool,
}

/// The value of a feature at one event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Nothing is known: `min`, `max`, `avg`, `first`, `last` or `previous` of no event.
    Unknown,
    /// `count`, `distinct`, `component`, or `sum`, `min`, `max` of ints.
    Int(i64),
    /// `avg`, or `sum`, `min`, `max` of doubles.
    Double(f64),
    /// A sum of ints beyond 64 bits.
    Overflow,
    /// `rate`, or whether two accounts are of one component.
    Flag(bool),
    /// `first`, `last`: milliseconds since the Unix epoch.
    Time(i64),
    /// `previous`: as the value came in.
    Scalar(u64),
    /// `set`; `component`, if members were asked for.
    Set {
        /// How many members there are; past the bound of entries, an estimate.
        size: u32,
        /// How many of them are kept: the latest.
        kept: u32,
        /// Index of the first of these in [`Readings::members`]; `None` when there are none or they were not asked for.
        start: Option<u32>,
    },
}

/// What one operation saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The feature's value.
    pub value: Value,
    /// Whether some event of this key is in reach.
    pub known: bool,
    /// Whether nothing that would matter was dropped or refused for want of room.
    pub exact: bool,
}

/// Readings of a batch, one an operation, in their order; kept and cleared by the caller, so that nothing is allocated.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// One an operation.
    pub readings: Vec<Reading>,
    /// Members of sets, ascending within each reading; of components, in no order, for
    /// [`FeatureTable::member_name`](super::FeatureTable::member_name).
    pub members: Vec<u64>,
    pub(super) guesses: Guesses,
}

impl Readings {
    /// Forgets the readings and keeps the memory.
    pub fn clear(&mut self) {
        self.readings.clear();
        self.members.clear();
    }

    /// The members that are kept of the set that a reading refers to; empty for another, or when they were not asked for.
    pub fn set(&self, reading: &Reading) -> &[u64] {
        match reading.value {
            Value::Set { kept, start: Some(start), .. } => {
                &self.members[start as usize..start as usize + kept as usize]
            }
            _ => &[],
        }
    }
}
