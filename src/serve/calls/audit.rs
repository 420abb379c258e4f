//! `GET /v1/audit`: what was done, by whom.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::asked;
use super::paging::Limit;
use crate::records::audit::Record;
use crate::records::token::Scope;
use crate::serve::auth::Caller;
use crate::serve::{Api, Problem};

/// Which records.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct Span {
    /// Those behind this number.
    #[serde(default)]
    #[param(default = 0, minimum = 0, required = false)]
    after: i64,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = usize, default = 1000, minimum = 1, maximum = 1000, required = false)]
    limit: Limit,
}

/// A record of the audit trail. `hash` is SHA-256, in hex, of the JSON array `[number, at_ms, actor, action, subject, detail,
/// previous]` without spaces, `detail` being a string: so anybody can follow the chain.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditRecord {
    /// From 1, without gaps.
    pub number: i64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who: `token:ID`, or `refguard` itself.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub subject: String,
    /// The rest: an object of JSON, as text.
    pub detail: String,
    /// The hash of the record before it; of the first, 64 zeros.
    pub previous: String,
    /// The hash of this one.
    pub hash: String,
}

impl From<Record> for AuditRecord {
    fn from(of: Record) -> AuditRecord {
        let Record { number, at_ms, actor, action, subject, detail, previous, hash } = of;
        AuditRecord { number, at_ms, actor, action, subject, detail, previous, hash }
    }
}

impl From<AuditRecord> for Record {
    fn from(of: AuditRecord) -> Record {
        let AuditRecord { number, at_ms, actor, action, subject, detail, previous, hash } = of;
        Record { number, at_ms, actor, action, subject, detail, previous, hash }
    }
}

/// Tells the audit trail, oldest first.
#[utoipa::path(
    get,
    path = "/v1/audit",
    operation_id = "audit",
    tag = "audit",
    security(("token" = ["admin"])),
    params(Span),
    responses((status = 200, description = "In order.", body = Vec<AuditRecord>))
)]
pub(in crate::serve) async fn audit(
    State(api): State<Arc<Api>>,
    caller: Caller,
    query: Result<Query<Span>, QueryRejection>,
) -> Result<Json<Vec<AuditRecord>>, Problem> {
    caller.needs(Scope::Admin)?;
    let Span { after, limit: Limit(limit) } = asked::query(query)?;
    if after < 0 {
        return Err(asked::bad_query("`after` is a number of a record"));
    }
    let records = api.records.audit(after, limit as i64).await.map_err(|error| Api::records_away(&error))?;
    Ok(Json(records.into_iter().map(AuditRecord::from).collect()))
}
