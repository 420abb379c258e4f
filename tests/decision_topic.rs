//! The log of decisions in a topic of a real broker, and in a file: every change once, in order, whatever is killed; and a reader
//! that begins anew has exactly what stands.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

#[path = "support/followed.rs"]
mod followed;
#[path = "support/random.rs"]
#[expect(dead_code, reason = "a part of it is used")]
mod random;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use followed::Followed;
use random::Random;
use serde_json::{Value, json};
use support::kafka::{Consumed, Kafka, unique};
use support::program::{Daemon, answer, get};
use support::{kcat, until};

/// Holds that come, are extended and end while the test runs: events are of the eight minutes before it.
const RULES: &str = r#"
version: 1
pack: held
rules:
  - id: large
    on: [reward.redeemed]
    when: event.amount_minor > 900
    score: 10
    decide: [{subject: account, verdict: hold, ttl: 480s}, {subject: device, verdict: challenge, ttl: 500s}]
  - id: huge
    on: [reward.redeemed]
    when: event.amount_minor > 990
    score: 10
    decide: [{subject: account, verdict: block, ttl: 600s}]
  - id: shop
    on: [reward.redeemed]
    when: event.merchant_id != ""
    score: 10
    decide: [{subject: merchant, verdict: hold, ttl: 15s}]
"#;

struct Setting {
    folder: tempfile::TempDir,
    address: String,
    input: String,
    verdicts: String,
    decisions: String,
    group: String,
    /// Event time of the first event.
    start_ms: i64,
}

impl Setting {
    fn new(kafka: &Kafka, partitions: i32) -> Setting {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("rules")).unwrap();
        fs::write(folder.path().join("rules/held.yaml"), RULES).unwrap();
        let (input, verdicts) = (kafka.topic("events", 4), kafka.topic("verdicts", 1));
        let compacted = [("cleanup.policy", "compact"), ("segment.ms", "1000"), ("min.cleanable.dirty.ratio", "0.01")];
        let decisions = kafka.topic_with("decisions", partitions, &compacted);
        Setting {
            folder,
            address: kafka.address(),
            input,
            verdicts,
            decisions,
            group: unique("group"),
            start_ms: now_ms() - 475_000,
        }
    }

    /// A configuration whose state lies in this folder, with a sink for decisions or without.
    fn config(&self, state: &str, decisions: Option<&str>) -> PathBuf {
        let folder = self.folder.path();
        let Setting { address, input, verdicts, group, .. } = self;
        let soon = "{session.timeout.ms: \"6000\", heartbeat.interval.ms: \"300\", reconnect.backoff.max.ms: \"500\"}";
        let decisions = decisions.map(|sink| format!(", decisions: {sink}")).unwrap_or_default();
        let text = format!(
            "sources: {{mixed: {{kafka: {{brokers: [\"{address}\"], topics: [{input}], group: {group}, properties: {soon}}}}}}}\n\
             sinks: {{verdicts: {{kafka: {{topic: {verdicts}}}}}{decisions}}}\n\
             decisions: {{heartbeat: 500ms}}\n\
             rules: {{path: {}, settle: 50ms}}\n\
             state: {{path: {}, key_file: {}, checkpoint_interval: 300ms}}\n\
             engine: {{commit_interval: 20ms}}\n\
             metrics: {{listen: \"127.0.0.1:0\"}}\n",
            folder.join("rules").display(),
            folder.join(state).display(),
            folder.join("state.key").display(),
        );
        let config = folder.join(format!("{state}.yaml"));
        fs::write(&config, text).unwrap();
        config
    }

    fn topic(&self) -> String {
        format!("{{kafka: {{topic: {}}}}}", self.decisions)
    }

    fn start(&self, decisions: Option<&str>) -> Daemon {
        Daemon::start(&self.config("state", decisions))
    }

    /// Produces redemptions of some accounts, a tenth of a second apart.
    fn produce(&self, random: &mut Random, from: usize, count: usize) {
        let event = |number: usize| {
            let account = format!("a/{}", random.below(400));
            let time = jiff::Timestamp::from_millisecond(self.start_ms + 100 * number as i64).unwrap();
            let data = json!({"account_id": account, "device_id": format!("d{}", random.below(200)), "reward_id": "r",
                "reward_kind": "points", "amount_minor": 1 + random.below(1000), "currency": "PTS"});
            let event = json!({"specversion": "1.0", "id": format!("e{number}"), "source": "/test",
                "type": "reward.redeemed", "time": time.to_string(), "data": data});
            (account, event.to_string())
        };
        let events: Vec<(String, String)> = (from..from + count).map(event).collect();
        self.produce_all(&events);
    }

    /// Produces one of now, by which its shop is held for a moment.
    fn produce_short(&self, number: usize) {
        let data = json!({"account_id": "a", "merchant_id": format!("m{number}"), "reward_id": "r", "reward_kind": "points",
            "amount_minor": 1, "currency": "PTS"});
        let time = jiff::Timestamp::from_millisecond(now_ms()).unwrap().to_string();
        let event = json!({"specversion": "1.0", "id": format!("e{number}"), "source": "/test",
            "type": "reward.redeemed", "time": time, "data": data});
        self.produce_all(&[("a".to_owned(), event.to_string())]);
    }

    fn produce_all(&self, events: &[(String, String)]) {
        let records: Vec<(&str, &str)> = events.iter().map(|(key, event)| (key.as_str(), event.as_str())).collect();
        kcat::produce_keyed(&self.address, &self.input, &records);
    }

    /// Ends a daemon once it has judged so many events in all.
    fn finish(&self, kafka: &Kafka, daemon: Daemon, events: usize) {
        kafka.consume(&self.verdicts, events);
        daemon.terminate();
        let (status, log) = daemon.ended();
        assert!(status.success(), "{log}");
    }
}

