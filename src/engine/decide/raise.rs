//! Which matches of an event call for an alert, and what theirs are grouped by.
//!
//! A match calls for one if its rule is enforced, looks for fraud and is at least a `flag` in one of three ways: by its own
//! action; by what it decides of a subject, since that stops events to come; or by the score, if the scores of the fraud
//! rules that matched reach a threshold together: then for the one that gave the most, the first by id among equals, so
//! that one case is not told once for every weak sign in it. Limits count for none of this. Tested in `tests/alerts.rs`.

use super::{Decider, Match, most};
use crate::engine::bounded::bounded_text;
use crate::engine::chunk::Entry;
use crate::engine::facts::Row;
use crate::engine::judgement::{Elements, Judgement, Judgements, Raised};
use crate::engine::programs::Program;
use crate::engine::quotas::UNNAMED;
use crate::event::json::write_string;
use crate::event::{Field, RuleKind, Verdict};
use crate::ruleset::cel::Facts;
use crate::ruleset::program::Rule;

/// What alerts are grouped by where a rule does not say.
const DEFAULT_PART: &str = "event.account_id";

impl Decider<'_> {
    /// Notes the matches of an event, which was judged so, that call for an alert. It is the next of `out`.
    pub(super) fn raise(
        &mut self,
        row: &Row<'_>,
        entry: &Entry,
        program: &Program,
        judgement: &Judgement,
        out: &mut Judgements,
    ) {
        let event = out.events.len() as u32;
        let verdict = judgement.would_be.unwrap_or(judgement.verdict);
        let by_score = self.by_score(entry, program);
        for at in 0..self.scratch.matches.len() {
            let matched = self.scratch.matches[at];
            if !self.is_fraud(&matched) {
                continue;
            }
            let rule = &self.rules.rules[matched.rule as usize];
            let decided = decided(rule, &matched);
            let by_action = matched.action.unwrap_or(Verdict::Allow);
            if by_action.max(decided) < Verdict::Flag && by_score != Some(matched.rule) {
                continue;
            }
            let shown = &mut self.scratch.message;
            let group = out.add(|elements| write_group(rule, row, shown, elements));
            out.raised.push(Raised {
                event,
                rule: matched.rule,
                unnamed: program.class == UNNAMED,
                as_of_ms: entry.as_of_ms(row.event),
                verdict: verdict.max(decided),
                group,
                message: self.scratch.messages[at],
            });
        }
    }

    fn is_fraud(&self, matched: &Match) -> bool {
        matched.enforced && self.rules.rules[matched.rule as usize].kind == RuleKind::Fraud
    }

    /// The rule that the score speaks through, if those of fraud rules alone reach a threshold.
    fn by_score(&self, entry: &Entry, program: &Program) -> Option<u32> {
        let scored = || self.scratch.matches.iter().filter(|matched| matched.score > 0 && self.is_fraud(matched));
        let score = scored().map(|matched| i64::from(matched.score)).sum();
        if program.thresholds(entry.type_index).verdict(score) < Verdict::Flag {
            return None;
        }
        // Rules stand by id, and of equal ones the last is taken.
        scored().rev().max_by_key(|matched| matched.score).map(|matched| matched.rule)
    }
}

/// The gravest that a match decides of a subject.
fn decided(rule: &Rule, matched: &Match) -> Verdict {
    let gravest = rule.decide.iter().map(|decide| decide.verdict).max().unwrap_or(Verdict::Allow);
    if matched.open { gravest.min(most(rule)) } else { gravest }
}

/// Appends the members of a rule's group: the values of its parts, in clear; one that there is not is empty.
fn write_group(rule: &Rule, row: &Row<'_>, shown: &mut String, elements: &mut Elements<'_>) {
    let mut member = |name: &str, value: &str| {
        let text = elements.next();
        write_string(text, name);
        text.push(b':');
        write_string(text, &bounded_text(value));
    };
    if rule.group_by.is_empty() {
        member(DEFAULT_PART, row.text(Field::AccountId));
    }
    for part in &rule.group_by {
        shown.clear();
        if part.value.render(row, shown).is_err() {
            shown.clear();
        }
        member(&part.name, shown);
    }
}
