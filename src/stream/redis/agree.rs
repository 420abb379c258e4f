//! What engines that share a state agree on before they judge: that the servers keep it, whose it is, and what tables are
//! called in its records.

use redis::Value;
use sha2::{Digest, Sha256};

use super::RedisOptions;
use super::error::RedisError;
use super::nodes::section;
use super::script;
use super::store::Store;
use super::wire::{bytes, list, text};
use crate::engine::{Engine, SharedTable, Terms};
use crate::event::SubjectKind;

/// The layout of keys and records: another one is not read.
const LAYOUT: &str = "2";
/// What there is once.
const ABOUT: &str = "about";
const TABLES: &str = "tables";
const SUBJECTS: &str = "subjects";

/// Refuses servers that may lose what they were given.
pub(super) fn check_servers(store: &mut Store) -> Result<(), RedisError> {
    for node in 0..store.nodes.len() {
        let address = store.nodes.address(node);
        let memory = section(&mut store.nodes, node, b"memory")?;
        let policy = memory.get("maxmemory_policy").map_or("unknown", String::as_str);
        if policy != "noeviction" {
            return Err(RedisError::refused(
                format!("{address}: maxmemory-policy is {policy}, so it may forget what is still needed"),
                "on every node: `CONFIG SET maxmemory-policy noeviction`, and the same in redis.conf",
            ));
        }
        let persistence = section(&mut store.nodes, node, b"persistence")?;
        if persistence.get("aof_enabled").map(String::as_str) != Some("1") {
            return Err(RedisError::refused(
                format!("{address}: appendonly is off, so a restart loses the state"),
                "on every node: `CONFIG SET appendonly yes`, and the same in redis.conf",
            ));
        }
    }
    Ok(())
}

/// Refuses a state of another key, another layout or other shards; a state that is not there begins so. Answers what it is
/// known by: no two that began by themselves have the same.
pub(super) fn check_state(store: &mut Store, key_check: u128, options: &RedisOptions) -> Result<String, RedisError> {
    let random = getrandom::u64().map_err(|error| {
        RedisError::refused(format!("the system has no random bytes: {error}"), "check /dev/urandom")
    })?;
    store.ask_once(b"HSETNX", ABOUT, &[b"identity", format!("{random:016x}").as_bytes()])?;
    let key = format!("{key_check:032x}");
    let shards = options.shards.to_string();
    let wanted = [("layout", LAYOUT), ("key", key.as_str()), ("shards", shards.as_str())];
    for (name, value) in wanted {
        store.ask_once(b"HSETNX", ABOUT, &[name.as_bytes(), value.as_bytes()])?;
    }
    for (name, value) in wanted {
        let found = text(store.ask_once(b"HGET", ABOUT, &[name.as_bytes()])?)?;
        if found == value {
            continue;
        }
        let prefix = &options.prefix;
        return Err(match name {
            "layout" => RedisError::refused(
                format!("the state below `{prefix}` has layout {found}, and this version knows {value}"),
                "use the version of refguard that wrote it, or begin with an empty state under another `state.redis.prefix`",
            ),
            "key" => RedisError::refused(
                format!("the state below `{prefix}` was made under another key"),
                "put the key that it was made under into `state.key_file`, or use another `state.redis.prefix`",
            ),
            _ => RedisError::refused(
                format!("the state below `{prefix}` has {found} shards a program, and `state.redis.shards` is {value}"),
                format!("write `shards: {found}`: it cannot be changed later"),
            ),
        });
    }
    text(store.ask_once(b"HGET", ABOUT, &[b"identity"])?)
}

/// Gives the tables of an engine their numbers, and it the terms.
pub(super) fn share(store: &mut Store, engine: &mut Engine, latest_ms: Option<i64>) -> Result<(), RedisError> {
    let tables = engine.shared_tables();
    let since = latest_ms.map_or_else(|| "-".to_owned(), |latest_ms| latest_ms.saturating_add(1).to_string());
    let names: Vec<Vec<u8>> = tables.iter().map(called).collect();
    let arguments: Vec<&[u8]> = names.iter().flat_map(|name| [name.as_slice(), since.as_bytes()]).collect();
    let said = list(store.write_once(script::TABLES, TABLES, &arguments)?)?;
    let mut terms = Terms::default();
    for of in said {
        let of = text(of)?;
        let (number, since) = of.split_once(' ').unwrap_or((&of, "-"));
        let broken = || {
            RedisError::refused(
                "the numbers of its tables are damaged",
                "something else writes keys below `state.redis.prefix`",
            )
        };
        terms.sections.push(number.parse().map_err(|_| broken())?);
        terms.since_ms.push(if since == "-" { None } else { Some(since.parse().map_err(|_| broken())?) });
    }
    terms.since_ms.truncate(engine.rules().features.len());
    let kinds = engine.rules().decided_subjects();
    let decided: Vec<&[u8]> = kinds.iter().map(|kind| kind.name().as_bytes()).collect();
    if !decided.is_empty() {
        store.ask_once(b"SADD", SUBJECTS, &decided)?;
    }
    let known = list(store.ask_once(b"SMEMBERS", SUBJECTS, &[])?)?;
    let known = known.into_iter().map(text).collect::<Result<Vec<String>, RedisError>>()?;
    terms.subjects = SubjectKind::ALL.iter().copied().filter(|kind| known.iter().any(|of| of == kind.name())).collect();
    terms.started_ms = started(store.ask_once(b"HGET", ABOUT, &[b"started"])?)?;
    engine.share(terms);
    Ok(())
}

/// Agrees on the first event time that was ever taken in.
pub(super) fn start(store: &mut Store, first_ms: i64) -> Result<Option<i64>, RedisError> {
    store.ask_once(b"HSETNX", ABOUT, &[b"started", first_ms.to_string().as_bytes()])?;
    started(store.ask_once(b"HGET", ABOUT, &[b"started"])?)
}

fn started(value: Value) -> Result<Option<i64>, RedisError> {
    let text = bytes(value)?.and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(text.and_then(|text| text.parse().ok()))
}

/// What a table goes by among all that were ever known.
fn called(table: &SharedTable) -> Vec<u8> {
    let mut name = format!("{} ", table.name);
    for byte in &Sha256::digest(&table.definition)[..16] {
        name.push_str(&format!("{byte:02x}"));
    }
    name.into_bytes()
}
