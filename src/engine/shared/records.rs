//! The records of a chunk: which are wanted, what they held, and where in them the windows of a table stand.
//!
//! A record of windows is: a token that is another after each write (8 bytes); until when it is of use, as event time
//! ([`order_bytes`]); then sections: the number of a table, a length, and its window as checkpoints have it. Section 0 is who
//! invited the account of the key, 1 what waits for its referral. So all that features know of one key is one record, and
//! what this rule set does not know of it is kept.

use std::collections::HashMap;
use std::ops::Range;

use crate::state::{Broken, ByteReader, KeyHash};

/// The section of who invited an account.
pub(super) const REFERRERS: u32 = 0;
/// The section of events that wait for a referral.
pub(super) const WAITING: u32 = 1;
/// A token and an instant.
pub(super) const HEAD_BYTES: usize = 16;
/// How much of a record tells that it is as it was.
pub(super) const TOKEN_BYTES: usize = 8;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// The windows of one key.
    Windows,
    /// That an event was judged, and its verdict.
    Identity,
    /// The decisions on one subject.
    Decisions,
}

/// The name of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordName<'a> {
    /// What it holds.
    pub kind: RecordKind,
    /// The program that it belongs to; `None`: all of them.
    pub program: Option<&'a str>,
    /// The 120 bits that name its key, in the lowest.
    pub key: u128,
}

/// An instant as 8 bytes that sort as the instants do.
pub(super) fn order_bytes(ms: i64) -> [u8; 8] {
    (ms as u64 ^ 1 << 63).to_be_bytes()
}

/// What [`order_bytes`] made of an instant.
pub(super) fn ordered_ms(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ 1 << 63) as i64
}

#[derive(Debug)]
struct Record {
    kind: RecordKind,
    /// Place of its program among those of the engine; `None`: it is of all of them.
    program: Option<usize>,
    key: KeyHash,
    /// Where its bytes are; empty: it is not there.
    value: Range<usize>,
    /// Until when what was added to it is of use.
    until_ms: i64,
}

/// The records of a chunk, in the order in which they were wanted.
#[derive(Debug, Default)]
pub(super) struct Records {
    list: Vec<Record>,
    places: HashMap<(RecordKind, KeyHash), u32>,
    bytes: Vec<u8>,
    /// How many were given.
    given: usize,
}

impl Records {
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.places.clear();
        self.bytes.clear();
        self.given = 0;
    }

    /// Wants a record, unless it is among them.
    pub(super) fn want(&mut self, kind: RecordKind, program: Option<usize>, key: KeyHash) {
        let next = self.list.len() as u32;
        self.places.entry((kind, key)).or_insert_with(|| {
            self.list.push(Record { kind, program, key, value: 0..0, until_ms: i64::MIN });
            next
        });
    }

    /// Those that are wanted and were not given.
    pub(super) fn wanted(&self) -> Range<usize> {
        self.given..self.list.len()
    }

    /// The next of them is this.
    pub(super) fn give(&mut self, value: Option<&[u8]>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value.unwrap_or_default());
        if let Some(record) = self.list.get_mut(self.given) {
            record.value = start..self.bytes.len();
            self.given += 1;
        }
    }

    /// The place of a record.
    pub(super) fn find(&self, kind: RecordKind, key: KeyHash) -> Option<usize> {
        self.places.get(&(kind, key)).map(|place| *place as usize)
    }

    /// Their places, of one kind.
    pub(super) fn of_kind(&self, kind: RecordKind) -> impl Iterator<Item = usize> {
        (0..self.list.len()).filter(move |place| self.list[*place].kind == kind)
    }

    pub(super) fn key(&self, place: usize) -> KeyHash {
        self.list[place].key
    }

    /// Its name; `program` is what the program at a place is called.
    pub(super) fn name<'a>(&self, place: usize, program: impl Fn(usize) -> &'a str) -> RecordName<'a> {
        let Record { kind, program: of, key, .. } = &self.list[place];
        RecordName { kind: *kind, program: of.map(program), key: key.of_class(Default::default()).bits() }
    }

    /// What it held; empty: it was not there.
    pub(super) fn value(&self, place: usize) -> &[u8] {
        &self.bytes[self.list[place].value.clone()]
    }

    /// What was added to it is of use until then.
    pub(super) fn keep_until(&mut self, place: usize, until_ms: i64) {
        let record = &mut self.list[place];
        record.until_ms = record.until_ms.max(until_ms);
    }

    /// Until when it is of use, what it held included.
    pub(super) fn until_ms(&self, place: usize) -> i64 {
        let held = self.value(place).get(TOKEN_BYTES..HEAD_BYTES).and_then(|bytes| bytes.try_into().ok());
        self.list[place].until_ms.max(held.map_or(i64::MIN, ordered_ms))
    }

    /// The sections of a record of windows, each with its number.
    pub(super) fn sections(&self, place: usize) -> Sections<'_> {
        Sections { rest: ByteReader::new(self.value(place).get(HEAD_BYTES..).unwrap_or_default()) }
    }

    /// One of them.
    pub(super) fn section(&self, place: usize, number: u32) -> Result<Option<&[u8]>, Broken> {
        for section in self.sections(place) {
            let (found, bytes) = section?;
            if found == number {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}

/// Walks over the sections of a record.
pub(super) struct Sections<'a> {
    rest: ByteReader<'a>,
}

impl<'a> Iterator for Sections<'a> {
    type Item = Result<(u32, &'a [u8]), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| {
            let number = u32::try_from(self.rest.count(0)?).map_err(|_| Broken("a section of no known number"))?;
            Ok((number, self.rest.bytes()?))
        })
    }
}
