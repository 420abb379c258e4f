//! `refguard explain`: what it says of an event agrees with the verdict on it and with the events behind every value.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::program::{Answer, ROOT, answer, answer_to, refguard};

const TRAFFIC: &str = "examples/traffic.jsonl";

/// Rules small enough to read an explanation whole.
const PACK: &str = r#"
version: 1
pack: small
lists:
  offices: {kind: cidr, values: ["203.0.113.0/24"]}
features:
  logins_1h:
    on: [login.succeeded]
    key: [event.account_id]
    aggregate: count
    window: 1h
  accounts_per_device_1d:
    on: [login.succeeded, referral.completed]
    key: [device.id]
    aggregate: distinct
    value: event.account_id
    window: 1d
rules:
  - id: crowded-device
    title: Many accounts on one device
    on: [referral.completed]
    when: accounts_per_device_1d > 1 && logins_1h < 3
    except: [ip.address in lists.offices]
    score: 70
    decide:
      - {subject: account, verdict: hold, ttl: 7d}
    message: "{accounts_per_device_1d} accounts on {device.id}"
  - id: busy
    title: Many logins
    on: [referral.completed]
    when: logins_1h >= 2
    score: 10
    mode: shadow
  - id: logins-only
    title: Judges logins
    on: [login.succeeded]
    when: logins_1h > 100
    score: 10
  - id: switched-off
    title: Rests
    on: [referral.completed]
    when: "true"
    score: 10
    mode: off
  - id: ended
    title: Ended long ago
    on: [referral.completed]
    when: "true"
    score: 10
    expires: 2020-01-01
"#;

fn event(id: &str, kind: &str, minute: u32, data: Value) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/shop", "type": kind,
        "time": format!("2026-05-01T10:{minute:02}:00Z"), "data": data,
    })
}

/// Two accounts on one device; the second is invited by the first, and redeems then.
fn log() -> String {
    let login = |id, minute, account| {
        event(id, "login.succeeded", minute, json!({"account_id": account, "device_id": "d1", "ip": "198.51.100.7"}))
    };
    let referral = |id, minute, address| {
        let data = json!({"account_id": "b", "referrer_id": "a", "device_id": "d1", "ip": address});
        event(id, "referral.completed", minute, data)
    };
    let events = [
        login("l1", 0, "a"),
        login("l2", 1, "b"),
        login("l3", 2, "b"),
        referral("r1", 3, "198.51.100.7"),
        referral("r2", 4, "203.0.113.9"),
        referral("r2", 4, "203.0.113.9"),
    ];
    events.iter().map(|event| format!("{event}\n")).collect()
}

/// A folder with the small pack and the log.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("rules")).unwrap();
    fs::write(folder.path().join("rules/small.yaml"), PACK).unwrap();
    fs::write(folder.path().join("log.jsonl"), log()).unwrap();
    folder
}

fn explain(folder: &Path, arguments: &[&str]) -> Answer {
    let mut command = refguard(&["explain"]);
    command.current_dir(folder).args(["--rules", "rules"]).args(arguments);
    answer_to(command, log().as_bytes())
}

fn told(folder: &Path, arguments: &[&str]) -> Value {
    let answer = explain(folder, &[arguments, &["--json", "log.jsonl"]].concat());
    assert_eq!(answer.code, Some(0), "{}", answer.err);
    serde_json::from_slice(&answer.out).unwrap()
}

fn text(folder: &Path, arguments: &[&str]) -> String {
    let answer = explain(folder, arguments);
    assert_eq!(answer.code, Some(0), "{}", answer.err);
    String::from_utf8(answer.out).unwrap()
}

fn rule<'a>(told: &'a Value, id: &str) -> &'a Value {
    told["rules"].as_array().unwrap().iter().find(|rule| rule["id"] == id).unwrap_or_else(|| panic!("{id} is told"))
}

/// The ids of all verdicts' rules with their modes.
fn matched(of: &Value) -> BTreeSet<(String, bool)> {
    let rules = of["rules"].as_array().unwrap();
    rules.iter().map(|rule| (rule["id"].as_str().unwrap().to_owned(), rule["mode"] == "enforce")).collect()
}

