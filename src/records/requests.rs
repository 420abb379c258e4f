//! What one person has asked for and a second one has to agree to.
//!
//! Invariant: whoever agrees or refuses is not who asked; what was agreed to is done once, or again with the same outcome.

use sqlx::{AnyConnection, Row as _};

use super::audit::{Act, Record};
use super::tokens::Change;
use super::{Records, RecordsError};

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Names it.
    pub id: String,
    /// When it was asked for, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who asked, such as `token:ab2cd3ef4567`.
    pub actor: String,
    /// For what, such as `override.put`.
    pub action: String,
    /// About what.
    pub subject: String,
    /// The program that it is about; `*`: all.
    pub program: String,
    /// The scope that it takes to ask for it, and to agree to it.
    pub scope: String,
    /// The rest, as an object of JSON: for whoever decides.
    pub detail: String,
    /// What is done then, for the engine.
    pub act: String,
    /// How it stands.
    pub state: RequestState,
    /// Who decided.
    pub decided_by: Option<String>,
}

/// How a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// Nobody has decided yet.
    Waiting,
    /// It was agreed to, and may be on its way.
    Approved,
    /// It was agreed to and done.
    Done,
    /// It was refused.
    Rejected,
}

impl RequestState {
    const ALL: [RequestState; 4] =
        [RequestState::Waiting, RequestState::Approved, RequestState::Done, RequestState::Rejected];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            RequestState::Waiting => "waiting",
            RequestState::Approved => "approved",
            RequestState::Done => "done",
            RequestState::Rejected => "rejected",
        }
    }

    /// The state of this word.
    pub fn from_name(name: &str) -> Option<RequestState> {
        RequestState::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A step of a request.
pub(super) enum Step<'a> {
    Ask(&'a Request),
    /// From a state that it must have to another, by somebody.
    Move {
        id: &'a str,
        from: RequestState,
        to: RequestState,
        by: &'a str,
    },
}

impl Step<'_> {
    /// Takes it; answers how many rows were changed.
    pub(super) async fn apply(&self, connection: &mut AnyConnection, at_ms: i64) -> Result<u64, sqlx::Error> {
        let done = match self {
            Step::Ask(request) => {
                let query = "INSERT INTO requests (id, at_ms, actor, action, subject, program, scope, detail, act, state) \
                             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
                sqlx::query(query)
                    .bind(request.id.clone())
                    .bind(request.at_ms)
                    .bind(request.actor.clone())
                    .bind(request.action.clone())
                    .bind(request.subject.clone())
                    .bind(request.program.clone())
                    .bind(request.scope.clone())
                    .bind(request.detail.clone())
                    .bind(request.act.clone())
                    .bind(request.state.name())
                    .execute(connection)
                    .await?
            }
            Step::Move { id, from, to, by } => {
                let query =
                    "UPDATE requests SET state = $1, decided_by = $2, decided_ms = $3 WHERE id = $4 AND state = $5";
                sqlx::query(query)
                    .bind(to.name())
                    .bind((*by).to_owned())
                    .bind(at_ms)
                    .bind((*id).to_owned())
                    .bind(from.name())
                    .execute(connection)
                    .await?
            }
        };
        Ok(done.rows_affected())
    }
}

impl Records {
    /// Keeps a request, with its audit record.
    ///
    /// # Errors
    ///
    /// [`RecordsError`].
    pub async fn ask(&self, request: &Request) -> Result<Record, RecordsError> {
        let action = format!("request.{}", request.action);
        let Request { id, at_ms, actor, detail, .. } = request;
        let act = Act { at_ms: *at_ms, actor, action: &action, subject: id, detail: detail.clone() };
        let (record, _) = self.change(&Change::Request(Step::Ask(request)), &act).await?;
        Ok(record)
    }

    /// Agrees to a request that waits, or refuses it, with its audit record; `false`: it waits no more.
    ///
    /// # Errors
    ///
    /// [`RecordsError`].
    pub async fn decide(&self, id: &str, agrees: bool, by: &str, at_ms: i64) -> Result<bool, RecordsError> {
        // What changes nothing leaves no record.
        if self.request(id).await?.is_none_or(|request| request.state != RequestState::Waiting) {
            return Ok(false);
        }
        let (to, action) = match agrees {
            true => (RequestState::Approved, "request.approve"),
            false => (RequestState::Rejected, "request.reject"),
        };
        let act = Act { at_ms, actor: by, action, subject: id, detail: "{}".to_owned() };
        let step = Step::Move { id, from: RequestState::Waiting, to, by };
        let (_, rows) = self.change(&Change::Request(step), &act).await?;
        Ok(rows > 0)
    }

    /// What was agreed to is done.
    ///
    /// # Errors
    ///
    /// [`RecordsError`].
    pub async fn note_done(&self, id: &str) -> Result<(), RecordsError> {
        let query = "UPDATE requests SET state = $1 WHERE id = $2 AND state = $3";
        let done = sqlx::query(query)
            .bind(RequestState::Done.name())
            .bind(id.to_owned())
            .bind(RequestState::Approved.name())
            .execute(&self.pool)
            .await;
        done.map(drop).map_err(RecordsError::Query)
    }

    /// The request of an id.
    ///
    /// # Errors
    ///
    /// [`RecordsError`].
    pub async fn request(&self, id: &str) -> Result<Option<Request>, RecordsError> {
        let query = format!("{SELECT} WHERE id = $1");
        let row = sqlx::query(&query).bind(id.to_owned()).fetch_optional(&self.pool).await;
        row.map_err(RecordsError::Query)?.as_ref().map(read).transpose()
    }

    /// The requests that stand so, oldest first, at most so many.
    ///
    /// # Errors
    ///
    /// [`RecordsError`].
    pub async fn requests(&self, state: RequestState, count: i64) -> Result<Vec<Request>, RecordsError> {
        let query = format!("{SELECT} WHERE state = $1 ORDER BY at_ms, id LIMIT $2");
        let rows = sqlx::query(&query).bind(state.name()).bind(count).fetch_all(&self.pool).await;
        rows.map_err(RecordsError::Query)?.iter().map(read).collect()
    }
}

const SELECT: &str =
    "SELECT id, at_ms, actor, action, subject, program, scope, detail, act, state, decided_by FROM requests";

fn read(row: &sqlx::any::AnyRow) -> Result<Request, RecordsError> {
    let text = |column: &str| row.try_get::<String, _>(column).map_err(RecordsError::Query);
    let id = text("id")?;
    let state = RequestState::from_name(&text("state")?).ok_or_else(|| RecordsError::Broken {
        what: format!("the request {id}"),
        why: "it stands as nothing does".to_owned(),
    })?;
    Ok(Request {
        at_ms: row.try_get("at_ms").map_err(RecordsError::Query)?,
        actor: text("actor")?,
        action: text("action")?,
        subject: text("subject")?,
        program: text("program")?,
        scope: text("scope")?,
        detail: text("detail")?,
        act: text("act")?,
        state,
        decided_by: row.try_get("decided_by").map_err(RecordsError::Query)?,
        id,
    })
}
