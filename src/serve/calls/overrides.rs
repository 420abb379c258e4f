//! `/v1/overrides`: the word of a person on a subject, which beats rules, scores and decisions.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::asked::{self, default_program, kind_named};
use super::paging::{Cursor, Subjects};
use super::tokens::time;
use crate::engine::{ActOutcome, Override, OverridesWanted};
use crate::event::{ACT_NAME_BYTES_MAX, ACT_REASON_BYTES_MAX, ActSubject, Deed, PutOverride, Verdict, parse_time_ms};
use crate::records::token::Scope;
use crate::serve::act::{self, Noted};
use crate::serve::auth::Caller;
use crate::serve::input::Sent;
use crate::serve::{Api, Problem};

/// An override that stands.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct OverrideView {
    /// Names it: verdicts that it made have it among their `decisions`.
    #[schema(example = "ovr-1f2e3d4c5b6a7980")]
    override_id: String,
    /// The program.
    program: String,
    /// What the subject is.
    #[schema(example = "account")]
    kind: &'static str,
    /// Its id, as decisions spell it.
    id: String,
    /// `allow` or `block`.
    verdict: &'static str,
    /// Why.
    reason: String,
    /// Who said so, such as `token:ab2cd3ef4567`.
    by: String,
    /// When.
    #[schema(format = DateTime)]
    created: String,
    /// Event time at which it ends; `null`: it stays until it is taken away.
    #[schema(format = DateTime)]
    expires: Option<String>,
}

impl From<Override> for OverrideView {
    fn from(of: Override) -> OverrideView {
        OverrideView {
            override_id: of.id,
            program: of.program,
            kind: of.kind.name(),
            id: of.subject,
            verdict: of.verdict.name(),
            reason: of.reason,
            by: of.by,
            created: time(of.created_ms),
            expires: of.expires_ms.map(time),
        }
    }
}

/// What shall hold for a subject.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct OverrideWanted {
    /// The program.
    #[serde(default = "default_program")]
    #[schema(default = "default", min_length = 1, max_length = 1024)]
    program: String,
    /// What the subject is, such as `account`.
    kind: String,
    /// Its id, as an event would write it.
    #[schema(min_length = 1, max_length = 1024)]
    id: String,
    /// `allow` or `block`.
    verdict: String,
    /// Why. Whoever looks at it later reads this.
    #[schema(min_length = 1, max_length = 4096)]
    reason: String,
    /// When it ends, RFC 3339. Absent: it stays until it is taken away.
    #[serde(default)]
    #[schema(format = DateTime)]
    expires: Option<String>,
}

fn wrong(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_override", detail)
}

impl OverrideWanted {
    /// What is wanted, but for the spelling of its subject.
    fn check(self, now_ms: i64) -> Result<PutOverride, Problem> {
        let OverrideWanted { program, kind, id, verdict, reason, expires } = self;
        let verdict = Verdict::from_name(&verdict).filter(|of| matches!(of, Verdict::Allow | Verdict::Block));
        let verdict = verdict.ok_or_else(|| wrong("`verdict` is `allow` or `block`"))?;
        if reason.trim().is_empty() || reason.len() > ACT_REASON_BYTES_MAX {
            return Err(wrong(format!("`reason` says in 1 to {ACT_REASON_BYTES_MAX} bytes why")));
        }
        let expires_ms = match expires {
            None => None,
            Some(text) => match parse_time_ms(&text) {
                Ok(expires_ms) if expires_ms > now_ms => Some(expires_ms),
                _ => return Err(wrong("`expires` is a time to come, in RFC 3339")),
            },
        };
        let of = subject(program, &kind, id)?;
        Ok(PutOverride { of, verdict, reason, expires_ms })
    }
}

fn subject(program: String, kind: &str, id: String) -> Result<ActSubject, Problem> {
    let kind = kind_named(kind).map_err(wrong)?;
    let fits = |name: &str| (1..=ACT_NAME_BYTES_MAX).contains(&name.len());
    if !fits(&program) || !fits(&id) {
        return Err(wrong(format!("`program` and `id` have 1 to {ACT_NAME_BYTES_MAX} bytes")));
    }
    Ok(ActSubject { program, kind, subject: id })
}

/// Spells a subject as events do.
async fn spell(api: &Api, of: &mut ActSubject) -> Result<(), Problem> {
    let (program, kind, text) = (of.program.clone(), of.kind, of.subject.clone());
    let spelt = api.ask(move |engine| engine.spelt(&program, kind, &text)).await?;
    of.subject = spelt.ok_or_else(|| wrong(format!("`id` names no {}", kind.name())))?;
    Ok(())
}

/// How a subject stands in the audit trail.
fn noted(of: &ActSubject) -> String {
    format!("{}/{}/{}", of.program, of.kind.name(), of.subject)
}

