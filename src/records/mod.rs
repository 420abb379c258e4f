//! Records that outlive everything, because people ask for them: tokens of the API, requests that wait for a second person, and the
//! audit trail. In SQL.
//!
//! SQLite in a file of its own by default, PostgreSQL where several instances share them; one text of migrations and of
//! queries serves both, and so do the tests. It knows SQL and no HTTP; the clock and random bytes come from whoever calls. Invariants: whatever
//! changes something writes its audit record in the same transaction; a secret is never stored, only its hash. Tested in
//! `tests/records.rs`, with a real PostgreSQL server.

pub mod audit;
mod error;
pub mod requests;
pub mod token;
mod tokens;

pub use error::RecordsError;

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyPool, Executor as _};

use self::audit::{Act, Record};
use self::tokens::Change;

/// The migrations, in order. One that was released is never changed: what was applied is compared by its checksum.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "tokens and audit", include_str!("migrations/0001_tokens_and_audit.sql")),
    (2, "requests", include_str!("migrations/0002_requests.sql")),
];
/// How long a connection is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections to PostgreSQL. SQLite has one writer at a time in any case.
const CONNECTIONS_MAX: u32 = 8;
/// How often a change is tried whose number in the audit trail another instance took first.
const TRIES_MAX: usize = 32;

/// An open database of records.
#[derive(Clone, Debug)]
pub struct Records {
    pool: AnyPool,
    /// How a transaction begins that will write.
    begin: &'static str,
}

impl Records {
    /// Opens a database, makes it if it is SQLite's and does not exist, and brings its tables up to date.
    ///
    /// # Errors
    ///
    /// [`RecordsError`].
    pub async fn open(url: &str) -> Result<Records, RecordsError> {
        sqlx::any::install_default_drivers();
        let name = shown(url);
        let failed = |source| RecordsError::Open { name: name.clone(), source };
        let is_sqlite = url.starts_with("sqlite:");
        if !is_sqlite && !url.starts_with("postgres:") && !url.starts_with("postgresql:") {
            return Err(RecordsError::Url { name });
        }
        let url = if is_sqlite { sqlite_url(url)? } else { url.to_owned() };
        let options: AnyConnectOptions = url.parse().map_err(failed)?;
        let mut pool = AnyPoolOptions::new().acquire_timeout(PATIENCE).max_connections(CONNECTIONS_MAX);
        if is_sqlite {
            // Readers see a whole state while one writes, and what was committed survives a power cut.
            const PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000";
            pool = pool.max_connections(1);
            pool = pool
                .after_connect(|connection, _| Box::pin(async move { connection.execute(PRAGMAS).await.map(drop) }));
        }
        let pool = pool.connect_with(options).await.map_err(failed)?;
        migrator().run(&pool).await.map_err(|source| RecordsError::Migrate { name, source })?;
        // SQLite's would otherwise begin as a reader's, and fail at once where another has written meanwhile.
        let begin = if is_sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
        Ok(Records { pool, begin })
    }

    /// Whether the database answers.
    pub async fn is_reachable(&self) -> bool {
        sqlx::query("SELECT 1").execute(&self.pool).await.is_ok()
    }

    /// Writes an audit record of something that changed nothing here.
    ///
    /// # Errors
    ///
    /// [`RecordsError`].
    pub async fn note(&self, act: &Act<'_>) -> Result<Record, RecordsError> {
        let (record, _) = self.change(&Change::Nothing, act).await?;
        Ok(record)
    }

    /// Ends the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Changes something and writes its audit record, both or neither. Answers the record, and how many rows were changed.
    async fn change(&self, change: &Change<'_>, act: &Act<'_>) -> Result<(Record, u64), RecordsError> {
        let mut tries = 1;
        loop {
            match self.try_change(change, act).await {
                Err(sqlx::Error::Database(error)) if error.is_unique_violation() && tries < TRIES_MAX => {
                    if change.is_taken(&*error) {
                        return Err(RecordsError::Taken);
                    }
                    tries += 1;
                }
                ended => return ended.map_err(RecordsError::Query),
            }
        }
    }

    async fn try_change(&self, change: &Change<'_>, act: &Act<'_>) -> Result<(Record, u64), sqlx::Error> {
        let mut transaction = self.pool.begin_with(self.begin).await?;
        let rows = change.apply(&mut transaction, act.at_ms).await?;
        let record = audit::append(&mut transaction, act).await?;
        transaction.commit().await?;
        Ok((record, rows))
    }
}

fn migrator() -> Migrator {
    let migration = |&(version, description, sql): &(i64, &'static str, &'static str)| {
        Migration::new(version, Cow::Borrowed(description), MigrationType::Simple, Cow::Borrowed(sql), false)
    };
    Migrator { migrations: MIGRATIONS.iter().map(migration).collect(), ..Migrator::DEFAULT }
}

/// The address of SQLite's file, which is made if it is not there, with its folder, for nobody else to read.
fn sqlite_url(url: &str) -> Result<String, RecordsError> {
    let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
    let made = folder.map_or(Ok(()), std::fs::create_dir_all).and_then(|()| {
        use std::os::unix::fs::OpenOptionsExt as _;
        std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop)
    });
    made.map_err(|source| RecordsError::File { path: path.into(), source })?;
    Ok(format!("sqlite:{path}?{query}"))
}

/// An address as it may be shown: without user and password.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let rest = rest.split_once('?').map_or(rest, |(path, _)| path);
    format!("{scheme}:{}", rest.trim_start_matches("//"))
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn an_address_is_shown_without_its_password() {
        assert_eq!(shown("postgres://me:secret@db:5432/refguard?sslmode=require"), "postgres:db:5432/refguard");
        assert_eq!(shown("sqlite:data/refguard.db"), "sqlite:data/refguard.db");
        assert_eq!(shown("sqlite:data/refguard.db?password=x"), "sqlite:data/refguard.db");
    }
}
