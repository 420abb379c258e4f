//! `refguard run` over Redis, two instances in one group, killed again and again, and Redis too: a reader of committed records
//! sees one verdict for each event, and what is counted is what a recount gives.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

#[path = "support/random.rs"]
#[expect(dead_code, reason = "a part of it is used")]
mod random;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use random::Random;
use serde_json::{Value, json};
use support::kafka::{Kafka, unique};
use support::program::{Daemon, get};
use support::redis::{Cluster, Redis};
use support::{kcat, until};

/// The message tells the count, so that the last verdict of a key tells what was counted.
const RULES: &str = r#"
version: 1
pack: counted
features:
  logins: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 24h}
  devices: {on: [login.succeeded], key: [event.device_id], aggregate: distinct, value: event.account_id, window: 24h}
  spent: {on: [login.succeeded], key: [event.device_id], aggregate: sum, value: event.amount_minor, window: 24h}
rules:
  - {id: told, on: [login.succeeded], when: logins > 0, score: 1, message: "{logins} {devices} {spent}"}
"#;

struct Setting {
    folder: tempfile::TempDir,
    address: String,
    input: String,
    verdicts: String,
    group: String,
    /// As the configuration has it.
    redis: String,
}

impl Setting {
    fn new(kafka: &Kafka, redis: String) -> Setting {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("rules")).unwrap();
        fs::write(folder.path().join("rules/counted.yaml"), RULES).unwrap();
        let (input, verdicts) = (kafka.topic("events", 4), kafka.topic("verdicts", 1));
        Setting { folder, address: kafka.address(), input, verdicts, group: unique("group"), redis }
    }

    /// The configuration of an instance.
    fn config(&self, instance: &str) -> PathBuf {
        let folder = self.folder.path();
        let Setting { address, input, verdicts, group, redis, .. } = self;
        let soon = "{session.timeout.ms: \"6000\", heartbeat.interval.ms: \"300\", reconnect.backoff.max.ms: \"500\"}";
        let text = format!(
            "sources: {{mixed: {{kafka: {{brokers: [\"{address}\"], topics: [{input}], group: {group}, properties: {soon}}}}}}}\n\
             sinks: {{verdicts: {{kafka: {{topic: {verdicts}}}}}}}\n\
             rules: {{path: {}, settle: 50ms}}\n\
             state: {{backend: redis, path: {}, key_file: {}, redis: {{{redis}, patience: 1s}}}}\n\
             engine: {{commit_interval: 20ms}}\n\
             metrics: {{listen: \"127.0.0.1:0\"}}\n",
            folder.join("rules").display(),
            folder.join(instance).display(),
            folder.join("key").display(),
        );
        let path = folder.join(format!("{instance}.yaml"));
        fs::write(&path, text).unwrap();
        path
    }
}

/// One instant for all events: in whichever order they are judged, the last of a key sees all of them. It is that of the test,
/// since quiet partitions take the clock for their time.
#[expect(clippy::disallowed_methods, reason = "the daemon's clock is this machine's")]
fn now() -> &'static str {
    static NOW: OnceLock<String> = OnceLock::new();
    NOW.get_or_init(|| jiff::Timestamp::now().to_string())
}

/// A login of an account on a device.
fn event(id: String, account: u64, device: u64, amount: u64) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/s", "type": "login.succeeded", "time": now(),
        "data": {"account_id": format!("a{account}"), "device_id": format!("d{device}"), "amount_minor": amount},
    })
}

const ACCOUNTS: u64 = 60;
const DEVICES: u64 = 20;

/// Logins of a few accounts on a few devices, so that all instances write the same records.
fn events(random: &mut Random, from: usize, count: usize) -> Vec<Value> {
    let mut next =
        |at: usize| event(format!("e{at}"), random.below(ACCOUNTS), random.below(DEVICES), 1 + random.below(9));
    (from..from + count).map(&mut next).collect()
}

fn produce(setting: &Setting, events: &[Value]) {
    let texts: Vec<String> = events.iter().map(Value::to_string).collect();
    let keys: Vec<&str> = events.iter().map(|event| event["data"]["account_id"].as_str().unwrap()).collect();
    let records: Vec<(&str, &str)> = keys.into_iter().zip(texts.iter().map(String::as_str)).collect();
    kcat::produce_keyed(&setting.address, &setting.input, &records);
}

/// The verdicts on so many events, as a reader of committed records sees them: each event has one, and no repeat.
fn verdicts(kafka: &Kafka, setting: &Setting, events: usize) -> BTreeMap<String, Value> {
    let mut seen = BTreeMap::new();
    for record in kafka.consume(&setting.verdicts, events) {
        let verdict: Value = serde_json::from_slice(&record.payload).unwrap();
        assert_eq!(verdict["duplicate"], Value::Null, "{verdict}");
        let id = verdict["event_id"].as_str().unwrap().to_owned();
        if let Some(first) = seen.insert(id, verdict.clone()) {
            panic!("an event has two verdicts: {first} and {verdict}");
        }
    }
    assert_eq!(seen.len(), events);
    seen
}

