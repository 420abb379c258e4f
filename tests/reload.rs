//! Rules that change while the daemon runs, from outside: what takes over, what is refused, and what a start falls back to.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use serde_json::{Value, json};
use support::program::{Daemon, answer, get, lines, take};

/// Counts logins, and tells how many.
const COUNTED: &str = "\
version: 1
pack: counted
features:
  logins_1h: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 1h}
rules:
  - {id: counted, on: [login.succeeded], when: logins_1h > 0, score: 1, message: '{logins_1h}'}
";

/// A pack with a rule of this name that matches every login.
fn pack(name: &str, condition: &str) -> String {
    format!(
        "version: 1\npack: {name}\nrules:\n  - {{id: {name}, on: [login.succeeded], when: '{condition}', score: 1}}\n"
    )
}

/// A daemon that reads events from a pipe and rules from a folder.
struct Running {
    daemon: Daemon,
    events: Box<dyn Write>,
    verdicts: Receiver<String>,
    address: String,
    sent: usize,
}

/// A folder with rules and a configuration.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn with(packs: &[(&str, &str)]) -> Place {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(place.at("rules/lists")).unwrap();
        packs.iter().for_each(|(path, text)| place.write(path, text));
        place.configure("");
        place
    }

    /// The configuration, with more of `rules`.
    fn configure(&self, more: &str) {
        let at = |name: &str| self.at(name).display().to_string();
        let text = format!(
            "sources: {{pipe: {{stdin: {{}}}}}}\n\
             sinks: {{verdicts: {{stdout: {{}}}}, dead_letters: {{file: {}}}}}\n\
             state: {{path: {}, key_file: {}}}\n\
             rules: {{path: {}, settle: 1s{more}}}\n\
             metrics: {{listen: \"127.0.0.1:0\"}}\n",
            at("dead.jsonl"),
            at("state"),
            at("state.key"),
            at("rules"),
        );
        fs::write(self.at("refguard.yaml"), text).unwrap();
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.at("rules").join(path), text).unwrap();
    }

    /// The hash of the rules in the folder, as `check` tells it.
    fn hash(&self) -> String {
        let told = answer(&["check", "--rules", self.at("rules").to_str().unwrap()]);
        let hash = told.err.split_once("rule set ").and_then(|(_, rest)| rest.split_once(':'));
        hash.unwrap_or_else(|| panic!("{}", told.err)).0.to_owned()
    }

    fn start(&self) -> Running {
        let mut daemon = Daemon::start(&self.at("refguard.yaml"));
        let (events, verdicts) = (Box::new(daemon.stdin()), lines(daemon.stdout()));
        let address = daemon.address();
        daemon.said("judging");
        Running { daemon, events, verdicts, address, sent: 0 }
    }
}

fn login(number: usize) -> String {
    let time = jiff::Timestamp::from_millisecond(1_777_593_600_000 + 1000 * number as i64).unwrap();
    let event = json!({
        "specversion": "1.0", "id": format!("e{number}"), "source": "/shop", "type": "login.succeeded",
        "time": format!("{time:.3}"), "data": {"account_id": "a", "ip": "::ffff:198.51.100.7"},
    });
    format!("{event}\n")
}

impl Running {
    /// Sends a login of the account and answers the verdict.
    fn tell(&mut self) -> Value {
        self.events.write_all(login(self.sent).as_bytes()).unwrap();
        self.events.flush().unwrap();
        self.sent += 1;
        serde_json::from_str(&take(&self.verdicts, 1)[0]).unwrap()
    }

    /// A metric's value, by its name and labels as they are written.
    fn metric(&self, name: &str) -> Option<f64> {
        let page = get(&self.address, "/metrics").1;
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("refguard_{name} ")));
        line.map(|value| value.parse().unwrap())
    }
}

fn rules(verdict: &Value) -> Vec<&str> {
    verdict["rules"].as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap()).collect()
}

