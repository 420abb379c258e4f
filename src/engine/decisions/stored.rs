//! Decisions in a checkpoint: one record a subject, and the queue of ends; they may come in any order.

use super::{DecidedBy, DecisionCause, DecisionReach, DecisionRecord, Decisions, InLog};
use crate::engine::remembered::stored::{restore_verdict, store_verdict};
use crate::engine::shared::Origin;
use crate::event::SubjectKind;
use crate::ruleset::program::OnExpiry;
use crate::state::{Broken, ByteReader, ByteWriter, Cuttable, KeyHash, OrderedCut, Segments};

/// What an item is.
const RECORD: u8 = 0;
const END: u8 = 1;
/// A subject with its place in the log of decisions.
const LOGGED: u8 = 2;

/// Beside the reach of a cause, in one byte: a person decided. None of these stands there in what older versions wrote.
const BY_PERSON: u8 = 0x80;
/// And what becomes of what it held.
const THEN_RELEASE: u8 = 0x10;
const THEN_BLOCK: u8 = 0x20;

/// A cut through subjects and the queue of ends.
#[derive(Clone, Debug)]
pub(crate) struct DecisionsCut {
    subjects: OrderedCut<KeyHash>,
    ends: OrderedCut<(i64, KeyHash)>,
    segments: Segments,
}

impl Cuttable for Decisions {
    type Cut = DecisionsCut;

    fn new_cut(&self, prefix: &[u8]) -> DecisionsCut {
        let (subjects, ends) = (OrderedCut::default(), OrderedCut::default());
        DecisionsCut { subjects, ends, segments: Segments::new(prefix) }
    }

    fn cut_mut(&mut self) -> &mut Option<Box<DecisionsCut>> {
        &mut self.cut
    }

    fn walk(&self, cut: &mut DecisionsCut, budget_bytes: &mut usize, put: &mut dyn FnMut(&[u8])) -> bool {
        let DecisionsCut { subjects, ends, segments } = cut;
        let start = segments.bytes();
        let has_budget = |segments: &Segments| segments.bytes() - start < *budget_bytes;
        let mut is_all = true;
        for key in self.subjects.range(subjects.rest()) {
            is_all = has_budget(segments);
            if !is_all {
                break;
            }
            if subjects.walk(*key)
                && let Some(record) = self.records.get(key)
            {
                store_record(*key, record, segments.item());
            }
        }
        for end in self.expiries.range(ends.rest()) {
            is_all = is_all && has_budget(segments);
            if !is_all {
                break;
            }
            if ends.walk(*end) {
                store_end(*end, segments.item());
            }
        }
        if is_all {
            *budget_bytes = budget_bytes.saturating_sub(segments.bytes() - start);
            segments.finish(put);
        } else {
            *budget_bytes = 0;
            segments.hand_over(put);
        }
        is_all
    }
}

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

    /// Writes a subject as it is before it changes, if the cut has yet to.
    pub(super) fn keep(&mut self, key: KeyHash) {
        if let Some(cut) = &mut self.cut
            && cut.subjects.take(key)
            && let Some(record) = self.records.get(&key)
        {
            store_record(key, record, cut.segments.item());
        }
    }

    /// The same for a place in the queue of ends, before it comes or goes.
    pub(super) fn keep_end(&mut self, end: (i64, KeyHash)) {
        if let Some(cut) = &mut self.cut
            && cut.ends.take(end)
            && self.expiries.contains(&end)
        {
            store_end(end, cut.segments.item());
        }
    }

    pub(in crate::engine) fn restore(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        while !reader.is_empty() {
            match reader.byte()? {
                RECORD => self.restore_record(reader)?,
                LOGGED => self.restore_logged(reader)?,
                END => {
                    self.expiries.insert((reader.time()?, reader.key()?));
                }
                _ => return Err(Broken("a part of the decisions of no known kind")),
            }
        }
        Ok(())
    }

    fn restore_record(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        let key = reader.key()?;
        self.restore_subject(key, reader)
    }

    fn restore_logged(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        let key = reader.key()?;
        let in_log = InLog::stored(reader.word()?, reader.time()?);
        self.restore_subject(key, reader)?;
        self.records.get_mut(&key).into_iter().for_each(|record| record.in_log = in_log);
        Ok(())
    }

    /// Puts in a subject that [`Decisions::store_subject`] wrote; by cause, where the event stands that made it. `made` tells
    /// whether that is one which is judged now.
    pub(in crate::engine) fn put_subject(
        &mut self,
        key: KeyHash,
        origins: &[Option<Origin>],
        made: impl Fn(Origin) -> bool,
        reader: &mut ByteReader<'_>,
    ) -> Result<(), Broken> {
        self.restore_subject(key, reader)?;
        let Some(record) = self.records.get_mut(&key) else { return Ok(()) };
        for (cause, origin) in record.causes.iter_mut().zip(origins) {
            cause.origin = *origin;
            if origin.is_some_and(&made) {
                self.made_before.insert((key, cause.id.clone()));
            }
            if let Some(end_ms) = cause.expires_ms {
                self.expiries.insert((end_ms, key));
            }
        }
        Ok(())
    }

    /// What is known of a subject's causes that can be met from the horizon on: where their events stand, and until when the
    /// last of them can be. `None`: there are none.
    pub(in crate::engine) fn origins(&self, key: KeyHash, horizon_ms: i64) -> Option<(Vec<Option<Origin>>, i64)> {
        let record = self.records.get(&key)?;
        let causes = || record.causes.iter().filter(|cause| cause.lasts(horizon_ms));
        let until_ms = causes().map(|cause| cause.expires_ms.unwrap_or(i64::MAX)).max()?;
        Some((causes().map(|cause| cause.origin).collect(), until_ms))
    }

    /// Writes a subject with these causes, without its key.
    pub(in crate::engine) fn store_subject(&self, key: KeyHash, horizon_ms: i64, writer: &mut ByteWriter) {
        if let Some(record) = self.records.get(&key) {
            store_subject(record, |cause| cause.lasts(horizon_ms), writer);
        }
    }

    /// The keys of all subjects, in order, each with its program.
    pub(in crate::engine) fn keys(&self) -> impl Iterator<Item = (KeyHash, &str)> {
        self.subjects.iter().filter_map(|key| Some((*key, &*self.records.get(key)?.program)))
    }

    /// Nothing was made before.
    pub(in crate::engine) fn forget_made(&mut self) {
        self.made_before.clear();
    }

    fn restore_subject(&mut self, key: KeyHash, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        let program = reader.text()?.into();
        let kind = SubjectKind::from_name(reader.text()?).ok_or(Broken("a subject of no known kind"))?;
        let subject = reader.text()?.into();
        let causes = reader.count(30)?;
        let causes = (0..causes).map(|_| restore_cause(reader)).collect::<Result<Vec<_>, Broken>>()?;
        let record = DecisionRecord { program, kind, subject, causes, in_log: InLog::default() };
        let effective = record.effective().ok_or(Broken("a subject without a cause"))?;
        if record.causes.iter().filter(|cause| cause.is_override()).count() > 1 {
            return Err(Broken("a subject has two overrides"));
        }
        self.bytes += record.bytes();
        self.by_kind[kind as usize] += 1;
        self.move_verdict(None, Some(effective));
        self.subjects.insert(key);
        if record.overridden().is_some() {
            self.overridden.insert(key);
        }
        match self.records.insert(key, record) {
            None => Ok(()),
            Some(_) => Err(Broken("a subject stands there twice")),
        }
    }

    /// All decisions are there.
    pub(in crate::engine) fn restored(
        &mut self,
        (is_limited, room): (bool, usize),
        has_log: bool,
    ) -> Result<(), Broken> {
        let most = self.bytes().saturating_add(room).max(1);
        self.bytes_max = match (is_limited, room) {
            (true, _) => Some(0),
            (false, usize::MAX) => None,
            (false, _) => Some(most),
        };
        self.restored_log(has_log)
    }
}

