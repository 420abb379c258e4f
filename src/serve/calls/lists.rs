//! `/v1/lists`: the lists that people keep, and their entries.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::asked;
use super::paging::Limit;
use super::tokens::time;
use crate::engine::{ActOutcome, ManagedView};
use crate::event::{ACT_NAME_BYTES_MAX, ACT_REASON_BYTES_MAX, Deed, ListValue, PutEntry, parse_time_ms};
use crate::lists::{ListKind, ManagedEntry, canonical};
use crate::records::token::Scope;
use crate::serve::act::{self, Noted};
use crate::serve::auth::Caller;
use crate::serve::input::Sent;
use crate::serve::{Api, Problem};

/// A list that people keep.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct ListView {
    /// Its name.
    name: String,
    /// What its entries are: `string`, `domain`, `cidr` or `date`.
    kind: &'static str,
    /// How many it has; for a while those that have ended too.
    entries: usize,
}

/// An entry.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct EntryView {
    /// What is in the list, in its one form: a domain in lower case, a network without host bits.
    value: String,
    /// Who answers for it.
    owner: String,
    /// Why it is there.
    reason: String,
    /// Who put it in, such as `token:ab2cd3ef4567`.
    by: String,
    /// When.
    #[schema(format = DateTime)]
    created: String,
    /// Event time from which on it counts no more; `null`: it stays until it is taken out.
    #[schema(format = DateTime)]
    expires: Option<String>,
}

impl EntryView {
    fn of(value: String, entry: ManagedEntry) -> EntryView {
        let ManagedEntry { owner, reason, by, created_ms, expires_ms } = entry;
        EntryView {
            value,
            owner: owner.into(),
            reason: reason.into(),
            by: by.into(),
            created: time(created_ms),
            expires: expires_ms.map(time),
        }
    }
}

/// What shall be in a list.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct EntryWanted {
    /// A text, a domain, a network or a date, as the list's kind is.
    #[schema(min_length = 1, max_length = 1024)]
    value: String,
    /// Who answers for it.
    #[schema(min_length = 1, max_length = 1024)]
    owner: String,
    /// Why it is there. Whoever looks at it later reads this.
    #[schema(min_length = 1, max_length = 4096)]
    reason: String,
    /// From when on it counts no more, RFC 3339. Absent: it stays until it is taken out.
    #[serde(default)]
    #[schema(format = DateTime)]
    expires: Option<String>,
}

fn wrong(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_entry", detail)
}

fn no_such_list() -> Problem {
    Problem::not_found("the rules in force have no managed list of this name")
}

/// Lists hold for all programs, so whoever speaks for some of them changes and reads none.
fn needs_all(caller: &Caller) -> Result<(), Problem> {
    caller.needs(Scope::ListsWrite)?;
    if caller.speaks_for_all_programs() {
        return Ok(());
    }
    Err(Problem::forbidden("program", "lists hold for all programs: this call needs a token for all of them (`*`)"))
}

async fn kind_of(api: &Api, list: &str) -> Result<ListKind, Problem> {
    let list = list.to_owned();
    api.ask(move |engine| engine.managed_kind(&list)).await?.ok_or_else(no_such_list)
}

/// Tells the managed lists that the rules in force name.
#[utoipa::path(
    get,
    path = "/v1/lists",
    operation_id = "lists",
    tag = "lists",
    security(("token" = ["lists:write"])),
    responses((status = 200, description = "By name.", body = Vec<ListView>))
)]
pub(in crate::serve) async fn lists(
    State(api): State<Arc<Api>>,
    caller: Caller,
) -> Result<Json<Vec<ListView>>, Problem> {
    needs_all(&caller)?;
    let lists = api.ask(|engine| engine.managed_lists()).await?;
    let view = |ManagedView { name, kind, entries }| ListView { name, kind: kind.name(), entries };
    Ok(Json(lists.into_iter().map(view).collect()))
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct Span {
    /// Goes on behind an earlier answer: its `next`.
    #[param(nullable = false)]
    after: Option<String>,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = usize, default = 1000, minimum = 1, maximum = 1000, required = false)]
    limit: Limit,
}

/// Entries of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct Entries {
    /// By value.
    entries: Vec<EntryView>,
    /// Where to go on: `after` of the next question; `null`: there is no more.
    next: Option<String>,
}

