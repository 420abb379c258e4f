//! Alerts from outside: `eval --alerts`, and `run` with its alerts in a file or a topic of a real broker.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::kafka::{Kafka, unique};
use support::kcat;
use support::program::{Answer, Daemon, ROOT, answer, get, refguard};
use support::until;

const TRAFFIC: &str = "examples/traffic.jsonl";

const RULES: &str = "\
version: 1
pack: alerting
features:
  logins_1h: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 1h}
rules:
  - {id: many-logins, on: [login.succeeded], when: logins_1h > 3, action: flag, severity: high, message: '{logins_1h} logins'}
  - {id: other, on: [login.succeeded], when: logins_1h > 4, score: 30, group_by: [event.channel]}
";

/// A folder with rules, and the rest of a daemon's configuration.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        fs::create_dir(place.at("rules")).unwrap();
        fs::write(place.at("rules/alerting.yaml"), RULES).unwrap();
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap()
    }

    /// Writes the configuration; verdicts and dead letters go to files.
    fn configure(&self, source: &str, alerts: &str) -> PathBuf {
        let at = |name: &str| self.at(name).display().to_string();
        let text = format!(
            "sources: {{logins: {source}}}\n\
             sinks: {{verdicts: {{file: {}}}, dead_letters: {{file: {}}}, alerts: {alerts}}}\n\
             rules: {{path: {}, settle: 1s}}\n\
             state: {{path: {}, key_file: {}}}\n\
             metrics: {{listen: \"127.0.0.1:0\"}}\n",
            at("verdicts.jsonl"),
            at("dead.jsonl"),
            at("rules"),
            at("state"),
            at("state.key"),
        );
        let path = self.at("refguard.yaml");
        fs::write(&path, text).unwrap();
        path
    }

    /// The alerts of these events, by `eval`.
    fn eval(&self, events: &[Value]) -> Vec<String> {
        let input: String = events.iter().map(|event| format!("{event}\n")).collect();
        fs::write(self.at("events.jsonl"), input).unwrap();
        let mut command = refguard(&["eval", "--rules"]);
        command.arg(self.at("rules")).arg("--alerts").arg(self.at("eval.jsonl")).arg(self.at("events.jsonl"));
        let answer = support::program::answer_to(command, b"");
        assert_eq!(answer.code, Some(0), "{}", answer.err);
        self.text("eval.jsonl").lines().map(str::to_owned).collect()
    }
}

/// A minute ago: what is told of quiet partitions is the clock.
#[expect(clippy::disallowed_methods, reason = "the broker's clock is this machine's")]
fn a_minute_ago_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond() - 60_000
}

fn login(account: &str, at: usize, start_ms: i64) -> Value {
    let time = jiff::Timestamp::from_millisecond(start_ms + at as i64 * 10).unwrap();
    json!({
        "specversion": "1.0", "id": format!("{account}-{at}"), "source": "/test", "type": "login.succeeded",
        "time": time.to_string(), "data": {"account_id": account, "channel": "app"},
    })
}

fn done(answer: &Answer) {
    assert_eq!(answer.code, Some(0), "{}", answer.err);
}

fn metric(address: &str, name: &str) -> Option<f64> {
    let page = get(address, "/metrics").1;
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("refguard_{name} ")));
    line.map(|value| value.parse().unwrap())
}

/// By alert: its last record.
fn last_records<'l>(lines: impl Iterator<Item = &'l str>) -> BTreeMap<String, Value> {
    let record = |line| {
        let record: Value = serde_json::from_str(line).unwrap();
        (record["id"].as_str().unwrap().to_owned(), record)
    };
    lines.map(record).collect()
}

