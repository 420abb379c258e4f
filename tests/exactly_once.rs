//! `refguard run` from topic to topic, killed again and again: what a reader of committed records sees is what a run that
//! was never disturbed says.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

#[path = "support/random.rs"]
#[expect(dead_code, reason = "a part of it is used")]
mod random;

#[path = "exactly_once/recovery_page.rs"]
mod recovery_page;
#[path = "exactly_once/redelivery.rs"]
mod redelivery;
#[path = "exactly_once/rotation.rs"]
mod rotation;
#[path = "exactly_once/standby.rs"]
mod standby;

use random::Random;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::kafka::{Consumed, Kafka, unique};
use support::program::{Answer, Daemon, answer, answer_to, get, refguard};
use support::{kcat, until};

/// Rules whose verdicts depend on everything that was judged before, over all partitions.
const RULES: &str = r#"
version: 1
pack: counted
features:
  logins_1h: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 1h}
  device_accounts_24h:
    {on: [login.succeeded, referral.completed], key: [device.id], aggregate: distinct, value: event.account_id, window: 24h}
  spent_1h: {on: [reward.redeemed], key: [event.account_id], aggregate: sum, value: event.amount_minor, window: 1h}
  last_country: {on: [login.succeeded], key: [event.account_id], aggregate: previous, value: event.country, window: 24h}
rules:
  - {id: many-logins, on: [login.succeeded], when: logins_1h % 5 == 0, score: 30, message: "{event.account_id}: {logins_1h}"}
  - {id: moved, on: [login.succeeded], when: last_country != event.country, score: 15}
  - {id: spender, on: [reward.redeemed], when: spent_1h > 900, action: challenge}
  - id: farm
    on: [referral.completed]
    when: device_accounts_24h > 6
    score: 25
    message: "{device_accounts_24h} accounts on one device"
    decide: [{subject: referrer, verdict: hold, ttl: 1h}]
"#;

/// Topics, a group and a folder for the configuration of one test.
struct Setting {
    folder: tempfile::TempDir,
    address: String,
    input: String,
    verdicts: String,
    dead: String,
    group: String,
    session_ms: u32,
}

