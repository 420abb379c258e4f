//! `refguard run` over Redis, two instances in one group, killed again and again, and Redis too: a reader of committed records
//! sees one verdict for each event, and what is counted is what a recount gives.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

#[path = "support/random.rs"]
#[expect(dead_code, reason = "a part of it is used")]
mod random;

use std::collections::{BTreeMap, BTreeSet};
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

/// The message tells the count, so that the last verdict of a key tells what was counted. The last two windows do not know their
/// events: one keeps numbers by bucket, the other summarises.
const RULES: &str = r#"
version: 1
pack: counted
features:
  logins: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 24h}
  devices: {on: [login.succeeded], key: [event.device_id], aggregate: distinct, value: event.account_id, window: 24h}
  spent: {on: [login.succeeded], key: [event.device_id], aggregate: sum, value: event.amount_minor, window: 24h}
  by_bucket: {on: [login.succeeded], key: [event.device_id], aggregate: count, window: 24h, bucket: 1h}
  summarised: {on: [login.succeeded], key: [event.device_id], aggregate: count, window: 24h, max_entries: 16}
rules:
  - {id: told, on: [login.succeeded], when: logins > 0, score: 1, message: "{logins} {devices} {spent} {by_bucket} {summarised}"}
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
        // Readers of committed records wait for so long for what somebody has begun and did not live to commit.
        let open = "{transaction.timeout.ms: \"20000\"}";
        let soon = "{session.timeout.ms: \"6000\", heartbeat.interval.ms: \"300\", reconnect.backoff.max.ms: \"500\"}";
        let text = format!(
            "sources: {{mixed: {{kafka: {{brokers: [\"{address}\"], topics: [{input}], group: {group}, properties: {soon}}}}}}}\n\
             sinks: {{verdicts: {{kafka: {{topic: {verdicts}, properties: {open}}}}}}}\n\
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

/// How many events an account has, and accounts a device: so few of both that all instances write the same records.
const EVENTS_PER_ACCOUNT: usize = 150;
const ACCOUNTS_PER_DEVICE: u64 = 3;

/// How many accounts so many events are of.
fn accounts(events: usize) -> u64 {
    events.div_ceil(EVENTS_PER_ACCOUNT) as u64
}

/// Logins of the accounts on the devices.
fn events(random: &mut Random, count: usize) -> Vec<Value> {
    let (accounts, devices) = (accounts(count), accounts(count) / ACCOUNTS_PER_DEVICE);
    let mut next =
        |at: usize| event(format!("e{at}"), random.below(accounts), random.below(devices), 1 + random.below(9));
    (0..count).map(&mut next).collect()
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
    const OWN: u64 = 1_000_000;
    let count = accounts(all.len());
    let accounts = (0..count).map(|account| event(format!("account-{account}"), account, OWN + account, 1));
    let devices = 0..count / ACCOUNTS_PER_DEVICE;
    let devices = devices.map(|device| event(format!("device-{device}"), OWN + device, device, 1));
    let probes: Vec<Value> = accounts.chain(devices).collect();
    // Partitions are judged each at its own pace: what was sent before is judged first.
    verdicts(kafka, setting, all.len());
    produce(setting, &probes);
    let told = verdicts(kafka, setting, all.len() + probes.len());
    let mut logins: BTreeMap<&str, usize> = BTreeMap::new();
    let mut on_devices: BTreeMap<&str, (BTreeSet<&str>, u64, u64)> = BTreeMap::new();
    for event in all.iter().chain(&probes) {
        let data = &event["data"];
        let account = data["account_id"].as_str().unwrap();
        *logins.entry(account).or_default() += 1;
        let (accounts, spent, count) = on_devices.entry(data["device_id"].as_str().unwrap()).or_default();
        accounts.insert(account);
        *count += 1;
        *spent += data["amount_minor"].as_u64().unwrap();
    }
    for probe in &probes {
        let (id, data) = (probe["id"].as_str().unwrap(), &probe["data"]);
        let (accounts, spent, count) = &on_devices[data["device_id"].as_str().unwrap()];
        let expected =
            format!("{} {} {spent} {count} {count}", logins[data["account_id"].as_str().unwrap()], accounts.len());
        assert_eq!(told[id]["rules"][0]["message"], expected, "{id}");
    }
}

#[test]
fn two_instances_share_one_state() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    let setting = Setting::new(kafka, format!("urls: [\"{}\"]", redis.url()));
    let mut random = Random(1);
    let all = events(&mut random, 6000);
    produce(&setting, &all[..3000]);
    let mut one = Daemon::start(&setting.config("one"));
    one.said("judging");
    let mut other = Daemon::start(&setting.config("other"));
    let address = other.address();
    other.said("judging");
    let has_partitions = || get(&address, "/metrics").1.contains("refguard_source_lag_events{source=\"mixed\"}");
    assert!(until(has_partitions), "the group gives the second instance some partitions");
    produce(&setting, &all[3000..5000]);
    verdicts(kafka, &setting, 5000);
    // The first has its partitions back, and goes on where the second has committed.
    assert_ends(other);
    produce(&setting, &all[5000..]);
    assert_recounted(kafka, &setting, &all);
    assert_ends(one);
}