fn store_record(key: KeyHash, record: &DecisionRecord, writer: &mut ByteWriter) {
    writer.byte(LOGGED);
    writer.key(key);
    writer.word(record.in_log.number);
    writer.time(record.in_log.updated_ms);
    store_subject(record, |_| true, writer);
}

fn store_subject(record: &DecisionRecord, is_kept: impl Fn(&DecisionCause) -> bool, writer: &mut ByteWriter) {
    writer.text(&record.program);
    writer.text(record.kind.name());
    writer.text(&record.subject);
    let causes = || record.causes.iter().filter(|cause| is_kept(cause));
    writer.count(causes().count());
    causes().for_each(|cause| store_cause(cause, writer));
}

fn store_end((end_ms, key): (i64, KeyHash), writer: &mut ByteWriter) {
    writer.byte(END);
    writer.time(end_ms);
    writer.key(key);
}

fn store_cause(cause: &DecisionCause, writer: &mut ByteWriter) {
    writer.text(&cause.id);
    let (texts, person) = match &cause.decided_by {
        DecidedBy::Rule { rule, ruleset } => ([rule, ruleset], 0),
        DecidedBy::Person { by, reason } => ([by, reason], BY_PERSON),
    };
    texts.into_iter().for_each(|text| writer.text(text));
    store_verdict(cause.verdict, writer);
    let then = match cause.on_expiry {
        OnExpiry::Keep => 0,
        OnExpiry::Release => THEN_RELEASE,
        OnExpiry::Block => THEN_BLOCK,
    };
    match &cause.reach {
        DecisionReach::Everywhere => writer.byte(person | then),
        DecisionReach::WhereValueMoves => writer.byte(1 | person | then),
        DecisionReach::Types(types) => {
            writer.byte(2 | person | then);
            writer.count(types.len());
            types.iter().for_each(|name| writer.text(name));
        }
    }
    writer.time(cause.created_ms);
    writer.maybe_time(cause.expires_ms);
    writer.word(cause.sequence);
}

fn restore_cause(reader: &mut ByteReader<'_>) -> Result<DecisionCause, Broken> {
    let (id, first, second) = (reader.text()?.to_owned(), reader.text()?.into(), reader.text()?.into());
    let verdict = restore_verdict(reader)?;
    let marks = reader.byte()?;
    let reach = match marks & !(BY_PERSON | THEN_RELEASE | THEN_BLOCK) {
        0 => DecisionReach::Everywhere,
        1 => DecisionReach::WhereValueMoves,
        2 => {
            let types = reader.count(1)?;
            DecisionReach::Types((0..types).map(|_| reader.text().map(Box::from)).collect::<Result<_, Broken>>()?)
        }
        _ => return Err(Broken("a reach of no known kind")),
    };
    let on_expiry = match marks & (THEN_RELEASE | THEN_BLOCK) {
        0 => OnExpiry::Keep,
        THEN_RELEASE => OnExpiry::Release,
        THEN_BLOCK => OnExpiry::Block,
        _ => return Err(Broken("a decision ends in no known way")),
    };
    let decided_by = if marks & BY_PERSON == 0 {
        DecidedBy::Rule { rule: first, ruleset: second }
    } else {
        DecidedBy::Person { by: first, reason: second }
    };
    let (created_ms, expires_ms, sequence) = (reader.time()?, reader.maybe_time()?, reader.word()?);
    let origin = None;
    Ok(DecisionCause { id, decided_by, verdict, reach, on_expiry, created_ms, expires_ms, sequence, origin })
}
