//! `/v1/requests`: what one person has asked for and a second one has to agree to.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::asked;
use super::holds::{blocked, ended_before};
use super::tokens::time;
use crate::engine::ActOutcome;
use crate::event::Act;
use crate::records::requests::{Request, RequestState};
use crate::records::token::{ALL, Scope};
use crate::serve::act;
use crate::serve::auth::Caller;
use crate::serve::{Api, Problem};

/// Requests of an answer, at most.
const LIMIT_MAX: i64 = 1000;

/// A request.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct RequestView {
    /// Names it.
    id: String,
    /// How it stands: `waiting`, `approved` (and on its way), `done` or `rejected`.
    state: &'static str,
    /// What is to be done, such as `override.put`.
    action: String,
    /// To what.
    subject: String,
    /// The program that it is about; `*`: all.
    program: String,
    /// The rest.
    detail: Value,
    /// Who asked.
    asked_by: String,
    /// When.
    #[schema(format = DateTime)]
    asked: String,
    /// Who decided; `null`: nobody has.
    decided_by: Option<String>,
}

impl From<Request> for RequestView {
    fn from(of: Request) -> RequestView {
        RequestView {
            id: of.id,
            state: of.state.name(),
            action: of.action,
            subject: of.subject,
            program: of.program,
            detail: serde_json::from_str(&of.detail).unwrap_or_default(),
            asked_by: of.actor,
            asked: time(of.at_ms),
            decided_by: of.decided_by,
        }
    }
}

/// Which requests.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct Wanted {
    /// How they stand: `waiting`, `approved`, `done` or `rejected`.
    #[serde(default = "waiting")]
    #[param(default = "waiting", required = false)]
    state: String,
}

fn waiting() -> String {
    RequestState::Waiting.name().to_owned()
}

/// Whether a caller may look at a request, and decide about it.
fn may_see(caller: &Caller, of: &Request) -> Result<(), Problem> {
    let scope = of.scope.parse().map_err(|()| Problem::internal())?;
    caller.needs(scope)?;
    if of.program == ALL && caller.speaks_for_all_programs() { Ok(()) } else { caller.speaks_for_program(&of.program) }
}

/// Tells the requests that stand so and that this token may decide about, oldest first, the first thousand.
#[utoipa::path(
    get,
    path = "/v1/requests",
    operation_id = "requests",
    tag = "requests",
    security(("token" = ["decisions:write"])),
    params(Wanted),
    responses((status = 200, description = "By age.", body = Vec<RequestView>))
)]
pub(in crate::serve) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Vec<RequestView>>, Problem> {
    caller.needs(Scope::DecisionsWrite)?;
    let Wanted { state } = asked::query(query)?;
    let state = RequestState::from_name(&state)
        .ok_or_else(|| asked::bad_query("`state` is `waiting`, `approved`, `done` or `rejected`"))?;
    let requests = api.records.requests(state, LIMIT_MAX).await.map_err(|error| Api::records_away(&error))?;
    let seen = requests.into_iter().filter(|request| may_see(&caller, request).is_ok());
    Ok(Json(seen.map(RequestView::from).collect()))
}

/// The request that a path names, which the caller may decide about and has not asked for.
async fn asked_by_another(
    api: &Api,
    caller: &Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Request, Problem> {
    caller.needs(Scope::DecisionsWrite)?;
    let id: String = asked::path(path)?;
    let request = api.records.request(&id).await.map_err(|error| Api::records_away(&error))?;
    let request = request.ok_or_else(|| Problem::not_found("there is no request of this id"))?;
    may_see(caller, &request)?;
    if request.actor == caller.actor() {
        let detail = "whoever asked cannot decide: it takes the token of a second person";
        return Err(Problem::forbidden("second_person", detail));
    }
    Ok(request)
}

fn decided_already() -> Problem {
    Problem::new(StatusCode::CONFLICT, "decided", "somebody has decided about this request already")
}

/// Agrees to a request of somebody else: it is done then.
///
/// One that was agreed to and not done, since the process ended or a service was away, is done by agreeing again.
#[utoipa::path(
    post,
    path = "/v1/requests/{id}/approve",
    operation_id = "approve_request",
    tag = "requests",
    security(("token" = ["decisions:write"])),
    params(("id" = String, Path, description = "Its id.")),
    responses(
        (status = 200, description = "It is done.", body = RequestView),
        (status = 404, response = crate::serve::openapi::NotFound),
        (status = 409, response = crate::serve::openapi::Full),
        (status = 504, response = crate::serve::openapi::Unknown),
    )
)]
pub(in crate::serve) async fn approve(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<RequestView>, Problem> {
    let mut request = asked_by_another(&api, &caller, path).await?;
    let (now_ms, actor) = ((api.clocks.wall_ms)(), caller.actor());
    match request.state {
        RequestState::Waiting => {
            let decided = api.records.decide(&request.id, true, &actor, now_ms).await;
            if !decided.map_err(|error| Api::records_away(&error))? {
                return Err(decided_already());
            }
        }
        RequestState::Approved => {}
        RequestState::Done | RequestState::Rejected => return Err(decided_already()),
    }
    let act = Act::read(&request.act).map_err(|error| {
        tracing::error!(%error, request = request.id, "a request cannot be read");
        Problem::internal()
    })?;
    let outcome = act::done(&api, &actor, (&request.action, &request.subject), &request.id, act).await?;
    api.records.note_done(&request.id).await.map_err(|error| Api::records_away(&error))?;
    (request.state, request.decided_by) = (RequestState::Done, Some(actor));
    match outcome {
        ActOutcome::NotFound => Err(Problem::not_found("what was to be changed is not there any more")),
        ActOutcome::Full => Err(Problem::new(StatusCode::CONFLICT, "full", "there is as much of it as may be")),
        ActOutcome::EndedBefore(hold) => Err(ended_before(&hold)),
        ActOutcome::Blocked(word) => Err(blocked(&word)),
        _ => Ok(Json(RequestView::from(request))),
    }
}

/// Refuses a request of somebody else: nothing comes of it.
#[utoipa::path(
    post,
    path = "/v1/requests/{id}/reject",
    operation_id = "reject_request",
    tag = "requests",
    security(("token" = ["decisions:write"])),
    params(("id" = String, Path, description = "Its id.")),
    responses(
        (status = 200, description = "It is refused.", body = RequestView),
        (status = 404, response = crate::serve::openapi::NotFound),
        (status = 409, response = crate::serve::openapi::Full),
    )
)]
pub(in crate::serve) async fn reject(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<RequestView>, Problem> {
    let mut request = asked_by_another(&api, &caller, path).await?;
    let actor = caller.actor();
    let decided = api.records.decide(&request.id, false, &actor, (api.clocks.wall_ms)()).await;
    if !decided.map_err(|error| Api::records_away(&error))? {
        return Err(decided_already());
    }
    (request.state, request.decided_by) = (RequestState::Rejected, Some(actor));
    Ok(Json(RequestView::from(request)))
}
