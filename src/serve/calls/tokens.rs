//! `/v1/tokens`: who may ask.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::asked;
use crate::event::{parse_time_ms, write_time_ms};
use crate::records::token::{Scope, Secret, Token, Wanted};
use crate::serve::auth::Caller;
use crate::serve::input::Sent;
use crate::serve::{Api, Problem};

/// Characters of a name, a program or a source, at most.
const TEXT_CHARS_MAX: usize = 256;
/// Programs and sources of a token, at most each.
const LIST_MAX: usize = 256;

/// A token as it is told: everything but its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct TokenView {
    /// Its id.
    id: String,
    /// What people call it.
    name: String,
    /// What it allows.
    scopes: Vec<&'static str>,
    /// The programs it speaks for; `*` for all.
    programs: Vec<String>,
    /// The sources of events it speaks for; `*` for all.
    sources: Vec<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    created: String,
    /// Who made it.
    created_by: String,
    /// From when on it counts no more.
    #[schema(format = DateTime)]
    expires: Option<String>,
    /// When it was revoked.
    #[schema(format = DateTime)]
    revoked: Option<String>,
    /// When it was used last, to about ten seconds.
    #[schema(format = DateTime)]
    last_used: Option<String>,
}

/// A token that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct NewToken {
    /// The token itself. It is shown here and never again.
    #[schema(example = "rfg_ab2cd3ef40000_...")]
    secret: String,
    /// The rest of it.
    token: TokenView,
}

/// What a token shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct TokenWanted {
    /// What people call it.
    #[schema(min_length = 1, max_length = 256)]
    name: String,
    /// What it allows.
    #[schema(min_items = 1)]
    scopes: Vec<String>,
    /// The programs it speaks for; `["*"]` for all.
    #[schema(min_items = 1, max_items = 256)]
    programs: Vec<String>,
    /// The sources of events it speaks for; `["*"]` for all. Absent: none, so that it sends no events.
    #[serde(default)]
    #[schema(max_items = 256)]
    sources: Vec<String>,
    /// From when on it counts no more, RFC 3339. Absent: it ends when it is revoked.
    #[serde(default)]
    #[schema(format = DateTime)]
    expires: Option<String>,
}

impl From<&Token> for TokenView {
    fn from(of: &Token) -> TokenView {
        TokenView {
            id: of.id.clone(),
            name: of.name.clone(),
            scopes: of.scopes.iter().map(|scope| scope.name()).collect(),
            programs: of.programs.clone(),
            sources: of.sources.clone(),
            created: time(of.created_ms),
            created_by: of.created_by.clone(),
            expires: of.expires_ms.map(time),
            revoked: of.revoked_ms.map(time),
            last_used: of.last_used_ms.map(time),
        }
    }
}

impl TokenWanted {
    fn check(self, now_ms: i64) -> Result<Wanted, Problem> {
        let wrong = |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_token", detail);
        let fits = |text: &String| !text.is_empty() && text.chars().count() <= TEXT_CHARS_MAX;
        let TokenWanted { name, scopes, programs, sources, expires } = self;
        if !fits(&name) || name.chars().any(char::is_control) {
            return Err(wrong(format!("`name` is 1 to {TEXT_CHARS_MAX} characters")));
        }
        let scope = |name: &String| {
            let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.name()).collect();
            name.parse().map_err(|()| wrong(format!("`scopes` are of {}", known.join(", "))))
        };
        let scopes = scopes.iter().map(scope).collect::<Result<Vec<Scope>, Problem>>()?;
        if scopes.is_empty() || programs.is_empty() {
            return Err(wrong("a token needs a scope and a program".to_owned()));
        }
        if programs.len().max(sources.len()) > LIST_MAX || !programs.iter().chain(&sources).all(fits) {
            return Err(wrong(format!(
                "`programs` and `sources` have at most {LIST_MAX} names of 1 to {TEXT_CHARS_MAX} characters"
            )));
        }
        let expires_ms = match expires {
            None => None,
            Some(text) => match parse_time_ms(&text) {
                Ok(expires_ms) if expires_ms > now_ms => Some(expires_ms),
                _ => return Err(wrong("`expires` is a time to come, in RFC 3339".to_owned())),
            },
        };
        Ok(Wanted { name, scopes, programs, sources, expires_ms })
    }
}

pub(super) fn time(ms: i64) -> String {
    let mut text = Vec::new();
    write_time_ms(&mut text, ms);
    String::from_utf8_lossy(&text).into_owned()
}

/// Lists every token, those that count no more too.
#[utoipa::path(
    get,
    path = "/v1/tokens",
    operation_id = "tokens",
    tag = "tokens",
    security(("token" = ["admin"])),
    responses((status = 200, description = "By age.", body = Vec<TokenView>))
)]
pub(in crate::serve) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
) -> Result<Json<Vec<TokenView>>, Problem> {
    caller.needs(Scope::Admin)?;
    let tokens = api.records.tokens().await.map_err(|error| Api::records_away(&error))?;
    Ok(Json(tokens.iter().map(TokenView::from).collect()))
}

/// Makes a token. Its secret is in this answer and nowhere else.
#[utoipa::path(
    post,
    path = "/v1/tokens",
    operation_id = "create_token",
    tag = "tokens",
    security(("token" = ["admin"])),
    request_body = TokenWanted,
    responses(
        (status = 201, description = "Made.", body = NewToken),
        crate::serve::openapi::BodyRefusals,
    )
)]
pub(in crate::serve) async fn create(
    State(api): State<Arc<Api>>,
    sent: Sent,
) -> Result<(StatusCode, Json<NewToken>), Problem> {
    let caller = &sent.caller;
    caller.needs(Scope::Admin)?;
    let now_ms = (api.clocks.wall_ms)();
    let wanted = sent.value::<TokenWanted>()?.check(now_ms)?;
    let mut random = [0; 40];
    getrandom::fill(&mut random).map_err(|error| {
        tracing::error!(%error, "the system has no random bytes");
        Problem::internal()
    })?;
    let secret = Secret::new(random);
    let made = api.records.create_token(wanted, &secret, &caller.actor(), now_ms).await;
    let (token, record) = made.map_err(|error| Api::records_away(&error))?;
    tracing::info!(token = token.id, by = caller.id(), audit = record.number, hash = record.hash, "made a token");
    api.reload_tokens().await?;
    Ok((StatusCode::CREATED, Json(NewToken { secret: secret.reveal(), token: TokenView::from(&token) })))
}

/// Revokes a token: it ends at once here, and within seconds on other instances.
#[utoipa::path(
    delete,
    path = "/v1/tokens/{id}",
    operation_id = "revoke_token",
    tag = "tokens",
    security(("token" = ["admin"])),
    params(("id" = String, Path, description = "Its id.")),
    responses(
        (status = 204, description = "Revoked."),
        (status = 404, response = crate::serve::openapi::NotFound),
    )
)]
pub(in crate::serve) async fn revoke(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    caller.needs(Scope::Admin)?;
    let id: String = asked::path(path)?;
    let revoked = api.records.revoke_token(&id, &caller.actor(), (api.clocks.wall_ms)()).await;
    let record = revoked.map_err(|error| Api::records_away(&error))?;
    let record = record.ok_or_else(|| Problem::not_found("there is no token of this id that counts"))?;
    tracing::info!(token = id, by = caller.id(), audit = record.number, hash = record.hash, "revoked a token");
    api.reload_tokens().await?;
    Ok(StatusCode::NO_CONTENT)
}