fn assert_ends(daemon: Daemon) {
    daemon.terminate();
    let (status, log) = daemon.ended();
    assert!(status.success(), "{log}");
}

#[test]
fn whoever_wakes_up_without_its_partitions_tells_nothing_of_them() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    let setting = Setting::new(kafka, format!("urls: [\"{}\"]", redis.url()));
    let mut random = Random(3);
    let all = events(&mut random, 6000);
    let mut zombie = Daemon::start(&setting.config("zombie"));
    zombie.said("judging");
    produce(&setting, &all[..3000]);
    // It is in the middle of it.
    kafka.consume(&setting.verdicts, 500);
    zombie.signal("STOP");
    let mut heir = Daemon::start(&setting.config("heir"));
    heir.said("judging");
    produce(&setting, &all[3000..]);
    verdicts(kafka, &setting, 6000);
    zombie.signal("CONT");
    assert_recounted(kafka, &setting, &all);
    zombie.kill();
    assert_ends(heir);
}

#[test]
fn a_state_that_was_emptied_is_noticed() {
    let (kafka, mut redis) = (Kafka::shared(), Redis::start());
    let setting = Setting::new(kafka, format!("urls: [\"{}\"]", redis.url()));
    let mut random = Random(4);
    let all = events(&mut random, 600);
    produce(&setting, &all[..300]);
    let mut daemon = Daemon::start(&setting.config("one"));
    daemon.said("judging");
    verdicts(kafka, &setting, 300);
    redis.ask(&["FLUSHALL"]);
    redis.kill();
    redis.restart();
    produce(&setting, &all[300..]);
    let (status, log) = daemon.ended();
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("is not the one that this instance began with"), "{log}");
    let (status, log) = Daemon::start(&setting.config("one")).ended();
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("the state knows nothing of it") && log.contains("--accept-empty-state"), "{log}");
}

#[test]
fn nothing_is_told_before_replicas_have_it() {
    let (kafka, cluster) = (Kafka::shared(), Cluster::start());
    let setting = Setting::new(kafka, format!("urls: [{}], replicas: 1", cluster.urls()));
    let mut random = Random(5);
    let all = events(&mut random, 600);
    let mut daemon = Daemon::start(&setting.config("one"));
    daemon.said("judging");
    produce(&setting, &all[..300]);
    verdicts(kafka, &setting, 300);
    let primaries = cluster.primaries();
    let replicas = || cluster.nodes.iter().enumerate().filter(|(at, _)| !primaries.contains(at));
    replicas().for_each(|(_, node)| node.signal("STOP"));
    produce(&setting, &all[300..]);
    pass(1500);
    let told = kafka.consume(&setting.verdicts, 300).len();
    replicas().for_each(|(_, node)| node.signal("CONT"));
    assert_eq!(told, 300, "nothing left while replicas lacked it");
    assert_recounted(kafka, &setting, &all);
    assert_ends(daemon);
}

/// Kills, and events.
const FEW: (usize, usize) = (8, 9000);

/// Kills of instances and of servers, in between of all of which every event gets its verdict once.
fn killed_again_and_again(redis: String, (kills, events_in_all): (usize, usize), mut servers: impl FnMut(usize)) {
    let kafka = Kafka::start();
    let setting = Setting::new(&kafka, redis);
    let mut random = Random(7);
    let all = events(&mut random, events_in_all);
    let mut parts = all.chunks(events_in_all.div_ceil(kills + 1));
    let mut steady = Daemon::start(&setting.config("steady"));
    steady.said("judging");
    for kill in 0..kills {
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
    [steady, last].into_iter().for_each(assert_ends);
}

#[test]
fn kills_of_instances_and_of_redis_lose_and_double_nothing() {
    let mut redis = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    killed_again_and_again(format!("urls: [\"{}\"]", redis.url()), FEW, |kill| {
        if kill % 2 == 1 {
            redis.kill();
            pass(700);
            redis.restart();
        }
    });
}

#[test]
fn failovers_of_a_cluster_lose_and_double_nothing() {
    with_failovers(FEW);
}

/// `make soak`.
#[test]
#[ignore = "takes the better part of an hour"]
fn soak_with_failovers_of_a_cluster() {
    with_failovers((50, 1_000_000));
}

fn with_failovers(extent: (usize, usize)) {
    let mut cluster = Cluster::start();
    let mut random = Random(11);
    killed_again_and_again(format!("urls: [{}], replicas: 1", cluster.urls()), extent, |_| {
        let primaries = cluster.primaries();
        let killed = primaries[random.below(primaries.len() as u64) as usize];
        cluster.nodes[killed].kill();
        cluster.primaries();
        // It finds that another has its slots, and follows that one.
        cluster.nodes[killed].restart();
        cluster.primaries();
    });
}
