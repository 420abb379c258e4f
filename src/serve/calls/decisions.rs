//! `/v1/decisions`: who stands under a decision, for those who ask without an event.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::asked::{self, default_program};
use super::paging::{Cursor, Subjects};
use super::tokens::time;
use crate::engine::{DecisionCause, DecisionReach, Engine, Standing, StandingWanted, effective};
use crate::event::{SubjectKind, Verdict};
use crate::records::token::Scope;
use crate::serve::auth::Caller;
use crate::serve::input::Sent;
use crate::serve::{Api, Problem};

/// Raw fields of an event that is not told, as docs/events.md has them. What is not what its field wants names nobody.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct Fields {
    /// The program.
    #[serde(default = "default_program")]
    #[schema(default = "default")]
    program: String,
    /// The type of event that is about to come: decisions that do not count for it are left out. Absent: whatever type.
    #[serde(rename = "type")]
    #[schema(example = "reward.requested")]
    event_type: Option<String>,
    /// An account.
    account_id: Option<String>,
    /// An account.
    referrer_id: Option<String>,
    /// An account.
    recipient_id: Option<String>,
    /// The id of a device.
    device_id: Option<String>,
    /// An address of the network: it and its prefix.
    ip: Option<String>,
    /// A mailbox, as entered.
    email: Option<String>,
    /// A telephone number, as entered.
    phone: Option<String>,
    /// A payment instrument.
    payment_fingerprint: Option<String>,
    /// A referral link or code.
    referral_code: Option<String>,
    /// One referral.
    referral_id: Option<String>,
    /// One grant of a reward.
    reward_id: Option<String>,
    /// An order.
    order_id: Option<String>,
    /// A marketing campaign.
    campaign: Option<String>,
    /// A partner shop.
    merchant_id: Option<String>,
    /// A member of staff.
    agent_id: Option<String>,
}

/// Which kinds of subject the value of a field names, by field.
const SUBJECT_FIELDS: &[(&str, &[SubjectKind])] = &[
    ("account_id", &[SubjectKind::Account]),
    ("referrer_id", &[SubjectKind::Account]),
    ("recipient_id", &[SubjectKind::Account]),
    ("device_id", &[SubjectKind::Device]),
    ("ip", &[SubjectKind::Ip, SubjectKind::IpPrefix]),
    ("email", &[SubjectKind::Email]),
    ("phone", &[SubjectKind::Phone]),
    ("payment_fingerprint", &[SubjectKind::Payment]),
    ("referral_code", &[SubjectKind::ReferralCode]),
    ("referral_id", &[SubjectKind::Referral]),
    ("reward_id", &[SubjectKind::Reward]),
    ("order_id", &[SubjectKind::Order]),
    ("campaign", &[SubjectKind::Campaign]),
    ("merchant_id", &[SubjectKind::Merchant]),
    ("agent_id", &[SubjectKind::Agent]),
];

/// The fields that name subjects.
pub fn subject_fields() -> impl Iterator<Item = &'static str> {
    SUBJECT_FIELDS.iter().map(|(name, _)| *name)
}

/// Which kinds of subject the value of a field names; none for what is no such field.
pub(in crate::serve) fn kinds_of(field: &str) -> &'static [SubjectKind] {
    SUBJECT_FIELDS.iter().find(|(name, _)| *name == field).map_or(&[], |(_, kinds)| kinds)
}

impl Fields {
    fn subjects(self) -> Vec<(SubjectKind, String)> {
        let values = [
            self.account_id,
            self.referrer_id,
            self.recipient_id,
            self.device_id,
            self.ip,
            self.email,
            self.phone,
            self.payment_fingerprint,
            self.referral_code,
            self.referral_id,
            self.reward_id,
            self.order_id,
            self.campaign,
            self.merchant_id,
            self.agent_id,
        ];
        let named = SUBJECT_FIELDS.iter().zip(values).filter_map(|((_, kinds), value)| Some((kinds, value?)));
        named.flat_map(|(kinds, value)| kinds.iter().map(move |kind| (*kind, value.clone()))).collect()
    }
}

/// A subject, and the verdict on it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct Subject {
    /// What it is.
    kind: &'static str,
    /// Its id, as decisions spell it: a mailbox, a number in E.164.
    id: String,
    /// The word of a person if there is one, else the gravest of its causes; `allow` without one, and in a program that is only
    /// observed.
    verdict: &'static str,
    /// What it would be, if the program were not only observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    would_be: Option<&'static str>,
    /// Why.
    causes: Vec<Cause>,
}

/// Why a subject stands under a verdict.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct Cause {
    /// Its id, as `created` of a verdict names it.
    id: String,
    /// The rule that decided; `null`: a person did, and their word beats those of rules.
    rule: Option<String>,
    /// The hash of the rules then.
    ruleset: Option<String>,
    /// What was decided.
    verdict: &'static str,
    /// Why, in the words of the person who decided.
    reason: Option<String>,
    /// Who that was, such as `token:ab2cd3ef4567`.
    by: Option<String>,
    /// For which types of event: `everywhere`, `where_value_moves`, or types.
    on: Vec<String>,
    /// Event time of the event that made it.
    #[schema(format = DateTime)]
    created: String,
    /// Event time at which it ends; `null`: it stays.
    #[schema(format = DateTime)]
    expires: Option<String>,
}

