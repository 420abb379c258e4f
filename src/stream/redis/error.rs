//! What can go wrong with Redis: it is away, which passes, or it will not have us, which somebody must mend.

use redis::{ErrorKind, ServerErrorKind, Value};

use crate::state::Broken;
use crate::stream::StreamError;

/// Why the state cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    /// Nobody answers, or whoever does cannot serve now: the same may succeed later.
    #[error("Redis is away: {0}")]
    Away(String),
    /// It will not have us, or is not what the state needs.
    #[error("Redis cannot keep the state: {detail}")]
    Refused {
        /// What is wrong.
        detail: String,
        /// The next step.
        hint: String,
    },
}

impl RedisError {
    pub(super) fn refused(detail: impl Into<String>, hint: impl Into<String>) -> RedisError {
        RedisError::Refused { detail: detail.into(), hint: hint.into() }
    }

    /// An error of the client or of a server's answer. Neither holds a key, value or secret.
    pub(super) fn of(error: &redis::RedisError) -> RedisError {
        let said = || match (error.code(), error.detail()) {
            (Some(code), Some(detail)) => format!("{code} {detail}"),
            _ => error.to_string(),
        };
        match error.kind() {
            ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => RedisError::denied(said()),
            ErrorKind::InvalidClientConfig | ErrorKind::RESP3NotSupported => {
                RedisError::refused(said(), "check `state.redis`; Redis 6.2 or newer, or Valkey, is needed")
            }
            _ => match error.code() {
                Some("NOAUTH" | "WRONGPASS" | "NOPERM") => RedisError::denied(said()),
                Some("CROSSSLOT") => RedisError::refused(
                    format!("{}: something in front of it makes several servers look like one", said()),
                    "name nodes of the cluster itself in `state.redis.urls`, and turn its cluster mode on",
                ),
                Some("OOM") => RedisError::Away(format!(
                    "{}: it has no memory left, and waits until `maxmemory` is raised or nodes are added",
                    said()
                )),
                _ => RedisError::Away(said()),
            },
        }
    }

    fn denied(detail: String) -> RedisError {
        RedisError::refused(
            detail,
            "check `state.redis.user` and its password; docs/redis.md has the rights that the user needs",
        )
    }

    /// A record that nobody could have written.
    pub(super) fn broken(broken: Broken) -> RedisError {
        RedisError::refused(
            format!("a record is damaged: {broken}"),
            "something else writes keys below `state.redis.prefix`, or a newer refguard does: stop it, restore a backup of \
             Redis, or begin with an empty state under another prefix",
        )
    }
}

/// An answer that is no error.
pub(super) fn answered(value: Value) -> Result<Value, RedisError> {
    value.extract_error().map_err(|error| RedisError::of(&error))
}

impl From<RedisError> for StreamError {
    fn from(error: RedisError) -> StreamError {
        match error {
            RedisError::Away(detail) => StreamError::RedisAway { detail },
            RedisError::Refused { detail, hint } => StreamError::RedisRefused { detail, hint },
        }
    }
}
