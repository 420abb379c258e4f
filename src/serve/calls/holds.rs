//! `/v1/holds`: what waits for a review, and how reviews end.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, IntoResponses, ToSchema};

use super::asked::{self, default_program};
use super::paging::{Cursor, Limit};
use super::tokens::time;
use crate::engine::{ActOutcome, Hold, HoldState, HoldsWanted, Override, ReviewPlace, hold_number};
use crate::event::{ACT_REASON_BYTES_MAX, Deed, EndHold, HoldEnding};
use crate::records::token::Scope;
use crate::ruleset::program::OnExpiry;
use crate::serve::act::{self, Noted};
use crate::serve::auth::Caller;
use crate::serve::input::Sent;
use crate::serve::{Api, Problem};

/// What is held.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct HeldView {
    /// The source of the event.
    source: String,
    /// Its id.
    id: String,
    /// Its type.
    #[serde(rename = "type")]
    kind: String,
    /// Its account.
    account_id: Option<String>,
    /// Its referrer.
    referrer_id: Option<String>,
    /// The reward that it is about.
    reward_id: Option<String>,
    /// The kind of reward.
    reward_kind: Option<String>,
    /// The referral that it is about.
    referral_id: Option<String>,
    /// How much it is about, in minor units.
    amount_minor: Option<i64>,
    /// In which currency.
    currency: Option<String>,
}

/// A rule that matched.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct HoldRuleView {
    /// Its id.
    id: String,
    /// What it gave by itself.
    action: Option<&'static str>,
    /// What it added to the score.
    score: u32,
    /// The code of what the customer is told.
    customer: Option<String>,
}

/// A hold.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct HoldView {
    /// Names it, as `hold_id` of its event's verdict.
    #[schema(example = "hold-1f2e3d4c5b6a7980")]
    id: String,
    /// The program.
    program: String,
    /// What is held.
    event: HeldView,
    /// Whose reward: `account`, or of a referral `referrer`, `referee` or `both`.
    party: &'static str,
    /// The rules that matched, by id.
    rules: Vec<HoldRuleView>,
    /// The ids of the decisions that stood.
    decisions: Vec<String>,
    /// The hash of the rules then.
    ruleset: String,
    /// Event time of the event.
    #[schema(format = DateTime)]
    created: String,
    /// Until when it is to be reviewed.
    #[schema(format = DateTime)]
    review_by: String,
    /// What time does then: `keep`, `release` or `block`.
    on_expiry: &'static str,
    /// Nobody has reviewed it in time.
    overdue: bool,
    /// `open`, `released`, `upheld`, `expired` or `lifted`.
    state: &'static str,
    /// What the verdict on the event is now.
    verdict: &'static str,
    /// Why it ended.
    reason: Option<String>,
    /// Who ended it; `null`: time did, or nobody yet.
    by: Option<String>,
    /// When it ended.
    #[schema(format = DateTime)]
    ended: Option<String>,
}

/// A text that is there.
fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl From<Hold> for HoldView {
    fn from(of: Hold) -> HoldView {
        let event = &of.event;
        let held = HeldView {
            source: event.source.to_string(),
            id: event.id.to_string(),
            kind: event.kind.to_string(),
            account_id: given(&event.account),
            referrer_id: given(&event.referrer),
            reward_id: given(&event.reward),
            reward_kind: given(&event.reward_kind),
            referral_id: given(&event.referral),
            amount_minor: event.amount_minor,
            currency: given(&event.currency),
        };
        let rules = of.rules.iter().map(|rule| HoldRuleView {
            id: rule.id.to_string(),
            action: rule.action.map(|action| action.name()),
            score: rule.score,
            customer: given(&rule.customer),
        });
        HoldView {
            id: of.id(),
            program: event.program.to_string(),
            party: of.party.name(),
            rules: rules.collect(),
            decisions: of.decisions.iter().map(|of| of.id.to_string()).collect(),
            ruleset: of.ruleset.to_string(),
            created: time(of.created_ms),
            review_by: time(of.review_by_ms),
            on_expiry: match of.on_expiry {
                OnExpiry::Keep => "keep",
                OnExpiry::Release => "release",
                OnExpiry::Block => "block",
            },
            overdue: of.is_overdue,
            state: of.state.name(),
            verdict: of.now.name(),
            reason: of.end.as_ref().and_then(|end| given(&end.reason)),
            by: of.end.as_ref().and_then(|end| given(&end.by)),
            ended: of.end.as_ref().map(|end| time(end.at_ms)),
            event: held,
        }
    }
}

/// Which holds.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct Wanted {
    /// The program.
    #[serde(default = "default_program")]
    #[param(default = "default", required = false)]
    program: String,
    /// Only those of this account, or of whom it has invited.
    #[param(nullable = false)]
    account_id: Option<String>,
    /// Goes on behind an earlier answer: its `next`.
    #[param(value_type = Option<String>, nullable = false)]
    after: Option<Cursor>,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = usize, default = 1000, minimum = 1, maximum = 1000, required = false)]
    limit: Limit,
}

/// Holds that wait for a review.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct Reviews {
    /// Those that are to be reviewed first come first.
    holds: Vec<HoldView>,
    /// Where to go on: `after` of the next question; `null`: there is no more. A page may be empty and have a next one.
    #[schema(value_type = Option<String>)]
    next: Option<Cursor>,
}

