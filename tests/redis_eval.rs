//! `refguard eval --redis`: over real servers, alone and as a cluster, the same bytes as in memory; and what is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "redis_eval/ageing.rs"]
mod ageing;
#[path = "redis_eval/contention.rs"]
mod contention;
#[path = "redis_eval/judge.rs"]
mod judge;
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::certificates;
use support::program::{Answer, answer, answer_to, refguard};
use support::redis::{Cluster, Redis};

/// A day of example traffic.
const EVENTS: &str = "examples/traffic.jsonl";

/// A folder with rules that can be shared, and a configuration that names these nodes.
struct Setting {
    folder: tempfile::TempDir,
}

impl Setting {
    fn new() -> Setting {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("rules");
        fs::create_dir_all(rules.join("lists")).unwrap();
        for entry in fs::read_dir("rules").unwrap().chain(fs::read_dir("rules/lists").unwrap()) {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::copy(&path, folder.path().join(&path)).unwrap();
            }
        }
        // Components are one graph of a program, and cannot be shared.
        fs::remove_file(rules.join("rings.yaml")).unwrap();
        Setting { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A configuration with this as `state.redis`, in batches of a size.
    fn config(&self, redis: &str, batch_events: usize) -> PathBuf {
        let path = self.path().join(format!("refguard-{batch_events}.yaml"));
        let text = format!(
            "sources: {{lines: {{stdin: {{}}}}}}\nrules: {{path: {}}}\nengine: {{batch_events: {batch_events}}}\n\
             state: {{backend: redis, path: {}, redis: {redis}}}\n",
            self.path().join("rules").display(),
            self.path().join("state").display(),
        );
        fs::write(&path, text).unwrap();
        path
    }

    fn eval(&self, config: &Path, redis: bool) -> Answer {
        let config = config.to_str().unwrap();
        let mut arguments = vec!["eval", "--config", config, "--allow-future"];
        arguments.extend(redis.then_some("--redis"));
        arguments.push(EVENTS);
        answer(&arguments)
    }
}

fn said(answer: &Answer) -> String {
    String::from_utf8(answer.out.clone()).unwrap()
}

#[test]
fn one_server_gives_the_bytes_of_memory_whatever_the_batch_size() {
    let (redis, setting) = (Redis::start(), Setting::new());
    let of = |size| setting.config(&format!("{{urls: [\"{}\"]}}", redis.url()), size);
    let embedded = setting.eval(&of(1000), false);
    assert_eq!(embedded.code, Some(0), "{}", embedded.err);
    assert!(embedded.out.len() > 100_000);
    for size in [1000, 7, 32] {
        let shared = setting.eval(&of(size), true);
        assert_eq!(shared.code, Some(0), "{}", shared.err);
        assert!(said(&shared) == said(&embedded), "batches of {size}");
    }
    assert_eq!(redis.keys(), 0, "what was of one run alone is gone");
}

#[test]
fn a_server_that_sorts_texts_as_people_do_gives_the_bytes_of_memory() {
    let (redis, setting) = (Redis::start_abroad(), Setting::new());
    let config = setting.config(&format!("{{urls: [\"{}\"]}}", redis.url()), 32);
    let (embedded, shared) = (setting.eval(&config, false), setting.eval(&config, true));
    assert_eq!(shared.code, Some(0), "{}", shared.err);
    assert!(said(&shared) == said(&embedded));
}

#[test]
fn two_primaries_that_are_no_cluster_are_refused_and_a_replica_is_passed_over() {
    let (one, other, setting) = (Redis::start(), Redis::start(), Setting::new());
    let config = setting.config(&format!("{{urls: [\"{}\", \"{}\"]}}", one.url(), other.url()), 1000);
    let refused = setting.eval(&config, true);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("are two primaries, and no cluster"), "{}", refused.err);
    one.ask(&["REPLICAOF", "127.0.0.1", &other.port.to_string()]);
    let answer = setting.eval(&config, true);
    assert_eq!(answer.code, Some(0), "{}", answer.err);
}

#[test]
fn a_cluster_gives_the_bytes_of_memory() {
    let (cluster, setting) = (Cluster::start(), Setting::new());
    let config = setting.config(&format!("{{urls: [{}]}}", cluster.urls()), 1000);
    let (embedded, shared) = (setting.eval(&config, false), setting.eval(&config, true));
    assert_eq!(shared.code, Some(0), "{}", shared.err);
    assert!(said(&shared) == said(&embedded));
}

