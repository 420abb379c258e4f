//! What calls are asked by path and query.
//!
//! Both are read once it is known that the caller may call, so that who may not learns nothing by what is refused first.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::event::SubjectKind;
use crate::serve::Problem;

/// Which program.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct OfProgram {
    /// The program.
    #[serde(default = "default_program")]
    #[param(default = "default", required = false)]
    pub(super) program: String,
}

/// The program where none is named.
pub(super) fn default_program() -> String {
    "default".to_owned()
}

/// What a query says.
pub(super) fn query<T>(read: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    let Query(value) = read.map_err(|rejection| bad_query(rejection.body_text()))?;
    Ok(value)
}

/// What a path says.
pub(super) fn path<T>(read: Result<Path<T>, PathRejection>) -> Result<T, Problem> {
    let Path(value) = read.map_err(|rejection| Problem::bad_request("bad_path", rejection.body_text()))?;
    Ok(value)
}

/// A query that says what it may not.
pub(super) fn bad_query(detail: impl Into<String>) -> Problem {
    Problem::bad_request("bad_query", detail)
}

/// The kind of subject of a name, or what is wrong with it.
pub(super) fn kind_named(name: &str) -> Result<SubjectKind, String> {
    let known = || SubjectKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    SubjectKind::from_name(name).ok_or_else(|| format!("`kind` is one of {}", known()))
}
