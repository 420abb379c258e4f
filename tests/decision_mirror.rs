//! Decisions in a real Redis, alone and as a cluster: what is there is what stands, whatever is killed.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};
use support::http::{Served, configured, event};
use support::redis::{Cluster, Redis};
use support::until;

/// A daemon that writes decisions to these servers.
fn served(urls: &str) -> Served {
    let more = format!("decisions: {{heartbeat: 200ms, redis: {{urls: [{urls}], patience: 1s}}}}");
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path(), "{inbox: {http: {}}}", "{verdicts: {file: VERDICTS}}", &more);
    Served::of(folder, config)
}

/// Three accounts on each device, so that its referrer is held.
fn hold(served: &Served, program: &str, referrers: std::ops::Range<usize>) {
    let events: Vec<Value> = referrers
        .flat_map(|referrer| (0..3).map(move |account| (referrer, account)))
        .map(|(referrer, account)| {
            let data = json!({"program": program, "account_id": format!("a{referrer}-{account}"),
                "referrer_id": format!("r:{referrer}"), "device_id": format!("d{referrer}")});
            event(&format!("{program}-{referrer}-{account}"), "/shop", data)
        })
        .collect();
    for part in events.chunks(900) {
        assert_eq!(served.batch("/v1/events", part).status, 202);
    }
}

/// The records that a server holds, by key.
fn held(redis: &Redis) -> BTreeMap<String, Value> {
    let keys = redis.ask(&["KEYS", "refguard:decision:*:*:*"]);
    let get = |key: &str| (key.to_owned(), serde_json::from_str(&redis.ask(&["GET", key])).unwrap());
    keys.lines().filter(|key| !key.is_empty()).map(get).collect()
}

/// Whether servers hold what the daemon lists, and nothing else.
fn is_mirrored(served: &Served, servers: &[&Redis]) -> bool {
    let mut listed = BTreeMap::new();
    for program in ["default", "gold"] {
        let page = served.ask("GET", &format!("/v1/decisions?program={program}"), "").json();
        for subject in page["subjects"].as_array().unwrap() {
            let id = subject["id"].as_str().unwrap().replace(':', "%3A");
            let key = format!("refguard:decision:{{{program}}}:{}:{id}", subject["kind"].as_str().unwrap());
            listed.insert(key, (subject["verdict"].clone(), subject["causes"].clone()));
        }
    }
    let held: BTreeMap<String, Value> = servers.iter().flat_map(|server| held(server)).collect();
    let held: BTreeMap<String, (Value, Value)> =
        held.into_iter().map(|(key, record)| (key, (record["verdict"].clone(), record["causes"].clone()))).collect();
    held == listed
}

#[test]
fn what_stands_is_there_while_servers_and_the_daemon_are_killed() {
    let mut redis = Redis::start();
    // What nobody knows of goes; what is another's stays.
    redis.ask(&["SET", "refguard:decision:{default}:account:gone", "{}"]);
    redis.ask(&["SET", "other:decision:{default}:account:a", "{}"]);
    let mut served = served(&format!("\"{}\"", redis.url()));
    hold(&served, "default", 0..20);
    hold(&served, "gold", 0..5);
    assert!(until(|| is_mirrored(&served, &[&redis])), "{:?}", held(&redis));
    assert_eq!(held(&redis).len(), 25);
    assert_eq!(redis.ask(&["GET", "other:decision:{default}:account:a"]), "{}");
    // A hold of seven days goes by itself.
    let ttl_ms: i64 = redis.ask(&["PTTL", "refguard:decision:{default}:account:r%3A7"]).parse().unwrap();
    assert!((6 * 86_400_000..=7 * 86_400_000).contains(&ttl_ms), "{ttl_ms}");
    let mut reader = Command::new("python3");
    reader.args(["examples/follow_decisions.py", "redis", "--server", &format!("127.0.0.1:{}", redis.port)]);
    let read = reader.args(["gold", "account", "r:3"]).output().unwrap();
    let read: Value = serde_json::from_slice(&read.stdout).unwrap();
    assert_eq!((&read["id"], &read["verdict"]), (&json!("r:3"), &json!("hold")));

    for round in 1..4 {
        redis.kill();
        hold(&served, "default", 20 * round..20 * round + 20);
        assert!(until(|| served.metric("refguard_dependency_up{name=\"decisions.redis\"}") == Some(0.0)));
        if round == 2 {
            served.kill();
            served.restart();
        }
        redis.restart();
        assert!(until(|| is_mirrored(&served, &[&redis])), "round {round}");
    }
    served.kill();
    redis.ask(&["DEL", "refguard:decision:{gold}:account:r%3A3"]);
    served.restart();
    assert!(until(|| is_mirrored(&served, &[&redis])), "what was lost there is written again");
}

#[test]
fn who_comes_late_changes_nothing() {
    let redis = Redis::start();
    let mut served = served(&format!("\"{}\"", redis.url()));
    hold(&served, "default", 0..3);
    assert!(until(|| is_mirrored(&served, &[&redis])));
    served.stop();
    // Somebody was further: as long as this state is behind that, nothing is written over.
    redis.ask(&["SET", "refguard:decision:{default}", "1000000"]);
    redis.ask(&["SET", "refguard:decision:{default}:account:later", "{}"]);
    served.restart();
    hold(&served, "default", 3..6);
    let is_told = || {
        served.with(|daemon| daemon.told().iter().any(|line| line.contains("Redis is at change 1000000 of decisions")))
    };
    assert!(until(is_told), "it says why nothing is written");
    assert_eq!(held(&redis).len(), 4);
}

#[test]
fn a_cluster_has_each_program_on_one_node() {
    let cluster = Cluster::start();
    let served = served(&cluster.urls());
    hold(&served, "default", 0..300);
    hold(&served, "gold", 0..40);
    let primaries: Vec<&Redis> = cluster.primaries().into_iter().map(|at| &cluster.nodes[at]).collect();
    assert!(until(|| is_mirrored(&served, &primaries)));
    let all: usize = primaries.iter().map(|node| held(node).len()).sum();
    assert_eq!(all, 340);
}
