//! What `backend: redis` asks of the rest of the configuration: addresses that can be read, and nothing that cannot be shared.

use super::sections::{Backend, Config, Quota, Redis};

/// How an address is written.
const URL_HINT: &str =
    "such as `redis://redis-1:6379`, or `rediss://redis-1:6379` with TLS; user and password have keys of their own";
/// The port where none is named.
const PORT: u16 = 6379;

/// An address in `state.redis.urls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisUrl {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether connections are encrypted.
    pub is_encrypted: bool,
}

impl RedisUrl {
    /// Reads one; `None`: it is none, or has what belongs elsewhere.
    pub fn read(text: &str) -> Option<RedisUrl> {
        let (rest, is_encrypted) = match (text.strip_prefix("redis://"), text.strip_prefix("rediss://")) {
            (Some(rest), _) => (rest, false),
            (_, Some(rest)) => (rest, true),
            _ => return None,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') => (host, port.parse().ok()?),
            _ => (rest, PORT),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
        (!host.is_empty() && host.bytes().all(fits) && port != 0).then(|| RedisUrl {
            host: host.to_owned(),
            port,
            is_encrypted,
        })
    }
}

/// A fault: the keys that lead to it, its code, what it is, and the next step.
pub(super) type Fault = (Vec<String>, &'static str, String, &'static str);

/// Everything that is wrong about it; nothing where the state is embedded, but for what cannot be read.
pub(super) fn faults(config: &Config) -> Vec<Fault> {
    let mut faults = unreachable(&["state", "redis"], &config.state.redis);
    if let Some(redis) = &config.decisions.redis {
        faults.extend(unreachable(&["decisions", "redis"], &redis.into()));
    }
    if config.state.backend == Backend::Redis {
        faults.extend(unshared(config));
    }
    faults
}

/// What is wrong about how servers are reached.
fn unreachable(path: &[&str], redis: &Redis) -> Vec<Fault> {
    let mut faults = Vec::new();
    let urls: Vec<Option<RedisUrl>> = redis.urls.iter().map(|url| RedisUrl::read(url)).collect();
    if urls.is_empty() || urls.contains(&None) {
        // The text is not told: somebody may have put a password into it.
        let message = "`urls` has something that is no address of a server".to_owned();
        faults.push((at(&[path, &["urls"]].concat()), "type", message, URL_HINT));
    } else if urls.iter().flatten().any(|url| url.is_encrypted) && urls.iter().flatten().any(|url| !url.is_encrypted) {
        let message = "`urls` mixes `redis` and `rediss`".to_owned();
        faults.push((at(&[path, &["urls"]].concat()), "type", message, "write the same for all of them"));
    }
    if redis.certificate.is_some() != redis.certificate_key.is_some() {
        let message = "`certificate` and `certificate_key` belong together".to_owned();
        faults.push((at(&[path, &["certificate"]].concat()), "missing-key", message, "write both, or none"));
    }
    if redis.password.is_some() && redis.password_file.is_some() {
        let message = "there are two passwords".to_owned();
        faults.push((at(&[path, &["password_file"]].concat()), "type", message, "write `password` or `password_file`"));
    }
    if redis.prefix.is_empty() || redis.prefix.contains(['{', '}']) || redis.prefix.len() > 64 {
        let message = "`prefix` must be a short text without braces".to_owned();
        faults.push((at(&[path, &["prefix"]].concat()), "type", message, "such as `refguard`"));
    }
    faults
}

fn at(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

/// What instances cannot share.
fn unshared(config: &Config) -> Vec<Fault> {
    const QUOTA_HINT: &str = "take the quota out, or write `state: {backend: embedded}`";
    let quota = |path: Vec<String>| {
        let message = "quotas count over one process, and cannot be shared by several".to_owned();
        (path, "not-shared", message, QUOTA_HINT)
    };
    let mut faults = Vec::new();
    for (name, program) in &config.programs {
        if program.quota != Quota::default() {
            faults.push(quota(vec!["programs".to_owned(), name.clone(), "quota".to_owned()]));
        }
    }
    if config.quota.unconfigured != Quota::default() {
        faults.push(quota(vec!["quota".to_owned(), "unconfigured".to_owned()]));
    }
    for (name, source) in &config.sources {
        if source.http.is_some() {
            let path = ["sources", name, "http"].map(str::to_owned).to_vec();
            let message = "the API answers over embedded state only".to_owned();
            faults.push((path, "not-shared", message, "take the source out, or write `state: {backend: embedded}`"));
        }
        if source.kafka.as_ref().is_some_and(|kafka| kafka.history.0 > 0) {
            let path = ["sources", name, "kafka", "history"].map(str::to_owned).to_vec();
            let message = "history is counted into embedded state only".to_owned();
            faults.push((
                path,
                "not-shared",
                message,
                "take it out: the features are complete once a whole window lies behind",
            ));
        }
    }
    let log = [
        (["sinks", "decisions"], config.sinks.decisions.is_some()),
        (["decisions", "redis"], config.decisions.redis.is_some()),
    ];
    for (path, _) in log.into_iter().filter(|(_, is_set)| *is_set) {
        let message = "the log of decisions has one order, and several instances have none".to_owned();
        let hint = "take it out, or write `state: {backend: embedded}`";
        faults.push((at(&path), "not-shared", message, hint));
    }
    let outlives = [("copies", config.state.copies.is_some()), ("journal_topic", config.state.journal_topic.is_some())];
    for (key, _) in outlives.into_iter().filter(|(_, is_set)| *is_set) {
        let message =
            format!("`{key}` is for embedded state: shared state is kept by Redis, and other instances go on with it");
        faults.push((
            at(&["state", key]),
            "not-shared",
            message,
            "take it out: docs/redis.md says how Redis keeps the state",
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_nothing_else() {
        let url = |host: &str, port, is_encrypted| Some(RedisUrl { host: host.to_owned(), port, is_encrypted });
        for (text, read) in [
            ("redis://localhost:7000", url("localhost", 7000, false)),
            ("rediss://redis-1.example/", url("redis-1.example", 6379, true)),
            ("redis://[::1]:6380", url("::1", 6380, false)),
            ("redis://user:secret@host:6379", None),
            ("http://localhost:6379", None),
            ("redis://host:port", None),
            ("redis://:6379", None),
            ("redis://host/1", None),
        ] {
            assert_eq!(RedisUrl::read(text), read, "{text}");
        }
    }
}