#[test]
fn four_files_written_one_after_the_other_take_over_at_once() {
    let place = Place::with(&[("counted.yaml", COUNTED)]);
    let before = place.hash();
    let mut running = place.start();
    let first = running.tell();
    assert_eq!((rules(&first), &first["ruleset"]), (vec!["counted"], &json!(before)));
    place.write("b.yaml", &pack("b", "true"));
    // A signal that nothing read so far.
    let listed = "version: 1\npack: c\nlists:\n  known: {kind: string, file: lists/known.txt}\nrules:\n  - {id: c, on: [login.succeeded], when: ip.address in lists.known, score: 1}\n";
    place.write("lists/known.txt", "198.51.100.7\n");
    place.write("c.yaml", listed);
    place.write("d.yaml", &pack("d", "true"));
    let told = running.daemon.said("new rules are in force");
    let after = place.hash();
    assert_eq!((&told["before"], &told["ruleset"], &told["after_events"]), (&json!(before), &json!(after), &json!(1)));
    let second = running.tell();
    assert_eq!((rules(&second), &second["ruleset"]), (vec!["b", "c", "counted", "d"], &json!(after)));
    assert_eq!(second["rules"][2]["message"], "2", "the feature has kept its counts");
    place.write("lists/known.txt", "198.51.100.8\n");
    running.daemon.said("new rules are in force");
    assert_eq!(rules(&running.tell()), ["b", "counted", "d"], "a list is a part of the rules");
    let swapped = running.metric("rules_reload_total{outcome=\"swapped\"}");
    assert_eq!(swapped, Some(2.0), "four files once, and the list once");
    assert_eq!(running.metric(&format!("ruleset_info{{hash=\"{}\"}}", place.hash())), Some(1.0));
    assert_eq!(running.metric("rules_loaded"), Some(4.0));
    assert!(running.metric("last_reload_timestamp_seconds").unwrap() > 1.7e9);
    assert_eq!(running.metric("rules_reload_total{outcome=\"refused\"}"), Some(0.0));
}

#[test]
fn broken_rules_and_failing_tests_keep_those_in_force() {
    let place = Place::with(&[("counted.yaml", COUNTED)]);
    let before = place.hash();
    let mut running = place.start();
    running.tell();
    let failing = format!(
        "{}tests:\n  - name: a login is blocked\n    events: [{{type: login.succeeded, at: 0s, account_id: a}}]\n    expect: {{verdict: block}}\n",
        pack("b", "true")
    );
    let at = |path: &str, place_in: &str| format!("{}:{place_in}", place.at("rules").join(path).display());
    for (text, expected, code, why) in [
        (failing.as_str(), at("b.yaml", "6:11"), "test", "a login is blocked: expected verdict block, got allow"),
        (&pack("b", "event.acount_id != \"\""), at("b.yaml", "4:49"), "unknown-field", "acount_id"),
    ] {
        place.write("b.yaml", text);
        let told = running.daemon.said("the rules cannot be used");
        assert_eq!((&told["place"], &told["code"]), (&json!(expected), &json!(code)), "{told}");
        assert!(told["why"].as_str().unwrap().contains(why) && told["hint"] != "", "{told}");
        running.daemon.said("the new rules are refused: those in force stay");
        let verdict = running.tell();
        assert_eq!((rules(&verdict), &verdict["ruleset"]), (vec!["counted"], &json!(before)));
    }
    assert_eq!(running.metric("rules_reload_total{outcome=\"refused\"}"), Some(2.0));
    place.write("b.yaml", &pack("b", "true"));
    running.daemon.said("new rules are in force");
    let verdict = running.tell();
    assert_eq!((rules(&verdict), &verdict["rules"][1]["message"]), (vec!["b", "counted"], &json!("4")));
}

/// Between the removal of files and the copying of their successors there is nothing to judge by.
#[test]
fn a_folder_that_has_become_empty_keeps_the_rules_in_force() {
    let place = Place::with(&[("counted.yaml", COUNTED)]);
    let before = place.hash();
    let mut running = place.start();
    running.tell();
    let (pack, aside) = (place.at("rules/counted.yaml"), place.at("aside.yaml"));
    std::fs::rename(&pack, &aside).unwrap();
    let told = running.daemon.said("the rules cannot be used");
    assert_eq!(told["why"], "the folder holds no rule pack", "{told}");
    let verdict = running.tell();
    assert_eq!((rules(&verdict), &verdict["ruleset"]), (vec!["counted"], &json!(before)));
    std::fs::rename(&aside, &pack).unwrap();
    let verdict = running.tell();
    assert_eq!((rules(&verdict), &verdict["rules"][0]["message"]), (vec!["counted"], &json!("3")), "counts stay");
}

#[test]
fn a_signal_asks_for_a_reload_where_nobody_looks() {
    let place = Place::with(&[("counted.yaml", COUNTED)]);
    place.configure(", reload: false");
    let mut running = place.start();
    running.daemon.hang_up();
    running.daemon.said("asked to read the rules again");
    running.daemon.said("the rules are those in force");
    assert_eq!(running.metric("rules_reload_total{outcome=\"unchanged\"}"), Some(1.0));
    place.write("b.yaml", &pack("b", "true"));
    assert_eq!(rules(&running.tell()), ["counted"]);
    running.daemon.hang_up();
    running.daemon.said("new rules are in force");
    assert_eq!(rules(&running.tell()), ["b", "counted"]);
    assert_eq!(running.metric("rules_reload_total{outcome=\"swapped\"}"), Some(1.0));
}

