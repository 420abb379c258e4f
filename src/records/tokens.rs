//! Tokens in their table.

use sqlx::{AnyConnection, Row as _};

use super::audit::{Act, Record};
use super::requests::Step;
use super::token::{ALL, Scope, Secret, SecretHash, Token, Wanted};
use super::{Records, RecordsError};

/// What is changed together with an audit record.
pub(super) enum Change<'a> {
    Nothing,
    Create(&'a Token),
    Revoke(&'a str),
    Request(Step<'a>),
}

impl Change<'_> {
    /// Whether a name that is not unique is that of what was to be made.
    pub(super) fn is_taken(&self, error: &dyn sqlx::error::DatabaseError) -> bool {
        matches!(self, Change::Create(_)) && error.message().contains("tokens")
    }

    /// Changes it; answers how many rows were.
    pub(super) async fn apply(&self, connection: &mut AnyConnection, at_ms: i64) -> Result<u64, sqlx::Error> {
        match self {
            Change::Request(step) => step.apply(connection, at_ms).await,
            Change::Nothing => Ok(0),
            Change::Create(token) => insert(connection, token).await,
            Change::Revoke(id) => {
                let query = "UPDATE tokens SET revoked_ms = $1 WHERE id = $2 AND revoked_ms IS NULL";
                let done = sqlx::query(query).bind(at_ms).bind((*id).to_owned()).execute(connection).await?;
                Ok(done.rows_affected())
            }
        }
    }
}

async fn insert(connection: &mut AnyConnection, token: &Token) -> Result<u64, sqlx::Error> {
    let query = "INSERT INTO tokens (id, name, secret_hash, scopes, programs, sources, created_ms, created_by, expires_ms) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let done = sqlx::query(query)
        .bind(token.id.clone())
        .bind(token.name.clone())
        .bind(token.secret_hash.text())
        .bind(json_list(token.scopes.iter().map(|scope| scope.name())))
        .bind(json_list(token.programs.iter().map(String::as_str)))
        .bind(json_list(token.sources.iter().map(String::as_str)))
        .bind(token.created_ms)
        .bind(token.created_by.clone())
        .bind(token.expires_ms)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

impl Records {
    /// Makes a token of this secret, with its audit record.
    ///
    /// # Errors
    ///
    /// [`RecordsError`].
    pub async fn create_token(
        &self,
        wanted: Wanted,
        secret: &Secret,
        actor: &str,
        at_ms: i64,
    ) -> Result<(Token, Record), RecordsError> {
        let Wanted { name, scopes, programs, sources, expires_ms } = wanted;
        let token = Token {
            id: secret.id().to_owned(),
            name,
            secret_hash: SecretHash::of(secret.bytes()),
            scopes,
            programs,
            sources,
            created_ms: at_ms,
            created_by: actor.to_owned(),
            expires_ms,
            revoked_ms: None,
            last_used_ms: None,
        };
        let detail = serde_json::json!({
            "name": token.name,
            "scopes": token.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>(),
            "programs": token.programs,
            "sources": token.sources,
            "expires_ms": token.expires_ms,
        });
        let act = Act { at_ms, actor, action: "token.create", subject: &token.id, detail: detail.to_string() };
        let (record, _) = self.change(&Change::Create(&token), &act).await?;
        Ok((token, record))
    }

    /// Makes the first token of all, of [`Secret::first`], which may do everything. `false`: there is or was a token.
    ///
    /// # Errors
    ///
    /// [`RecordsError`].
    pub async fn create_first_token(&self, secret: &Secret, at_ms: i64) -> Result<bool, RecordsError> {
        if !self.tokens().await?.is_empty() {
            return Ok(false);
        }
        let all = vec![ALL.to_owned()];
        let wanted = Wanted {
            name: "first admin".to_owned(),
            scopes: vec![Scope::Admin],
            programs: all.clone(),
            sources: all,
            expires_ms: None,
        };
        match self.create_token(wanted, secret, "refguard", at_ms).await {
            Ok(_) => Ok(true),
            // Another instance was first.
            Err(RecordsError::Taken) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Revokes a token, with its audit record; `None`: there is none of this id that is not revoked.
    ///
    /// # Errors
    ///
    /// [`RecordsError`].
    pub async fn revoke_token(&self, id: &str, actor: &str, at_ms: i64) -> Result<Option<Record>, RecordsError> {
        if !self.tokens().await?.iter().any(|token| token.id == id && token.revoked_ms.is_none()) {
            return Ok(None);
        }
        let act = Act { at_ms, actor, action: "token.revoke", subject: id, detail: "{}".to_owned() };
        let (record, _) = self.change(&Change::Revoke(id), &act).await?;
        Ok(Some(record))
    }

    /// Every token, those that count no more too, by age.
    ///
    /// # Errors
    ///
    /// [`RecordsError`].
    pub async fn tokens(&self) -> Result<Vec<Token>, RecordsError> {
        let query = "SELECT id, name, secret_hash, scopes, programs, sources, created_ms, created_by, expires_ms, \
                     revoked_ms, last_used_ms FROM tokens ORDER BY created_ms, id";
        let rows = sqlx::query(query).fetch_all(&self.pool).await.map_err(RecordsError::Query)?;
        rows.iter().map(read).collect()
    }

    /// Notes when tokens were used last.
    ///
    /// # Errors
    ///
    /// [`RecordsError`].
    pub async fn note_used(&self, used: &[(String, i64)]) -> Result<(), RecordsError> {
        let query = "UPDATE tokens SET last_used_ms = $1 WHERE id = $2 AND (last_used_ms IS NULL OR last_used_ms < $1)";
        for (id, at_ms) in used {
            let done = sqlx::query(query).bind(*at_ms).bind(id.clone()).execute(&self.pool).await;
            done.map_err(RecordsError::Query)?;
        }
        Ok(())
    }
}

fn read(row: &sqlx::any::AnyRow) -> Result<Token, RecordsError> {
    let id: String = row.try_get("id").map_err(RecordsError::Query)?;
    let broken = |why: &str| RecordsError::Broken { what: format!("the token {id}"), why: why.to_owned() };
    let text = |column: &str| row.try_get::<String, _>(column).map_err(RecordsError::Query);
    let list = |column: &str| {
        serde_json::from_str::<Vec<String>>(&text(column)?).map_err(|_| broken(&format!("{column} is no list")))
    };
    let instant = |column: &str| row.try_get::<Option<i64>, _>(column).map_err(RecordsError::Query);
    // A scope that this version does not know allows nothing.
    let scopes = list("scopes")?.iter().filter_map(|name| name.parse().ok()).collect();
    Ok(Token {
        name: text("name")?,
        secret_hash: SecretHash::parse(&text("secret_hash")?).ok_or_else(|| broken("its hash is none"))?,
        scopes,
        programs: list("programs")?,
        sources: list("sources")?,
        created_ms: row.try_get("created_ms").map_err(RecordsError::Query)?,
        created_by: text("created_by")?,
        expires_ms: instant("expires_ms")?,
        revoked_ms: instant("revoked_ms")?,
        last_used_ms: instant("last_used_ms")?,
        id,
    })
}

fn json_list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    serde_json::json!(items.collect::<Vec<_>>()).to_string()
}
