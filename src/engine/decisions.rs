//! What stays on a subject after the event that decided it: one record a subject, with a cause for each rule or person.
//!
//! Decisions depend on order: one counts for the events after it in the log, until an instant of event time. They name
//! their subject in clear, because people and paying services read them. A person's cause is an override: it beats those of
//! rules, also where it is less grave. Invariants: a record without causes does not exist, and one has at most one override;
//! a record with causes that end by time stands in the expiry queue, under the end of one of them or an earlier
//! instant, and under its next end since event time was looked at; the counts by kind and by verdict are those of a recount.

mod lift;
mod log;
mod stored;

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use super::shared::Origin;
use crate::event::{EventKind, SubjectKind, Verdict};
use crate::ruleset::program::OnExpiry;
use crate::state::KeyHash;
pub(super) use lift::Lifted;
pub(super) use log::Observed;
pub use log::{ActiveSet, LogPage, LoggedRecord, encoded_part};
use log::{DecisionLog, EndReason, InLog};
use stored::DecisionsCut;

/// For which types of event a cause counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecisionReach {
    /// Every type.
    Everywhere,
    /// Where value moves (docs/rules.md has the types): the default of a `challenge` or `hold`.
    WhereValueMoves,
    /// These types.
    Types(Box<[Box<str>]>),
}

impl DecisionReach {
    /// What a verdict reaches when its rule does not say.
    pub fn default_for(verdict: Verdict) -> DecisionReach {
        if verdict == Verdict::Block { DecisionReach::Everywhere } else { DecisionReach::WhereValueMoves }
    }

    pub(super) fn covers(&self, kind: EventKind, event_type: &str) -> bool {
        match self {
            DecisionReach::Everywhere => true,
            DecisionReach::WhereValueMoves => match kind.spec() {
                Some(spec) => spec.moves_value,
                None => event_type.starts_with("reward.") || event_type.starts_with("gift_card."),
            },
            DecisionReach::Types(types) => types.iter().any(|name| **name == *event_type),
        }
    }
}

/// Who decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecidedBy {
    /// A rule.
    Rule {
        /// Its id.
        rule: Box<str>,
        /// Hash of the rule set in force then.
        ruleset: Box<str>,
    },
    /// A person: an override.
    Person {
        /// Who, such as `token:ab2cd3ef4567`.
        by: Box<str>,
        /// Why, in their words.
        reason: Box<str>,
    },
}

/// Why a subject stands under a verdict: one for each rule, and at most one for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionCause {
    /// Derived from subject, rule and the event that made it, or from subject and the act.
    pub id: String,
    /// Who decided.
    pub decided_by: DecidedBy,
    /// What was decided.
    pub verdict: Verdict,
    /// For which types of event.
    pub reach: DecisionReach,
    /// What becomes of what it held, once it has ended by itself.
    pub on_expiry: OnExpiry,
    /// Event time of the event that made it; of a person's, when it was made.
    pub created_ms: i64,
    /// Event time at which it ends; `None`: it stays.
    pub expires_ms: Option<i64>,
    /// How many events the engine had taken in when it was made.
    pub sequence: u64,
    /// Where its event stands, for engines that share their state: there no number of events is one for all.
    pub origin: Option<Origin>,
}

/// The state of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRecord {
    /// The program it belongs to.
    pub program: Box<str>,
    /// What the subject is.
    pub kind: SubjectKind,
    /// Its id, in clear.
    pub subject: Box<str>,
    /// Why, in the order of making.
    pub causes: Vec<DecisionCause>,
    /// How it stands in the log of decisions.
    in_log: InLog,
}

impl DecisionCause {
    /// The rule that decided, if one has.
    pub fn rule(&self) -> Option<&str> {
        match &self.decided_by {
            DecidedBy::Rule { rule, .. } => Some(rule),
            DecidedBy::Person { .. } => None,
        }
    }

    /// Hash of the rule set in force when a rule decided.
    pub fn ruleset(&self) -> Option<&str> {
        match &self.decided_by {
            DecidedBy::Rule { ruleset, .. } => Some(ruleset),
            DecidedBy::Person { .. } => None,
        }
    }

    /// The person who decided, if one has.
    pub fn by(&self) -> Option<&str> {
        match &self.decided_by {
            DecidedBy::Rule { .. } => None,
            DecidedBy::Person { by, .. } => Some(by),
        }
    }

