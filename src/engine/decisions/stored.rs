//! Decisions in a checkpoint: one record a subject, in the order of keys, then the queue of ends.

use super::{DecisionCause, DecisionReach, DecisionRecord, Decisions};
use crate::engine::remembered::stored::{restore_verdict, store_verdict};
use crate::event::SubjectKind;
use crate::state::{Broken, ByteReader, ByteWriter, KeyHash, Segments};

/// What an item is.
const RECORD: u8 = 0;
const END: u8 = 1;

impl Decisions {
    pub(in crate::engine) fn store_head(&self, writer: &mut ByteWriter) {
        writer.word(self.refused);
        writer.byte(u8::from(self.is_limited()));
        // Without a bound it stays without one.
        let room = self.bytes_max.map_or(usize::MAX, |most| most.saturating_sub(self.bytes()));
        writer.word(room as u64);
    }

    /// Reads what was refused; answers what [`Decisions::restored`] wants.
    pub(in crate::engine) fn restore_head(&mut self, reader: &mut ByteReader<'_>) -> Result<(bool, usize), Broken> {
        self.refused = reader.word()?;
        Ok((reader.flag()?, usize::try_from(reader.word()?).unwrap_or(usize::MAX)))
    }

    pub(in crate::engine) fn store(&self, segments: &mut Segments<'_>) {
        let mut records: Vec<(&KeyHash, &DecisionRecord)> = self.records.iter().collect();
        records.sort_unstable_by_key(|(key, _)| **key);
        for (key, record) in records {
            let writer = segments.item();
            writer.byte(RECORD);
            writer.key(*key);
            writer.text(&record.program);
            writer.text(record.kind.name());
            writer.text(&record.subject);
            writer.count(record.causes.len());
            record.causes.iter().for_each(|cause| store_cause(cause, writer));
        }
        for (end_ms, key) in &self.expiries {
            let writer = segments.item();
            writer.byte(END);
            writer.time(*end_ms);
            writer.key(*key);
        }
    }

    pub(in crate::engine) fn restore(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        while !reader.is_empty() {
            match reader.byte()? {
                RECORD => self.restore_record(reader)?,
                END => {
                    self.expiries.insert((reader.time()?, reader.key()?));
                }
                _ => return Err(Broken("a part of the decisions of no known kind")),
            }
        }
        Ok(())
    }

    fn restore_record(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        let (key, program) = (reader.key()?, reader.text()?.into());
        let kind = SubjectKind::from_name(reader.text()?).ok_or(Broken("a subject of no known kind"))?;
        let subject = reader.text()?.into();
        let causes = reader.count(30)?;
        let causes = (0..causes).map(|_| restore_cause(reader)).collect::<Result<Vec<_>, Broken>>()?;
        let record = DecisionRecord { program, kind, subject, causes };
        let gravest = record.gravest().ok_or(Broken("a subject without a cause"))?;
        self.bytes += record.bytes();
        self.by_kind[kind as usize] += 1;
        self.move_verdict(None, Some(gravest));
        match self.records.insert(key, record) {
            None => Ok(()),
            Some(_) => Err(Broken("a subject stands there twice")),
        }
    }

    /// All decisions are there.
    pub(in crate::engine) fn restored(&mut self, (is_limited, room): (bool, usize)) {
        let most = self.bytes().saturating_add(room).max(1);
        self.bytes_max = match (is_limited, room) {
            (true, _) => Some(0),
            (false, usize::MAX) => None,
            (false, _) => Some(most),
        };
    }
}

fn store_cause(cause: &DecisionCause, writer: &mut ByteWriter) {
    writer.text(&cause.id);
    writer.text(&cause.rule);
    writer.text(&cause.ruleset);
    store_verdict(cause.verdict, writer);
    match &cause.reach {
        DecisionReach::Everywhere => writer.byte(0),
        DecisionReach::WhereValueMoves => writer.byte(1),
        DecisionReach::Types(types) => {
            writer.byte(2);
            writer.count(types.len());
            types.iter().for_each(|name| writer.text(name));
        }
    }
    writer.time(cause.created_ms);
    writer.maybe_time(cause.expires_ms);
    writer.word(cause.sequence);
}

fn restore_cause(reader: &mut ByteReader<'_>) -> Result<DecisionCause, Broken> {
    let (id, rule, ruleset) = (reader.text()?.to_owned(), reader.text()?.into(), reader.text()?.into());
    let verdict = restore_verdict(reader)?;
    let reach = match reader.byte()? {
        0 => DecisionReach::Everywhere,
        1 => DecisionReach::WhereValueMoves,
        2 => {
            let types = reader.count(1)?;
            DecisionReach::Types((0..types).map(|_| reader.text().map(Box::from)).collect::<Result<_, Broken>>()?)
        }
        _ => return Err(Broken("a reach of no known kind")),
    };
    let (created_ms, expires_ms, sequence) = (reader.time()?, reader.maybe_time()?, reader.word()?);
    Ok(DecisionCause { id, rule, ruleset, verdict, reach, created_ms, expires_ms, sequence })
}