/// Ends a daemon in good order.
fn end(running: Running) -> String {
    let Running { daemon, events, .. } = running;
    drop(events);
    let (status, log) = daemon.ended();
    assert!(status.success(), "{log}");
    log
}

#[test]
fn a_start_with_broken_rules_uses_the_last_good_ones_and_says_so() {
    let place = Place::with(&[("counted.yaml", COUNTED), ("lists/unread.txt", "x\n")]);
    let good = place.hash();
    let mut running = place.start();
    running.tell();
    place.write("b.yaml", &pack("b", "true"));
    running.daemon.said("new rules are in force");
    let better = place.hash();
    assert_ne!(good, better);
    end(running);

    place.write("b.yaml", &pack("b", "event.acount_id != \"\""));
    let mut daemon = Daemon::start(&place.at("refguard.yaml"));
    let told = daemon.said("the rules cannot be used");
    assert!(told["place"].as_str().unwrap().ends_with("rules/b.yaml:4:49"), "{told}");
    let told = daemon.said("the rules are broken: the last good ones are in force");
    assert_eq!((&told["level"], &told["ruleset"]), (&json!("ERROR"), &json!(better)));
    let (events, verdicts, address) = (Box::new(daemon.stdin()), lines(daemon.stdout()), daemon.address());
    // The first event is known: state outlives a restart.
    let mut running = Running { daemon, events, verdicts, address, sent: 1 };
    assert_eq!(rules(&running.tell()), ["b", "counted"]);
    assert_eq!(running.metric("rules_reload_total{outcome=\"refused\"}"), Some(1.0));
    place.write("b.yaml", &pack("c", "true"));
    running.daemon.said("new rules are in force");
    assert_eq!(rules(&running.tell()), ["c", "counted"]);
    end(running);

    // A copy that somebody has changed is no copy.
    let copy = place.at("state/rules-last-good/b.yaml");
    fs::write(&copy, fs::read_to_string(&copy).unwrap().replace("score: 1", "score: 2")).unwrap();
    place.write("b.yaml", "nothing\n");
    refuses_to_start(&place.at("refguard.yaml"), "b.yaml:1:1: error");
    fs::remove_dir_all(place.at("state")).unwrap();
    refuses_to_start(&place.at("refguard.yaml"), "b.yaml:1:1: error");
    let failing = "tests:\n  - {name: fails, events: [{type: login.succeeded, at: 0s, account_id: a}], expect: {verdict: block}}\n";
    place.write("b.yaml", &format!("{}{failing}", pack("b", "true")));
    refuses_to_start(&place.at("refguard.yaml"), "b.yaml:6:12: error[test]: fails: expected verdict block");
    assert!(!place.at("state").exists(), "nothing is made");
}

fn refuses_to_start(config: &Path, why: &str) {
    let refused = answer(&["run", "--config", config.to_str().unwrap()]);
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    assert!(refused.err.contains(why), "{}", refused.err);
}

#[test]
fn a_breaker_is_told_when_it_opens_and_stays_open_over_a_reload() {
    let breaker = "action: block, breaker: {share: 5%, over: 1h, rearm: 1h, min_events: 10}";
    let place = Place::with(&[("many.yaml", &pack("many", "true").replace("score: 1", breaker))]);
    let mut running = place.start();
    (0..10).for_each(|_| assert_eq!(running.tell()["verdict"], "block"));
    let told = running.daemon.said("a breaker has opened: the rule matched too much, and counts for less");
    assert_eq!((&told["rule"], &told["program"], &told["level"]), (&json!("many"), &json!("default"), &json!("WARN")));
    assert_eq!(running.tell()["verdict"], "hold");
    assert_eq!(running.metric("breaker_open{rule=\"many\"}"), Some(1.0));
    place.write("b.yaml", &pack("b", "true"));
    running.daemon.said("new rules are in force");
    let verdict = running.tell();
    assert_eq!((rules(&verdict), &verdict["verdict"]), (vec!["b", "many"], &json!("hold")));
    assert_eq!(running.metric("breaker_open{rule=\"many\"}"), Some(1.0));
}

