//! First verdicts in a checkpoint: one record each, in the order of arrival.

use super::{CHUNK_VERDICTS, Chunk, Remembered};
use crate::engine::holds::HoldName;
use crate::engine::judgement::{Judgement, Piece};
use crate::event::{Cause, Verdict};
use crate::state::{Broken, ByteReader, ByteWriter, Cuttable, Entry, Segments};

/// Marks of a verdict.
const WOULD_BE: u8 = 1;
const PARTIES: u8 = 2;
const LATE: u8 = 4;
/// It is `hold`, and nobody is to review it for want of room.
const NOT_HELD: u8 = 8;
const OVER_QUOTA: u8 = 16;
/// Its hold is named by the event's time too.
const HELD_AT_TIME: u8 = 32;
/// It is not `hold`, and one of its sides is held.
const SIDE_HELD: u8 = 64;
const ALL_MARKS: u8 = WOULD_BE | PARTIES | LATE | NOT_HELD | OVER_QUOTA | HELD_AT_TIME | SIDE_HELD;

/// A cut through the verdicts.
#[derive(Debug)]
pub(crate) struct RememberedCut {
    /// Number of the chunk and place in it: those before are written.
    next: (u64, usize),
    /// Those from here on are new since.
    end: (u64, usize),
    segments: Segments,
}

pub(in crate::engine) fn store_verdict(verdict: Verdict, writer: &mut ByteWriter) {
    writer.byte(verdict as u8);
}

pub(in crate::engine) fn restore_verdict(reader: &mut ByteReader<'_>) -> Result<Verdict, Broken> {
    let place = usize::from(reader.byte()?);
    Verdict::ALL.get(place).copied().ok_or(Broken("a verdict of no known kind"))
}

impl Cuttable for Remembered {
    type Cut = RememberedCut;

    fn new_cut(&self, prefix: &[u8]) -> RememberedCut {
        let last = self.chunks.back().map_or(0, |chunk| chunk.firsts.len());
        let end = (self.left + self.chunks.len().saturating_sub(1) as u64, last);
        RememberedCut { next: (self.left, 0), end, segments: Segments::new(prefix) }
    }

    fn cut_mut(&mut self) -> &mut Option<Box<RememberedCut>> {
        &mut self.cut
    }

