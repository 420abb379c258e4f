//! `refguard run` between two topics of a real broker.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use support::kafka::{Kafka, unique};
use support::kcat;
use support::program::{Daemon, answer_to, get, refguard};
use support::until;

/// How often verdicts are read before a test fails.
const READS_MAX: usize = 200;

/// A rule whose verdicts depend on the order of one account's events and on nothing of another's.
const RULES: &str = r#"
version: 1
pack: counted
features:
  logins_1h: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 1h}
rules:
  - id: many-logins
    on: [login.succeeded]
    when: logins_1h > 3
    score: 30
    message: "{event.account_id} has logged in {logins_1h} times"
"#;

/// Topics, a group and a folder for the configuration of one test.
struct Setting {
    folder: tempfile::TempDir,
    input: String,
    verdicts: String,
    dead: String,
    group: String,
}

impl Setting {
    fn new(kafka: &Kafka, partitions: i32) -> Setting {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("rules")).unwrap();
        fs::write(folder.path().join("rules/counted.yaml"), RULES).unwrap();
        let topic = |name, partitions| kafka.topic(name, partitions);
        let (input, verdicts, dead) = (topic("events", partitions), topic("verdicts", partitions), topic("dead", 1));
        Setting { folder, input, verdicts, dead, group: unique("group") }
    }

    fn rules(&self) -> PathBuf {
        self.folder.path().join("rules")
    }

    /// A daemon with a state of its own, ready; and where it can be asked.
    fn run(&self, kafka: &Kafka, name: &str) -> (Daemon, String) {
        let soon = "{session.timeout.ms: \"6000\", heartbeat.interval.ms: \"300\", reconnect.backoff.max.ms: \"500\"}";
        let source = format!(
            "{{kafka: {{brokers: [\"{}\"], topics: [{}], group: {}, properties: {soon}}}}}",
            kafka.address(),
            self.input,
            self.group,
        );
        self.run_with(kafka, name, &source)
    }

    fn run_with(&self, kafka: &Kafka, name: &str, source: &str) -> (Daemon, String) {
        let folder = self.folder.path();
        let text = format!(
            "sources: {{logins: {source}}}\n\
             sinks: {{verdicts: {{kafka: {{topic: {}, {cluster}}}}}, dead_letters: {{kafka: {{topic: {}, {cluster}}}}}}}\n\
             rules: {{path: {}}}\n\
             state: {{path: {}, key_file: {}}}\n\
             metrics: {{listen: \"127.0.0.1:0\"}}\n",
            self.verdicts,
            self.dead,
            self.rules().display(),
            folder.join(format!("{name}-state")).display(),
            folder.join(format!("{name}.key")).display(),
            cluster =
                format_args!("brokers: [\"{}\"], properties: {{reconnect.backoff.max.ms: \"500\"}}", kafka.address()),
        );
        let config = folder.join(format!("{name}.yaml"));
        fs::write(&config, text).unwrap();
        let mut daemon = Daemon::start(&config);
        let address = daemon.address();
        daemon.said("judging");
        (daemon, address)
    }
}

/// A minute ago: what is told of quiet partitions is the clock, so traffic of another day would be late.
#[expect(clippy::disallowed_methods, reason = "the broker's clock is this machine's")]
fn a_minute_ago_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond() - 60_000
}

/// A login, the `at`-th of its account.
fn login(account: &str, at: usize, start_ms: i64) -> Value {
    let time = jiff::Timestamp::from_millisecond(start_ms + at as i64 * 10).unwrap();
    json!({
        "specversion": "1.0", "id": format!("{account}-{at}"), "source": "/test", "type": "login.succeeded",
        "time": time.to_string(), "data": {"account_id": account, "channel": "app"},
    })
}

/// The sum of a metric's samples.
fn metric(address: &str, name: &str) -> u64 {
    let (status, text) = get(address, "/metrics");
    assert_eq!(status, 200);
    let samples = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
}

/// By id of the event: the lines of its verdicts, in order.
fn by_id(lines: impl Iterator<Item = String>) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        let verdict: Value = serde_json::from_str(&line).unwrap();
        found.entry(verdict["event_id"].as_str().unwrap().to_owned()).or_default().push(line);
    }
    found
}

fn eval(rules: &Path, events: &[Value]) -> BTreeMap<String, Vec<String>> {
    let mut command = refguard(&["eval", "--rules"]);
    command.arg(rules);
    let input: String = events.iter().map(|event| format!("{event}\n")).collect();
    let answer = answer_to(command, input.as_bytes());
    assert_eq!((answer.code, answer.err.as_str()), (Some(0), ""));
    by_id(std::str::from_utf8(&answer.out).unwrap().lines().map(str::to_owned))
}

