//! The hold that an event's verdict makes: whose reward, until when, and why.
//!
//! It is to be reviewed by the earliest end that what held it names, and does by itself then only what all of them say: one
//! that shall be kept keeps it, since what nobody reviewed never pays by itself.

use super::{Decider, Made, Side, hold_id, subject_key, subjects};
use crate::engine::facts::Row;
use crate::engine::holds::{HeldEvent, Hold, HoldDecision, HoldParty, HoldRule, HoldState, hold_number};
use crate::event::{Field, SubjectKind, Verdict};
use crate::ruleset::cel::Facts;
use crate::ruleset::program::OnExpiry;

/// What holds an event, and what it says of its end.
#[derive(Clone, Copy)]
struct Reason {
    /// Until when; `None`: it does not say.
    until_ms: Option<i64>,
    on_expiry: OnExpiry,
}

/// What is known of an event that is held.
pub(super) struct Held {
    /// What the score alone says.
    pub(super) by_score: Verdict,
    /// Referrer and referee, for an event that has both.
    pub(super) sides: Option<[Side; 2]>,
}

impl Decider<'_> {
    /// Makes the hold of an event that was just judged. `false`: there is no room for it.
    pub(super) fn hold(&mut self, row: &Row<'_>, made: Made<'_>, held: Held) -> bool {
        let Some(number) = hold_number(&hold_id(row.program, row.text(Field::Source), row.text(Field::Id))) else {
            return false;
        };
        let created_ms = row.event.event_time_ms;
        let (mut reasons, decisions) = self.held_by_decisions(row, made.as_of_ms);
        let rules = self.held_by_rules(created_ms, &mut reasons);
        if held.by_score == Verdict::Hold {
            reasons.push(Reason { until_ms: None, on_expiry: OnExpiry::Keep });
        }
        let until_ms = reasons.iter().filter_map(|reason| reason.until_ms).min();
        let party = match held.sides.map(|sides| sides.map(|side| side.verdict >= Verdict::Hold)) {
            None => HoldParty::Account,
            Some([true, false]) => HoldParty::Referrer,
            Some([false, true]) => HoldParty::Referee,
            Some(_) => HoldParty::Both,
        };
        let hold = Hold {
            number,
            event: event(row),
            party,
            rules,
            decisions,
            ruleset: self.rules.hash.as_str().into(),
            created_ms,
            review_by_ms: until_ms.unwrap_or(created_ms.saturating_add(self.review_within_ms)),
            on_expiry: together(&reasons),
            is_overdue: false,
            state: HoldState::Open,
            now: Verdict::Hold,
            end: None,
        };
        // Over shared state nothing is reviewed, and verdicts say the same.
        self.holds.as_mut().is_none_or(|holds| holds.make(hold))
    }

    fn held_by_rules(&self, created_ms: i64, reasons: &mut Vec<Reason>) -> Vec<HoldRule> {
        let mut rules = Vec::new();
        for matched in self.scratch.matches.iter().filter(|matched| matched.enforced) {
            let rule = &self.rules.rules[matched.rule as usize];
            rules.push(HoldRule {
                id: rule.id.as_str().into(),
                action: matched.action,
                score: matched.score,
                customer: rule.customer.as_deref().unwrap_or_default().into(),
            });
            if matched.action != Some(Verdict::Hold) {
                continue;
            }
            let before = reasons.len();
            let holds = rule.decide.iter().filter(|decide| !matched.open && decide.verdict == Verdict::Hold);
            reasons.extend(holds.map(|decide| Reason {
                until_ms: decide.ttl_ms.map(|ttl_ms| created_ms.saturating_add(ttl_ms)),
                on_expiry: decide.on_expiry,
            }));
            if reasons.len() == before {
                reasons.push(Reason { until_ms: None, on_expiry: OnExpiry::Keep });
            }
        }
        rules
    }

    fn held_by_decisions(&self, row: &Row<'_>, as_of_ms: i64) -> (Vec<Reason>, Vec<HoldDecision>) {
        let (mut reasons, mut decisions) = (Vec::new(), Vec::<HoldDecision>::new());
        let event_type = row.text(Field::Type);
        for kind in SubjectKind::ALL.iter().filter(|kind| self.decisions.has_kind(**kind)) {
            for (_, subject) in subjects(row, *kind) {
                let key = subject_key(self.hasher, row, *kind, subject);
                for met in self.decisions.in_force(key, row.event.kind, event_type, as_of_ms, self.origin) {
                    if decisions.iter().any(|known| *known.id == *met.cause.id) {
                        continue;
                    }
                    if met.cause.verdict == Verdict::Hold {
                        reasons.push(Reason { until_ms: met.cause.expires_ms, on_expiry: met.cause.on_expiry });
                    }
                    let (id, rule) = (met.cause.id.as_str().into(), met.cause.rule().unwrap_or_default().into());
                    decisions.push(HoldDecision { id, rule, verdict: met.cause.verdict });
                }
            }
        }
        (reasons, decisions)
    }
}

/// What time does where these hold together.
fn together(reasons: &[Reason]) -> OnExpiry {
    let says = |wanted| reasons.iter().any(|reason| reason.on_expiry == wanted);
    match (says(OnExpiry::Keep) || reasons.is_empty(), says(OnExpiry::Block)) {
        (true, _) => OnExpiry::Keep,
        (false, true) => OnExpiry::Block,
        (false, false) => OnExpiry::Release,
    }
}

fn event(row: &Row<'_>) -> HeldEvent {
    let text = |field| Box::<str>::from(row.text(field));
    HeldEvent {
        program: row.program.into(),
        source: text(Field::Source),
        id: text(Field::Id),
        kind: text(Field::Type),
        account: text(Field::AccountId),
        referrer: text(Field::ReferrerId),
        reward: text(Field::RewardId),
        reward_kind: text(Field::RewardKind),
        referral: text(Field::ReferralId),
        amount_minor: row.event.presence.has(Field::AmountMinor).then_some(row.event.amount_minor),
        currency: text(Field::Currency),
    }
}