impl Setting {
    fn new(kafka: &Kafka) -> Setting {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("rules")).unwrap();
        fs::write(folder.path().join("rules/counted.yaml"), RULES).unwrap();
        let topic = |name, partitions| kafka.topic(name, partitions);
        // One partition of verdicts: their order is that of judging.
        let (input, verdicts, dead) = (topic("events", 4), topic("verdicts", 1), topic("dead", 1));
        let address = kafka.address();
        Setting { folder, address, input, verdicts, dead, group: unique("group"), session_ms: 6000 }
    }

    /// A configuration whose state lies in this folder.
    fn config(&self, state: &str) -> PathBuf {
        let folder = self.folder.path();
        let (address, session_ms) = (&self.address, self.session_ms);
        let soon = format!(
            "{{session.timeout.ms: \"{session_ms}\", heartbeat.interval.ms: \"300\", reconnect.backoff.max.ms: \"500\"}}"
        );
        let text = format!(
            "sources: {{mixed: {{kafka: {{brokers: [\"{address}\"], topics: [{}], group: {}, properties: {soon}}}}}}}\n\
             sinks: {{verdicts: {{kafka: {{topic: {}}}}}, dead_letters: {{kafka: {{topic: {}}}}}}}\n\
             rules: {{path: {}, settle: 50ms}}\n\
             state: {{path: {}, key_file: {}, checkpoint_interval: 300ms}}\n\
             engine: {{commit_interval: 20ms}}\n\
             metrics: {{listen: \"127.0.0.1:0\"}}\n",
            self.input,
            self.group,
            self.verdicts,
            self.dead,
            folder.join("rules").display(),
            folder.join(state).display(),
            folder.join("state.key").display(),
        );
        let config = folder.join(format!("{state}.yaml"));
        fs::write(&config, text).unwrap();
        config
    }

    fn start(&self, state: &str) -> Daemon {
        Daemon::start(&self.config(state))
    }

    fn produce(&self, events: &[Value]) {
        let texts: Vec<String> = events.iter().map(Value::to_string).collect();
        let key = |event: &Value| event["data"]["account_id"].as_str().unwrap().to_owned();
        let keys: Vec<String> = events.iter().map(key).collect();
        let records: Vec<(&str, &str)> =
            keys.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
        kcat::produce_keyed(&self.address, &self.input, &records);
    }

    /// Waits for the verdicts on so many events, and answers all that are committed, in order.
    fn verdicts(&self, kafka: &Kafka, events: usize) -> Vec<String> {
        let text = |record: Consumed| String::from_utf8(record.payload).unwrap();
        kafka.consume(&self.verdicts, events).into_iter().map(text).collect()
    }

    /// What `eval` says of these events in this order.
    fn eval(&self, events: &[&Value]) -> Vec<String> {
        let mut command = refguard(&["eval", "--config"]);
        command.arg(self.config("state"));
        let input: String = events.iter().map(|event| format!("{event}\n")).collect();
        let answer = answer_to(command, input.as_bytes());
        assert_eq!(answer.code, Some(0), "{}", answer.err);
        String::from_utf8(answer.out).unwrap().lines().map(str::to_owned).collect()
    }

    /// Each event has one verdict, and they are those of a run over the same order that was never disturbed.
    fn assert_once(&self, verdicts: &[String], events: &[Value]) {
        let by_id: BTreeMap<&str, &Value> = events.iter().map(|event| (event["id"].as_str().unwrap(), event)).collect();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut order = Vec::new();
        for line in verdicts {
            let verdict: Value = serde_json::from_str(line).unwrap();
            let id = verdict["event_id"].as_str().unwrap().to_owned();
            order.push(by_id[id.as_str()]);
            *seen.entry(id).or_default() += 1;
        }
        let twice: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).take(3).collect();
        assert!(twice.is_empty(), "some events have more than one verdict: {twice:?}");
        assert_eq!(seen.len(), events.len(), "each has one");
        let expected = self.eval(&order);
        assert_eq!(expected.len(), verdicts.len());
        for (at, (verdict, expected)) in verdicts.iter().zip(&expected).enumerate() {
            assert_eq!(verdict, expected, "the verdict at {at}");
        }
    }
}

/// The clock of this machine, in milliseconds.
#[expect(clippy::disallowed_methods, reason = "the broker's clock is this machine's")]
fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Made-up traffic of some accounts on fewer devices, from a minute ago.
fn events(random: &mut Random, from: usize, count: usize) -> Vec<Value> {
    let start_ms = now_ms() - 60_000;
    let event = |number: usize| {
        let time = jiff::Timestamp::from_millisecond(start_ms + (number % 50_000) as i64).unwrap();
        let account = format!("a{}", random.below(400));
        let mut data = json!({
            "account_id": account, "channel": "app", "device_id": format!("d{}", random.below(90)),
            "country": (["SA", "AE", "EG"][random.below(3) as usize]),
        });
        let kind = match random.below(10) {
            0 => {
                data["referrer_id"] = Value::from(format!("a{}", random.below(400)));
                "referral.completed"
            }
            1 | 2 => {
                data["amount_minor"] = Value::from(random.below(300));
                data["currency"] = Value::from("PTS");
                data["reward_id"] = Value::from(format!("r{number}"));
                data["reward_kind"] = Value::from("points");
                "reward.redeemed"
            }
            _ => "login.succeeded",
        };
        json!({
            "specversion": "1.0", "id": format!("e{number}"), "source": "/test", "type": kind,
            "time": time.to_string(), "data": data,
        })
    };
    (from..from + count).map(event).collect()
}

/// Lets so much time pass.
fn pass(ms: u64) {
    let (_open, nothing) = std::sync::mpsc::channel::<()>();
    nothing.recv_timeout(Duration::from_millis(ms)).unwrap_err();
}

/// The last of a metric's samples.
fn metric(address: &str, name: &str) -> Option<f64> {
    let (_, text) = get(address, "/metrics");
    text.lines().rfind(|line| line.split(['{', ' ']).next() == Some(name))?.rsplit(' ').next()?.parse().ok()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(path, to).unwrap();
        }
    }
}

