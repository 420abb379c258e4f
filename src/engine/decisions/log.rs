//! The log of decisions: every change of a subject's record gets the next number, and what stands has a checksum.
//!
//! A record stands in the log by the causes that have not ended by event time, as of the fixed places at which time is looked at;
//! the engine itself keeps them until no late event can meet them. All changes of one event, or of one look at the time, to a
//! record are one change. Invariants: the same inputs give the same numbers and the same bytes, whatever the batch size; the
//! count and the checksum of a program are those of a recount over its records; nothing is allocated while nothing changes.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::{DecisionCause, DecisionReach, DecisionRecord, Decisions, effective};
use crate::engine::judgement::Judgements;
use crate::engine::policy::Policy;
use crate::event::Verdict;
use crate::event::json::{write_string, write_timestamp};
use crate::state::{Broken, ByteReader, ByteWriter, KeyHash};

/// What stays as it is in a part of a record's key: what RFC 3986 calls unreserved.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A part of a record's key, percent-encoded.
pub fn encoded_part(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, PLAIN)
}

/// How many records stand, and the sum over them by which two sets of records can be told apart: docs/decisions-log.md.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActiveSet {
    /// How many.
    pub count: u64,
    /// The sum, modulo 2^64.
    pub checksum: u64,
}

impl ActiveSet {
    /// Takes what one change makes of it: what the record added before, and what it adds now.
    pub fn change(&mut self, before: Option<u64>, after: Option<u64>) {
        if let Some(before) = before {
            self.count = self.count.wrapping_sub(1);
            self.checksum = self.checksum.wrapping_sub(before);
        }
        if let Some(after) = after {
            self.count = self.count.wrapping_add(1);
            self.checksum = self.checksum.wrapping_add(after);
        }
    }
}

/// Why a subject stands under nothing any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) enum EndReason {
    /// The time of its last cause came.
    #[default]
    Expired,
    /// A person took their word off it.
    OverrideDeleted,
    /// What rules had decided was undone.
    Lifted,
    /// The account was erased.
    Erased,
    /// Its program is only observed from now on.
    Observed,
}

impl EndReason {
    /// As it is written.
    fn name(self) -> &'static str {
        match self {
            EndReason::Expired => "expired",
            EndReason::OverrideDeleted => "override_deleted",
            EndReason::Lifted => "lifted",
            EndReason::Erased => "erased",
            EndReason::Observed => "observed",
        }
    }
}

/// How a record stands in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct InLog {
    /// The number of its last change; 0: it does not stand there.
    pub(super) number: u64,
    /// The instant of that change.
    pub(super) updated_ms: i64,
    /// What it adds to the checksum.
    sum: u64,
}

impl InLog {
    /// One that a checkpoint has: its sum is made anew.
    pub(super) fn stored(number: u64, updated_ms: i64) -> InLog {
        InLog { number, updated_ms, sum: 0 }
    }

    fn standing(self) -> Option<u64> {
        (self.number > 0).then_some(self.sum)
    }
}

/// A record that stands in the log, as it is told there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRecord {
    /// The number of its last change.
    pub number: u64,
    /// `program/kind/id`, each percent-encoded.
    pub key: String,
    /// Its line.
    pub line: Vec<u8>,
    /// What it adds to the checksum.
    pub sum: u64,
}

/// Some of the records that stand in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPage {
    /// The number of the last change of all.
    pub number: u64,
    /// The records.
    pub records: Vec<LoggedRecord>,
    /// Behind which key to go on; `None`: there are no more.
    pub next: Option<KeyHash>,
}

/// The programs that are only observed: what is decided there stops nobody, so it is told to nobody.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Observed {
    /// Those that are configured.
    named: BTreeMap<Box<str>, bool>,
    /// Whether all others are.
    others: bool,
}

impl Observed {
    /// By what holds for programs.
    pub(in crate::engine) fn of(policy: &Policy) -> Observed {
        let named = policy.programs.iter().map(|(name, of)| (name.as_str().into(), of.observe_only)).collect();
        Observed { named, others: policy.default.observe_only }
    }

    fn has(&self, program: &str) -> bool {
        self.named.get(program).copied().unwrap_or(self.others)
    }
}