#[test]
fn the_example_day_has_alerts_that_follow_from_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let with = |name: &str, batch: &str| {
        let mut command = refguard(&["eval", "--alerts", &file(name), TRAFFIC]);
        command.env("REFGUARD_ENGINE__BATCH_EVENTS", batch);
        let ended = support::program::answer_to(command, b"");
        done(&ended);
        (ended.out, fs::read_to_string(file(name)).unwrap())
    };
    let (verdicts, alerts) = with("one.jsonl", "1024");
    assert!(verdicts == answer(&["eval", TRAFFIC]).out, "alerts change no verdict");
    for batch in ["1", "7", "1000"] {
        assert!(with("two.jsonl", batch).1 == alerts, "batches of {batch}");
    }
    let last = last_records(alerts.lines());
    assert!(last.len() > 5, "{} alerts", last.len());

    // Every alert counts the verdicts that name its rule, and nobody else.
    let mut alerted: BTreeMap<&str, u64> = BTreeMap::new();
    for record in last.values() {
        *alerted.entry(record["rule"].as_str().unwrap()).or_default() += record["count"].as_u64().unwrap();
    }
    let mut acted: BTreeMap<String, u64> = BTreeMap::new();
    for line in std::str::from_utf8(&verdicts).unwrap().lines() {
        let verdict: Value = serde_json::from_str(line).unwrap();
        let rules = verdict["rules"].as_array().unwrap().iter();
        for rule in
            rules.filter(|rule| rule["kind"] == "fraud" && rule["action"].is_string() && rule["mode"] == "enforce")
        {
            if verdict["duplicate"] != true {
                *acted.entry(rule["id"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
    }
    assert!(!acted.is_empty());
    for (rule, matches) in &acted {
        assert_eq!(alerted.get(rule.as_str()), Some(matches), "{rule}");
    }

    let config = folder.path().join("refguard.yaml");
    let text = format!(
        "sources: {{day: {{file: {ROOT}/{TRAFFIC}}}}}\n\
         sinks: {{verdicts: {{file: {}}}, dead_letters: {{file: {}}}, alerts: {{file: {}}}}}\n\
         state: {{path: {}, key_file: {}}}\nmetrics: {{listen: \"127.0.0.1:0\"}}\n",
        file("verdicts.jsonl"),
        file("dead.jsonl"),
        file("run.jsonl"),
        file("state"),
        file("state.key"),
    );
    fs::write(&config, text).unwrap();
    let (status, log) = Daemon::start(&config).ended();
    assert!(status.success(), "{log}");
    assert!(fs::read_to_string(file("run.jsonl")).unwrap() == alerts, "`run` says what `eval` says");
}

#[test]
fn a_full_disk_for_alerts_is_told() {
    let place = Place::new();
    let start_ms = a_minute_ago_ms();
    let events: Vec<Value> = (0..6).map(|at| login("a", at, start_ms)).collect();
    assert_eq!(place.eval(&events).len(), 5, "three of one, the last of them at the end, and two of the other");
    let mut command = refguard(&["eval", "--alerts", "/dev/full", "--rules"]);
    command.arg(place.at("rules")).arg(place.at("events.jsonl"));
    let ended = support::program::answer_to(command, b"");
    assert_eq!(ended.code, Some(3));
    assert!(ended.err.contains("error: cannot write to /dev/full: "), "{}", ended.err);

    let source = format!("{{file: {}}}", place.at("events.jsonl").display());
    let (status, log) = Daemon::start(&place.configure(&source, "{file: /dev/full}")).ended();
    assert_eq!(status.code(), Some(3), "{log}");
    assert!(log.contains("error: cannot write to /dev/full: "), "{log}");
}

#[test]
fn a_reload_closes_what_its_rules_left_and_metrics_tell() {
    let place = Place::new();
    let alerts = place.at("alerts.jsonl").display().to_string();
    let mut daemon = Daemon::start(&place.configure("{stdin: {}}", &format!("{{file: {alerts}}}")));
    let mut events = daemon.stdin();
    let address = daemon.address();
    daemon.said("judging");
    assert_eq!(metric(&address, "alerts_open{severity=\"high\"}"), Some(0.0));
    let start_ms = a_minute_ago_ms();
    let mut tell = |at: usize| {
        writeln!(events, "{}", login("a", at, start_ms)).unwrap();
        events.flush().unwrap();
        let written = || place.text("verdicts.jsonl").lines().count() == at + 1;
        assert!(until(|| place.at("verdicts.jsonl").exists() && written()));
    };
    (0..6).for_each(&mut tell);
    let shown =
        |name: &str, value: f64| assert!(until(|| metric(&address, name) == Some(value)), "{name} is not {value}");
    shown("alerts_open{severity=\"high\"}", 1.0);
    shown("alerts_open{severity=\"medium\"}", 1.0);
    shown("alert_events_total{outcome=\"joined\"}", 3.0);
    shown("alert_records_total{change=\"opened\"}", 2.0);

    let without = RULES.lines().filter(|line| !line.contains("id: many-logins")).collect::<Vec<_>>().join("\n");
    fs::write(place.at("rules/alerting.yaml"), without + "\n").unwrap();
    daemon.said("new rules are in force");
    tell(6);
    shown("alerts_open{severity=\"high\"}", 0.0);
    shown("alerts_closed_total{cause=\"rule_removed\"}", 1.0);
    daemon.terminate();
    let (status, log) = daemon.ended();
    assert!(status.success(), "{log}");
    let text = place.text("alerts.jsonl");
    let last = last_records(text.lines());
    let mut said: Vec<(&str, &str, u64)> = last
        .values()
        .map(|record| {
            (record["rule"].as_str().unwrap(), record["state"].as_str().unwrap(), record["count"].as_u64().unwrap())
        })
        .collect();
    said.sort_unstable();
    assert_eq!(said, [("many-logins", "closed", 3), ("other", "open", 3)], "what waits at the end is told");
}

/// A source in a topic.
fn topic_source(kafka: &Kafka, topic: &str, group: &str) -> String {
    let soon = "{session.timeout.ms: \"6000\", heartbeat.interval.ms: \"300\", reconnect.backoff.max.ms: \"500\"}";
    let address = kafka.address();
    format!("{{kafka: {{brokers: [\"{address}\"], topics: [{topic}], group: {group}, properties: {soon}}}}}")
}

fn topic_sink(kafka: &Kafka, topic: &str) -> String {
    let soon = "{reconnect.backoff.max.ms: \"500\"}";
    format!("{{kafka: {{topic: {topic}, brokers: [\"{}\"], properties: {soon}}}}}", kafka.address())
}

fn produce(kafka: &Kafka, topic: &str, events: &[Value]) {
    let texts: Vec<String> = events.iter().map(Value::to_string).collect();
    kcat::produce(&kafka.address(), topic, 0, &[], &texts.iter().map(String::as_str).collect::<Vec<_>>());
}

fn committed(kafka: &Kafka, group: &str, topic: &str) -> i64 {
    kafka.committed(group, topic, 1).into_iter().flatten().sum()
}

#[test]
fn records_in_a_topic_are_those_of_eval_keyed_by_alert() {
    let kafka = Kafka::shared();
    let place = Place::new();
    let (input, alerts, group) = (kafka.topic("events", 1), kafka.topic("alerts", 3), unique("group"));
    let start_ms = a_minute_ago_ms();
    let events: Vec<Value> =
        (0..10).flat_map(|at| (0..20).map(move |account| login(&format!("a{account}"), at, start_ms))).collect();
    produce(kafka, &input, &events);
    let expected = place.eval(&events);
    let config = place.configure(&topic_source(kafka, &input, &group), &topic_sink(kafka, &alerts));
    let mut daemon = Daemon::start(&config);
    daemon.said("judging");
    let all = events.len() as i64;
    assert!(until(|| committed(kafka, &group, &input) == all), "everything is committed");
    daemon.terminate();
    let (status, log) = daemon.ended();
    assert!(status.success(), "{log}");

    // What waits to be told at the end of the log, `eval` tells there, and a run keeps.
    let (expected, waiting) = expected.split_at(expected.len() - 21);
    let ids: BTreeSet<String> =
        waiting.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].to_string()).collect();
    assert!(ids.len() == 21 && waiting.iter().all(|line| line.contains(r#""change":"grown""#)), "all of them grew");
    let mut by_alert: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in expected {
        let record: Value = serde_json::from_str(line).unwrap();
        by_alert.entry(record["id"].as_str().unwrap().to_owned()).or_default().push(line.clone());
    }
    assert_eq!(by_alert.len(), 21);
    let mut found: BTreeMap<String, (i32, Vec<String>)> = BTreeMap::new();
    for record in kafka.consume(&alerts, expected.len()) {
        let (partition, lines) = found.entry(record.key.unwrap()).or_insert((record.partition, Vec::new()));
        assert_eq!(*partition, record.partition, "the records of an alert are in one partition");
        lines.push(String::from_utf8(record.payload).unwrap());
    }
    let found: BTreeMap<String, Vec<String>> = found.into_iter().map(|(id, (_, lines))| (id, lines)).collect();
    assert_eq!(found, by_alert, "each in order, and once");
}

#[test]
fn nothing_is_committed_before_its_alerts_are_delivered() {
    let kafka = Kafka::shared();
    let mut away = Kafka::start();
    let place = Place::new();
    let (input, alerts, group) = (kafka.topic("events", 1), away.topic("alerts", 1), unique("group"));
    let config = place.configure(&topic_source(kafka, &input, &group), &topic_sink(&away, &alerts));
    let start_ms = a_minute_ago_ms();
    let logins = |from: usize, to: usize| (from..to).map(|at| login("a", at, start_ms)).collect::<Vec<_>>();

    let mut daemon = Daemon::start(&config);
    let address = daemon.address();
    daemon.said("judging");
    produce(kafka, &input, &logins(0, 4));
    assert!(until(|| committed(kafka, &group, &input) == 4), "its alert is delivered");
    away.kill();
    // Two records that wait for the broker.
    produce(kafka, &input, &logins(4, 5));
    assert!(until(|| metric(&address, "alert_records_total{change=\"opened\"}") == Some(2.0)));
    assert_eq!(place.text("verdicts.jsonl").lines().count(), 5, "the verdicts are safe");
    let told = until(|| get(&address, "/readyz").1.contains("away: sinks.alerts\n"));
    assert!(told, "and it is told what is away");
    assert_eq!(committed(kafka, &group, &input), 4);
    daemon.kill();
    assert_eq!(committed(kafka, &group, &input), 4);

    away.restart();
    let mut daemon = Daemon::start(&config);
    daemon.said("judging");
    produce(kafka, &input, &logins(5, 9));
    assert!(until(|| committed(kafka, &group, &input) == 9));
    daemon.terminate();
    assert!(daemon.ended().0.success());
    // As if nothing had happened: what was judged before is known, and its alerts go on.
    let said = |line: &[u8]| -> Value { serde_json::from_slice(line).unwrap() };
    let told = place.eval(&logins(0, 9));
    // At the end of the log `eval` tells the last growth of both, which a run keeps.
    let mut expected: Vec<Value> = told[..told.len() - 2].iter().map(|line| said(line.as_bytes())).collect();
    let records = away.consume(&alerts, expected.len());
    let mut records: Vec<Value> = records.iter().map(|record| said(&record.payload)).collect();
    let order = |record: &Value| (record["id"].to_string(), record["count"].as_u64());
    expected.sort_by_key(order);
    records.sort_by_key(order);
    assert_eq!(records, expected);
}

#[test]
fn the_schema_of_alerts_is_printed() {
    let ended = answer(&["schema", "alert"]);
    done(&ended);
    let schema: Value = serde_json::from_slice(&ended.out).unwrap();
    assert_eq!(schema, refguard::daemon::schemas::alert());
    let page = fs::read_to_string(Path::new(ROOT).join("docs/alerts.md")).unwrap();
    for member in schema["properties"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("`{member}`")), "docs/alerts.md says nothing of `{member}`");
    }
}
