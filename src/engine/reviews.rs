//! Holds as people and time end them, and what verdicts that were given are now.

use super::acts::ActOutcome;
use super::chunk::Ground;
use super::decide::{hold_id, program_name};
use super::decisions::DecisionReach;
use super::facts::Row;
use super::holds::{Hold, HoldEnd, HoldState, Holds, hold_number};
use super::judgement::{Judgement, Judgements};
use super::machine::Engine;
use super::said;
use super::subject::{subject_key, subjects};
use crate::event::{Act, EndHold, Event, EventBatch, EventKind, Field, HoldEnding, Signals, SubjectKind, Verdict};
use crate::ruleset::program::OnExpiry;

/// Holds that one question looks at, at most: the engine judges nothing meanwhile.
const LOOKED_AT_MAX: usize = 4096;

/// The place of an open hold in the order of reviews.
pub type ReviewPlace = (i64, u64);

/// Which open holds are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldsWanted {
    /// The program.
    pub program: String,
    /// Only those of this account, as account or as referrer.
    pub account: Option<String>,
    /// Those behind this place.
    pub behind: Option<ReviewPlace>,
    /// How many at most.
    pub count: usize,
}

impl Engine {
    /// What waits for a review.
    pub fn holds(&self) -> &Holds {
        &self.holds
    }

    /// The hold of an id; `None`: there is none, or it has been forgotten.
    pub fn hold(&self, id: &str) -> Option<&Hold> {
        self.holds.get(hold_number(id)?)
    }

    /// Open holds of a program, the oldest review first; and where to go on, if there may be more.
    pub fn open_holds(&self, wanted: &HoldsWanted) -> (Vec<Hold>, Option<ReviewPlace>) {
        let (mut found, mut last) = (Vec::new(), None);
        for (looked_at, (place, hold)) in self.holds.reviews_behind(wanted.behind).enumerate() {
            if looked_at == LOOKED_AT_MAX || found.len() == wanted.count {
                return (found, last);
            }
            last = Some(place);
            let is_of =
                |account: &String| [&hold.event.account, &hold.event.referrer].iter().any(|of| ***of == **account);
            if *hold.event.program == *wanted.program && wanted.account.as_ref().is_none_or(is_of) {
                found.push(hold.clone());
            }
        }
        (found, None)
    }

    /// Lets time end the holds whose reviews are over, and forgets those that ended long ago. At fixed places of the log.
    pub fn end_holds(&mut self, out: &mut Judgements) {
        let Some(watermark_ms) = self.clock.watermark_ms().filter(|_| !self.holds.is_empty()) else { return };
        while let Some(number) = self.holds.pop_due(watermark_ms) {
            let Some(hold) = self.holds.get(number) else { continue };
            let now = match hold.on_expiry {
                OnExpiry::Keep => continue,
                OnExpiry::Release => Verdict::Allow,
                OnExpiry::Block => Verdict::Block,
            };
            let (at_ms, nobody) = (hold.review_by_ms, "");
            self.end_hold(number, (HoldState::Expired, now), (at_ms, nobody, nobody), out);
        }
        self.holds.forget(watermark_ms);
    }

    pub(super) fn end_by_person(&mut self, act: &Act, of: &EndHold, out: &mut Judgements) -> ActOutcome {
        let Some(number) = hold_number(&of.hold) else { return ActOutcome::NotFound };
        let (state, now) = match of.end {
            HoldEnding::Release => (HoldState::Released, Verdict::Allow),
            HoldEnding::Uphold => (HoldState::Upheld, Verdict::Block),
        };
        self.end_hold(number, (state, now), (act.at_ms, &of.reason, &act.by), out);
        match self.holds.get(number) {
            None => ActOutcome::NotFound,
            // Said again, such as by a call whose answer was lost.
            Some(hold) if hold.state == state => ActOutcome::Held(Box::new(hold.clone())),
            Some(hold) => ActOutcome::EndedBefore(Box::new(hold.clone())),
        }
    }

    /// Ends a hold that is open, and says so.
    pub(super) fn end_hold(
        &mut self,
        number: u64,
        (state, now): (HoldState, Verdict),
        (at_ms, reason, by): (i64, &str, &str),
        out: &mut Judgements,
    ) {
        let Some(hold) = self.holds.get(number) else { return };
        // As long as its event may be asked about.
        let since_ms = self.clock.watermark_ms().unwrap_or(at_ms).max(hold.created_ms).max(at_ms);
        let forget_ms = since_ms.saturating_add(self.dedup.span_ms());
        let end = HoldEnd { at_ms, forget_ms, reason: reason.into(), by: by.into() };
        if let Some(hold) = self.holds.end(number, (state, now), end) {
            let kind = &hold.event.kind;
            let moves_value = DecisionReach::WhereValueMoves.covers(EventKind::from_name(kind), kind);
            said::of_end(hold, moves_value, &mut out.said);
        }
    }

    /// What the verdict on an event of the chunk is now that was judged before; `None`: what it was.
    pub(super) fn current(
        &self,
        batch: &EventBatch,
        (events, signals): (&[Event], &[Signals]),
        at: usize,
        judgement: &Judgement,
    ) -> Option<Verdict> {
        if judgement.would_be.is_some() {
            // Nothing is stopped there.
            return None;
        }
        if self.decisions.overrides() > 0 {
            let ground = Ground {
                plan: &self.plan,
                rules: &self.rules,
                managed: &self.managed,
                hasher: &self.hasher,
                programs: &self.programs,
                batch,
                events,
                signals,
                started_ms: self.started_ms.unwrap_or(i64::MAX),
            };
            let row = self.chunk.row(&ground, at);
            let now_ms = self.chunk.entries[at].moment.watermark_ms.max(events[at].event_time_ms);
            if let Some(word) = self.overridden(&row, now_ms) {
                return Some(word);
            }
        }
        let event = &events[at];
        let name = |field| batch.field(event, field);
        let is_held = judgement.verdict == Verdict::Hold && judgement.held;
        is_held.then(|| self.after_review(program_name(batch, event), name(Field::Source), name(Field::Id))).flatten()
    }

    /// The gravest word of a person on the subjects of an event.
    fn overridden(&self, row: &Row<'_>, now_ms: i64) -> Option<Verdict> {
        let kinds = SubjectKind::ALL.iter().filter(|kind| self.decisions.has_kind(**kind));
        let names = kinds.flat_map(|kind| subjects(row, *kind).map(|(_, subject)| (*kind, subject)));
        let words = names.filter_map(|(kind, subject)| {
            let record = self.decisions.record(subject_key(&self.hasher, row, kind, subject))?;
            record.overridden().filter(|word| word.lives(now_ms)).map(|word| word.verdict)
        });
        words.max()
    }

    /// What a verdict is now that was `hold`, by what became of the hold that it made.
    pub(super) fn after_review(&self, program: &str, source: &str, id: &str) -> Option<Verdict> {
        if self.holds.is_empty() {
            return None;
        }
        let hold = self.holds.get(hold_number(&hold_id(program, source, id))?)?;
        Some(hold.now)
    }
}