impl Subject {
    pub(super) fn new(of: Standing, only_observes: bool) -> Subject {
        let Standing { kind, id, verdict, causes } = of;
        let causes = causes.into_iter().map(Cause::from).collect();
        let (verdict, would_be) = told(verdict, only_observes);
        Subject { kind: kind.name(), id, verdict, would_be, causes }
    }
}

/// A verdict as it is told, and what it would be if its program were not only observed.
fn told(verdict: Verdict, only_observes: bool) -> (&'static str, Option<&'static str>) {
    if only_observes { (Verdict::Allow.name(), Some(verdict.name())) } else { (verdict.name(), None) }
}

/// For which types of event a cause counts, in words.
pub(super) fn reach_names(of: &DecisionReach) -> Vec<String> {
    match of {
        DecisionReach::Everywhere => vec!["everywhere".to_owned()],
        DecisionReach::WhereValueMoves => vec!["where_value_moves".to_owned()],
        DecisionReach::Types(types) => types.iter().map(|name| name.to_string()).collect(),
    }
}

impl From<DecisionCause> for Cause {
    fn from(of: DecisionCause) -> Cause {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Cause {
            on: reach_names(&of.reach),
            rule: text(of.rule()),
            ruleset: text(of.ruleset()),
            reason: text(of.reason()),
            by: text(of.by()),
            id: of.id,
            verdict: of.verdict.name(),
            created: time(of.created_ms),
            expires: of.expires_ms.map(time),
        }
    }
}

/// What stands on each subject that was named.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct Checked {
    /// What an event with all of them would meet: the gravest word of a person if there is one, else the gravest of all. `allow` in a
    /// program that is only observed.
    verdict: &'static str,
    /// What it would be, if the program were not only observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    would_be: Option<&'static str>,
    /// Each that has an id of its kind, in the order of the fields.
    subjects: Vec<Subject>,
}

/// Tells the verdict that stands on each subject. It counts nothing, and no rule is evaluated.
#[utoipa::path(
    post,
    path = "/v1/decisions/check",
    operation_id = "check_decisions",
    tag = "decisions",
    security(("token" = ["decisions:read"])),
    request_body = Fields,
    responses(
        (status = 200, description = "As of now.", body = Checked),
        crate::serve::openapi::BodyRefusals,
    )
)]
pub(in crate::serve) async fn check(State(api): State<Arc<Api>>, sent: Sent) -> Result<Json<Checked>, Problem> {
    sent.caller.needs(Scope::DecisionsRead)?;
    let mut fields: Fields = sent.value()?;
    sent.caller.speaks_for_program(&fields.program)?;
    let (program, event_type) = (std::mem::take(&mut fields.program), fields.event_type.take());
    let (subjects, now_ms) = (fields.subjects(), (api.clocks.wall_ms)());
    let checked = move |engine: &mut Engine| {
        (engine.check(&program, &subjects, event_type.as_deref(), now_ms), engine.only_observes(&program))
    };
    let (standing, only_observes) = api.ask(checked).await?;
    let verdict = effective(standing.iter().flat_map(|standing| &standing.causes)).unwrap_or_default();
    let (verdict, would_be) = told(verdict, only_observes);
    let subjects = standing.into_iter().map(|standing| Subject::new(standing, only_observes)).collect();
    Ok(Json(Checked { verdict, would_be, subjects }))
}

/// Subjects under a decision.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct Page {
    /// In an order that stays while they stand.
    subjects: Vec<Subject>,
    /// Where to go on: `after` of the next question; `null`: there is no more. A page may be empty and have a next one.
    #[schema(value_type = Option<String>)]
    next: Option<Cursor>,
}

/// Lists the subjects of a program under a decision.
#[utoipa::path(
    get,
    path = "/v1/decisions",
    operation_id = "decisions",
    tag = "decisions",
    security(("token" = ["decisions:read"])),
    params(Subjects),
    responses((status = 200, description = "As of now.", body = Page))
)]
pub(in crate::serve) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    query: Result<Query<Subjects>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    caller.needs(Scope::DecisionsRead)?;
    let subjects = asked::query(query)?;
    caller.speaks_for_program(&subjects.program)?;
    let (kind, behind, count) = (subjects.kind()?, subjects.behind(), subjects.count());
    let now_ms = (api.clocks.wall_ms)();
    let Subjects { program, id, .. } = subjects;
    let wanted = StandingWanted { program, kind, id, behind, count };
    let listed = move |engine: &mut Engine| (engine.standing(&wanted, now_ms), engine.only_observes(&wanted.program));
    let ((found, next), only_observes) = api.ask(listed).await?;
    let subjects = found.into_iter().map(|standing| Subject::new(standing, only_observes)).collect();
    Ok(Json(Page { subjects, next: next.map(Cursor::from) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_names_subjects_of_its_kinds() {
        for (name, kinds) in SUBJECT_FIELDS {
            let fields = serde_json::json!({*name: "x"});
            let fields: Fields = serde_json::from_value(fields).unwrap_or_else(|error| panic!("{name}: {error}"));
            let expected: Vec<(SubjectKind, String)> = kinds.iter().map(|kind| (*kind, "x".to_owned())).collect();
            assert_eq!(fields.subjects(), expected, "{name}");
            assert_eq!(kinds_of(name), *kinds);
        }
    }
}