/// What is known of the log beside the records.
#[derive(Clone, Debug, Default)]
pub(super) struct DecisionLog {
    /// Whether changes are counted at all: not where several engines share the records.
    is_kept: bool,
    /// Whether lines are wanted.
    is_told: bool,
    /// Of which programs nothing stands in it.
    observed: Observed,
    /// The number of the last change.
    pub(super) number: u64,
    /// Causes that end at this instant or earlier have ended.
    pub(super) as_of_ms: i64,
    programs: BTreeMap<Box<str>, ActiveSet>,
    /// Records that may have changed since they were told last, in order.
    touched: Vec<(KeyHash, EndReason)>,
    /// Those of them that are gone, with how they stood.
    gone: BTreeMap<KeyHash, DecisionRecord>,
}

impl DecisionCause {
    fn write(&self, out: &mut Vec<u8>) {
        let mut text = |name: &str, value: Option<&str>| {
            out.extend_from_slice(name.as_bytes());
            match value {
                Some(value) => write_string(out, value),
                None => out.extend_from_slice(b"null"),
            }
        };
        text("{\"id\":", Some(&self.id));
        text(",\"rule\":", self.rule());
        text(",\"ruleset\":", self.ruleset());
        text(",\"verdict\":", Some(self.verdict.name()));
        text(",\"reason\":", self.reason());
        text(",\"by\":", self.by());
        out.extend_from_slice(b",\"on\":[");
        match &self.reach {
            DecisionReach::Everywhere => write_string(out, "everywhere"),
            DecisionReach::WhereValueMoves => write_string(out, "where_value_moves"),
            DecisionReach::Types(types) => {
                for (at, name) in types.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    write_string(out, name);
                }
            }
        }
        out.extend_from_slice(b"],\"created\":");
        write_timestamp(out, self.created_ms);
        out.extend_from_slice(b",\"expires\":");
        match self.expires_ms {
            Some(end_ms) => write_timestamp(out, end_ms),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
    }
}

impl DecisionRecord {
    /// The causes by which it stands in the log.
    fn living(&self, as_of_ms: i64) -> impl Iterator<Item = &DecisionCause> {
        self.causes.iter().filter(move |cause| cause.lives(as_of_ms))
    }

    /// The verdict by which it stands in the log; `None`: by none.
    fn verdict_at(&self, as_of_ms: i64) -> Option<Verdict> {
        effective(self.living(as_of_ms))
    }

    /// Its key in the log.
    pub(super) fn log_key(&self) -> String {
        format!("{}/{}/{}", encoded_part(&self.program), self.kind.name(), encoded_part(&self.subject))
    }

    /// What it adds to the checksum under this number and verdict.
    fn sum(&self, number: u64, verdict: Verdict, as_of_ms: i64) -> u64 {
        let mut ids: Vec<&str> = self.living(as_of_ms).map(|cause| cause.id.as_str()).collect();
        ids.sort_unstable();
        let text = format!("{}\n{number}\n{}\n{}", self.log_key(), verdict.name(), ids.join(","));
        let digest = Sha256::digest(text.as_bytes());
        u64::from_be_bytes(*digest.first_chunk().expect("a digest has 32 bytes"))
    }

    fn write_head(&self, number: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"number\":");
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        out.extend_from_slice(b",\"program\":");
        write_string(out, &self.program);
        out.extend_from_slice(b",\"kind\":");
        write_string(out, self.kind.name());
        out.extend_from_slice(b",\"id\":");
        write_string(out, &self.subject);
    }

    /// Writes what stands on it, as of an instant at which it was changed.
    fn write_line(&self, verdict: Verdict, as_of_ms: i64, out: &mut Vec<u8>) {
        self.write_head(self.in_log.number, out);
        out.extend_from_slice(b",\"verdict\":");
        write_string(out, verdict.name());
        out.extend_from_slice(b",\"causes\":[");
        for (at, cause) in self.living(as_of_ms).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            cause.write(out);
        }
        out.extend_from_slice(b"],\"updated\":");
        write_timestamp(out, self.in_log.updated_ms);
        out.push(b'}');
    }

    /// Writes that nothing stands on it any more.
    fn write_end(&self, number: u64, why: EndReason, at_ms: i64, out: &mut Vec<u8>) {
        self.write_head(number, out);
        out.extend_from_slice(b",\"verdict\":null,\"causes\":[],\"ended\":{\"why\":");
        write_string(out, why.name());
        out.extend_from_slice(b",\"at\":");
        write_timestamp(out, at_ms);
        out.extend_from_slice(b"}}");
    }
}

