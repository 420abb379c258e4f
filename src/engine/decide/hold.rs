//! The hold that an event's verdict makes: whose reward, until when, and why.
//!
//! It is to be reviewed by the earliest end that what held it names, and does by itself then only what all of them say: one
//! that shall be kept keeps it, since what nobody reviewed never pays by itself.

use super::{Decider, subject_key, subjects};
use crate::engine::facts::Row;
use crate::engine::holds::{HeldEvent, Hold, HoldDecision, HoldName, HoldParty, HoldRule, HoldState};
use crate::engine::judgement::Judgement;
use crate::engine::subject::subject_keys;
use crate::event::{Field, SubjectKind, Verdict};
use crate::ruleset::cel::Facts;
use crate::ruleset::program::OnExpiry;
use crate::state::{KeyHash, KeyHasher};

/// What holds an event, and what it says of its end.
#[derive(Clone, Copy)]
struct Reason {
    /// Until when; `None`: it does not say.
    until_ms: Option<i64>,
    on_expiry: OnExpiry,
}

impl Decider<'_> {
    /// Makes the hold of an event that was just judged, and answers what it is named by, if there is room for it, and, where the
    /// event was held before, what its verdict is now.
    pub(super) fn hold(
        &mut self,
        row: &Row<'_>,
        as_of_ms: i64,
        by_score: Verdict,
        judgement: &Judgement,
    ) -> (Option<HoldName>, Option<Verdict>) {
        if self.holds.is_none() {
            // Over shared state nothing is reviewed, and verdicts say the same.
            return (Some(HoldName::OfEvent), None);
        }
        let created_ms = row.event.event_time_ms;
        let (mut reasons, decisions) = self.held_by_decisions(row, as_of_ms);
        let rules = self.held_by_rules(created_ms, &mut reasons);
        if by_score == Verdict::Hold {
            reasons.push(Reason { until_ms: None, on_expiry: OnExpiry::Keep });
        }
        let until_ms = reasons.iter().filter_map(|reason| reason.until_ms).min();
        let hold = Hold {
            number: 0,
            event: event(row),
            party: party(judgement.parties),
            rules,
            decisions,
            subjects: keys_of_all(self.hasher, row),
            verdict: judgement.verdict,
            cause: judgement.cause,
            score: judgement.score,
            parties: judgement.parties,
            ruleset: self.rules.hash.as_str().into(),
            created_ms,
            review_by_ms: until_ms.unwrap_or(created_ms.saturating_add(self.review_within_ms)),
            on_expiry: together(&reasons),
            is_overdue: false,
            state: HoldState::Open,
            now: Verdict::Hold,
            end: None,
        };
        let Some(holds) = &mut self.holds else { return (None, None) };
        let known = holds.find(hold.of()).map(|(name, known)| (Some(name), Some(known.current())));
        known.unwrap_or_else(|| (holds.make(hold), None))
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

/// Whose reward is held: of the sides those that are `hold`. Where neither is, the event as a whole is held for both, but for one
/// that is blocked, to whom nothing is released.
fn party(parties: Option<(Verdict, Verdict)>) -> HoldParty {
    let Some((referrer, referee)) = parties else { return HoldParty::Account };
    let held = [referrer, referee].map(|side| side == Verdict::Hold);
    let open = [referrer, referee].map(|side| side < Verdict::Block);
    match if held.contains(&true) { held } else { open } {
        [true, false] => HoldParty::Referrer,
        [false, true] => HoldParty::Referee,
        _ => HoldParty::Both,
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

/// The keys of all that an event names, in order.
fn keys_of_all(hasher: &KeyHasher, row: &Row<'_>) -> Box<[KeyHash]> {
    let mut keys: Vec<KeyHash> = subject_keys(hasher, row).collect();
    keys.sort_unstable();
    keys.into_boxed_slice()
}