/// Values and the events behind them, recounted from what is told.
fn recount(told: &Value) -> usize {
    let mut recounted = 0;
    for read in told["features"].as_array().unwrap() {
        let events = read["events"].as_array().unwrap();
        let total = read["events_total"].as_u64().unwrap();
        assert_eq!(events.len() as u64, total.min(50), "{read}");
        let values: BTreeSet<&str> = events.iter().filter_map(|event| event["value"].as_str()).collect();
        let values = values.into_iter().filter(|value| !value.is_empty()).count() as u64;
        let counted = match read["aggregate"].as_str().unwrap() {
            "count" => (read["value"].as_u64().unwrap(), total),
            "distinct" if total <= 50 => (read["value"].as_u64().unwrap(), values),
            "set" if total <= 50 => (read["value"]["size"].as_u64().unwrap(), values),
            _ => continue,
        };
        assert_eq!(counted.0, counted.1, "{read}");
        let (after, until) = (&read["window"]["after"], read["window"]["until"].as_str().unwrap());
        for event in events {
            let time = event["time"].as_str().unwrap();
            assert!(time <= until && after.as_str().is_none_or(|after| time > after), "{event} of {read}");
        }
        recounted += usize::from(total > 0);
    }
    recounted
}

/// An explanation and the verdict on the same event say the same.
fn agree(told: &Value, verdict: &Value) {
    for member in ["verdict", "cause", "parties", "program", "ruleset"] {
        assert_eq!(told[member], verdict[member], "{member} of {verdict}");
    }
    let enforced = |rule: &&Value| rule["end"] == "matched";
    let rules = told["rules"].as_array().unwrap();
    let sum: i64 = rules.iter().filter(enforced).map(|rule| rule["score"].as_i64().unwrap()).sum();
    assert_eq!(told["score"]["sum"], sum, "{verdict}");
    assert_eq!(verdict["score"], sum, "{verdict}");
    let ends = rules.iter().filter(|rule| rule["end"] == "matched" || rule["end"] == "shadowed");
    let ends: BTreeSet<_> = ends.map(|rule| (rule["id"].as_str().unwrap().to_owned(), enforced(&rule))).collect();
    assert_eq!(ends, matched(verdict), "{verdict}");
    for rule in verdict["rules"].as_array().unwrap() {
        let told = rules.iter().find(|told| told["id"] == rule["id"]).unwrap();
        assert_eq!(told["message"].as_str().unwrap_or_default(), rule["message"].as_str().unwrap_or_default());
        assert_eq!(told["when"]["value"], "true", "{told}");
    }
    for evidence in verdict["evidence"].as_array().unwrap() {
        let mut read = told["features"].as_array().unwrap().iter();
        assert!(read.any(|read| read["feature"] == evidence["feature"] && read["value"] == evidence["value"]));
    }
    let ids = |of: &Value| -> BTreeSet<String> {
        let decisions = of["decisions"].as_array().unwrap().iter();
        decisions.map(|of| of["id"].as_str().or(of.as_str()).unwrap().to_owned()).collect()
    };
    assert_eq!(ids(told), ids(verdict), "{verdict}");
}

/// Every eleventh event of the day and every one that was stopped.
#[test]
fn every_explanation_of_the_example_day_agrees_with_its_verdict_and_its_events() {
    let verdicts = answer(&["eval", TRAFFIC]);
    assert_eq!(verdicts.code, Some(0), "{}", verdicts.err);
    let verdicts = String::from_utf8(verdicts.out).unwrap();
    let verdicts = verdicts.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let wanted = verdicts
        .enumerate()
        .filter(|(at, verdict)| verdict.get("duplicate").is_none() && (at % 11 == 0 || verdict["verdict"] != "allow"));
    let (mut explained, mut recounted) = (0, 0);
    for (_, verdict) in wanted {
        let id = verdict["event_id"].as_str().unwrap();
        let answer = answer(&["explain", "--json", "--event", id, TRAFFIC]);
        assert_eq!(answer.code, Some(0), "{}", answer.err);
        let told: Value = serde_json::from_slice(&answer.out).unwrap();
        agree(&told, &verdict);
        recounted += recount(&told);
        explained += 1;
    }
    assert!(explained > 60 && recounted > 150, "{explained} explanations with {recounted} values");
}

