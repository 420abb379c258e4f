//! `POST /v1/decisions/lift`: what rules have decided and held, undone together.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::asked::default_program;
use super::tokens::time;
use crate::engine::{ActOutcome, LiftCount};
use crate::event::{ACT_REASON_BYTES_MAX, Deed, Lift, parse_time_ms};
use crate::records::token::Scope;
use crate::serve::act::{self, Noted};
use crate::serve::input::Sent;
use crate::serve::{Api, Problem};

/// Every program.
const ALL: &str = "*";

/// What shall be undone. At least one of `rule`, `ruleset`, `from` and `to` is given; what is given must all fit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct LiftWanted {
    /// The program; `*` for all.
    #[serde(default = "default_program")]
    #[schema(default = "default")]
    program: String,
    /// What this rule has decided.
    #[schema(min_length = 1, max_length = 1024)]
    rule: Option<String>,
    /// What was decided under the rule set of this hash.
    #[schema(min_length = 1, max_length = 1024)]
    ruleset: Option<String>,
    /// What was decided from this event time on, RFC 3339.
    #[schema(format = DateTime)]
    from: Option<String>,
    /// And before this one.
    #[schema(format = DateTime)]
    to: Option<String>,
    /// Why. Whoever looks at it later reads this.
    #[schema(min_length = 1, max_length = 4096)]
    reason: String,
    /// Only tells what it would do. It has to be said that it shall be done.
    #[serde(default = "is_dry")]
    #[schema(default = true)]
    dry_run: bool,
}

fn is_dry() -> bool {
    true
}

/// What was undone, or would be.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct LiftView {
    /// Nothing was changed.
    dry_run: bool,
    /// Decisions that end.
    decisions: usize,
    /// Subjects that they stand on.
    subjects: usize,
    /// Holds that end, since nothing holds their events any more.
    holds: usize,
    /// Holds that stay, since something else holds their events too.
    holds_kept: usize,
}

impl LiftView {
    fn of(dry_run: bool, count: LiftCount) -> LiftView {
        let LiftCount { decisions, subjects, holds, holds_kept } = count;
        LiftView { dry_run, decisions, subjects, holds, holds_kept }
    }
}

fn wrong(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_lift", detail)
}

impl LiftWanted {
    fn check(self) -> Result<Lift, Problem> {
        let LiftWanted { program, rule, ruleset, from, to, reason, dry_run: _ } = self;
        let read = |name: &str, text: Option<String>| {
            let parsed = text.map(|text| parse_time_ms(&text)).transpose();
            parsed.map_err(|_| wrong(format!("`{name}` is a time in RFC 3339")))
        };
        let lift = Lift {
            program: (program != ALL).then_some(program),
            rule,
            ruleset,
            from_ms: read("from", from)?,
            to_ms: read("to", to)?,
            reason,
        };
        lift.check().map_err(|why| wrong(why.to_string()))?;
        Ok(lift)
    }
}

/// Undoes what rules have decided and held, by rule, rule set or time.
///
/// Decisions end, and holds whose events nothing holds any more end as `lifted`, which is said. What a person has said stays. Without
/// `"dry_run": false` it only tells what it would do.
#[utoipa::path(
    post,
    path = "/v1/decisions/lift",
    operation_id = "lift_decisions",
    tag = "decisions",
    security(("token" = ["decisions:write"])),
    request_body = LiftWanted,
    responses(
        (status = 200, description = "What was undone, or would be.", body = LiftView),
        crate::serve::openapi::BodyRefusals,
        (status = 504, response = crate::serve::openapi::Unknown),
    )
)]
pub(in crate::serve) async fn lift(State(api): State<Arc<Api>>, sent: Sent) -> Result<Json<LiftView>, Problem> {
    let caller = &sent.caller;
    caller.needs(Scope::DecisionsWrite)?;
    let wanted: LiftWanted = sent.value()?;
    caller.speaks_for_program(&wanted.program)?;
    if wanted.reason.trim().is_empty() || wanted.reason.len() > ACT_REASON_BYTES_MAX {
        return Err(wrong(format!("`reason` says in 1 to {ACT_REASON_BYTES_MAX} bytes why")));
    }
    let is_dry = wanted.dry_run;
    let lift = wanted.check()?;
    if is_dry {
        let count = api.ask(move |engine| engine.would_lift(&lift)).await?;
        return Ok(Json(LiftView::of(true, count)));
    }
    let program = lift.program.clone().unwrap_or_else(|| ALL.to_owned());
    let detail = json!({
        "rule": lift.rule, "ruleset": lift.ruleset, "from": lift.from_ms.map(time), "to": lift.to_ms.map(time),
        "reason": lift.reason,
    });
    let noted = Noted { action: "decisions.lift", subject: &program, detail };
    match act::take(&api, caller, noted, Deed::Lift(lift)).await? {
        ActOutcome::Lifted(count) => Ok(Json(LiftView::of(false, count))),
        _ => Err(Problem::internal()),
    }
}
