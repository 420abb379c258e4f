//! `/v1/decisions`: who stands under a decision, for those who ask without an event.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::tokens::time;
use crate::engine::{DecisionCause, DecisionReach, Engine, Standing, StandingWanted, effective};
use crate::event::{SubjectKind, Verdict};
use crate::records::token::Scope;
use crate::serve::auth::Caller;
use crate::serve::input::Sent;
use crate::serve::{Api, Problem};
use crate::state::KeyHash;

/// Subjects of an answer, at most and where nothing is said.
const LIMIT_MAX: usize = 1000;

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

pub(super) fn default_program() -> String {
    "default".to_owned()
}

impl Fields {
    fn subjects(self) -> Vec<(SubjectKind, String)> {
        let named = [
            (SubjectKind::Account, self.account_id),
            (SubjectKind::Account, self.referrer_id),
            (SubjectKind::Account, self.recipient_id),
            (SubjectKind::Device, self.device_id),
            (SubjectKind::Ip, self.ip.clone()),
            (SubjectKind::IpPrefix, self.ip),
            (SubjectKind::Email, self.email),
            (SubjectKind::Phone, self.phone),
            (SubjectKind::Payment, self.payment_fingerprint),
            (SubjectKind::ReferralCode, self.referral_code),
            (SubjectKind::Referral, self.referral_id),
            (SubjectKind::Reward, self.reward_id),
            (SubjectKind::Order, self.order_id),
            (SubjectKind::Campaign, self.campaign),
            (SubjectKind::Merchant, self.merchant_id),
            (SubjectKind::Agent, self.agent_id),
        ];
        named.into_iter().filter_map(|(kind, text)| Some((kind, text?))).collect()
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
        (status = 408, response = crate::serve::openapi::BodyTimeout),
        (status = 413, response = crate::serve::openapi::TooLarge),
        (status = 415, response = crate::serve::openapi::UnsupportedMediaType),
        (status = 422, response = crate::serve::openapi::Invalid),
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

/// Which decisions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct Wanted {
    /// The program.
    #[serde(default = "default_program")]
    #[param(default = "default", required = false)]
    program: String,
    /// Only subjects of this kind, such as `account`.
    #[param(nullable = false)]
    kind: Option<String>,
    /// Only this subject, as an event would write it; with `kind`.
    #[param(nullable = false)]
    id: Option<String>,
    /// Goes on behind an earlier answer: its `next`.
    #[param(nullable = false)]
    after: Option<String>,
    /// How many at most.
    #[serde(default = "limit_max")]
    #[param(default = 1000, minimum = 1, maximum = 1000, required = false)]
    limit: usize,
}

fn limit_max() -> usize {
    LIMIT_MAX
}

/// Subjects under a decision.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct Page {
    /// In an order that stays while they stand.
    subjects: Vec<Subject>,
    /// Where to go on: `after` of the next question; `null`: there is no more. A page may be empty and have a next one.
    next: Option<String>,
}

/// Lists the subjects of a program under a decision.
#[utoipa::path(
    get,
    path = "/v1/decisions",
    operation_id = "decisions",
    tag = "decisions",
    security(("token" = ["decisions:read"])),
    params(Wanted),
    responses((status = 200, description = "As of now.", body = Page))
)]
pub(in crate::serve) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    caller.needs(Scope::DecisionsRead)?;
    let bad = |detail: String| Problem::bad_request("bad_query", detail);
    let Query(Wanted { program, kind, id, after, limit }) = query.map_err(|rejection| bad(rejection.body_text()))?;
    caller.speaks_for_program(&program)?;
    let kind = kind.map(|name| kind_named(&name)).transpose().map_err(bad)?;
    let forged = || bad("`after` is the `next` of an earlier answer".to_owned());
    let behind = after.map(|text| cursor(&text).ok_or_else(forged)).transpose()?;
    if !(1..=LIMIT_MAX).contains(&limit) || id.is_some() && kind.is_none() {
        return Err(bad(format!("`limit` is 1 to {LIMIT_MAX}, and `id` comes with `kind`")));
    }
    let now_ms = (api.clocks.wall_ms)();
    let wanted = StandingWanted { program, kind, id, behind, count: limit };
    let listed = move |engine: &mut Engine| (engine.standing(&wanted, now_ms), engine.only_observes(&wanted.program));
    let ((found, next), only_observes) = api.ask(listed).await?;
    let next = next.map(|key| format!("{:032x}", key.bits()));
    let subjects = found.into_iter().map(|standing| Subject::new(standing, only_observes)).collect();
    Ok(Json(Page { subjects, next }))
}

/// The kind of subject of a name, or what is wrong with it.
pub(super) fn kind_named(name: &str) -> Result<SubjectKind, String> {
    let known = || SubjectKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    SubjectKind::from_name(name).ok_or_else(|| format!("`kind` is one of {}", known()))
}

/// The place that a cursor names.
pub(super) fn cursor(text: &str) -> Option<KeyHash> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(text, 16).ok().filter(|_| is_hex).map(KeyHash::from_bits)
}