/// Many events with many kills, of which some hit the broker.
fn killed_again_and_again(count: usize, kills: usize, broker_kills: &[usize]) {
    let seed = now_ms() as u64;
    eprintln!("seed {seed}");
    let mut random = Random(seed);
    let mut kafka = Kafka::start();
    let setting = Setting::new(&kafka);
    let all = events(&mut random, 0, count);
    let mut parts = all.chunks(count.div_ceil(kills + 1));
    for kill in 0..kills {
        setting.produce(parts.next().unwrap_or_default());
        let mut daemon = setting.start("state");
        if kill % 4 != 3 {
            // Now and then it is killed while it goes on where it was.
            daemon.said("judging");
        }
        pass(random.below(900));
        if broker_kills.contains(&kill) {
            kafka.kill();
            pass(random.below(1500));
            kafka.restart();
            pass(random.below(900));
        }
        daemon.kill();
    }
    for part in parts {
        setting.produce(part);
    }
    let daemon = setting.start("state");
    let verdicts = setting.verdicts(&kafka, count);
    daemon.terminate();
    let (status, log) = daemon.ended();
    assert!(status.success(), "{log}");
    setting.assert_once(&verdicts, &all);
    let committed: i64 = kafka.committed(&setting.group, &setting.input, 4).into_iter().flatten().sum();
    assert_eq!(committed, count as i64, "everything is committed at the end");
    // And it goes on from there as if nothing had been.
    let more = events(&mut random, count, 100);
    setting.produce(&more);
    let daemon = setting.start("state");
    let verdicts = setting.verdicts(&kafka, count + 100);
    setting.assert_once(&verdicts, &[all, more].concat());
    daemon.terminate();
    assert!(daemon.ended().0.success());
}

#[test]
fn who_is_killed_at_any_instant_says_what_it_would_have_said() {
    killed_again_and_again(20_000, 9, &[4]);
}

#[test]
#[ignore = "takes long: make soak"]
fn soak() {
    killed_again_and_again(1_000_000, 50, &[9, 24, 39]);
}

#[test]
fn a_zombie_is_fenced_and_nothing_comes_twice() {
    let kafka = Kafka::shared();
    let setting = Setting::new(kafka);
    let mut random = Random(1);
    let first = events(&mut random, 0, 500);
    setting.produce(&first);
    let zombie = setting.start("state");
    setting.verdicts(kafka, 500);
    // The folder was copied, so the lock does not help.
    copy(&setting.folder.path().join("state"), &setting.folder.path().join("copied"));
    zombie.signal("STOP");
    let mut heir = setting.start("copied");
    heir.said("judging");
    let second = events(&mut random, 500, 500);
    setting.produce(&second);
    setting.verdicts(kafka, 1000);
    zombie.signal("CONT");
    let (status, log) = zombie.ended();
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("another refguard has taken over"), "{log}");
    let third = events(&mut random, 1000, 100);
    setting.produce(&third);
    let verdicts = setting.verdicts(kafka, 1100);
    setting.assert_once(&verdicts, &[first, second, third].concat());
    heir.terminate();
    assert!(heir.ended().0.success());
}

fn run(config: &Path, arguments: &[&str]) -> Answer {
    answer(&[&["run", "--config", config.to_str().unwrap()], arguments].concat())
}

#[test]
fn a_group_has_one_owner() {
    let kafka = Kafka::shared();
    let setting = Setting::new(kafka);
    let first = events(&mut Random(2), 0, 200);
    setting.produce(&first);
    let daemon = setting.start("state");
    setting.verdicts(kafka, 200);
    let refused = run(&setting.config("other"), &["--accept-empty-state"]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("has another member") && refused.err.contains("hint: stop it"), "{}", refused.err);
    let second = events(&mut Random(3), 200, 200);
    setting.produce(&second);
    let verdicts = setting.verdicts(kafka, 400);
    setting.assert_once(&verdicts, &[first, second].concat());
    daemon.terminate();
    assert!(daemon.ended().0.success());
}