/// The headers of an event in binary mode.
fn headers(event: &Value) -> Vec<OsString> {
    let member = |name: &str| OsString::from(format!("ce_{name}={}", event[name].as_str().unwrap()));
    let mut headers: Vec<OsString> = ["specversion", "id", "source", "type", "time"].map(member).into();
    headers.push(OsString::from("content-type=application/json"));
    headers
}

/// Two arrays into partition 2, with the header and without; one element of the second is no event.
fn produce_arrays(address: &str, topic: &str, events: &[Value]) {
    let array = |events: &[Value]| Value::from(events.to_vec()).to_string();
    let header = [OsString::from("content-type=application/cloudevents-batch+json")];
    kcat::produce_bytes(address, topic, 2, &header, array(&events[..3]).as_bytes());
    let mut second = events[3..].to_vec();
    second.insert(1, Value::from(5));
    kcat::produce_bytes(address, topic, 2, &[], array(&second).as_bytes());
}

#[test]
fn events_in_every_mode_get_the_verdicts_of_eval_and_broken_ones_a_dead_letter() {
    let kafka = Kafka::shared();
    let setting = Setting::new(kafka, 3);
    let (address, start_ms) = (kafka.address(), a_minute_ago_ms());
    let history = |account: &str| -> Vec<Value> { (0..6).map(|at| login(account, at, start_ms)).collect() };
    let mut events = Vec::new();

    // Structured, no header; the accounts interleaved, each keyed to one of the partitions.
    let accounts: Vec<String> = (0..20).map(|number| format!("account-{number}")).collect();
    let keyed: Vec<(String, Value)> =
        (0..6).flat_map(|at| accounts.iter().map(move |one| (one.clone(), login(one, at, start_ms)))).collect();
    let texts: Vec<(&str, String)> = keyed.iter().map(|(key, event)| (key.as_str(), event.to_string())).collect();
    let records: Vec<(&str, &str)> = texts.iter().map(|(key, text)| (*key, text.as_str())).collect();
    kcat::produce_keyed(&address, &setting.input, &records);
    events.extend(keyed.into_iter().map(|(_, event)| event));

    // Structured, and the header says so.
    let structured = history("structured");
    let texts: Vec<String> = structured.iter().map(Value::to_string).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    kcat::produce(&address, &setting.input, 0, &[OsStr::new("content-type=application/cloudevents+json")], &texts);
    events.extend(structured);

    // The envelope in headers; a record that is no event between the others.
    let broken = b"\xff\x00 no event\n";
    for (at, event) in history("binary").into_iter().enumerate() {
        if at == 3 {
            kcat::produce_bytes(&address, &setting.input, 1, &[], broken);
        }
        kcat::produce_bytes(&address, &setting.input, 1, &headers(&event), event["data"].to_string().as_bytes());
        events.push(event);
    }

    let batched = history("batched");
    produce_arrays(&address, &setting.input, &batched);
    events.extend(batched);

    let (daemon, metrics) = setting.run(kafka, "one");
    assert_eq!(get(&metrics, "/readyz"), (200, "ready\n".to_owned()));
    let records = kafka.consume(&setting.verdicts, events.len());
    let lines = records.iter().map(|record| String::from_utf8(record.payload.clone()).unwrap());
    assert_eq!(by_id(lines), eval(&setting.rules(), &events), "each the same, and once");

    let mut seen: BTreeMap<String, Vec<(i32, i64)>> = BTreeMap::new();
    for record in &records {
        let verdict: Value = serde_json::from_slice(&record.payload).unwrap();
        let (account, number) = verdict["event_id"].as_str().unwrap().rsplit_once('-').unwrap();
        assert_eq!(record.key.as_deref(), Some(account), "keyed by account");
        seen.entry(account.to_owned()).or_default().push((record.partition, number.parse().unwrap()));
    }
    for (account, places) in &seen {
        let in_order: Vec<(i32, i64)> = (0..6).map(|number| (places[0].0, number)).collect();
        assert_eq!(*places, in_order, "the verdicts on {account}: one partition, in order");
    }

    let letters: Vec<Value> =
        kafka.consume(&setting.dead, 2).iter().map(|letter| serde_json::from_slice(&letter.payload).unwrap()).collect();
    let inside = letters.iter().find(|letter| letter["reason"] == "wrong_type").unwrap();
    assert_eq!(inside["raw"], "5");
    let position = inside["position"].as_str().unwrap();
    assert!(position.starts_with(&format!("{}/2/", setting.input)) && position.ends_with(", event 2"), "{position}");
    let letter = letters.iter().find(|letter| letter["reason"] != "wrong_type").unwrap();
    use base64::Engine as _;
    assert_eq!(letter["reason"], "not_utf8");
    assert_eq!(letter["raw_base64"], base64::engine::general_purpose::STANDARD.encode(broken));
    assert_eq!(letter["source"], "logins");
    let position = letter["position"].as_str().unwrap();
    let offset = position.strip_prefix(&format!("{}/1/", setting.input)).unwrap_or_else(|| panic!("{position}"));
    assert!(offset.parse::<u64>().unwrap() >= 3, "{position}");
    assert_eq!(letters.len(), 2);

    let counted = || (metric(&metrics, "refguard_events_total"), metric(&metrics, "refguard_dead_letters_total"));
    let expected = (events.len() as u64, 2);
    assert!(until(|| counted() == expected), "counted: {:?}, expected: {expected:?}", counted());
    daemon.terminate();
    let (status, log) = daemon.ended();
    assert!(status.success(), "{log}");
    let committed: i64 = kafka.committed(&setting.group, &setting.input, 3).into_iter().flatten().sum();
    // Six events came in two records.
    assert_eq!(committed, events.len() as i64 - 6 + 2 + 1, "everything is committed at the end");
}

