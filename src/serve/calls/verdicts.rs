//! `GET /v1/verdicts/{source}/{id}`: a verdict that was given.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use super::asked::{self, OfProgram};
use crate::records::token::Scope;
use crate::serve::auth::Caller;
use crate::serve::{Api, Problem};

/// Tells the verdict on an event that was judged within `dedup.span`.
///
/// What it was, and as `current` what it is now. Of the event only its name is kept: type, account, time, parties, messages and evidence are not
/// told. Whoever has the event asks `POST /v1/evaluate` again.
#[utoipa::path(
    get,
    path = "/v1/verdicts/{source}/{id}",
    operation_id = "verdict",
    tag = "events",
    security(("token" = ["evaluate"])),
    params(
        ("source" = String, Path, description = "The source of the event, percent-encoded: `%2Fshop` for `/shop`."),
        ("id" = String, Path, description = "Its id, percent-encoded."),
        OfProgram,
    ),
    responses(
        (status = 200, description = "The verdict.", body = crate::serve::openapi::Recalled),
        (status = 404, response = crate::serve::openapi::NotFound),
    )
)]
pub(in crate::serve) async fn verdict(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<OfProgram>, QueryRejection>,
) -> Result<Response, Problem> {
    caller.needs(Scope::Evaluate)?;
    let (source, id): (String, String) = asked::path(path)?;
    let OfProgram { program } = asked::query(query)?;
    caller.speaks_for_program(&program)?;
    caller.speaks_for_source(&source)?;
    let recalled = api.ask_of_verdicts(move |engine| engine.recall(&program, &source, &id)).await?;
    let Some(recalled) = recalled else {
        return Err(Problem::not_found("no verdict on an event of this program, source and id is remembered"));
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], recalled).into_response())
}