/// Lists the holds of a program that wait for a review.
#[utoipa::path(
    get,
    path = "/v1/holds",
    operation_id = "holds",
    tag = "decisions",
    security(("token" = ["decisions:write"])),
    params(Wanted),
    responses((status = 200, description = "The oldest review first.", body = Reviews))
)]
pub(in crate::serve) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Reviews>, Problem> {
    caller.needs(Scope::DecisionsWrite)?;
    let Wanted { program, account_id, after, limit } = asked::query(query)?;
    caller.speaks_for_program(&program)?;
    let behind = after.map(ReviewPlace::from);
    let wanted = HoldsWanted { program, account: account_id, behind, count: limit.0 };
    let (found, next) = api.ask(move |engine| engine.open_holds(&wanted)).await?;
    Ok(Json(Reviews { holds: found.into_iter().map(HoldView::from).collect(), next: next.map(Cursor::from) }))
}

/// Why a review ends so.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct Review {
    /// Why. Whoever looks at it later reads this.
    #[schema(min_length = 1, max_length = 4096)]
    reason: String,
}

/// How the end of a review is refused.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the macro of the description reads it")]
enum EndRefusals {
    #[response(status = 404)]
    NotFound(#[ref_response] crate::serve::openapi::NotFound),
    #[response(status = 409)]
    EndedBefore(#[ref_response] crate::serve::openapi::EndedBefore),
    #[response(status = 504)]
    Unknown(#[ref_response] crate::serve::openapi::Unknown),
}

/// Lets what is held go: the verdict on its event is `allow` now, and `reward.released` is said.
#[utoipa::path(
    post,
    path = "/v1/holds/{id}/release",
    operation_id = "release_hold",
    tag = "decisions",
    security(("token" = ["decisions:write"])),
    params(("id" = String, Path, description = "Its id, as `hold_id` of a verdict.")),
    request_body = Review,
    responses(
        (status = 200, description = "It is released, now or before.", body = HoldView),
        crate::serve::openapi::BodyRefusals,
        EndRefusals,
    )
)]
pub(in crate::serve) async fn release(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    sent: Sent,
) -> Result<Json<HoldView>, Problem> {
    end(&api, path, &sent, HoldEnding::Release).await
}

/// Blocks what is held for good: the verdict on its event is `block` now.
#[utoipa::path(
    post,
    path = "/v1/holds/{id}/uphold",
    operation_id = "uphold_hold",
    tag = "decisions",
    security(("token" = ["decisions:write"])),
    params(("id" = String, Path, description = "Its id, as `hold_id` of a verdict.")),
    request_body = Review,
    responses(
        (status = 200, description = "It is upheld, now or before.", body = HoldView),
        crate::serve::openapi::BodyRefusals,
        EndRefusals,
    )
)]
pub(in crate::serve) async fn uphold(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    sent: Sent,
) -> Result<Json<HoldView>, Problem> {
    end(&api, path, &sent, HoldEnding::Uphold).await
}

async fn end(
    api: &Api,
    path: Result<Path<String>, PathRejection>,
    sent: &Sent,
    ending: HoldEnding,
) -> Result<Json<HoldView>, Problem> {
    let caller = &sent.caller;
    caller.needs(Scope::DecisionsWrite)?;
    let id: String = asked::path(path)?;
    let Review { reason } = sent.value()?;
    if reason.trim().is_empty() || reason.len() > ACT_REASON_BYTES_MAX {
        let detail = format!("`reason` says in 1 to {ACT_REASON_BYTES_MAX} bytes why");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_review", detail));
    }
    let none = || Problem::not_found("there is no hold of this id, or it has been forgotten");
    if hold_number(&id).is_none() {
        return Err(none());
    }
    let asked = id.clone();
    let hold = api.ask(move |engine| engine.hold(&asked).cloned()).await?.ok_or_else(none)?;
    if caller.speaks_for_program(&hold.event.program).is_err() {
        // It is none of this token's business whether there is one.
        return Err(none());
    }
    let (action, state) = match ending {
        HoldEnding::Release => ("hold.release", HoldState::Released),
        HoldEnding::Uphold => ("hold.uphold", HoldState::Upheld),
    };
    match hold.state {
        HoldState::Open => {}
        // What changes nothing leaves no record.
        before if before == state => return Ok(Json(HoldView::from(hold))),
        _ => return Err(ended_before(&hold)),
    }
    let event = format!("{}/{}/{}", hold.event.program, hold.event.source, hold.event.id);
    let noted = Noted { action, subject: &id, detail: json!({"reason": reason, "event": event}) };
    let what = Deed::EndHold(EndHold { hold: id.clone(), end: ending, reason });
    match act::take(api, caller, noted, what).await? {
        ActOutcome::Held(hold) => Ok(Json(HoldView::from(*hold))),
        ActOutcome::EndedBefore(hold) => Err(ended_before(&hold)),
        ActOutcome::Blocked(word) => Err(blocked(&word)),
        ActOutcome::NotFound => Err(none()),
        _ => Err(Problem::internal()),
    }
}

pub(super) fn blocked(word: &Override) -> Problem {
    let Override { id, kind, subject, by, .. } = word;
    let detail = format!("the override {id} of {by} blocks the {} {subject}: take that away first", kind.name());
    Problem::new(StatusCode::CONFLICT, "blocked", detail)
}

pub(super) fn ended_before(hold: &Hold) -> Problem {
    let detail = format!("it has ended before: {}", hold.state.name());
    Problem::new(StatusCode::CONFLICT, "ended", detail)
}