/// Overrides that stand.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct Overrides {
    /// In an order that stays while they stand.
    overrides: Vec<OverrideView>,
    /// Where to go on: `after` of the next question; `null`: there is no more. A page may be empty and have a next one.
    #[schema(value_type = Option<String>)]
    next: Option<Cursor>,
}

/// Lists the overrides of a program that stand.
#[utoipa::path(
    get,
    path = "/v1/overrides",
    operation_id = "overrides",
    tag = "decisions",
    security(("token" = ["decisions:write"])),
    params(Subjects),
    responses((status = 200, description = "Those that may count for an event to come.", body = Overrides))
)]
pub(in crate::serve) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    query: Result<Query<Subjects>, QueryRejection>,
) -> Result<Json<Overrides>, Problem> {
    caller.needs(Scope::DecisionsWrite)?;
    let subjects = asked::query(query)?;
    caller.speaks_for_program(&subjects.program)?;
    let (kind, behind, count) = (subjects.kind()?, subjects.behind(), subjects.count());
    let Subjects { program, id, .. } = subjects;
    let wanted = OverridesWanted { program, kind, id, behind, count };
    let (found, next) = api.ask(move |engine| engine.overrides(&wanted)).await?;
    let overrides = found.into_iter().map(OverrideView::from).collect();
    Ok(Json(Overrides { overrides, next: next.map(Cursor::from) }))
}

/// Puts an override on a subject, in the place of one that stands there.
///
/// From the next event on it holds for every event that has the subject, whatever rules, scores and decisions say; of several on one
/// event the gravest. It is answered once it is durable, and saying it again changes nothing.
#[utoipa::path(
    put,
    path = "/v1/overrides",
    operation_id = "put_override",
    tag = "decisions",
    security(("token" = ["decisions:write"])),
    request_body = OverrideWanted,
    responses(
        (status = 200, description = "It stands.", body = OverrideView),
        crate::serve::openapi::BodyRefusals,
        (status = 409, response = crate::serve::openapi::Full),
        (status = 504, response = crate::serve::openapi::Unknown),
    )
)]
pub(in crate::serve) async fn put(State(api): State<Arc<Api>>, sent: Sent) -> Result<Json<OverrideView>, Problem> {
    let caller = &sent.caller;
    caller.needs(Scope::DecisionsWrite)?;
    let wanted: OverrideWanted = sent.value()?;
    caller.speaks_for_program(&wanted.program)?;
    let mut wanted = wanted.check((api.clocks.wall_ms)())?;
    spell(&api, &mut wanted.of).await?;
    let PutOverride { verdict, reason, expires_ms, .. } = &wanted;
    let detail = json!({"verdict": verdict.name(), "reason": reason, "expires": expires_ms.map(time)});
    let record = Noted { action: "override.put", subject: &noted(&wanted.of), detail };
    match act::take(&api, caller, record, Deed::PutOverride(wanted)).await? {
        ActOutcome::Overridden(stands) => Ok(Json(OverrideView::from(*stands))),
        ActOutcome::Full => Err(Problem::new(
            StatusCode::CONFLICT,
            "full",
            "as many overrides stand as may: take away what is not needed",
        )),
        _ => Err(Problem::internal()),
    }
}

/// The subject of an override.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct Of {
    /// The program.
    #[serde(default = "default_program")]
    #[param(default = "default", required = false)]
    program: String,
    /// What the subject is, such as `account`.
    kind: String,
    /// Its id, as an event would write it.
    id: String,
}

/// Takes the override on a subject away: what rules have decided stands again.
#[utoipa::path(
    delete,
    path = "/v1/overrides",
    operation_id = "delete_override",
    tag = "decisions",
    security(("token" = ["decisions:write"])),
    params(Of),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, response = crate::serve::openapi::NotFound),
        (status = 422, response = crate::serve::openapi::Invalid),
        (status = 504, response = crate::serve::openapi::Unknown),
    )
)]
pub(in crate::serve) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller,
    query: Result<Query<Of>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    caller.needs(Scope::DecisionsWrite)?;
    let Of { program, kind, id } = asked::query(query)?;
    caller.speaks_for_program(&program)?;
    let mut of = subject(program, &kind, id)?;
    spell(&api, &mut of).await?;
    let none = || Problem::not_found("no override stands on this subject");
    let asked = of.clone();
    let wanted = OverridesWanted {
        program: asked.program,
        kind: Some(asked.kind),
        id: Some(asked.subject),
        behind: None,
        count: 1,
    };
    let (found, _) = api.ask(move |engine| engine.overrides(&wanted)).await?;
    // What is not there leaves no audit record.
    let found = found.first().ok_or_else(none)?;
    let detail = json!({"override": found.id, "verdict": found.verdict.name(), "by": found.by});
    let record = Noted { action: "override.delete", subject: &noted(&of), detail };
    match act::take(&api, &caller, record, Deed::DeleteOverride(of)).await? {
        ActOutcome::Deleted => Ok(StatusCode::NO_CONTENT),
        ActOutcome::NotFound => Err(none()),
        _ => Err(Problem::internal()),
    }
}