/// Tells the entries of a managed list that count now.
#[utoipa::path(
    get,
    path = "/v1/lists/{name}/entries",
    operation_id = "entries",
    tag = "lists",
    security(("token" = ["lists:write"])),
    params(("name" = String, Path, description = "The list, percent-encoded."), Span),
    responses(
        (status = 200, description = "As of now.", body = Entries),
        (status = 404, response = crate::serve::openapi::NotFound),
    )
)]
pub(in crate::serve) async fn entries(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Span>, QueryRejection>,
) -> Result<Json<Entries>, Problem> {
    needs_all(&caller)?;
    let name: String = asked::path(path)?;
    let Span { after, limit: Limit(limit) } = asked::query(query)?;
    let now_ms = (api.clocks.wall_ms)();
    let found = api.ask(move |engine| engine.managed_entries(&name, after.as_deref(), limit, now_ms)).await?;
    let (found, has_more) = found.ok_or_else(no_such_list)?;
    let next = found.last().filter(|_| has_more).map(|(value, _)| value.clone());
    Ok(Json(Entries { entries: found.into_iter().map(|(value, entry)| EntryView::of(value, entry)).collect(), next }))
}

/// Puts an entry into a managed list, in the place of one with the same value.
///
/// From the next event on it counts, in every program. It is answered once it is durable, and saying it again changes nothing.
#[utoipa::path(
    put,
    path = "/v1/lists/{name}/entries",
    operation_id = "put_entry",
    tag = "lists",
    security(("token" = ["lists:write"])),
    params(("name" = String, Path, description = "The list, percent-encoded.")),
    request_body = EntryWanted,
    responses(
        (status = 200, description = "It is in.", body = EntryView),
        crate::serve::openapi::BodyRefusals,
        (status = 404, response = crate::serve::openapi::NotFound),
        (status = 409, response = crate::serve::openapi::Full),
        (status = 504, response = crate::serve::openapi::Unknown),
    )
)]
pub(in crate::serve) async fn put(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    sent: Sent,
) -> Result<Json<EntryView>, Problem> {
    let caller = &sent.caller;
    needs_all(caller)?;
    let list: String = asked::path(path)?;
    let EntryWanted { value, owner, reason, expires } = sent.value()?;
    let now_ms = (api.clocks.wall_ms)();
    let value = canonical(kind_of(&api, &list).await?, &value).map_err(wrong)?;
    if owner.trim().is_empty() || owner.len() > ACT_NAME_BYTES_MAX {
        return Err(wrong(format!("`owner` says in 1 to {ACT_NAME_BYTES_MAX} bytes who answers for it")));
    }
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
    let detail = json!({"value": value, "owner": owner, "reason": reason, "expires": expires_ms.map(time)});
    let record = Noted { action: "list.put", subject: &list, detail };
    let of = ListValue { list: list.clone(), value: value.clone() };
    let put = Deed::PutEntry(PutEntry { of, owner, reason, expires_ms });
    match act::take(&api, caller, record, put).await? {
        ActOutcome::Entered(entry) => Ok(Json(EntryView::of(value, *entry))),
        ActOutcome::NotFound => Err(no_such_list()),
        ActOutcome::Full => Err(Problem::new(
            StatusCode::CONFLICT,
            "full",
            "the list has as many entries as may be: take out what is not needed",
        )),
        _ => Err(Problem::internal()),
    }
}

/// Which entry.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct OfValue {
    /// What is taken out.
    value: String,
}

/// Takes an entry out of a managed list.
#[utoipa::path(
    delete,
    path = "/v1/lists/{name}/entries",
    operation_id = "delete_entry",
    tag = "lists",
    security(("token" = ["lists:write"])),
    params(("name" = String, Path, description = "The list, percent-encoded."), OfValue),
    responses(
        (status = 204, description = "It is out."),
        (status = 404, response = crate::serve::openapi::NotFound),
        (status = 422, response = crate::serve::openapi::Invalid),
        (status = 504, response = crate::serve::openapi::Unknown),
    )
)]
pub(in crate::serve) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<OfValue>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    needs_all(&caller)?;
    let list: String = asked::path(path)?;
    let OfValue { value } = asked::query(query)?;
    let value = canonical(kind_of(&api, &list).await?, &value).map_err(wrong)?;
    let gone = || Problem::not_found("the list has no such entry");
    let (of, now_ms) = ((list.clone(), value.clone()), (api.clocks.wall_ms)());
    // What is not there leaves no record.
    let is_there = api.ask(move |engine| engine.has_entry(&of.0, &of.1, now_ms)).await?;
    if !is_there {
        return Err(gone());
    }
    let record = Noted { action: "list.delete", subject: &list, detail: json!({"value": value}) };
    match act::take(&api, &caller, record, Deed::DeleteEntry(ListValue { list: list.clone(), value })).await? {
        ActOutcome::Deleted => Ok(StatusCode::NO_CONTENT),
        ActOutcome::NotFound => Err(gone()),
        _ => Err(Problem::internal()),
    }
}