#[test]
fn a_condition_is_told_term_by_term() {
    let folder = folder();
    let told = told(folder.path(), &["--event", "r1"]);
    assert_eq!(told["verdict"], "hold");
    assert_eq!(recount(&told), 2);
    let crowded = rule(&told, "crowded-device");
    assert_eq!(crowded["message"], "2 accounts on d1");
    assert_eq!(crowded["when"]["text"], "accounts_per_device_1d > 1 && logins_1h < 3");
    let terms: Vec<_> =
        crowded["when"]["terms"].as_array().unwrap().iter().map(|of| (&of["text"], &of["value"])).collect();
    assert_eq!(
        terms,
        [(&json!("accounts_per_device_1d > 1"), &json!("true")), (&json!("logins_1h < 3"), &json!("true"))]
    );
    assert_eq!(rule(&told, "busy")["end"], "shadowed");
    assert_eq!(rule(&told, "busy")["because"], "mode");
    assert_eq!(rule(&told, "ended")["end"], "expired");
    assert_eq!(told["score"], json!({"sum": 70, "thresholds": {"flag": 20, "challenge": 40, "hold": 60, "block": 80}}));
}

#[test]
fn an_exception_and_a_decision_in_force_are_told() {
    let folder = folder();
    let told = told(folder.path(), &["--event", "r2"]);
    assert_eq!((&told["verdict"], &told["cause"]), (&json!("hold"), &json!("decision")));
    let crowded = rule(&told, "crowded-device");
    assert_eq!((&crowded["end"], &crowded["because"]), (&json!("excepted"), &json!("ip.address in lists.offices")));
    let decisions = told["decisions"].as_array().unwrap();
    assert_eq!(decisions.len(), 1);
    assert_eq!(decisions[0]["rule"], "crowded-device");
    assert_eq!(decisions[0]["created"], "2026-05-01T10:03:00.000Z");
    assert_eq!(decisions[0]["expires"], "2026-05-08T10:03:00.000Z");
}

#[test]
fn one_reading_is_told_once_whether_its_key_is_written_out_or_not() {
    let folder = folder();
    let pack = PACK.replace("when: logins_1h >= 2", "when: logins_1h.at(event.account_id) >= 2");
    fs::write(folder.path().join("rules/small.yaml"), pack).unwrap();
    let told = told(folder.path(), &["--event", "r1"]);
    let logins = told["features"].as_array().unwrap().iter().filter(|read| read["feature"] == "logins_1h");
    let own: Vec<&Value> = logins.map(|read| &read["own"]).collect();
    assert_eq!(own, [&json!(true)], "{told}");
}

#[test]
fn a_term_that_was_not_needed_says_so() {
    let folder = folder();
    let pack = PACK.replace("accounts_per_device_1d > 1 &&", "accounts_per_device_1d > 5 &&");
    fs::write(folder.path().join("rules/small.yaml"), pack).unwrap();
    let told = told(folder.path(), &["--event", "r1"]);
    let terms = rule(&told, "crowded-device")["when"]["terms"].as_array().unwrap();
    assert_eq!((&terms[0]["evaluated"], &terms[1]["evaluated"]), (&json!(true), &json!(false)));
    assert_eq!(terms[1]["value"], "true", "its value is told all the same");
    let page = text(folder.path(), &["--event", "r1", "log.jsonl"]);
    assert!(
        page.contains("crowded-device did not match: accounts_per_device_1d > 5 is false, accounts_per_device_1d = 2")
    );
}

#[test]
fn the_page_for_people_is_complete() {
    let folder = folder();
    insta::assert_snapshot!("matched", text(folder.path(), &["--event", "r1", "log.jsonl"]));
    insta::assert_snapshot!(
        "excepted",
        text(folder.path(), &["--event", "r2", "--rule", "crowded-device", "log.jsonl"])
    );
}