impl Decisions {
    /// Counts changes from here on, but for programs that are only observed; `is_told`: and writes them down.
    pub(in crate::engine) fn keep_log(&mut self, is_told: bool, observed: Observed) {
        self.log.is_kept = true;
        self.log.is_told = is_told;
        self.log.observed = observed;
    }

    /// Counts no changes: the records are another's.
    pub(in crate::engine) fn leave_log(&mut self) {
        self.log = DecisionLog::default();
    }

    /// The number of the last change.
    pub fn log_number(&self) -> u64 {
        self.log.number
    }

    /// What stands in each program.
    pub fn active_sets(&self) -> impl Iterator<Item = (&str, ActiveSet)> {
        self.log.programs.iter().map(|(program, set)| (&**program, *set))
    }

    /// Whether something may have changed since it was told last.
    #[inline]
    pub(in crate::engine) fn is_touched(&self) -> bool {
        !self.log.touched.is_empty()
    }

    /// A cause that ends then, if it does, has come.
    pub(super) fn touch_if_seen(&mut self, key: KeyHash, end_ms: Option<i64>) {
        if end_ms.is_none_or(|end_ms| end_ms > self.log.as_of_ms) {
            self.touch(key, EndReason::Expired);
        }
    }

    /// The end of a cause has moved.
    pub(super) fn note_extended(&mut self, key: KeyHash, before: Option<i64>, after: Option<i64>) {
        if before == after {
            return;
        }
        self.touch_if_seen(key, after);
        // Its place in the queue was passed.
        if let (true, Some(before), Some(after)) = (self.log.is_kept, before, after)
            && before <= self.log.as_of_ms
        {
            self.queue(after, key);
        }
    }

    /// A record may have changed.
    pub(super) fn touch(&mut self, key: KeyHash, why: EndReason) {
        if self.log.is_kept {
            self.log.touched.push((key, why));
        }
    }

    /// A record is gone. If it still stands in the log it has been touched.
    pub(super) fn note_gone(&mut self, key: KeyHash, record: DecisionRecord) {
        if record.in_log.number > 0 {
            self.log.gone.insert(key, record);
        }
    }

    /// Event time has come to an instant: what ends by then ends in the log.
    pub(in crate::engine) fn pass_time(&mut self, to_ms: i64) {
        if !self.log.is_kept || to_ms <= self.log.as_of_ms {
            return;
        }
        let last = KeyHash::from_bits(u128::MAX);
        let passed = (Bound::Excluded((self.log.as_of_ms, last)), Bound::Included((to_ms, last)));
        self.log.as_of_ms = to_ms;
        let ended: Vec<KeyHash> = self.expiries.range(passed).map(|(_, key)| *key).collect();
        for key in ended {
            self.touch(key, EndReason::Expired);
            // Its next end may stand in the queue only once this one is forgotten, which is later.
            let next = self.records.get(&key).and_then(|record| {
                record.causes.iter().filter_map(|cause| cause.expires_ms).filter(|end_ms| *end_ms > to_ms).min()
            });
            next.into_iter().for_each(|end_ms| self.queue(end_ms, key));
        }
    }

    /// Gives what was touched its numbers, and writes it down, as of an instant.
    pub(in crate::engine) fn tell(&mut self, at_ms: i64, out: &mut Judgements) {
        let touched = std::mem::take(&mut self.log.touched);
        let mut seen = HashSet::new();
        for (key, why) in touched.iter().filter(|(key, _)| touched.len() == 1 || seen.insert(*key)) {
            self.tell_one(*key, *why, at_ms, out);
        }
        self.log.touched = touched;
        self.log.touched.clear();
        self.log.gone.clear();
    }