/// The clock of this machine, in milliseconds.
#[expect(clippy::disallowed_methods, reason = "quiet partitions take the clock for their time")]
fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Lets so much time pass.
fn pass(ms: u64) {
    let (_open, nothing) = std::sync::mpsc::channel::<()>();
    nothing.recv_timeout(Duration::from_millis(ms)).unwrap_err();
}

/// What a reader of the topic sees that follows it from the beginning: every change once and in order, a tombstone behind the
/// last of a subject, and sums that are true.
fn follow(records: &[Consumed]) -> Followed {
    let (mut followed, mut ended, mut heartbeats) = (Followed::default(), None, 0);
    for record in records {
        let key = record.key.clone().unwrap();
        if let Some(ended) = ended.take() {
            assert_eq!((&key, record.payload.len()), (&ended, 0), "behind the last record of a subject is a tombstone");
            continue;
        }
        let value: Value = serde_json::from_slice(&record.payload).unwrap();
        if key == "heartbeat" {
            assert!(followed.is_as(&value), "{value} is told where {:?} stands", followed.sum());
            heartbeats += 1;
            continue;
        }
        assert_eq!(key, followed::key_of(&value));
        assert_eq!(value["number"], followed.number + 1, "no gap and no repeat");
        ended = value["verdict"].is_null().then_some(key);
        followed.take(&value);
    }
    assert!(heartbeats > 0, "it is told what stands");
    followed
}