/// Traffic that is made while things happen, and remembers its ids.
struct Traffic {
    start_ms: i64,
    made: BTreeSet<String>,
}

impl Traffic {
    /// Some more events of some accounts.
    fn produce(&mut self, kafka: &Kafka, topic: &str, count: usize) {
        let first = self.made.len();
        let events: Vec<(String, Value)> = (first..first + count)
            .map(|number| {
                let account = format!("account-{}", number % 40);
                (account.clone(), login(&account, number, self.start_ms))
            })
            .collect();
        let texts: Vec<(&str, String)> = events.iter().map(|(key, event)| (key.as_str(), event.to_string())).collect();
        let records: Vec<(&str, &str)> = texts.iter().map(|(key, text)| (*key, text.as_str())).collect();
        kcat::produce_keyed(&kafka.address(), topic, &records);
        self.made.extend(events.iter().map(|(_, event)| event["id"].as_str().unwrap().to_owned()));
    }

    /// Waits until every event has a verdict.
    fn all_judged(&self, kafka: &Kafka, verdicts: &str) {
        let mut wanted = self.made.len();
        for _ in 0..READS_MAX {
            let records = kafka.consume(verdicts, wanted);
            let judged = by_id(records.iter().map(|record| String::from_utf8(record.payload.clone()).unwrap()));
            let missing = self.made.iter().filter(|id| !judged.contains_key(*id)).count();
            if missing == 0 {
                return;
            }
            wanted = records.len() + 1;
        }
        panic!("some events have no verdict");
    }
}

#[test]
fn a_broker_that_restarts_loses_nothing() {
    let mut kafka = Kafka::start();
    let setting = Setting::new(&kafka, 4);
    let mut traffic = Traffic { start_ms: a_minute_ago_ms(), made: BTreeSet::new() };
    let (daemon, _) = setting.run(&kafka, "one");
    traffic.produce(&kafka, &setting.input, 300);
    traffic.all_judged(&kafka, &setting.verdicts);
    kafka.stop();
    kafka.restart();
    traffic.produce(&kafka, &setting.input, 300);
    traffic.all_judged(&kafka, &setting.verdicts);
    daemon.terminate();
    let (status, log) = daemon.ended();
    assert!(status.success(), "{log}");
    let committed: i64 = kafka.committed(&setting.group, &setting.input, 4).into_iter().flatten().sum();
    assert_eq!(committed, traffic.made.len() as i64, "everything is committed at the end");
    assert_eq!(
        kafka.consume(&setting.verdicts, traffic.made.len()).len(),
        traffic.made.len(),
        "and nothing came twice"
    );
}

#[test]
fn a_signal_ends_a_run_whose_broker_is_away() {
    let mut kafka = Kafka::start();
    let setting = Setting::new(&kafka, 1);
    let (mut daemon, metrics) = setting.run_with(&kafka, "one", "{stdin: {}}");
    kafka.stop();
    let mut stdin = daemon.stdin();
    writeln!(stdin, "{}", login("account", 0, a_minute_ago_ms())).unwrap();
    let waiting = until(|| metric(&metrics, "refguard_events_total") == 1);
    assert!(waiting, "its verdict waits for the broker");
    let told = until(|| get(&metrics, "/readyz").1.contains("away: sinks.verdicts\n"));
    assert!(told, "and that is told");
    daemon.terminate();
    let (status, log) = daemon.ended();
    assert_eq!(status.code(), Some(3), "{log}");
    assert!(log.contains("error: the Kafka client cannot go on: delivering the last outputs"), "{log}");
    drop(stdin);
}
