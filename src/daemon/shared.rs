//! From the configuration to state that instances share: where it is, and who we are there.

use std::path::Path;

use super::config::{Config, DecisionsRedis, Redis, RedisUrl};
use crate::engine::{EngineOptions, Quota};
use crate::ruleset::program::RuleSet;
use crate::stream::StreamError;
use crate::stream::redis::{ClientCertificate, RedisOptions, TlsOptions};

/// How the state in Redis is reached; reads the files that the configuration names.
///
/// # Errors
///
/// [`StreamError::Open`], [`StreamError::RedisRefused`].
pub fn options(config: &Config) -> Result<RedisOptions, StreamError> {
    options_of(&config.state.redis)
}

/// How the servers are reached that have the decisions.
///
/// # Errors
///
/// As [`options`].
pub fn decisions_options(redis: &DecisionsRedis) -> Result<RedisOptions, StreamError> {
    options_of(&redis.into())
}

fn options_of(redis: &Redis) -> Result<RedisOptions, StreamError> {
    // Checked when the configuration was read.
    let urls: Vec<RedisUrl> = redis.urls.iter().filter_map(|url| RedisUrl::read(url)).collect();
    let read = |path: &Path| std::fs::read(path).map_err(|source| StreamError::open(path, source));
    let password = match (&redis.password, &redis.password_file) {
        (Some(password), _) => Some(password.clone()),
        (None, Some(path)) => {
            let text = String::from_utf8(read(path)?).map_err(|_| StreamError::RedisRefused {
                detail: format!("{} is no text", path.display()),
                hint: "write the password into it, on one line".to_owned(),
            })?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        (None, None) => None,
    };
    let client = match (&redis.certificate, &redis.certificate_key) {
        (Some(chain), Some(key)) => Some(ClientCertificate { chain: read(chain)?, key: read(key)? }),
        _ => None,
    };
    let authorities = redis.authorities.as_deref().map(read).transpose()?;
    let tls = urls.iter().any(|url| url.is_encrypted).then_some(TlsOptions { authorities, client });
    Ok(RedisOptions {
        nodes: urls.into_iter().map(|url| (url.host, url.port)).collect(),
        user: redis.user.clone(),
        password,
        tls,
        prefix: redis.prefix.clone(),
        shards: u16::try_from(redis.shards.0).unwrap_or(u16::MAX),
        replicas: u16::try_from(redis.replicas.0).unwrap_or(u16::MAX),
        patience: std::time::Duration::from_millis(redis.patience.0.unsigned_abs()),
        spare_ms: redis.spare.0,
        temporary: false,
    })
}

/// The same for a state of its own, which goes at the end; what a crash leaves of it goes by the servers' clock.
///
/// # Errors
///
/// As [`options`].
pub fn temporary_options(config: &Config) -> Result<RedisOptions, StreamError> {
    const HOUR_MS: i64 = 3_600_000;
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| StreamError::RedisRefused {
        detail: format!("the system has no random bytes: {error}"),
        hint: "check /dev/urandom".to_owned(),
    })?;
    let options = options(config)?;
    let prefix = format!("{}-{:016x}", options.prefix, u64::from_le_bytes(random));
    Ok(RedisOptions { prefix, spare_ms: HOUR_MS, temporary: true, ..options })
}

/// The options of an engine that keeps nothing by itself: what bounds its own memory bounds nothing there.
pub fn engine_options(options: EngineOptions) -> EngineOptions {
    let mut policy = options.policy;
    policy.unnamed_quota = Quota::default();
    EngineOptions { state_max_bytes: usize::MAX, policy, ..options }
}

/// Refuses rules that instances cannot share.
///
/// # Errors
///
/// [`StreamError::RedisRefused`].
pub fn check_rules(rules: &RuleSet) -> Result<(), StreamError> {
    let names: Vec<&str> = rules.unshareable().collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(StreamError::RedisRefused {
        detail: format!("the rules have components, which are one graph and cannot be shared: {}", names.join(", ")),
        hint: "switch the packs with these features off (docs/packs.md), or write `state: {backend: embedded}`"
            .to_owned(),
    })
}