#[test]
fn who_is_killed_at_any_instant_tells_each_change_once_and_a_new_reader_has_what_stands() {
    const EVENTS: usize = 4000;
    const KILLS: usize = 9;
    let kafka = Kafka::shared();
    let setting = Setting::new(kafka, 1);
    let seed = now_ms() as u64;
    eprintln!("seed {seed}");
    let mut random = Random(seed);
    for kill in 0..KILLS {
        setting.produce(&mut random, kill * 400, 400);
        let mut daemon = setting.start(Some(&setting.topic()));
        if kill % 4 != 3 {
            daemon.said("judging");
        }
        pass(random.below(900));
        daemon.kill();
    }
    setting.produce(&mut random, KILLS * 400, EVENTS - KILLS * 400);
    let daemon = setting.start(Some(&setting.topic()));
    setting.finish(kafka, daemon, EVENTS);
    let records = kafka.consume(&setting.decisions, 1);
    let followed = follow(&records);
    assert!(followed.number > 300, "there are changes: {}", followed.number);

    // It goes on while nothing comes: what ends by time ends.
    let mut daemon = setting.start(Some(&setting.topic()));
    let metrics = daemon.address();
    daemon.said("judging");
    let is_over = || get(&metrics, "/metrics").1.contains("refguard_source_watermark_seconds");
    assert!(until(is_over), "it judges");
    pass(4000);
    daemon.terminate();
    assert!(daemon.ended().0.success());
    let records = kafka.consume(&setting.decisions, records.len() + 1);
    let followed = follow(&records);
    assert!(records.iter().any(|record| record.payload.is_empty()), "some have ended");

    // The reader in examples/, which shares nothing with refguard.
    let mut reader = Command::new("python3");
    reader.args(["examples/follow_decisions.py", "topic", "--once"]);
    let output = reader.args(["--brokers", &setting.address, "--topic", &setting.decisions]).output();
    let output = output.expect("python3 is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8(output.stdout).unwrap();
    let shown: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(shown, followed.records.values().cloned().collect::<Vec<_>>());
}

#[test]
fn a_topic_that_was_not_written_for_a_while_gets_what_it_lacks_and_that_of_another_state_is_refused() {
    let mut stood_ms = 0;
    let kafka = Kafka::shared();
    let setting = Setting::new(kafka, 3);
    let mut random = Random(5);
    let (on, off) = (setting.topic(), None);
    for (turn, sink) in [off, Some(on.as_str()), off, Some(on.as_str())].into_iter().enumerate() {
        setting.produce(&mut random, turn * 601, 600);
        setting.produce_short(turn * 601 + 600);
        let daemon = setting.start(sink);
        kafka.consume(&setting.verdicts, (turn + 1) * 601);
        if turn == 2 {
            // What stood when the topic was written last ends meanwhile.
            pass(u64::try_from(stood_ms + 19_000 - now_ms()).unwrap_or(0) + 1);
        }
        setting.finish(kafka, daemon, (turn + 1) * 601);
        stood_ms = now_ms();
        if sink.is_none() {
            continue;
        }
        // All partitions are read to their ends; what the last heartbeat says stands.
        let (mut followed, mut last) = (Followed::default(), Value::Null);
        for record in kafka.consume(&setting.decisions, 1).iter().filter(|record| !record.payload.is_empty()) {
            let value: Value = serde_json::from_slice(&record.payload).unwrap();
            if value["heartbeat"].is_null() {
                followed.take(&value);
            } else if last["number"].as_u64() <= value["number"].as_u64() {
                last = value;
            }
        }
        if last["number"].as_u64() == Some(followed.number) {
            assert!(followed.is_as(&last), "turn {turn}: {last} where {:?} stands", followed.sum());
        }
        // A daemon that has nothing to judge says what stands as it begins.
        let mut daemon = setting.start(sink);
        daemon.said("judging");
        pass(1200);
        daemon.terminate();
        assert!(daemon.ended().0.success());
        let text = kafka.consume(&setting.decisions, 1);
        let heartbeat = text.iter().rfind(|record| record.key.as_deref() == Some("heartbeat")).unwrap();
        let heartbeat: Value = serde_json::from_slice(&heartbeat.payload).unwrap();
        let mut followed = Followed::default();
        for record in text.iter().filter(|record| record.key.as_deref() != Some("heartbeat")) {
            followed.take(&serde_json::from_slice(&record.payload).unwrap_or_default());
        }
        assert!(followed.is_as(&heartbeat), "turn {turn}: {heartbeat} where {:?} stands", followed.sum());
        if turn == 3 {
            let why = |record: &Consumed| String::from_utf8_lossy(&record.payload).contains("\"why\":\"unwritten\"");
            assert!(text.iter().any(why), "some ended while it was off");
        }
    }
    let config = setting.config("other", Some(&on));
    let refused = answer(&["run", "--config", config.to_str().unwrap(), "--accept-empty-state"]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("it is the log of another state"), "{}", refused.err);
    assert!(refused.err.contains("hint: restore the state that it belongs to"), "{}", refused.err);
}

/// The changes of a file, and what stands by them.
fn read(path: &Path) -> Followed {
    let mut followed = Followed::default();
    for line in fs::read_to_string(path).unwrap_or_default().lines() {
        // One that was torn by a kill is no line.
        let Ok(value) = serde_json::from_str::<Value>(line) else { continue };
        if value["heartbeat"].is_null() {
            assert_eq!(value["number"], followed.number + 1, "no gap and no repeat");
            followed.take(&value);
        } else {
            assert!(followed.is_as(&value), "{value} is told where {:?} stands", followed.sum());
        }
    }
    followed
}

#[test]
fn a_file_has_each_change_once_whatever_is_killed() {
    const EVENTS: usize = 3000;
    let kafka = Kafka::shared();
    let setting = Setting::new(kafka, 1);
    let path = setting.folder.path().join("decisions.jsonl");
    let sink = format!("{{file: {}}}", path.display());
    let mut random = Random(6);
    for kill in 0..8 {
        setting.produce(&mut random, kill * 300, 300);
        let mut daemon = setting.start(Some(&sink));
        daemon.said("judging");
        pass(random.below(700));
        daemon.kill();
    }
    setting.produce(&mut random, 2400, 600);
    let daemon = setting.start(Some(&sink));
    setting.finish(kafka, daemon, EVENTS);
    let followed = read(&path);
    assert!(followed.number > 200, "there are changes: {}", followed.number);
}