#[test]
fn a_rule_that_does_not_judge_such_an_event_says_why() {
    let folder = folder();
    let of = |rule| text(folder.path(), &["--event", "r1", "--rule", rule, "log.jsonl"]);
    assert!(of("logins-only").contains("logins-only judges login.succeeded, and not referral.completed"));
    assert!(of("switched-off").contains("switched-off is off, and judges nothing\n"), "{}", of("switched-off"));
    let elsewhere = text(folder.path(), &["--event", "l1", "--rule", "switched-off", "log.jsonl"]);
    assert!(elsewhere.contains("switched-off is off; it would judge referral.completed, and not login.succeeded"));
    assert!(of("ended").contains("ended has ended"));
}

#[test]
fn an_open_breaker_says_what_it_changed() {
    for (then, end, because, page) in [
        ("hold", "eased", "breaker: hold", "matched while its breaker is open: it gives hold at most"),
        ("shadow", "shadowed", "breaker", "matched in shadow: its breaker is open"),
    ] {
        let folder = folder();
        let breaker = format!("breaker: {{share: 5%, over: 1h, then: {then}, rearm: 1h, min_events: 10}}");
        let rule = format!("{{id: many, on: [login.succeeded], when: 'true', action: block, score: 80, {breaker}}}");
        let pack = format!("version: 1\npack: small\nrules:\n  - {rule}\n");
        fs::write(folder.path().join("rules/small.yaml"), pack).unwrap();
        let login = |at| event(&format!("l{at}"), "login.succeeded", at, json!({"account_id": "a"}));
        let events: String = (0..12).map(|at| format!("{}\n", login(at))).collect();
        fs::write(folder.path().join("log.jsonl"), events).unwrap();
        let opens = told(folder.path(), &["--event", "l9"]);
        assert_eq!((&opens["verdict"], &rule_of(&opens)["end"]), (&json!("block"), &json!("matched")), "{then}");
        let open = told(folder.path(), &["--event", "l10"]);
        let told_of = rule_of(&open);
        assert_eq!((&told_of["end"], &told_of["because"]), (&json!(end), &json!(because)));
        let verdict = if then == "hold" { "hold" } else { "allow" };
        assert_eq!((&open["verdict"], &open["score"]["sum"]), (&json!(verdict), &json!(0)));
        let text = text(folder.path(), &["--event", "l10", "log.jsonl"]);
        assert!(text.contains(&format!("many {page}")), "{text}");
    }
}

fn rule_of(told: &Value) -> &Value {
    rule(told, "many")
}

#[test]
fn the_log_may_come_by_standard_input() {
    let folder = folder();
    let file = text(folder.path(), &["--event", "r1", "log.jsonl"]);
    assert_eq!(text(folder.path(), &["--event", "r1"]), file);
    assert_eq!(text(folder.path(), &["--event", "r1", "-"]), file);
}