    fn tell_one(&mut self, key: KeyHash, why: EndReason, at_ms: i64, out: &mut Judgements) {
        self.keep(key);
        let log = &mut self.log;
        let Some(before) = log.gone.get(&key).or_else(|| self.records.get(&key)).map(|record| record.in_log.standing())
        else {
            return;
        };
        let told = self.records.get(&key).filter(|record| !log.observed.has(&record.program));
        let verdict = told.and_then(|record| record.verdict_at(log.as_of_ms));
        if verdict.is_none() && before.is_none() {
            return;
        }
        log.number += 1;
        let number = log.number;
        let in_log = match (self.records.get(&key), verdict) {
            (Some(record), Some(verdict)) => {
                InLog { number, updated_ms: at_ms, sum: record.sum(number, verdict, log.as_of_ms) }
            }
            _ => InLog::default(),
        };
        if let Some(record) = self.records.get_mut(&key) {
            record.in_log = in_log;
        }
        let Some(record) = self.records.get(&key).or_else(|| log.gone.get(&key)) else { return };
        count(&mut log.programs, &record.program, before, in_log.standing());
        if !log.is_told {
            return;
        }
        out.add_changed(number, [before, in_log.standing()], &record.log_key(), |line| match verdict {
            Some(verdict) => record.write_line(verdict, log.as_of_ms, line),
            None => record.write_end(number, why, at_ms, line),
        });
    }

    /// Some of the records that stand in the log, behind a key; `count_max` are looked at.
    pub(in crate::engine) fn log_page(&self, behind: Option<KeyHash>, count_max: usize) -> LogPage {
        let mut page = LogPage { number: self.log.number, ..LogPage::default() };
        for (looked_at, (key, record)) in self.records_behind(behind).enumerate() {
            if looked_at == count_max {
                return page;
            }
            page.next = Some(key);
            let (number, as_of_ms) = (record.in_log.number, self.log.as_of_ms);
            if let Some(verdict) = record.verdict_at(as_of_ms).filter(|_| number > 0) {
                let mut line = Vec::new();
                record.write_line(verdict, as_of_ms, &mut line);
                page.records.push(LoggedRecord { number, key: record.log_key(), line, sum: record.in_log.sum });
            }
        }
        page.next = None;
        page
    }

    pub(in crate::engine) fn store_log(&self, writer: &mut ByteWriter) {
        writer.word(self.log.number);
        writer.time(self.log.as_of_ms);
    }

    /// Reads what is known of the log beside the records, before these.
    pub(in crate::engine) fn restore_log(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        (self.log.number, self.log.as_of_ms) = (reader.word()?, reader.time()?);
        Ok(())
    }

    /// All records are there: sums what stands. Records of a checkpoint that knew no log get their numbers now. Those of a program that
    /// is observed and was not, or was and is not, are told next.
    pub(super) fn restored_log(&mut self, has_log: bool) -> Result<(), Broken> {
        if !self.log.is_kept {
            return Ok(());
        }
        let as_of_ms = self.log.as_of_ms;
        for key in &self.subjects {
            let Some(record) = self.records.get_mut(key) else { continue };
            let is_observed = self.log.observed.has(&record.program);
            if !has_log && !is_observed {
                self.log.number += 1;
                record.in_log.number = self.log.number;
            }
            if record.in_log.number > self.log.number {
                return Err(Broken("a decision has a number that was not reached"));
            }
            let verdict = record.verdict_at(as_of_ms);
            if verdict.is_some() && (record.in_log.number > 0) == is_observed {
                self.log.touched.push((*key, EndReason::Observed));
            }
            match verdict.filter(|_| record.in_log.number > 0) {
                Some(verdict) => record.in_log.sum = record.sum(record.in_log.number, verdict, as_of_ms),
                None => record.in_log = InLog::default(),
            }
            let standing = record.in_log.standing();
            count(&mut self.log.programs, &record.program, None, standing);
        }
        Ok(())
    }
}

/// Takes a change of a record into the sum over its program, which is there while something stands in it.
fn count(programs: &mut BTreeMap<Box<str>, ActiveSet>, program: &str, before: Option<u64>, after: Option<u64>) {
    match programs.get_mut(program) {
        Some(set) => {
            set.change(before, after);
            if set.count == 0 {
                programs.remove(program);
            }
        }
        None => {
            let mut set = ActiveSet::default();
            set.change(before, after);
            if set.count > 0 {
                programs.insert(program.into(), set);
            }
        }
    }
}

#[cfg(test)]
mod tests;