/// Lets so much time pass.
fn pass(ms: u64) {
    let (_open, nothing) = std::sync::mpsc::channel::<()>();
    nothing.recv_timeout(Duration::from_millis(ms)).unwrap_err();
}

/// After everything, one more login of each account on a device of its own, and of an own account on each device: what is told
/// then is what a recount over all events gives.
fn assert_recounted(kafka: &Kafka, setting: &Setting, all: &[Value]) {
    let accounts = (0..ACCOUNTS).map(|account| event(format!("account-{account}"), account, 1000 + account, 1));
    let devices = (0..DEVICES).map(|device| event(format!("device-{device}"), 1000 + device, device, 1));
    let probes: Vec<Value> = accounts.chain(devices).collect();
    // Partitions are judged each at its own pace: what was sent before is judged first.
    verdicts(kafka, setting, all.len());
    produce(setting, &probes);
    let told = verdicts(kafka, setting, all.len() + probes.len());
    let of =
        |name: &str, value: &str| -> Vec<&Value> { all.iter().filter(|event| event["data"][name] == value).collect() };
    for probe in &probes {
        let id = probe["id"].as_str().unwrap();
        let (account, device) = (&probe["data"]["account_id"], &probe["data"]["device_id"]);
        let logins = of("account_id", account.as_str().unwrap()).len() + 1;
        let on_device = of("device_id", device.as_str().unwrap());
        let mut accounts: Vec<&str> = on_device.iter().map(|of| of["data"]["account_id"].as_str().unwrap()).collect();
        accounts.sort_unstable();
        accounts.dedup();
        let spent: u64 = on_device.iter().map(|of| of["data"]["amount_minor"].as_u64().unwrap()).sum::<u64>() + 1;
        let expected = format!("{logins} {} {spent}", accounts.len() + 1);
        assert_eq!(told[id]["rules"][0]["message"], expected, "{id}");
    }
}

#[test]
fn two_instances_share_one_state() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    let setting = Setting::new(kafka, format!("urls: [\"{}\"]", redis.url()));
    let mut random = Random(1);
    let all = events(&mut random, 0, 6000);
    produce(&setting, &all[..3000]);
    let mut one = Daemon::start(&setting.config("one"));
    one.said("judging");
    let mut other = Daemon::start(&setting.config("other"));
    let address = other.address();
    other.said("judging");
    let has_partitions = || get(&address, "/metrics").1.contains("refguard_source_lag_events{source=\"mixed\"}");
    assert!(until(has_partitions), "the group gives the second instance some partitions");
    produce(&setting, &all[3000..]);
    assert_recounted(kafka, &setting, &all);
    for daemon in [one, other] {
        daemon.terminate();
        let (status, log) = daemon.ended();
        assert!(status.success(), "{log}");
    }
}

/// Kills of instances and of servers, in between of all of which every event gets its verdict once.
fn killed_again_and_again(redis: String, mut servers: impl FnMut(usize)) {
    const KILLS: usize = 8;
    let kafka = Kafka::start();
    let setting = Setting::new(&kafka, redis);
    let mut random = Random(7);
    let all = events(&mut random, 0, 9000);
    let mut parts = all.chunks(9000_usize.div_ceil(KILLS + 1));
    let mut steady = Daemon::start(&setting.config("steady"));
    steady.said("judging");
    for kill in 0..KILLS {
        produce(&setting, parts.next().unwrap_or_default());
        let mut daemon = Daemon::start(&setting.config("killed"));
        daemon.said("judging");
        pass(random.below(1500));
        servers(kill);
        pass(random.below(1500));
        daemon.kill();
    }
    parts.for_each(|part| produce(&setting, part));
    let last = Daemon::start(&setting.config("killed"));
    assert_recounted(&kafka, &setting, &all);
    for daemon in [steady, last] {
        daemon.terminate();
        let (status, log) = daemon.ended();
        assert!(status.success(), "{log}");
    }
}

#[test]
fn kills_of_instances_and_of_redis_lose_and_double_nothing() {
    let mut redis = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    killed_again_and_again(format!("urls: [\"{}\"]", redis.url()), |kill| {
        if kill % 2 == 1 {
            redis.kill();
            pass(700);
            redis.restart();
        }
    });
}

#[test]
fn failovers_of_a_cluster_lose_and_double_nothing() {
    let mut cluster = Cluster::start();
    let mut random = Random(11);
    killed_again_and_again(format!("urls: [{}], replicas: 1", cluster.urls()), |_| {
        let primaries = cluster.primaries();
        let killed = primaries[random.below(primaries.len() as u64) as usize];
        cluster.nodes[killed].kill();
        cluster.primaries();
        // It finds that another has its slots, and follows that one.
        cluster.nodes[killed].restart();
        cluster.primaries();
    });
}