    /// Why, in the words of who decided.
    pub fn reason(&self) -> Option<&str> {
        match &self.decided_by {
            DecidedBy::Rule { .. } => None,
            DecidedBy::Person { reason, .. } => Some(reason),
        }
    }

    /// Whether it beats rules, scores and what rules have decided.
    pub fn is_override(&self) -> bool {
        matches!(self.decided_by, DecidedBy::Person { .. })
    }

    /// Whether it counts at an instant: see [`Decisions::in_force`].
    pub fn lives(&self, as_of_ms: i64) -> bool {
        self.expires_ms.is_none_or(|end| as_of_ms < end)
    }

    /// Whether one of the same rule is this one again, while this one lives.
    fn is_extended_by(&self, other: &DecisionCause, as_of_ms: i64) -> bool {
        let is_same = self.rule().is_some() && self.rule() == other.rule();
        self.lives(as_of_ms) && is_same && self.verdict == other.verdict && self.reach == other.reach
    }

    /// Whether some event from the horizon on can meet it.
    fn lasts(&self, horizon_ms: i64) -> bool {
        self.expires_ms.is_none_or(|end_ms| end_ms > horizon_ms)
    }

    /// What it takes in memory, about.
    fn bytes(&self) -> usize {
        let texts = match &self.decided_by {
            DecidedBy::Rule { rule, ruleset } => rule.len() + ruleset.len(),
            DecidedBy::Person { by, reason } => by.len() + reason.len(),
        };
        size_of::<DecisionCause>() + self.id.len() + texts
    }
}

impl DecisionRecord {
    /// What it takes in memory, about, with its causes and its place in order.
    fn bytes(&self) -> usize {
        let causes: usize = self.causes.iter().map(DecisionCause::bytes).sum();
        size_of::<(KeyHash, DecisionRecord, KeyHash)>() + self.program.len() + self.subject.len() + causes
    }

    /// What its causes come to; `None` once it has none.
    pub fn effective(&self) -> Option<Verdict> {
        effective(&self.causes)
    }

    /// The word of a person on it.
    pub fn overridden(&self) -> Option<&DecisionCause> {
        self.causes.iter().find(|cause| cause.is_override())
    }
}

/// What causes come to: the gravest override if there is one, else the gravest of all; `None` without any.
pub fn effective<'a>(causes: impl IntoIterator<Item = &'a DecisionCause>) -> Option<Verdict> {
    // An override is more than anything else, and among their like the graver is more.
    causes.into_iter().map(|cause| (cause.is_override(), cause.verdict)).max().map(|(_, verdict)| verdict)
}

/// All subjects under a decision.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    records: HashMap<KeyHash, DecisionRecord>,
    /// Their keys in order, so that a walk over them can be interrupted.
    subjects: BTreeSet<KeyHash>,
    /// Those under an override, in order.
    overridden: BTreeSet<KeyHash>,
    expiries: BTreeSet<(i64, KeyHash)>,
    by_kind: [usize; SubjectKind::ALL.len()],
    by_verdict: [usize; Verdict::ALL.len()],
    /// Of records and causes; see [`Decisions::bytes`].
    bytes: usize,
    /// New causes are refused from so many bytes on.
    bytes_max: Option<usize>,
    /// How many causes were refused.
    refused: u64,
    /// Causes that a try which did not come to its end has made of the events that are judged now.
    made_before: BTreeSet<(KeyHash, String)>,
    /// The number of its changes, and what of it was told.
    log: DecisionLog,
    /// While they are written as of a place that was passed.
    cut: Option<Box<DecisionsCut>>,
}

/// What a decision in force does to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce<'a> {
    /// The cause.
    pub cause: &'a DecisionCause,
    /// The subject it stands on.
    pub kind: SubjectKind,
}

impl Decisions {
    /// Whether any subject of this kind stands under a decision: most kinds never do.
    #[inline]
    pub fn has_kind(&self, kind: SubjectKind) -> bool {
        self.by_kind[kind as usize] > 0
    }

    /// The subjects under a decision, in the order of their keys.
    pub(super) fn records(&self) -> impl Iterator<Item = &DecisionRecord> {
        self.subjects.iter().filter_map(|key| self.records.get(key))
    }

    /// What stands on a subject.
    pub(super) fn record(&self, key: KeyHash) -> Option<&DecisionRecord> {
        self.records.get(&key)
    }