#[test]
fn what_cannot_be_explained_is_refused_with_a_hint() {
    let folder = folder();
    let refused = |arguments: &[&str]| {
        let answer = explain(folder.path(), arguments);
        assert!(answer.out.is_empty());
        (answer.code, answer.err)
    };
    let (code, said) = refused(&["--event", "r9", "log.jsonl"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("no valid event with the id r9 is in log.jsonl"), "{said}");
    let (code, said) = refused(&["--event", "r1", "--event-source", "/elsewhere", "log.jsonl"]);
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = refused(&["--event", "r1", "--rule", "crowded-devise", "log.jsonl"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("did you mean `crowded-device`?"), "{said}");
    let (code, said) = refused(&["--event", "r1", "--rule", "nothing-like-it", "log.jsonl"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("hint: without `--rule`") && said.contains("refguard check --costs"), "{said}");
    let (code, said) = refused(&["--event", "r1", "nowhere.jsonl"]);
    assert!(code.is_some_and(|code| code != 0) && said.contains("nowhere.jsonl"), "{said}");
}

/// What `eval` does not take for an event is none here either, or what stands behind it would be told as late.
#[test]
fn an_event_of_the_future_is_none_unless_the_traffic_is_made_up() {
    let folder = folder();
    let last = log().lines().next_back().unwrap().to_owned();
    let mut future: Value = serde_json::from_str(&last).unwrap();
    (future["id"], future["time"]) = (Value::from("ahead"), Value::from("2999-01-01T00:00:00Z"));
    fs::write(folder.path().join("ahead.jsonl"), format!("{future}\n{}", log())).unwrap();
    let id = serde_json::from_str::<Value>(&last).unwrap()["id"].as_str().unwrap().to_owned();
    let explained = |file: &str, more: &[&str]| {
        let answer = explain(folder.path(), &[&["--json", "--event", &id, file], more].concat());
        serde_json::from_slice::<Value>(&answer.out).unwrap()
    };
    let values = |told: &Value| -> Vec<Value> {
        let features = told["features"].as_array().unwrap().iter();
        features
            .map(|feature| feature["value"].clone())
            .chain([told["verdict"].clone(), told["late"].clone()])
            .collect()
    };
    assert_eq!(values(&explained("ahead.jsonl", &[])), values(&explained("log.jsonl", &[])));
    assert_eq!(explained("ahead.jsonl", &["--allow-future"])["late"], true);
    assert_eq!(explain(folder.path(), &["--event", "ahead", "ahead.jsonl"]).code, Some(1));
}

#[test]
fn explaining_leaves_nothing_behind() {
    let folder = folder();
    let temporary = tempfile::tempdir().unwrap();
    let mut command = refguard(&["explain", "--rules", "rules", "--event", "r1"]);
    command.current_dir(folder.path()).env("TMPDIR", temporary.path());
    assert_eq!(answer_to(command, log().as_bytes()).code, Some(0));
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0, "standard input is not kept");
    assert!(Path::new(ROOT).join(TRAFFIC).exists());
}

#[test]
fn a_component_shows_the_events_of_all_its_accounts() {
    const RING: &str = r#"
version: 1
pack: ring
features:
  ring:
    on: [login.succeeded]
    key: [event.account_id]
    aggregate: component
    links: [device.id, event.payment_fingerprint]
    window: 30d
rules:
  - id: ring
    on: [referral.completed]
    when: ring > 2 && same(ring, event.account_id, event.referrer_id)
    score: 10
"#;
    let folder = folder();
    fs::write(folder.path().join("rules/small.yaml"), RING).unwrap();
    let login = |id, minute, account, device, card| {
        let data = json!({"account_id": account, "device_id": device, "payment_fingerprint": card});
        event(id, "login.succeeded", minute, data)
    };
    let events = [
        login("l1", 0, "a", "d1", ""),
        login("l2", 1, "stranger", "d2", ""),
        // Known when the referral comes, and later than it.
        login("l3", 9, "b", "d1", "card"),
        login("l4", 3, "c", "d3", "card"),
        event("r1", "referral.completed", 5, json!({"account_id": "c", "referrer_id": "a"})),
        login("l5", 6, "c", "d3", "card"),
    ];
    fs::write(folder.path().join("log.jsonl"), events.map(|event| format!("{event}\n")).concat()).unwrap();
    let told = told(folder.path(), &["--event", "r1"]);
    assert_eq!(rule(&told, "ring")["end"], "matched");
    let terms = rule(&told, "ring")["when"]["terms"].as_array().unwrap();
    assert_eq!(terms[1]["text"], "same(ring, event.account_id, event.referrer_id)");
    let features = told["features"].as_array().unwrap();
    assert_eq!((&features[0]["value"], &features[1]["value"]), (&json!(3), &json!(true)));
    for read in features {
        let events = read["events"].as_array().unwrap();
        let behind: BTreeSet<(&str, &str)> =
            events.iter().map(|of| (of["id"].as_str().unwrap(), of["value"].as_str().unwrap())).collect();
        assert_eq!(behind, BTreeSet::from([("l1", "d1"), ("l3", "d1, card"), ("l4", "d3, card")]), "{read}");
        assert_eq!(read["events_total"], 3);
    }
    assert_eq!(features[0]["window"]["after"], "2026-03-31T23:59:59.999Z", "a day's start less the window");
}