#[test]
fn committed_places_without_their_state_are_refused_unless_that_is_wanted() {
    let kafka = Kafka::shared();
    let setting = Setting { session_ms: 2000, ..Setting::new(kafka) };
    let first = events(&mut Random(4), 0, 200);
    setting.produce(&first);
    let daemon = setting.start("state");
    setting.verdicts(kafka, 200);
    daemon.terminate();
    assert!(daemon.ended().0.success());
    let empty = setting.config("empty");
    let refused = run(&empty, &[]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("the state knows nothing of it"), "{}", refused.err);
    assert!(refused.err.contains("--accept-empty-state"), "{}", refused.err);
    // The group remembers who was in it for a while.
    let mut begun = None;
    let started = until(|| {
        let mut daemon = Daemon::start_with(&empty, &["--accept-empty-state"]);
        if daemon.says_soon("judging") {
            begun = Some(daemon);
        }
        begun.is_some()
    });
    assert!(started, "it starts with an empty state");
    let second = events(&mut Random(5), 200, 100);
    setting.produce(&second);
    let verdicts = setting.verdicts(kafka, 300);
    assert_eq!(verdicts.len(), 300, "only what is new is judged");
    setting.assert_once(&verdicts[200..], &second);
    begun.unwrap().kill();
    // From now on its state fits.
    let third = events(&mut Random(6), 300, 100);
    setting.produce(&third);
    let daemon = Daemon::start(&empty);
    let verdicts = setting.verdicts(kafka, 400);
    setting.assert_once(&verdicts[200..], &[second, third].concat());
    daemon.terminate();
    assert!(daemon.ended().0.success());
    // What was known before is behind by now.
    let behind = run(&setting.config("state"), &[]);
    assert_eq!(behind.code, Some(2), "{}", behind.err);
    assert!(behind.err.contains("and the state knows it up to"), "{}", behind.err);
}

/// The files of a state's journal, with their bytes.
fn journals(setting: &Setting) -> Vec<(PathBuf, Vec<u8>)> {
    let found = fs::read_dir(setting.folder.path().join("state")).unwrap().map(|of| of.unwrap().path());
    let is_journal = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("journal-");
    let mut found: Vec<_> = found.filter(is_journal).map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    found.sort();
    found
}

#[test]
fn a_journal_that_is_torn_or_damaged_never_makes_a_wrong_count() {
    let kafka = Kafka::shared();
    let setting = Setting::new(kafka);
    let config = setting.config("state");
    let text = fs::read_to_string(&config).unwrap().replace("checkpoint_interval: 300ms", "checkpoint_interval: 1h");
    fs::write(&config, text).unwrap();
    let mut all = Vec::new();
    let daemon = Daemon::start(&config);
    for round in 0..5 {
        let part = events(&mut Random(7 + round), all.len(), 100);
        setting.produce(&part);
        all.extend(part);
        setting.verdicts(kafka, all.len());
    }
    daemon.kill();
    let (path, whole) = journals(&setting).pop().unwrap();
    let mut flipped = whole.clone();
    let middle = whole.len() / 2;
    flipped[middle] ^= 4;
    fs::write(&path, &flipped).unwrap();
    let refused = run(&config, &[]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("is not what was written") && refused.err.contains("hint: "), "{}", refused.err);
    // A file that misses what was committed is behind what the group has.
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let behind = run(&config, &[]);
    assert_eq!(behind.code, Some(2), "{}", behind.err);
    assert!(behind.err.contains("and the state knows"), "{}", behind.err);
    // An end that nothing came of goes.
    for (other, _) in journals(&setting) {
        fs::remove_file(other).unwrap();
    }
    fs::write(&path, [&whole[..], &[7; 20]].concat()).unwrap();
    let part = events(&mut Random(99), all.len(), 100);
    setting.produce(&part);
    all.extend(part);
    let daemon = Daemon::start(&config);
    let verdicts = setting.verdicts(kafka, all.len());
    setting.assert_once(&verdicts, &all);
    daemon.terminate();
    let (status, log) = daemon.ended();
    assert!(status.success() && log.contains("bytes of its journal go"), "{log}");
}

