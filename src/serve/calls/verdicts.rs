//! `GET /v1/verdicts/{source}/{id}`: a verdict that was given.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::records::token::Scope;
use crate::serve::auth::Caller;
use crate::serve::{Api, Problem};

/// Which program.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct OfProgram {
    /// The program of the event.
    #[serde(default = "default_program")]
    #[param(default = "default", required = false)]
    program: String,
}

fn default_program() -> String {
    "default".to_owned()
}

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
    let bad = |detail: String| Problem::bad_request("bad_path", detail);
    let Path((source, id)) = path.map_err(|rejection| bad(rejection.body_text()))?;
    let Query(OfProgram { program }) = query.map_err(|rejection| bad(rejection.body_text()))?;
    caller.speaks_for_program(&program)?;
    caller.speaks_for_source(&source)?;
    let recalled = api.ask(move |engine| engine.recall(&program, &source, &id)).await?;
    let Some(recalled) = recalled else {
        return Err(Problem::not_found("no verdict on an event of this program, source and id is remembered"));
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], recalled).into_response())
}
