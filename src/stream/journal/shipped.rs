//! Entries of a journal as records of a topic, so that another machine has them when this one's disk is gone.
//!
//! A record says to which line of journals its entry belongs, the entry's number, and which part of it this is: a rule set with
//! large lists is longer than a record may be. A line is what one owner after the other wrote that had the same folder; whoever
//! takes over without that folder begins another, by a record without an entry, so that the one before is known to be behind.
//! Records go out in the transactions of the outputs that came of their entries.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The format of a record.
const FORMAT: u8 = 1;
/// Format, line, number, part, parts; and the checksum at its end.
const HEAD_BYTES: usize = 1 + 8 + 8 + 4 + 4;
const CHECKSUM_BYTES: usize = 8;
/// The most bytes of an entry in one record: brokers take a megabyte unless they are told otherwise.
const PART_BYTES: usize = 512 << 10;

/// What is wrong with records of the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotShipped(&'static str);

/// The name of a line of journals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line(pub u64);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({self})")
    }
}

impl Line {
    /// Reads what was written with [`Line`]'s `Display`.
    pub fn read(text: &str) -> Option<Line> {
        let is_whole = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_whole.then(|| u64::from_str_radix(text, 16).ok().map(Line)).flatten()
    }
}

/// An entry as it came, or the beginning of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipped {
    /// The line it belongs to.
    pub line: Line,
    /// The entry's number; where a line begins, that of its first entry.
    pub number: u64,
    /// The entry's bytes; `None`: the line begins.
    pub payload: Option<Vec<u8>>,
}

/// The records of an entry.
pub(in crate::stream) fn records(line: Line, number: u64, payload: &[u8]) -> Vec<Vec<u8>> {
    // Even an empty entry has a record.
    let parts = payload.len().div_ceil(PART_BYTES).max(1);
    let part = |at: usize| {
        let bytes = &payload[at * PART_BYTES..payload.len().min((at + 1) * PART_BYTES)];
        record(line, number, (at as u32, parts as u32), bytes)
    };
    (0..parts).map(part).collect()
}

/// The record with which a line begins at an entry.
pub fn beginning(line: Line, number: u64) -> Vec<u8> {
    record(line, number, (0, 0), &[])
}

fn record(Line(line): Line, number: u64, (part, parts): (u32, u32), bytes: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEAD_BYTES + bytes.len() + CHECKSUM_BYTES);
    record.push(FORMAT);
    record.extend_from_slice(&line.to_le_bytes());
    record.extend_from_slice(&number.to_le_bytes());
    record.extend_from_slice(&part.to_le_bytes());
    record.extend_from_slice(&parts.to_le_bytes());
    record.extend_from_slice(bytes);
    let checksum = xxh3_64_with_seed(&record, number);
    record.extend_from_slice(&checksum.to_le_bytes());
    record
}

/// What the last record of a topic says: the line, and the number of the entry that comes next.
///
/// # Errors
///
/// As [`Assembly::take`].
pub fn end_of(record: &[u8]) -> Result<(Line, u64), NotShipped> {
    let Part { line, number, parts, .. } = Part::read(record)?;
    Ok((line, number + u64::from(parts > 0)))
}

/// A record that was read.
struct Part<'a> {
    line: Line,
    number: u64,
    part: u32,
    parts: u32,
    bytes: &'a [u8],
}

impl Part<'_> {
    fn read(record: &[u8]) -> Result<Part<'_>, NotShipped> {
        let (body, checksum) = record
            .len()
            .checked_sub(CHECKSUM_BYTES)
            .filter(|length| *length >= HEAD_BYTES)
            .and_then(|length| record.split_at_checked(length))
            .ok_or(NotShipped("a record is no entry of a journal"))?;
        let word = |at: usize| u64::from_le_bytes(body[at..at + 8].try_into().expect("eight bytes are eight bytes"));
        let short = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().expect("four bytes are four bytes"));
        if body[0] != FORMAT {
            return Err(NotShipped("a record is of a format that this version does not know"));
        }
        let (line, number, part, parts) = (Line(word(1)), word(9), short(17), short(21));
        if xxh3_64_with_seed(body, number).to_le_bytes() != checksum {
            return Err(NotShipped("a record is not what was sent"));
        }
        Ok(Part { line, number, part, parts, bytes: &body[HEAD_BYTES..] })
    }
}

/// Puts records together again.
#[derive(Debug, Default)]
pub struct Assembly {
    /// An entry whose parts are not all there, and how many there are.
    open: Option<(Shipped, u32)>,
}

impl Assembly {
    /// Takes the next record of the topic; answers what is whole with it. A reader may begin anywhere: parts without their
    /// beginning are passed over.
    ///
    /// # Errors
    ///
    /// It is no record of a journal, or a newer one, or not what was sent.
    pub fn take(&mut self, record: &[u8]) -> Result<Option<Shipped>, NotShipped> {
        let Part { line, number, part, parts, bytes } = Part::read(record)?;
        if parts == 0 {
            self.open = None;
            return Ok(Some(Shipped { line, number, payload: None }));
        }
        let open = self.open.take();
        let (shipped, taken) = match open {
            Some((mut open, taken)) if (open.line, open.number, taken) == (line, number, part) => {
                open.payload.get_or_insert_default().extend_from_slice(bytes);
                (open, taken + 1)
            }
            _ if part == 0 => (Shipped { line, number, payload: Some(bytes.to_vec()) }, 1),
            _ => return Ok(None),
        };
        if taken == parts {
            return Ok(Some(shipped));
        }
        self.open = Some((shipped, taken));
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn entries_come_back_as_they_went_whatever_their_length() {
        let lengths = [0, 1, 24, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES - 1];
        let mut assembly = Assembly::default();
        for (number, length) in (7..).zip(lengths) {
            let mut whole = Vec::new();
            for record in records(Line(9), number, &payload(length)) {
                assert!(record.len() <= 600 << 10, "a broker takes it");
                whole.extend(assembly.take(&record).unwrap());
            }
            assert_eq!(whole, [Shipped { line: Line(9), number, payload: Some(payload(length)) }], "{length}");
        }
        let begun = assembly.take(&beginning(Line(10), 13)).unwrap();
        assert_eq!(begun, Some(Shipped { line: Line(10), number: 13, payload: None }));
    }

    #[test]
    fn parts_without_their_beginning_are_passed_over() {
        let mut assembly = Assembly::default();
        let of = |number| records(Line(1), number, &payload(2 * PART_BYTES));
        assert_eq!(assembly.take(&of(5)[1]), Ok(None));
        assert_eq!(assembly.take(&of(6)[0]), Ok(None));
        // What was undone is not seen: its parts do not go on.
        assert_eq!(assembly.take(&of(7)[0]), Ok(None));
        assert_eq!(assembly.take(&of(7)[1]).unwrap().map(|of| of.number), Some(7));
    }

    #[test]
    fn a_changed_byte_or_length_is_found() {
        let whole = records(Line(3), 4, &payload(40)).remove(0);
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(Assembly::default().take(&flipped).is_err(), "flipped at {at}");
            assert!(Assembly::default().take(&whole[..at]).is_err(), "cut at {at}");
        }
        assert!(Assembly::default().take(&whole).unwrap().is_some());
    }

    #[test]
    fn lines_are_read_as_they_are_written() {
        assert_eq!(Line::read(&Line(0xab).to_string()), Some(Line(0xab)));
        for other in ["", "ab", "00000000000000zz", "+00000000000000a", "00000000000000ab0"] {
            assert_eq!(Line::read(other), None, "{other}");
        }
    }
}