#[test]
fn records_that_are_gone_are_told_and_nothing_is_guessed() {
    let kafka = Kafka::shared();
    let setting = Setting::new(kafka);
    let config = setting.config("state");
    let text = fs::read_to_string(&config).unwrap().replace("checkpoint_interval: 300ms", "checkpoint_interval: 1h");
    fs::write(&config, text).unwrap();
    let all = events(&mut Random(20), 0, 300);
    setting.produce(&all);
    let daemon = Daemon::start(&config);
    setting.verdicts(kafka, 300);
    daemon.kill();
    (0..4).for_each(|partition| kafka.delete_before(&setting.input, partition, 5));
    let refused = run(&config, &[]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("the topic begins at 5 by now"), "{}", refused.err);
    assert!(refused.err.contains("hint: keep records longer"), "{}", refused.err);
}

#[test]
fn a_full_disk_ends_it_and_what_was_committed_is_whole() {
    let kafka = Kafka::shared();
    let setting = Setting::new(kafka);
    let config = setting.config("state");
    let mut all = Vec::new();
    // A file may have 32 KiB: the journal or a checkpoint comes to it. A checkpoint waits, the journal cannot.
    let text = fs::read_to_string(&config).unwrap().replace("checkpoint_interval: 300ms", "checkpoint_interval: 1h");
    fs::write(&config, &text).unwrap();
    let limited = "trap '' XFSZ; ulimit -f 64; exec \"$0\" run --config \"$1\"";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_refguard")]).arg(&config).env_clear();
    let ended = std::thread::spawn(move || answer_to(command, b""));
    let mut round = 0;
    while !ended.is_finished() && round < 400 {
        let part = events(&mut Random(30 + round), all.len(), 20);
        setting.produce(&part);
        all.extend(part);
        round += 1;
    }
    let ended = ended.join().unwrap();
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(ended.err.contains("cannot write to") && ended.err.contains("journal-"), "{}", ended.err);
    let daemon = Daemon::start(&config);
    let verdicts = setting.verdicts(kafka, all.len());
    setting.assert_once(&verdicts, &all);
    daemon.terminate();
    assert!(daemon.ended().0.success());
}

#[test]
fn rules_that_changed_before_a_kill_judge_what_they_judged() {
    let kafka = Kafka::shared();
    let setting = Setting::new(kafka);
    let config = setting.config("state");
    let text = fs::read_to_string(&config).unwrap().replace("checkpoint_interval: 300ms", "checkpoint_interval: 1h");
    fs::write(&config, text).unwrap();
    let rules = setting.folder.path().join("rules/counted.yaml");
    let all = events(&mut Random(50), 0, 300);
    let mut daemon = Daemon::start(&config);
    let address = daemon.address();
    daemon.said("judging");
    setting.produce(&all[..100]);
    setting.verdicts(kafka, 100);
    fs::write(&rules, RULES.replace("logins_1h % 5 == 0", "logins_1h % 2 == 0")).unwrap();
    daemon.said("new rules are in force");
    setting.produce(&all[100..200]);
    let before = setting.verdicts(kafka, 200);
    assert!(metric(&address, "refguard_journal_bytes").unwrap() > 0.0);
    daemon.kill();
    // Those of a third set judge what is new, and nothing of what was judged.
    fs::write(&rules, RULES.replace("logins_1h % 5 == 0", "logins_1h % 3 == 0")).unwrap();
    setting.produce(&all[200..]);
    let daemon = Daemon::start(&config);
    let verdicts = setting.verdicts(kafka, 300);
    assert_eq!(verdicts.len(), 300);
    assert_eq!(verdicts[..200], before);
    let hash = |line: &String| serde_json::from_str::<Value>(line).unwrap()["ruleset"].as_str().unwrap().to_owned();
    let hashes: Vec<String> = [0, 150, 250].map(|at| hash(&verdicts[at])).into();
    assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2] && hashes[0] != hashes[2], "{hashes:?}");
    // What is counted goes on over all three: the same features.
    let id = |line: &String| serde_json::from_str::<Value>(line).unwrap()["event_id"].as_str().unwrap().to_owned();
    let by_id: BTreeMap<&str, &Value> = all.iter().map(|event| (event["id"].as_str().unwrap(), event)).collect();
    let order: Vec<String> = verdicts.iter().map(id).collect();
    let order: Vec<&Value> = order.iter().map(|id| by_id[id.as_str()]).collect();
    assert_eq!(setting.eval(&order)[200..], verdicts[200..], "as if the third had been there all the time");
    daemon.terminate();
    assert!(daemon.ended().0.success());
}