    fn walk(&self, cut: &mut RememberedCut, budget_bytes: &mut usize, put: &mut dyn FnMut(&[u8])) -> bool {
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

impl Remembered {
    /// The oldest chunk is about to be cleared.
    pub(super) fn keep_first_chunk(&mut self) {
        let Some(mut cut) = self.cut.take() else { return };
        while cut.next.0 == self.left && self.store_next(&mut cut) {}
        self.cut = Some(cut);
    }

    /// Writes the next one of a cut; `false`: there is none.
    fn store_next(&self, cut: &mut RememberedCut) -> bool {
        if cut.next >= cut.end {
            return false;
        }
        let (number, place) = cut.next;
        let Some(chunk) = self.chunks.get((number - self.left) as usize) else { return false };
        let Some((entry, judgement)) = chunk.firsts.get(place) else { return false };
        let writer = cut.segments.item();
        entry.store(writer);
        store_judgement(judgement, writer);
        for piece in [judgement.rules, judgement.decisions, judgement.created] {
            writer.bytes(chunk.piece(piece));
        }
        let is_last = place + 1 == CHUNK_VERDICTS;
        cut.next = if is_last { (number + 1, 0) } else { (number, place + 1) };
        true
    }

    pub(in crate::engine) fn restore(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        while !reader.is_empty() {
            let entry = Entry::restore(reader)?;
            let last = self.chunks.back().and_then(|chunk| chunk.firsts.last());
            if last.is_some_and(|(last, _)| *last >= entry) {
                return Err(Broken("first verdicts are out of order"));
            }
            let judgement = restore_judgement(reader)?;
            let pieces = [reader.bytes()?, reader.bytes()?, reader.bytes()?];
            if self.chunks.back().is_none_or(|chunk| chunk.firsts.len() == CHUNK_VERDICTS) {
                self.chunks.push_back(Chunk::new(0));
                self.bytes += self.chunks.back().map_or(0, Chunk::bytes);
            }
            let chunk = self.chunks.back_mut().expect("a chunk with room was just made sure of");
            if chunk.text.len() + pieces.iter().map(|piece| piece.len()).sum::<usize>() > u32::MAX as usize {
                return Err(Broken("first verdicts have more text than can be"));
            }
            let before = chunk.bytes();
            let [rules, decisions, created] = pieces.map(|piece| chunk.keep(piece));
            chunk.firsts.push((entry, Judgement { rules, decisions, created, ..judgement }));
            self.bytes = self.bytes + chunk.bytes() - before;
        }
        Ok(())
    }
}

pub(in crate::engine) fn store_judgement(judgement: &Judgement, writer: &mut ByteWriter) {
    let Judgement { verdict, would_be, cause, score, parties, late, over_quota, held, .. } = *judgement;
    let would_be_held = verdict == Verdict::Hold && !late;
    let mark = |is: bool, mark: u8| if is { mark } else { 0 };
    let marks = [
        mark(would_be.is_some(), WOULD_BE),
        mark(parties.is_some(), PARTIES),
        mark(late, LATE),
        mark(would_be_held && held.is_none(), NOT_HELD),
        mark(over_quota, OVER_QUOTA),
        mark(held == Some(HoldName::OfEventAtTime), HELD_AT_TIME),
        mark(!would_be_held && held.is_some(), SIDE_HELD),
    ];
    writer.byte(marks.iter().fold(0, |all, mark| all | mark));
    store_verdict(verdict, writer);
    writer.byte(cause as u8);
    writer.time(score);
    let others = would_be.into_iter().chain(parties.into_iter().flat_map(|(referrer, referee)| [referrer, referee]));
    others.for_each(|verdict| store_verdict(verdict, writer));
}

pub(in crate::engine) fn restore_judgement(reader: &mut ByteReader<'_>) -> Result<Judgement, Broken> {
    let marks = reader.byte()?;
    if marks & !ALL_MARKS != 0 {
        return Err(Broken("a verdict has marks of no known kind"));
    }
    let verdict = restore_verdict(reader)?;
    let cause = usize::from(reader.byte()?);
    let cause = Cause::ALL.get(cause).copied().ok_or(Broken("a cause of no known kind"))?;
    let score = reader.time()?;
    let would_be = (marks & WOULD_BE != 0).then(|| restore_verdict(reader)).transpose()?;
    let parties = if marks & PARTIES != 0 { Some((restore_verdict(reader)?, restore_verdict(reader)?)) } else { None };
    let (late, over_quota, evidence) = (marks & LATE != 0, marks & OVER_QUOTA != 0, Piece::default());
    // What older versions wrote has no mark, and they reviewed nothing: its hold is named all the same.
    let is_held = verdict == Verdict::Hold && !late && marks & NOT_HELD == 0 || marks & SIDE_HELD != 0;
    let name = if marks & HELD_AT_TIME == 0 { HoldName::OfEvent } else { HoldName::OfEventAtTime };
    let held = is_held.then_some(name);
    Ok(Judgement { verdict, would_be, cause, score, parties, late, over_quota, held, evidence, ..Judgement::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::judgement::Judgements;

    fn entry(number: u64) -> Entry {
        Entry::restore(&mut ByteReader::new(&number.to_le_bytes())).unwrap()
    }

    #[test]
    fn a_verdict_is_read_as_it_was_whatever_its_marks() {
        for marks in 0..64_u8 {
            let is = |bit: u8| marks & bit != 0;
            let judgement = Judgement {
                verdict: if is(16) { Verdict::Block } else { Verdict::Hold },
                cause: Cause::Score,
                score: 61,
                would_be: is(1).then_some(Verdict::Block),
                parties: is(2).then_some((Verdict::Hold, Verdict::Flag)),
                late: is(4),
                over_quota: is(8),
                held: is(32).then_some(if is(16) { HoldName::OfEventAtTime } else { HoldName::OfEvent }),
                ..Judgement::default()
            };
            let mut writer = ByteWriter::default();
            store_judgement(&judgement, &mut writer);
            let read = restore_judgement(&mut ByteReader::new(writer.as_bytes())).unwrap();
            assert_eq!(read, judgement);
        }
    }

    #[test]
    fn a_cut_has_the_verdicts_that_were_there_whatever_comes_while_it_is_written() {
        let (mut remembered, mut next) = (Remembered::default(), 0);
        let mut come = |remembered: &mut Remembered, count: u64| {
            for number in next..next + count {
                let judgement = Judgement { score: number as i64, ..Judgement::default() };
                remembered.remember(entry(number), &judgement, &Judgements::default(), b"a rule");
            }
            next += count;
            remembered.trim(entry(next.saturating_sub(3000)));
        };
        let gathered = |segments: &[Vec<u8>]| -> Vec<u8> { segments.iter().flat_map(|of| &of[1..]).copied().collect() };
        come(&mut remembered, 5000);
        for (step_bytes, count) in [(2000, 300), (1, 5), (60_000, 4000)] {
            let left = remembered.left;
            let (mut whole, mut cut) = (Vec::new(), Vec::new());
            remembered.store(&[7], &mut |segment| whole.push(segment.to_vec()));
            remembered.begin_cut(&[7]);
            while !remembered.store_cut(&mut { step_bytes }, &mut |segment| cut.push(segment.to_vec())) {
                come(&mut remembered, count);
            }
            assert!(remembered.left > left + 2, "chunks have left meanwhile");
            assert!(gathered(&whole) == gathered(&cut), "{step_bytes} bytes a step");
            assert!(gathered(&cut).len() > 3000 * 20);
        }
    }
}