    /// The subjects behind a key, in the order of their keys.
    pub(super) fn records_behind(&self, behind: Option<KeyHash>) -> impl Iterator<Item = (KeyHash, &DecisionRecord)> {
        let from = behind.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = self.subjects.range((from, Bound::Unbounded));
        keys.filter_map(|key| Some((*key, self.records.get(key)?)))
    }

    /// The overrides behind a key, in the order of their subjects' keys.
    pub(super) fn overrides_behind(
        &self,
        behind: Option<KeyHash>,
    ) -> impl Iterator<Item = (KeyHash, &DecisionRecord, &DecisionCause)> {
        let from = behind.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = self.overridden.range((from, Bound::Unbounded));
        keys.filter_map(|key| {
            let record = self.records.get(key)?;
            Some((*key, record, record.overridden()?))
        })
    }

    /// How many overrides stand, those that have ended since the last look among them.
    pub(super) fn overrides(&self) -> usize {
        self.overridden.len()
    }

    /// How many subjects stand under a decision.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether no subject stands under a decision.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The causes on a subject that count for an event of this type at this instant: its event time, or the horizon for
    /// a later one, so that it does not matter whether a cause that ended in between is still held. Where an event stands in
    /// a shared log, what came of it or of those behind it in its partition does not count.
    pub fn in_force<'a>(
        &'a self,
        key: KeyHash,
        kind: EventKind,
        event_type: &'a str,
        as_of_ms: i64,
        at: Option<Origin>,
    ) -> impl Iterator<Item = InForce<'a>> {
        self.records.get(&key).into_iter().flat_map(move |record| {
            record
                .causes
                .iter()
                .filter(move |cause| cause.lives(as_of_ms))
                .filter(move |cause| cause.reach.covers(kind, event_type))
                .filter(move |cause| at.zip(cause.origin).is_none_or(|(at, of)| !of.is_from(at)))
                .map(|cause| InForce { cause, kind: record.kind })
        })
    }

    /// Puts a cause on a subject. One of the same rule with the same verdict and reach that lives at this instant (see
    /// [`Decisions::in_force`]) is extended instead.
    ///
    /// Returns whether the cause is new; one that is refused for want of room is not made.
    pub fn decide(
        &mut self,
        key: KeyHash,
        as_of_ms: i64,
        subject: impl FnOnce() -> (Box<str>, SubjectKind, Box<str>),
        cause: DecisionCause,
    ) -> bool {
        if self.bytes_max.is_some_and(|most| self.bytes() >= most) && !self.extends(key, as_of_ms, &cause) {
            self.refused += 1;
            return false;
        }
        self.keep(key);
        let record = self.open(key, subject);
        let same = record.causes.iter_mut().find(|known| known.is_extended_by(&cause, as_of_ms));
        if let Some(known) = same {
            // It keeps its place in the queue, and is put back under its new end when that comes.
            let before = known.expires_ms;
            known.expires_ms = known.expires_ms.and_then(|end| cause.expires_ms.map(|new| new.max(end)));
            let after = known.expires_ms;
            self.note_extended(key, before, after);
            // Made again by the event that made it, it is new once.
            return !self.made_before.is_empty() && self.made_before.remove(&(key, cause.id));
        }
        let before = record.effective();
        let end = cause.expires_ms;
        let added = cause.bytes();
        record.causes.push(cause);
        let after = record.effective();
        self.bytes += added;
        end.into_iter().for_each(|end| self.queue(end, key));
        self.move_verdict(before, after);
        self.touch_if_seen(key, end);
        true
    }

    /// Puts a person's word on a subject, in the place of an earlier one, which it answers. However little room there is: people
    /// are slow, and what they say must hold.
    pub fn put_override(
        &mut self,
        key: KeyHash,
        subject: impl FnOnce() -> (Box<str>, SubjectKind, Box<str>),
        cause: DecisionCause,
    ) -> Option<DecisionCause> {
        debug_assert!(cause.is_override(), "rules decide by `decide`");
        self.keep(key);
        let record = self.open(key, subject);
        let before = record.effective();
        let place = record.causes.iter().position(DecisionCause::is_override);
        let replaced = place.map(|place| record.causes.remove(place));
        let (end, added) = (cause.expires_ms, cause.bytes());
        record.causes.push(cause);
        let after = record.effective();
        self.overridden.insert(key);
        self.bytes = self.bytes + added - replaced.as_ref().map_or(0, DecisionCause::bytes);
        end.into_iter().for_each(|end| self.queue(end, key));
        self.move_verdict(before, after);
        self.touch(key, EndReason::Expired);
        replaced
    }

    /// Takes a person's word off a subject, and answers it; what rules have decided stands again.
    pub fn delete_override(&mut self, key: KeyHash) -> Option<DecisionCause> {
        let place = self.records.get(&key)?.causes.iter().position(DecisionCause::is_override)?;
        self.keep(key);
        let record = self.records.get_mut(&key)?;
        let before = record.effective();
        let deleted = record.causes.remove(place);
        let after = record.effective();
        self.bytes -= deleted.bytes();
        self.overridden.remove(&key);
        self.touch(key, EndReason::OverrideDeleted);
        self.close_if_empty(key);
        self.move_verdict(before, after);
        Some(deleted)
    }

    /// Forgets a subject with all that stands on it, people's words included.
    pub(super) fn erase(&mut self, key: KeyHash) {
        self.keep(key);
        let Some(record) = self.records.get_mut(&key) else { return };
        let (before, bytes) = (record.effective(), record.bytes());
        record.causes.clear();
        self.bytes = self.bytes + record.bytes() - bytes;
        self.overridden.remove(&key);
        self.touch(key, EndReason::Erased);
        self.close_if_empty(key);
        self.move_verdict(before, None);
    }

    /// The record of a subject, made if there is none; it must be kept for a checkpoint that is under way.
    fn open(
        &mut self,
        key: KeyHash,
        subject: impl FnOnce() -> (Box<str>, SubjectKind, Box<str>),
    ) -> &mut DecisionRecord {
        self.records.entry(key).or_insert_with(|| {
            let (program, kind, subject) = subject();
            self.by_kind[kind as usize] += 1;
            self.subjects.insert(key);
            let record = DecisionRecord { program, kind, subject, causes: Vec::new(), in_log: InLog::default() };
            self.bytes += record.bytes();
            record
        })
    }

    /// Forgets a record whose causes have all ended.
    fn close_if_empty(&mut self, key: KeyHash) {
        if self.records.get(&key).is_some_and(|record| record.causes.is_empty())
            && let Some(record) = self.records.remove(&key)
        {
            self.by_kind[record.kind as usize] -= 1;
            self.bytes -= record.bytes();
            self.subjects.remove(&key);
            self.note_gone(key, record);
        }
    }

    /// Puts a subject into the queue of ends.
    fn queue(&mut self, end_ms: i64, key: KeyHash) {
        self.keep_end((end_ms, key));
        self.expiries.insert((end_ms, key));
    }

    /// Whether a cause extends one that stands on a subject.
    fn extends(&self, key: KeyHash, as_of_ms: i64, cause: &DecisionCause) -> bool {
        let known = self.records.get(&key);
        known.is_some_and(|record| record.causes.iter().any(|known| known.is_extended_by(cause, as_of_ms)))
    }

    /// Whether all new causes are refused.
    pub(super) fn is_limited(&self) -> bool {
        self.bytes_max == Some(0)
    }

    /// Refuses new causes, or accepts them again. Those that stand are extended all the same.
    pub(super) fn set_limited(&mut self, limited: bool) {
        self.bytes_max = limited.then_some(0);
    }

    /// How many bytes new causes may take, until it is set again, if they are not refused.
    pub(super) fn allow(&mut self, bytes: usize) {
        if !self.is_limited() {
            self.bytes_max = Some(self.bytes().saturating_add(bytes).max(1));
        }
    }

    /// How many causes were refused.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Drops causes that no event from the horizon on can see.
    pub fn expire(&mut self, horizon_ms: i64) {
        while let Some(&(end, key)) = self.expiries.first() {
            if end > horizon_ms {
                break;
            }
            self.keep(key);
            self.keep_end((end, key));
            self.expiries.pop_first();
            let Some(record) = self.records.get_mut(&key) else { continue };
            let before = record.effective();
            self.bytes -= record.bytes();
            record.causes.retain(|cause| cause.expires_ms.is_none_or(|end| end > horizon_ms));
            self.bytes += record.bytes();
            let next = record.causes.iter().filter_map(|cause| cause.expires_ms).min();
            let after = record.effective();
            if record.overridden().is_none() {
                self.overridden.remove(&key);
            }
            self.close_if_empty(key);
            next.into_iter().for_each(|end| self.queue(end, key));
            self.move_verdict(before, after);
        }
    }

    /// How many subjects stand under each verdict now, by their gravest cause; index by `Verdict as usize`.
    pub fn active_by_verdict(&self) -> [usize; Verdict::ALL.len()] {
        self.by_verdict
    }

    /// What they take in memory, about: records and causes with their texts, and places in the queue of ends.
    pub fn bytes(&self) -> usize {
        let (ends, overridden) = (self.expiries.len(), self.overridden.len());
        self.bytes + ends * size_of::<(i64, KeyHash)>() + overridden * size_of::<KeyHash>()
    }

    fn move_verdict(&mut self, before: Option<Verdict>, after: Option<Verdict>) {
        before.into_iter().for_each(|verdict| self.by_verdict[verdict as usize] -= 1);
        after.into_iter().for_each(|verdict| self.by_verdict[verdict as usize] += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{HashKey, KeyHasher, Scalar};

    fn recount(decisions: &Decisions) -> [usize; Verdict::ALL.len()] {
        let mut counts = [0; Verdict::ALL.len()];
        #[expect(clippy::iter_over_hash_type, reason = "a count does not depend on the order")]
        for record in decisions.records.values() {
            counts[record.effective().expect("a record without causes does not exist") as usize] += 1;
        }
        counts
    }

    fn recounted_bytes(decisions: &Decisions) -> usize {
        let records: usize = decisions.records.values().map(DecisionRecord::bytes).sum();
        let overridden = decisions.records.values().filter(|record| record.overridden().is_some()).count();
        records + decisions.expiries.len() * size_of::<(i64, KeyHash)>() + overridden * size_of::<KeyHash>()
    }

    #[test]
    fn the_count_by_verdict_is_that_of_a_recount() {
        let hasher = KeyHasher::new(HashKey([7; 16]));
        let program = hasher.part(Scalar::Text("default"));
        let mut decisions = Decisions::default();
        let mut seed = 7_u64;
        let mut draw = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for now_ms in 0..2000_i64 {
            let account = format!("account-{}", draw(40));
            let key = hasher.key(program, &[hasher.part(Scalar::Text(&account))]);
            let is_override = draw(4) == 0;
            let verdict = Verdict::ALL[if is_override { draw(5) } else { 1 + draw(4) } as usize];
            let mut rule = || DecidedBy::Rule { rule: format!("rule-{}", draw(3)).into(), ruleset: "".into() };
            let person = DecidedBy::Person { by: "token:a".into(), reason: "seen".into() };
            let decided_by = if is_override { person } else { rule() };
            let cause = DecisionCause {
                id: format!("dec-{now_ms}"),
                decided_by,
                verdict,
                reach: DecisionReach::Everywhere,
                on_expiry: OnExpiry::Keep,
                created_ms: now_ms,
                expires_ms: (draw(50) > 0).then(|| now_ms + 1 + draw(90) as i64),
                sequence: 0,
                origin: None,
            };
            let subject = || ("default".into(), SubjectKind::Account, account.clone().into());
            if is_override {
                decisions.put_override(key, subject, cause);
            } else {
                decisions.decide(key, now_ms, subject, cause);
            }
            if draw(12) == 0 {
                let stood = decisions.record(key).and_then(DecisionRecord::overridden).cloned();
                assert_eq!(decisions.delete_override(key), stood, "at {now_ms}");
            }
            if draw(60) == 0 {
                let rule = format!("rule-{}", draw(3));
                let is_of_rule = |_: &DecisionRecord, cause: &DecisionCause| cause.rule() == Some(&*rule);
                let lifted = decisions.to_lift(is_of_rule);
                decisions.lift(&lifted);
                assert_eq!(decisions.to_lift(is_of_rule), [], "at {now_ms}");
            }
            let overrides = |record: &DecisionRecord| record.causes.iter().filter(|cause| cause.is_override()).count();
            assert!(decisions.record(key).is_none_or(|record| overrides(record) <= 1), "at {now_ms}");
            if draw(10) == 0 {
                decisions.expire(now_ms - 20);
            }
            assert_eq!(decisions.active_by_verdict(), recount(&decisions), "at {now_ms}");
            assert_eq!(decisions.bytes(), recounted_bytes(&decisions), "at {now_ms}");
        }
        assert!(decisions.active_by_verdict().iter().all(|subjects| *subjects > 0), "the test saw every verdict");
        decisions.expire(i64::MAX);
        assert_eq!(decisions.active_by_verdict(), recount(&decisions));
    }
}
