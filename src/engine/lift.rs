//! What a rule has decided and held, undone together: a rule that was wrong is lifted, and with it what came of it.
//!
//! What would be lifted is found first, by the same code for who only asks and for the act. A verdict that was `hold` is
//! given anew of what is left of its reasons; where that holds no more, the hold ends as `lifted` and its end is said. Invariant: a
//! person's word is never lifted.

use std::collections::BTreeSet;

use super::acts::ActOutcome;
use super::decisions::{DecisionCause, DecisionRecord, Lifted};
use super::holds::{Hold, HoldDecision, HoldRule, HoldState};
use super::judgement::Judgements;
use super::machine::Engine;
use crate::event::{Act, Lift, Verdict};

/// What a lift does, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiftCount {
    /// Decisions that end.
    pub decisions: usize,
    /// Subjects that they stand on.
    pub subjects: usize,
    /// Holds that end, since nothing holds their events any more.
    pub holds: usize,
    /// Holds that stay, since something else holds their events too.
    pub holds_kept: usize,
}

/// What is left of a hold.
struct Rest {
    number: u64,
    rules: Vec<HoldRule>,
    decisions: Vec<HoldDecision>,
    /// What the verdict on its event is by that.
    now: Verdict,
}

/// What a lift changes.
struct Plan {
    decisions: Lifted,
    holds: Vec<Rest>,
}

impl Plan {
    fn count(&self) -> LiftCount {
        let ends = self.holds.iter().filter(|rest| rest.now < Verdict::Hold).count();
        LiftCount {
            decisions: self.decisions.iter().map(|(_, ids)| ids.len()).sum(),
            subjects: self.decisions.len(),
            holds: ends,
            holds_kept: self.holds.len() - ends,
        }
    }
}

impl Engine {
    /// What a lift would do now. It looks at every decision and every open hold, and nothing is judged meanwhile.
    pub fn would_lift(&self, of: &Lift) -> LiftCount {
        self.plan_lift(of).count()
    }

    pub(super) fn lift(&mut self, act: &Act, of: &Lift, out: &mut Judgements) -> ActOutcome {
        let plan = self.plan_lift(of);
        let count = plan.count();
        self.decisions.lift(&plan.decisions);
        for Rest { number, rules, decisions, now } in plan.holds {
            if now < Verdict::Hold {
                self.end_hold(number, (HoldState::Lifted, now), (act.at_ms, &of.reason, &act.by), out);
            } else {
                self.holds.keep_for(number, rules, decisions);
            }
        }
        ActOutcome::Lifted(count)
    }

    fn plan_lift(&self, of: &Lift) -> Plan {
        let is_wanted = |record: &DecisionRecord, cause: &DecisionCause| {
            is_of_program(of, &record.program)
                && of.rule.as_deref().is_none_or(|rule| cause.rule() == Some(rule))
                && of.ruleset.as_deref().is_none_or(|ruleset| cause.ruleset() == Some(ruleset))
                && is_within(of, cause.created_ms)
        };
        let decisions = self.decisions.to_lift(is_wanted);
        let ids: BTreeSet<&str> = decisions.iter().flat_map(|(_, ids)| ids).map(String::as_str).collect();
        let holds = self.holds.reviews_behind(None).filter_map(|(_, hold)| self.rest(of, &ids, hold)).collect();
        Plan { decisions, holds }
    }

    /// What is left of a hold; `None`: all of it.
    fn rest(&self, of: &Lift, lifted: &BTreeSet<&str>, hold: &Hold) -> Option<Rest> {
        let is_of_hold = is_of_program(of, &hold.event.program)
            && of.ruleset.as_deref().is_none_or(|ruleset| *hold.ruleset == *ruleset)
            && is_within(of, hold.created_ms);
        let is_lifted = |rule: &str| is_of_hold && of.rule.as_deref().is_none_or(|of| of == rule);
        let rules: Vec<HoldRule> = hold.rules.iter().filter(|rule| !is_lifted(&rule.id)).cloned().collect();
        // Where the rule alone says it, also of decisions that have ended meanwhile.
        let by_rule = of.rule.as_deref().filter(|_| of.ruleset.is_none() && of.from_ms.is_none() && of.to_ms.is_none());
        let is_by_rule = |decision: &HoldDecision| is_of_hold && by_rule.is_some_and(|rule| *decision.rule == *rule);
        let stands = |decision: &&HoldDecision| !lifted.contains(&*decision.id) && !is_by_rule(decision);
        let decisions: Vec<HoldDecision> = hold.decisions.iter().filter(stands).cloned().collect();
        if (rules.len(), decisions.len()) == (hold.rules.len(), hold.decisions.len()) {
            return None;
        }
        let thresholds = self.policy.program(&hold.event.program).thresholds(&hold.event.kind);
        let by_score = thresholds.verdict(rules.iter().map(|rule| i64::from(rule.score)).sum());
        let by_rules = rules.iter().filter_map(|rule| rule.action);
        let by_decisions = decisions.iter().map(|decision| decision.verdict);
        let now = by_rules.chain(by_decisions).fold(by_score, Verdict::max);
        if now < Verdict::Hold && self.blocked(hold).is_some() {
            // A person's word is never lifted, and nothing is said to be released against it.
            return None;
        }
        Some(Rest { number: hold.number, rules, decisions, now })
    }
}

fn is_of_program(of: &Lift, program: &str) -> bool {
    of.program.as_deref().is_none_or(|of| of == program)
}

fn is_within(of: &Lift, created_ms: i64) -> bool {
    of.from_ms.is_none_or(|from_ms| created_ms >= from_ms) && of.to_ms.is_none_or(|to_ms| created_ms < to_ms)
}
