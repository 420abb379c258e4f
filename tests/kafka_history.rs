//! History of a topic of a real broker: counted at a start without state, and into features that a reload brings.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use support::kafka::{Kafka, unique};
use support::kcat;
use support::program::Daemon;

/// Tells how many logins an account had, and whether the feature has seen a whole window.
fn pack(window: &str) -> String {
    format!(
        "version: 1\npack: counted\nfeatures:\n  logins: {{on: [login.succeeded], key: [event.account_id], aggregate: count, window: {window}}}\n\
         rules:\n  - {{id: counted, on: [login.succeeded], when: logins > 0, score: 1, message: '{{logins}} of {{event.account_id}}'}}\n  \
         - {{id: whole, on: [login.succeeded], when: complete(logins), score: 1}}\n"
    )
}

/// Topics, a group and a folder.
struct Setting {
    folder: tempfile::TempDir,
    kafka: &'static Kafka,
    input: String,
    verdicts: String,
    group: String,
    /// Verdicts so far.
    told: usize,
    now_ms: i64,
}

impl Setting {
    #[expect(clippy::disallowed_methods, reason = "the broker's clock is this machine's")]
    fn new(partitions: i32) -> Setting {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("rules")).unwrap();
        let kafka = Kafka::shared();
        let (input, verdicts, group) = (kafka.topic("events", partitions), kafka.topic("verdicts", 1), unique("group"));
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let setting = Setting { folder, kafka, input, verdicts, group, told: 0, now_ms };
        setting.write(&pack("1h"));
        setting
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, pack: &str) {
        fs::write(self.at("rules/counted.yaml"), pack).unwrap();
    }

    /// A daemon with a state of its own.
    fn run(&self, name: &str, history: &str, arguments: &[&str]) -> Daemon {
        let address = self.kafka.address();
        let at = |path: String| self.at(&path).display().to_string();
        let text = format!(
            "sources: {{logins: {{kafka: {{brokers: [\"{address}\"], topics: [{}], group: {}, history: {history}, properties: {{session.timeout.ms: \"2000\", heartbeat.interval.ms: \"300\"}}}}}}}}\n\
             sinks: {{verdicts: {{kafka: {{topic: {}}}}}}}\n\
             rules: {{path: {}, settle: 200ms}}\n\
             state: {{path: {}, key_file: {}}}\n\
             metrics: {{listen: \"127.0.0.1:0\"}}\n",
            self.input,
            self.group,
            self.verdicts,
            at("rules".to_owned()),
            at(format!("{name}-state")),
            at(format!("{name}.key")),
        );
        let config = self.at(&format!("{name}.yaml"));
        fs::write(&config, text).unwrap();
        Daemon::start_with(&config, arguments)
    }

    /// Sends logins, each so many seconds ago; the verdicts on them.
    fn logins(&mut self, logins: &[(&str, i64)]) -> Vec<Value> {
        let events: Vec<(String, String)> =
            logins.iter().map(|(account, ago)| (String::from(*account), self.login(account, *ago))).collect();
        let records: Vec<(&str, &str)> = events.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
        kcat::produce_keyed(&self.kafka.address(), &self.input, &records);
        self.told += logins.len();
        let records = self.kafka.consume(&self.verdicts, self.told);
        assert_eq!(records.len(), self.told, "no event has a second verdict");
        let verdicts = records.iter().map(|record| serde_json::from_slice(&record.payload).unwrap());
        // Partitions are read in no order.
        let is_one_of_them = |verdict: &Value| {
            let id = format!("\"id\":{}", verdict["event_id"]);
            events.iter().any(|(_, text)| text.contains(&id))
        };
        verdicts.filter(is_one_of_them).collect()
    }

    fn login(&self, account: &str, ago_s: i64) -> String {
        let time = jiff::Timestamp::from_millisecond(self.now_ms - ago_s * 1000).unwrap();
        let event = json!({
            "specversion": "1.0", "id": unique("login"), "source": "/test", "type": "login.succeeded",
            "time": time.to_string(), "data": {"account_id": account},
        });
        event.to_string()
    }
}

/// What a verdict says: the message of the first rule, and whether the second matched.
fn said(verdict: &Value) -> (&str, bool) {
    let rules = verdict["rules"].as_array().unwrap();
    (rules[0]["message"].as_str().unwrap(), rules.iter().any(|rule| rule["id"] == "whole"))
}

fn ends(daemon: Daemon) {
    daemon.terminate();
    let (status, log) = daemon.ended();
    assert!(status.success(), "{log}");
}

#[test]
fn a_start_without_state_counts_what_was_judged_before() {
    let mut setting = Setting::new(3);
    let mut first = setting.run("first", "1d", &[]);
    first.said("judging");
    setting.logins(&[("a", 600), ("b", 590), ("a", 580), ("c", 570), ("a", 560)]);
    ends(first);
    // Behind the committed place: judged, and no history.
    let more = setting.login("a", 20);
    kcat::produce_keyed(&setting.kafka.address(), &setting.input, &[("a", more.as_str())]);
    setting.told += 1;
    let mut second = setting.run("second", "1d", &[]);
    let told = second.said("history was counted");
    assert_eq!((&told["events"], &told["not_valid"]), (&json!(5), &json!(0)), "{told}");
    second.said("judging");
    let verdicts = setting.logins(&[("a", 10), ("b", 9), ("d", 8)]);
    let mut counts: Vec<(&str, bool)> = verdicts.iter().map(said).collect();
    counts.sort_unstable();
    assert_eq!(counts, [("1 of d", true), ("2 of b", true), ("5 of a", true)], "an hour of a day that is known");
    ends(second);
    let mut third = setting.run("third", "0s", &["--accept-empty-state"]);
    third.said("judging");
    assert_eq!(said(&setting.logins(&[("a", 1)])[0]), ("1 of a", false), "nothing is counted that is not asked for");
    ends(third);
}

#[test]
fn a_feature_that_a_reload_brings_is_filled_while_events_are_judged() {
    let mut setting = Setting::new(3);
    let mut daemon = setting.run("only", "0s", &[]);
    daemon.said("judging");
    let before: Vec<(&str, i64)> = (0..900).map(|at| (["a", "b", "c"][at % 3], 1000 - at as i64)).collect();
    setting.logins(&before);
    setting.write(&pack("2h"));
    let told = daemon.said("history was counted");
    assert_eq!((&told["events"], &told["features"]), (&json!(900), &json!("[\"logins\"]")), "{told}");
    let verdicts = setting.logins(&[("a", 10), ("d", 5)]);
    let mut counts: Vec<(&str, bool)> = verdicts.iter().map(said).collect();
    counts.sort_unstable();
    assert_eq!(counts, [("1 of d", true), ("301 of a", true)]);
    ends(daemon);
}

#[test]
fn what_a_topic_no_longer_holds_is_not_taken_for_counted() {
    let mut setting = Setting::new(1);
    let first = setting.run("first", "0s", &[]);
    setting.logins(&[("a", 600), ("a", 590), ("a", 580), ("a", 570)]);
    ends(first);
    setting.kafka.delete_before(&setting.input, 0, 3);
    let mut second = setting.run("second", "1d", &[]);
    assert_eq!(second.said("history was counted")["events"], 1);
    second.said("judging");
    assert_eq!(said(&setting.logins(&[("a", 1)])[0]), ("2 of a", false), "an hour is asked for, and not there");
    ends(second);
}
