//! Why records cannot be read or written, grouped by who can mend it.

use std::io;
use std::path::PathBuf;

/// A fault of the database of records.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// No database that is known. The operator's to mend.
    #[error("records.url: {name} is no address of SQLite or PostgreSQL")]
    Url {
        /// The address, without user and password.
        name: String,
    },
    /// SQLite's file cannot be made or opened. The operator's to mend.
    #[error("cannot open the records in {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The database does not answer, or refuses.
    #[error("cannot open the records in {name}: {source}")]
    Open {
        /// The address, without user and password.
        name: String,
        /// What it says.
        source: sqlx::Error,
    },
    /// Its tables are not those of this version.
    #[error("cannot bring the tables of {name} up to date: {source}")]
    Migrate {
        /// The address, without user and password.
        name: String,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
    /// A query failed.
    #[error("the records cannot be reached: {0}")]
    Query(sqlx::Error),
    /// The name of what was to be made belongs to something else.
    #[error("there is one of this name already")]
    Taken,
    /// A record is not what was written.
    #[error("{what} cannot be read: {why}")]
    Broken {
        /// The record.
        what: String,
        /// What is wrong.
        why: String,
    },
}

impl RecordsError {
    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            RecordsError::Url { .. } => "write `sqlite:` and a path, or `postgres://USER:PASSWORD@HOST/DATABASE`",
            RecordsError::File { .. } => {
                "the folder must exist or be makeable, and belong to the user that refguard runs as"
            }
            RecordsError::Open { .. } | RecordsError::Query(_) => {
                "see that the database of `records.url` runs, has room, and lets this user in"
            }
            RecordsError::Migrate { source: sqlx::migrate::MigrateError::VersionMissing(_), .. } => {
                "a newer refguard has been here: run that one, or restore the database from a copy of before"
            }
            RecordsError::Migrate { .. } => {
                "restore the database from a copy, or give the user the right to make tables"
            }
            RecordsError::Taken => "choose another name",
            RecordsError::Broken { .. } => {
                "somebody wrote into the database: restore it from a copy, and see `refguard audit verify`"
            }
        }
    }
}
