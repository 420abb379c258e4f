//! Holds as people and time end them, and what verdicts that were given are now.

use super::acts::ActOutcome;
use super::decide::Match;
use super::decisions::{DecisionCause, DecisionReach, DecisionRecord};
use super::facts::Row;
use super::holds::{EventOf, Hold, HoldEnd, HoldState, Holds, hold_number};
use super::judgement::{Judgement, Judgements, Outcome};
use super::machine::Engine;
use super::overrides::Override;
use super::said;
use super::subject::{subject_key, subjects};
use crate::event::json::write_string;
use crate::event::{Act, EndHold, Event, EventBatch, EventKind, HoldEnding, Signals, SubjectKind, Verdict};
use crate::ruleset::program::OnExpiry;
use crate::state::Entry;

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
        while let Some(hold) = self.holds.next_due(watermark_ms) {
            let (number, at_ms, nobody) = (hold.number, hold.review_by_ms, "");
            let now = match hold.on_expiry {
                OnExpiry::Release if !self.is_stopped(hold) => Verdict::Allow,
                OnExpiry::Block => Verdict::Block,
                OnExpiry::Release | OnExpiry::Keep => {
                    self.holds.stay_overdue(number);
                    continue;
                }
            };
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
        let open = self.holds.get(number).filter(|hold| hold.state == HoldState::Open);
        if of.end == HoldEnding::Release
            && let Some((record, word)) = open.and_then(|hold| self.blocked(hold))
        {
            return ActOutcome::Blocked(Box::new(Override::of(record, word)));
        }
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
        // Long after its event is forgotten: who asks again shall not be paid what was blocked.
        let since_ms = self.clock.watermark_ms().unwrap_or(at_ms).max(hold.created_ms).max(at_ms);
        let forget_ms = since_ms.saturating_add(self.retention_ms.max(self.dedup.span_ms()));
        let end = HoldEnd { at_ms, forget_ms, reason: reason.into(), by: by.into() };
        let as_of_ms = self.words_as_of_ms();
        let was = self.current_of_hold(hold, as_of_ms);
        if self.holds.end(number, (state, now), end).is_none() {
            return;
        }
        if let Some(hold) = self.holds.get(number) {
            let kind = &hold.event.kind;
            let moves_value = DecisionReach::WhereValueMoves.covers(EventKind::from_name(kind), kind);
            said::of_end(hold, [was, self.current_of_hold(hold, as_of_ms)], moves_value, &mut out.said);
        }
    }

    /// What stands now on all that a held event names.
    fn standing_on<'a>(&'a self, hold: &'a Hold) -> impl Iterator<Item = (&'a DecisionRecord, &'a DecisionCause)> {
        let now_ms = self.clock.watermark_ms().unwrap_or(hold.created_ms).max(hold.created_ms);
        let records = hold.subjects.iter().filter_map(|key| self.decisions.record(*key));
        let causes = records.flat_map(|record| record.causes.iter().map(move |cause| (record, cause)));
        causes.filter(move |(_, cause)| cause.lives(now_ms))
    }

    /// The word of a person that blocks what is held.
    pub(super) fn blocked<'a>(&'a self, hold: &'a Hold) -> Option<(&'a DecisionRecord, &'a DecisionCause)> {
        self.standing_on(hold).find(|(_, cause)| cause.is_override() && cause.verdict >= Verdict::Hold)
    }

    /// Whether something else than what held it keeps it from being released by time: a person's word, or what was decided meanwhile
    /// of what its event names.
    fn is_stopped(&self, hold: &Hold) -> bool {
        let words = self.standing_on(hold).filter(|(_, cause)| cause.is_override());
        if let Some(word) = words.map(|(_, cause)| cause.verdict).max() {
            return word >= Verdict::Hold;
        }
        let kind = EventKind::from_name(&hold.event.kind);
        let has_held = |cause: &DecisionCause| {
            let rule = cause.rule().unwrap_or_default();
            let by_decision = || hold.decisions.iter().any(|of| *of.id == *cause.id || *of.rule == *rule);
            cause.verdict == Verdict::Hold && (by_decision() || hold.rules.iter().any(|of| *of.id == *rule))
        };
        let is_against = |cause: &DecisionCause| cause.verdict >= Verdict::Hold && !has_held(cause);
        self.standing_on(hold).any(|(_, cause)| cause.reach.covers(kind, &hold.event.kind) && is_against(cause))
    }

    /// The answer to an event of the chunk that counts as new, and is not: it made a hold, and its identity was forgotten.
    pub(super) fn held_before(
        &mut self,
        batch: &EventBatch,
        (events, signals): (&[Event], &[Signals]),
        (at, first): (usize, Entry),
        out: &mut Judgements,
    ) -> Option<Judgement> {
        let is_reviewed = !self.holds.is_empty() && !self.programs.get(self.chunk.entries[at].program).observe_only;
        if !is_reviewed {
            return None;
        }
        let (name, hold) = self.holds.find(EventOf::read(batch, &events[at]))?;
        let rules = out.add(|elements| {
            for held in &hold.rules {
                // What has left the rules meanwhile cannot be told.
                let Some(place) = self.rules.rules.iter().position(|rule| *rule.id == *held.id) else { continue };
                let rule = &self.rules.rules[place];
                let open = (rule.action, rule.score) != (held.action, held.score);
                let matched =
                    Match { rule: place as u32, enforced: true, open, action: held.action, score: held.score };
                self.plan.rule_texts[place].write(elements.next(), rule, &matched, None);
            }
        });
        let decisions = out.add(|elements| {
            hold.decisions.iter().for_each(|of| write_string(elements.next(), &of.id));
        });
        let judgement = Judgement {
            outcome: Outcome::Repeat,
            verdict: hold.verdict,
            held: Some(name),
            cause: hold.cause,
            score: hold.score,
            parties: hold.parties,
            rules,
            decisions,
            ..Judgement::default()
        };
        let bare_rules = out.piece(rules).to_vec();
        self.remembered.remember(first, &judgement, out, &bare_rules);
        let current = self.current(batch, (events, signals), at, &judgement);
        Some(Judgement { current, ..judgement })
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
            let ground = self.ground(batch, events, signals);
            let row = self.chunk.row(&ground, at);
            let now_ms = self.chunk.entries[at].moment.watermark_ms.max(events[at].event_time_ms);
            if let Some(word) = self.overridden(&row, now_ms) {
                return Some(word);
            }
        }
        self.after_review(judgement, EventOf::read(batch, &events[at]))
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

    /// What a verdict is now, by what became of the hold that it made.
    pub(super) fn after_review(&self, judgement: &Judgement, event: EventOf<'_>) -> Option<Verdict> {
        let hold = self.holds.get(judgement.held.filter(|_| !self.holds.is_empty())?.number(event))?;
        Some(hold.current())
    }
}
