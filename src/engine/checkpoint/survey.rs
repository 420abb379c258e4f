//! A look at a checkpoint without its rules, its key or the memory that it would take: what is in it, and whether every
//! record can be what it says.
//!
//! Each segment is read by the code that restores it, and what it holds is dropped; components alone are kept to the end,
//! since their nodes name each other. What only the whole can tell (a key that stands there twice) is for
//! [`Restoring`](super::Restoring) to find.

use super::restore::SEQUENCE_MAX;
use super::{OF_ACCOUNTS, OF_FEATURE, tag};
use crate::engine::EngineOptions;
use crate::engine::breaker::Breakers;
use crate::engine::clock::Clock;
use crate::engine::decisions::Decisions;
use crate::engine::holds::Holds;
use crate::engine::managed::ManagedLists;
use crate::engine::policy::Policy;
use crate::engine::quotas::Quotas;
use crate::engine::recorded::Recorded;
use crate::engine::referrers::Referrers;
use crate::engine::remembered::Remembered;
use crate::engine::waiting::Waiting;
use crate::engine::watch::MemoryWatch;
use crate::event::SubjectKind;
use crate::ruleset::program::RuleSet;
use crate::state::{Broken, ByteReader, Dedup, FeatureTable, PartHash};

/// Room for what is dropped at once.
const ROOM: usize = usize::MAX;

/// A part of the state in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedPart {
    /// The name of the feature or fact, or what else it is: `state.identities` and the like.
    pub name: String,
    /// How many keys, or other records, it has.
    pub keys: u64,
    /// How many bytes its segments take.
    pub bytes: u64,
}

/// What a checkpoint holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// How many events had been taken in.
    pub sequence: u64,
    /// Hash of the rule set that was in force.
    pub ruleset: String,
    /// Event time of the first event.
    pub started_ms: Option<i64>,
    /// Event time up to which all partitions had come.
    pub watermark_ms: Option<i64>,
    /// Its parts, features first.
    pub parts: Vec<SurveyedPart>,
}

/// Those parts that are no table, by the place that they have behind the tables.
const OTHERS: [&str; 11] = [
    "account.referrers",
    "state.identities",
    "state.verdicts",
    "state.decisions",
    "state.waiting",
    "state.breakers",
    "state.watch",
    "state.holds",
    "state.evidence",
    "state.lists",
    "state.named",
];
const REFERRERS: usize = 0;
const IDENTITIES: usize = 1;
const VERDICTS: usize = 2;
const DECISIONS: usize = 3;
const WAITING: usize = 4;
const BREAKERS: usize = 5;
const WATCH: usize = 6;
const HOLDS: usize = 7;
const EVIDENCE: usize = 8;
const LISTS: usize = 9;
const NAMED: usize = 10;

/// A checkpoint that is being looked at, segment by segment.
#[derive(Debug, Default)]
pub struct Surveying {
    survey: Survey,
    has_head: bool,
    has_ended: bool,
    tables: Vec<FeatureTable>,
    /// Keys and bytes of [`OTHERS`].
    others: [(u64, u64); OTHERS.len()],
    /// Which of these began: referrers, identities, decisions.
    begun: [bool; 3],
}

impl Surveying {
    /// Looks at the next segment.
    ///
    /// # Errors
    ///
    /// What is impossible: then the rest is not worth a look.
    pub fn take(&mut self, segment: &[u8]) -> Result<(), Broken> {
        let mut reader = ByteReader::new(segment);
        let tag = reader.byte()?;
        if self.has_ended || self.has_head == (tag == tag::HEAD) {
            return Err(Broken("a segment of no known kind, or out of order"));
        }
        let bytes = segment.len() as u64;
        match tag {
            tag::HEAD => self.take_head(&mut reader)?,
            tag::TABLE => self.begin_table(bytes, &mut reader)?,
            tag::KEYS => self.take_keys(self.tables.len().checked_sub(1), bytes, &mut reader)?,
            tag::KEYS_OF => {
                let table = reader.count(0)?;
                self.take_keys(Some(table), bytes, &mut reader)?;
            }
            tag::END => self.has_ended = true,
            tag => self.take_other(tag, bytes, &mut reader)?,
        }
        if reader.is_empty() { Ok(()) } else { Err(Broken("a segment is longer than what is in it")) }
    }

    fn take_head(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        // The key itself is for who has it.
        let _ = PartHash::from_bits(reader.wide()?);
        let (mut clock, policy) = (Clock::new(0), Policy::default());
        self.survey.sequence = reader.word()?;
        if self.survey.sequence > SEQUENCE_MAX {
            return Err(Broken("there were more events than can be"));
        }
        self.survey.started_ms = reader.maybe_time()?;
        self.survey.ruleset = reader.text()?.to_owned();
        clock.restore(reader)?;
        self.survey.watermark_ms = clock.watermark_ms();
        Quotas::new(&policy).restore(&policy, reader)?;
        for _ in 0..reader.count(1)? {
            SubjectKind::from_name(reader.text()?).ok_or(Broken("a subject of no known kind"))?;
        }
        self.has_head = true;
        Ok(())
    }

