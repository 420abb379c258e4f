//! The audit trail: who did what, each record chained to the one before it by a hash.
//!
//! Whoever changes, drops or inserts a record must make every later one anew, and the newest hash stands in the log of the
//! daemon and in whatever noted it. A record whose actor is a token names it by its id.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use sqlx::{AnyConnection, Row as _};

use super::{Records, RecordsError};

/// What the first record is chained to.
pub const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What was done, before it has a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act<'a> {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who: `token:ID`, or `refguard` itself.
    pub actor: &'a str,
    /// What, such as `token.create`.
    pub action: &'a str,
    /// To what.
    pub subject: &'a str,
    /// The rest, as an object of JSON.
    pub detail: String,
}

/// A record of the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number, from 1, without gaps.
    pub number: i64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub subject: String,
    /// The rest, as an object of JSON.
    pub detail: String,
    /// The hash of the record before it.
    pub previous: String,
    /// SHA-256 of all the others: see [`Record::expected_hash`].
    pub hash: String,
}

impl Record {
    /// The hash that a record with these values has: SHA-256, in hex, of the JSON array of the number, the time, the actor,
    /// the action, the subject, the detail and the hash before it, without spaces.
    pub fn expected_hash(&self) -> String {
        let Record { number, at_ms, actor, action, subject, detail, previous, hash: _ } = self;
        let hashed = serde_json::json!([number, at_ms, actor, action, subject, detail, previous]).to_string();
        let mut hex = String::with_capacity(64);
        for byte in Sha256::digest(hashed) {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}

/// Where a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokenChain {
    /// A number is missing, or stands twice.
    #[error("record {expected} is missing: {found} follows the one before it")]
    Missing {
        /// The number that should be there.
        expected: i64,
        /// The number that is.
        found: i64,
    },
    /// It does not follow the one before it.
    #[error("record {0} does not follow the one before it")]
    NotChained(i64),
    /// It was changed.
    #[error("record {0} is not what was written")]
    Changed(i64),
}

/// Follows the chain, record by record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The number of the newest record.
    pub number: i64,
    /// Its hash.
    pub hash: String,
}

impl Default for Chain {
    fn default() -> Chain {
        Chain { number: 0, hash: BEGINNING.to_owned() }
    }
}

impl Chain {
    /// Takes the next record.
    ///
    /// # Errors
    ///
    /// [`BrokenChain`].
    pub fn follow(&mut self, record: &Record) -> Result<(), BrokenChain> {
        if record.number != self.number + 1 {
            return Err(BrokenChain::Missing { expected: self.number + 1, found: record.number });
        }
        if record.expected_hash() != record.hash {
            return Err(BrokenChain::Changed(record.number));
        }
        if record.previous != self.hash {
            return Err(BrokenChain::NotChained(record.number));
        }
        (self.number, self.hash) = (record.number, record.hash.clone());
        Ok(())
    }
}

/// Adds a record behind the newest one. Who takes the same number at the same time fails, and tries again.
pub(super) async fn append(connection: &mut AnyConnection, act: &Act<'_>) -> Result<Record, sqlx::Error> {
    let newest = "SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1";
    let newest = sqlx::query(newest).fetch_optional(&mut *connection).await?;
    let chain = match newest {
        Some(row) => Chain { number: row.try_get("number")?, hash: row.try_get("hash")? },
        None => Chain::default(),
    };
    let mut record = Record {
        number: chain.number + 1,
        at_ms: act.at_ms,
        actor: act.actor.to_owned(),
        action: act.action.to_owned(),
        subject: act.subject.to_owned(),
        detail: act.detail.clone(),
        previous: chain.hash,
        hash: String::new(),
    };
    record.hash = record.expected_hash();
    let query = "INSERT INTO audit (number, at_ms, actor, action, subject, detail, previous, hash) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    sqlx::query(query)
        .bind(record.number)
        .bind(record.at_ms)
        .bind(record.actor.clone())
        .bind(record.action.clone())
        .bind(record.subject.clone())
        .bind(record.detail.clone())
        .bind(record.previous.clone())
        .bind(record.hash.clone())
        .execute(connection)
        .await?;
    Ok(record)
}

impl Records {
    /// The records behind a number, oldest first, at most so many.
    ///
    /// # Errors
    ///
    /// [`RecordsError`].
    pub async fn audit(&self, behind: i64, count: i64) -> Result<Vec<Record>, RecordsError> {
        let query = "SELECT number, at_ms, actor, action, subject, detail, previous, hash FROM audit \
                     WHERE number > $1 ORDER BY number LIMIT $2";
        let rows = sqlx::query(query).bind(behind).bind(count).fetch_all(&self.pool).await;
        let read = |row: sqlx::any::AnyRow| {
            Ok(Record {
                number: row.try_get("number")?,
                at_ms: row.try_get("at_ms")?,
                actor: row.try_get("actor")?,
                action: row.try_get("action")?,
                subject: row.try_get("subject")?,
                detail: row.try_get("detail")?,
                previous: row.try_get("previous")?,
                hash: row.try_get("hash")?,
            })
        };
        let records: Result<Vec<Record>, sqlx::Error> = rows.and_then(|rows| rows.into_iter().map(read).collect());
        records.map_err(RecordsError::Query)
    }
}
