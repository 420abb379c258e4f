//! First verdicts in a checkpoint: one record each, in the order of arrival.

use super::{CHUNK_VERDICTS, Chunk, Remembered};
use crate::engine::judgement::{Judgement, Piece};
use crate::event::{Cause, Verdict};
use crate::state::{Broken, ByteReader, ByteWriter, Entry, Segments};

/// Marks of a verdict.
const WOULD_BE: u8 = 1;
const PARTIES: u8 = 2;
const LATE: u8 = 4;

pub(in crate::engine) fn store_verdict(verdict: Verdict, writer: &mut ByteWriter) {
    writer.byte(verdict as u8);
}

pub(in crate::engine) fn restore_verdict(reader: &mut ByteReader<'_>) -> Result<Verdict, Broken> {
    let place = usize::from(reader.byte()?);
    Verdict::ALL.get(place).copied().ok_or(Broken("a verdict of no known kind"))
}

impl Remembered {
    pub(in crate::engine) fn store(&self, segments: &mut Segments<'_>) {
        for chunk in &self.chunks {
            for (entry, judgement) in &chunk.firsts {
                let writer = segments.item();
                entry.store(writer);
                store_judgement(judgement, writer);
                for piece in [judgement.rules, judgement.decisions, judgement.created] {
                    writer.bytes(chunk.piece(piece));
                }
            }
        }
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

fn store_judgement(judgement: &Judgement, writer: &mut ByteWriter) {
    let Judgement { verdict, would_be, cause, score, parties, late, .. } = *judgement;
    let mark = |is: bool, mark: u8| if is { mark } else { 0 };
    writer.byte(mark(would_be.is_some(), WOULD_BE) | mark(parties.is_some(), PARTIES) | mark(late, LATE));
    store_verdict(verdict, writer);
    writer.byte(cause as u8);
    writer.time(score);
    let others = would_be.into_iter().chain(parties.into_iter().flat_map(|(referrer, referee)| [referrer, referee]));
    others.for_each(|verdict| store_verdict(verdict, writer));
}

fn restore_judgement(reader: &mut ByteReader<'_>) -> Result<Judgement, Broken> {
    let marks = reader.byte()?;
    if marks > WOULD_BE | PARTIES | LATE {
        return Err(Broken("a verdict has marks of no known kind"));
    }
    let verdict = restore_verdict(reader)?;
    let cause = usize::from(reader.byte()?);
    let cause = Cause::ALL.get(cause).copied().ok_or(Broken("a cause of no known kind"))?;
    let score = reader.time()?;
    let would_be = (marks & WOULD_BE != 0).then(|| restore_verdict(reader)).transpose()?;
    let parties = if marks & PARTIES != 0 { Some((restore_verdict(reader)?, restore_verdict(reader)?)) } else { None };
    let (late, evidence) = (marks & LATE != 0, Piece::default());
    Ok(Judgement { verdict, would_be, cause, score, parties, late, evidence, ..Judgement::default() })
}