#[test]
fn servers_that_may_forget_are_refused() {
    let setting = Setting::new();
    for (options, wrong, hint) in [
        (
            vec!["--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"],
            "maxmemory-policy is allkeys-lru",
            "noeviction",
        ),
        (vec!["--appendonly", "no"], "appendonly is off", "CONFIG SET appendonly yes"),
    ] {
        let redis = Redis::start_with(&options);
        let config = setting.config(&format!("{{urls: [\"{}\"]}}", redis.url()), 1000);
        let answer = setting.eval(&config, true);
        assert_eq!(answer.code, Some(2), "{}", answer.err);
        assert!(
            answer.err.contains(wrong) && answer.err.contains("hint: ") && answer.err.contains(hint),
            "{}",
            answer.err
        );
    }
}

#[test]
fn nobody_there_is_told_with_the_address() {
    let mut redis = Redis::start();
    let setting = Setting::new();
    let config = setting.config(&format!("{{urls: [\"{}\"]}}", redis.url()), 1000);
    redis.kill();
    let answer = setting.eval(&config, true);
    assert_eq!(answer.code, Some(3), "{}", answer.err);
    assert!(answer.err.contains(&format!("127.0.0.1:{}", redis.port)), "{}", answer.err);
}

#[test]
fn components_are_refused_by_name() {
    let redis = Redis::start();
    let setting = Setting::new();
    fs::copy("rules/rings.yaml", setting.path().join("rules/rings.yaml")).unwrap();
    let config = setting.config(&format!("{{urls: [\"{}\"]}}", redis.url()), 1000);
    let answer = setting.eval(&config, true);
    assert_eq!(answer.code, Some(1), "{}", answer.err);
    assert!(
        answer.err.contains("error[not-shared]: the component `ring_30d`") && answer.err.contains("hint: "),
        "{}",
        answer.err
    );
}

#[test]
fn users_have_the_rights_that_the_documentation_names() {
    let redis = Redis::start();
    redis.ask(&[
        "ACL",
        "SETUSER",
        "refguard",
        "on",
        ">secret-word",
        "~refguard*",
        "+info",
        "+cluster|slots",
        "+script|load",
        "+eval",
        "+evalsha",
        "+mget",
        "+hgetall",
        "+hget",
        "+hsetnx",
        "+hset",
        "+hincrby",
        "+get",
        "+getrange",
        "+set",
        "+del",
        "+unlink",
        "+sadd",
        "+smembers",
        "+scan",
        "+wait",
        "+pexpire",
    ]);
    redis.ask(&["ACL", "SETUSER", "default", "off"]);
    let setting = Setting::new();
    let password = setting.path().join("password");
    let with = |word: &str| {
        fs::write(&password, format!("{word}\n")).unwrap();
        let file = password.display();
        let config =
            setting.config(&format!("{{urls: [\"{}\"], user: refguard, password_file: {file}}}", redis.url()), 1000);
        (setting.eval(&config, true), setting.eval(&config, false))
    };
    let (shared, embedded) = with("secret-word");
    assert_eq!(shared.code, Some(0), "{}", shared.err);
    assert!(said(&shared) == said(&embedded));
    let (refused, _) = with("wrong-word");
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("state.redis.user") && !refused.err.contains("wrong-word"), "{}", refused.err);
    // A variable of the environment does as well as a file.
    let config = setting.config(&format!("{{urls: [\"{}\"], user: refguard}}", redis.url()), 1000);
    let mut command = refguard(&["eval", "--config", config.to_str().unwrap(), "--allow-future", "--redis", EVENTS]);
    command.env("REFGUARD_STATE__REDIS__PASSWORD", "secret-word");
    assert!(said(&answer_to(command, b"")) == said(&embedded));
}

#[test]
fn connections_are_encrypted_and_servers_must_be_trusted() {
    let setting = Setting::new();
    let folder = setting.path().join("certificates");
    fs::create_dir(&folder).unwrap();
    certificates::make(&folder);
    let file = |name: &str| folder.join(name).display().to_string();
    let (server, ca) = (file("server.pem"), file("ca.pem"));
    let redis = Redis::start_with(&[
        "--appendonly",
        "yes",
        "--port",
        "0",
        "--tls-port",
        "PORT",
        "--tls-cert-file",
        &server,
        "--tls-key-file",
        &server,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://127.0.0.1:{}", redis.port);
    let config = setting.config(&format!("{{urls: [\"{url}\"], authorities: {ca}}}"), 1000);
    let (shared, embedded) = (setting.eval(&config, true), setting.eval(&config, false));
    assert_eq!(shared.code, Some(0), "{}", shared.err);
    assert!(said(&shared) == said(&embedded));
    let config = setting.config(&format!("{{urls: [\"{url}\"]}}"), 1000);
    let untrusted = setting.eval(&config, true);
    assert_ne!(untrusted.code, Some(0));
    assert!(untrusted.err.contains("certificate"), "{}", untrusted.err);
}