#[test]
fn places_that_were_set_back_by_hand_are_read_again_and_count_once() {
    let kafka = Kafka::shared();
    let setting = Setting { session_ms: 2000, ..Setting::new(kafka) };
    let first = events(&mut Random(60), 0, 200);
    setting.produce(&first);
    let daemon = setting.start("state");
    setting.verdicts(kafka, 200);
    daemon.terminate();
    assert!(daemon.ended().0.success());
    let places = kafka.committed(&setting.group, &setting.input, 4);
    let back: Vec<(i32, i64)> = (0..).zip(&places).map(|(partition, place)| (partition, place.unwrap() / 2)).collect();
    kafka.set_committed(&setting.group, &setting.input, &back);
    let again: i64 = back.iter().zip(&places).map(|((_, back), place)| place.unwrap() - back).sum();
    let second = events(&mut Random(61), 200, 100);
    setting.produce(&second);
    let daemon = setting.start("state");
    let verdicts = setting.verdicts(kafka, 300 + again as usize);
    assert_eq!(verdicts.len(), 300 + again as usize);
    let all = [first, second].concat();
    let by_id: BTreeMap<&str, &Value> = all.iter().map(|event| (event["id"].as_str().unwrap(), event)).collect();
    let told: Vec<Value> = verdicts.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let order: Vec<&Value> = told.iter().map(|verdict| by_id[verdict["event_id"].as_str().unwrap()]).collect();
    // What comes again is a repeat, and what is new sees the counts of a run in which it was one.
    assert_eq!(setting.eval(&order), verdicts);
    let repeats = told.iter().filter(|verdict| verdict["duplicate"] == true).count();
    assert_eq!(repeats, again as usize);
    daemon.terminate();
    let (status, log) = daemon.ended();
    assert!(status.success() && log.contains("places of its group were set back"), "{log}");
}

#[test]
fn a_broker_that_is_away_for_longer_than_a_transaction_may_be_open_loses_nothing() {
    let mut kafka = Kafka::start();
    let setting = Setting::new(&kafka);
    let config = setting.config("state");
    let mut text = fs::read_to_string(&config).unwrap().replace("commit_interval: 20ms", "commit_interval: 3s");
    for topic in [&setting.verdicts, &setting.dead] {
        let short = format!("{{topic: {topic}, properties: {{transaction.timeout.ms: \"3000\"}}}}");
        text = text.replace(&format!("{{topic: {topic}}}"), &short);
    }
    fs::write(&config, text).unwrap();
    let mut daemon = Daemon::start(&config);
    daemon.said("judging");
    let first = events(&mut Random(70), 0, 300);
    setting.produce(&first);
    setting.verdicts(&kafka, 300);
    let second = events(&mut Random(71), 300, 300);
    setting.produce(&second);
    // It was read, and its transaction is open.
    pass(1500);
    kafka.kill();
    pass(15_000);
    kafka.restart();
    let committed =
        |kafka: &Kafka| -> i64 { kafka.committed(&setting.group, &setting.input, 4).into_iter().flatten().sum() };
    assert!(until(|| daemon.has_ended() || committed(&kafka) == 600), "it goes on, or it ends");
    if daemon.has_ended() {
        // The cluster may take it for an older one of its kind.
        let (status, log) = daemon.ended();
        assert!(status.code() == Some(2) && log.contains("another refguard has taken over"), "{log}");
        daemon = Daemon::start(&config);
    }
    let verdicts = setting.verdicts(&kafka, 600);
    setting.assert_once(&verdicts, &[first, second].concat());
    daemon.terminate();
    assert!(daemon.ended().0.success());
}