    fn begin_table(&mut self, bytes: u64, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        let owner = reader.byte()?;
        let name = reader.text()?.to_owned();
        match owner {
            OF_FEATURE => drop((reader.text()?, reader.maybe_time()?)),
            OF_ACCOUNTS => {}
            _ => return Err(Broken("a table of nothing that is known")),
        }
        self.tables.push(FeatureTable::of_head(reader)?);
        self.survey.parts.push(SurveyedPart { name, keys: 0, bytes });
        Ok(())
    }

    fn take_keys(&mut self, table: Option<usize>, bytes: u64, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        const OF_NO_TABLE: Broken = Broken("keys of no table that began");
        let table = table.ok_or(OF_NO_TABLE)?;
        let keys = self.tables.get_mut(table).ok_or(OF_NO_TABLE)?.skim_keys(reader)?;
        let part = &mut self.survey.parts[table];
        part.keys += keys as u64;
        part.bytes += bytes;
        Ok(())
    }

    fn take_other(&mut self, tag: u8, bytes: u64, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        const OUT_OF_ORDER: Broken = Broken("a segment of no known kind, or out of order");
        let begins = match tag {
            tag::REFERRERS => Some(0),
            tag::DEDUP => Some(1),
            tag::DECISIONS => Some(2),
            _ => None,
        };
        if let Some(begins) = begins
            && std::mem::replace(&mut self.begun[begins], true)
        {
            return Err(OUT_OF_ORDER);
        }
        let options = EngineOptions::default();
        let (place, keys) = match tag {
            tag::REFERRERS => (REFERRERS, reader.time().map(|_| 0)?),
            tag::REFERRALS if self.begun[0] => {
                let mut referrers = Referrers::new(0);
                referrers.restore_records(reader)?;
                (REFERRERS, referrers.len())
            }
            tag::DEDUP => {
                let mut dedup = Dedup::new(options.dedup_span_ms, options.dedup_max_entries);
                (IDENTITIES, dedup.restore_head(reader).map(|()| 0)?)
            }
            tag::IDENTITIES if self.begun[1] => {
                let mut dedup = Dedup::new(options.dedup_span_ms, options.dedup_max_entries);
                dedup.restore_identities(reader)?;
                (IDENTITIES, dedup.entries())
            }
            tag::VERDICTS => {
                let mut remembered = Remembered::default();
                remembered.restore(reader)?;
                (VERDICTS, remembered.len())
            }
            tag::EVIDENCE => (EVIDENCE, texts(reader)?),
            tag::NAMED => (NAMED, texts(reader)?),
            tag::LISTS => (LISTS, entries(reader)?),
            tag::DECISIONS => (DECISIONS, Decisions::default().restore_head(reader).map(|_| 0)?),
            tag::DECISION_LOG => (DECISIONS, Decisions::default().restore_log(reader).map(|()| 0)?),
            tag::SUBJECTS if self.begun[2] => {
                let mut decisions = Decisions::default();
                decisions.restore(reader)?;
                (DECISIONS, decisions.len())
            }
            tag::HOLDS => (HOLDS, Holds::new(ROOM, std::iter::empty()).restore_head(reader).map(|()| 0)?),
            tag::REVIEWS => {
                let mut holds = Holds::new(ROOM, std::iter::empty());
                holds.restore(reader)?;
                (HOLDS, holds.len())
            }
            tag::WAITING => {
                let mut waiting = Waiting::new(ROOM);
                waiting.restore(Some, reader)?;
                (WAITING, waiting.len())
            }
            tag::BREAKERS => {
                let mut current = None;
                (BREAKERS, Breakers::default().restore(&RuleSet::default(), &mut current, reader).map(|()| 0)?)
            }
            tag::WATCH => (WATCH, MemoryWatch::new(ROOM).restore(&[], |_| true, reader).map(|()| 0)?),
            _ => return Err(OUT_OF_ORDER),
        };
        self.others[place].0 += keys as u64;
        self.others[place].1 += bytes;
        Ok(())
    }

    /// What was found, once every segment was looked at.
    ///
    /// # Errors
    ///
    /// Something is missing, or components do not hold together.
    pub fn finish(mut self) -> Result<Survey, Broken> {
        if !self.has_ended || !self.begun[1] || !self.begun[2] {
            return Err(Broken("its end is missing"));
        }
        self.tables.iter_mut().try_for_each(FeatureTable::restored)?;
        let others = OTHERS.iter().zip(self.others).filter(|(_, (_, bytes))| *bytes > 0);
        let others = others.map(|(name, (keys, bytes))| SurveyedPart { name: (*name).to_owned(), keys, bytes });
        self.survey.parts.extend(others);
        Ok(self.survey)
    }
}

/// How many events a segment has texts about.
fn texts(reader: &mut ByteReader<'_>) -> Result<usize, Broken> {
    let mut recorded = Recorded::new(ROOM);
    recorded.restore(reader)?;
    Ok(recorded.len())
}

/// How many entries of managed lists a segment has.
fn entries(reader: &mut ByteReader<'_>) -> Result<usize, Broken> {
    let mut managed = ManagedLists::default();
    managed.restore(reader)?;
    Ok(managed.len())
}