#[test]
fn check_says_what_a_reload_would_change() {
    let place = Place::with(&[("counted.yaml", COUNTED), ("b.yaml", &pack("b", "true"))]);
    let config = place.at("refguard.yaml");
    let check = |arguments: &[&str]| {
        let with_config = ["check", "--config", config.to_str().unwrap()];
        answer(&[&with_config, arguments].concat())
    };
    let none = check(&["--diff"]);
    assert_eq!(
        (none.code, none.err.contains("hint: they are kept there by `refguard run`")),
        (Some(2), true),
        "{none:?}"
    );
    end(place.start());
    let before = place.hash();
    let same = check(&["--diff"]);
    assert_eq!(same.code, Some(0), "{same:?}");
    assert!(String::from_utf8(same.out).unwrap().contains("\nthese are the same rules\n"));

    let changed = COUNTED
        .replace("window: 1h", "window: 2h")
        .replace("rules:\n", "  new_1d: {on: [login.succeeded], key: [device.id], aggregate: count, window: 1d}\nlists:\n  known: {kind: domain, file: lists/known.txt}\nrules:\n")
        .replace("logins_1h > 0", "logins_1h > 2 || new_1d > 3 || email.domain in lists.known || account.new_device")
        .replace("score: 1", "action: flag, when_incomplete: shadow");
    place.write("counted.yaml", &changed);
    place.write("lists/known.txt", "example.com\n");
    fs::remove_file(place.at("rules/b.yaml")).unwrap();
    place.write("c.yaml", &pack("c", "true"));
    let told = check(&["--diff"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    let text = String::from_utf8(told.out).unwrap();
    let expected = format!(
        "against rule set {before} in {}\n\
rules
  - b
  + c
  ~ counted
      when: logins_1h > 0 -> logins_1h > 2 || new_1d > 3 || email.domain in lists.known || account.new_device
      score: 1 -> 0
      action: (nothing) -> flag
      when_incomplete: enforce -> shadow
features
  ~ logins_1h: starts empty
      window: 1h -> 2h
  + new_1d: starts empty
lists
  + known
of accounts
  + its devices: remembered from the reload on
all other features keep their counts; thresholds and programs are those of the configuration
",
        place.at("state/rules-last-good").display()
    );
    assert_eq!(text, expected);
    let other = place.at("state/rules-last-good");
    let named = check(&["--diff", other.to_str().unwrap()]);
    assert_eq!(String::from_utf8(named.out).unwrap(), expected);
    assert_eq!(check(&["--diff", "/no/such/folder"]).code, Some(2));
}

#[test]
fn no_reload_drops_an_event_or_changes_what_another_rule_says() {
    const EVENTS: usize = 3000;
    let place = Place::with(&[("counted.yaml", COUNTED)]);
    let history: String = (0..EVENTS).map(login).collect();
    fs::write(place.at("history.jsonl"), &history).unwrap();
    let path = |name: &str| place.at(name).to_str().unwrap().to_owned();
    let plain = answer(&["eval", "--rules", &path("rules"), &path("history.jsonl")]);
    let plain: Vec<Value> =
        String::from_utf8(plain.out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();

    let Running { mut daemon, mut events, verdicts, .. } = place.start();
    let lines: Vec<&str> = history.split_inclusive('\n').collect();
    let mut parts = lines.chunks(EVENTS / 4);
    let mut feed = || events.write_all(parts.next().unwrap().concat().as_bytes()).unwrap();
    let mut told = Vec::new();
    for (name, condition) in [("b", "true"), ("c", "ip.kind == \"reserved\"")] {
        feed();
        told.extend(take(&verdicts, EVENTS / 4));
        place.write("other.yaml", &pack(name, condition));
        // These meet the reload on their way.
        feed();
        daemon.said("new rules are in force");
        told.extend(take(&verdicts, EVENTS / 4));
    }
    events.write_all(login(EVENTS).as_bytes()).unwrap();
    told.extend(take(&verdicts, 1));
    let told: Vec<Value> = told.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let counted = |verdict: &Value| {
        let rules = verdict["rules"].as_array().unwrap();
        (
            verdict["event_id"].clone(),
            rules.iter().find(|rule| rule["id"] == "counted").cloned(),
            verdict["evidence"].clone(),
        )
    };
    assert_eq!(plain.len(), EVENTS);
    for (told, plain) in told[..EVENTS].iter().zip(&plain) {
        assert_eq!(counted(told), counted(plain));
    }
    assert_eq!(rules(&told[EVENTS]), ["c", "counted"], "judged by the last");
    let sets: Vec<&Value> = told.iter().map(|verdict| &verdict["ruleset"]).collect();
    assert_eq!(sets.chunk_by(|a, b| a == b).count(), 3, "each took over once");
}
