//! When an alert is told of, and when it closes.

use super::*;

fn hourly() -> AlertOptions {
    AlertOptions { quiet_ms: 10 * HOUR_MS, interval_ms: HOUR_MS, ..AlertOptions::default() }
}

fn counts(records: &[Value]) -> Vec<(&str, i64)> {
    records.iter().map(|record| (record["change"].as_str().unwrap(), record["count"].as_i64().unwrap())).collect()
}

#[test]
fn growth_is_told_when_the_count_has_doubled_or_time_has_passed() {
    let mut story = Story::with(&by_word(&[("flag", "action: flag")]), EngineOptions::default(), hourly());
    let mut told = Vec::new();
    for at in 0..13 {
        told.extend(story.tell("login.succeeded", at * MINUTE_MS, login("a", "flag")));
    }
    assert_eq!(counts(&told), [("opened", 1), ("grown", 2), ("grown", 4), ("grown", 8)]);
    let revisions: Vec<_> = told.iter().map(|record| record["revision"].as_i64().unwrap()).collect();
    assert_eq!(revisions, [1, 2, 3, 4]);
    assert!(told.iter().all(|record| record["id"] == told[0]["id"] && record["first_event"]["id"] == "e1"));
    assert_eq!(told[3]["last_event"], json!({"source": "/shop", "id": "e8"}));
    let told = story.tell("login.succeeded", 67 * MINUTE_MS, login("a", "flag"));
    assert_eq!(counts(&told), [("grown", 14)], "an hour after the eighth");
    assert_eq!(story.tell("login.succeeded", 68 * MINUTE_MS, login("a", "flag")), [] as [Value; 0]);
    let told = story.pass(127 * MINUTE_MS);
    assert_eq!(counts(&told), [("grown", 15)], "told as time passes, though nothing comes");
    assert_eq!(story.end(), [] as [Value; 0], "all was told");
    story.tell("login.succeeded", 128 * MINUTE_MS, login("a", "flag"));
    assert_eq!(counts(&story.end()), [("grown", 16)], "what waits at the end is told");
}

#[test]
fn what_becomes_worse_is_told_at_once() {
    let rules = "  - {id: r, on: [login.succeeded], when: 'true', action: flag}
  - {id: stop, on: [login.succeeded], when: 'event.channel == \"stop\"', action: block, kind: limit}\n";
    let mut story = Story::of(rules);
    let mut tell = |channel: &str| {
        let told = story.tell("login.succeeded", 0, login("a", channel));
        told.iter()
            .map(|of| format!("{} {}", of["change"].as_str().unwrap(), of["verdict"].as_str().unwrap()))
            .collect()
    };
    let told: [Vec<String>; 7] = ["", "", "stop", "", "stop", "", ""].map(&mut tell);
    let expected: [&[&str]; 7] = [&["opened flag"], &["grown flag"], &["worse block"], &[], &[], &["grown block"], &[]];
    assert_eq!(
        told.each_ref().map(|told| told.iter().map(String::as_str).collect::<Vec<_>>()),
        expected.map(<[&str]>::to_vec)
    );
}

#[test]
fn an_alert_that_was_quiet_closes_and_the_next_event_opens_another() {
    let mut story = Story::with(&by_word(&[("flag", "action: flag")]), EngineOptions::default(), hourly());
    let first = story.tell("login.succeeded", 0, login("a", "flag"));
    assert_eq!(counts(&story.tell("login.succeeded", 10 * HOUR_MS - 1, login("a", "flag"))), [("grown", 2)]);
    let told = story.tell("login.succeeded", 20 * HOUR_MS - 1, login("a", "flag"));
    assert_eq!(counts(&told), [("closed", 2), ("opened", 1)]);
    assert_eq!(
        (&told[0]["id"], &told[0]["state"], &told[0]["closed_by"]),
        (&first[0]["id"], &json!("closed"), &json!("quiet"))
    );
    assert_eq!(told[0]["last_seen"], "2026-05-01T09:59:59.999Z");
    assert_ne!(told[1]["id"], first[0]["id"]);
    assert_eq!((&told[1]["state"], &told[1]["closed_by"]), (&json!("open"), &Value::Null));

    // The horizon lies an hour behind the newest event.
    assert_eq!(story.pass(31 * HOUR_MS - 2), [] as [Value; 0]);
    assert_eq!(story.alerts.open(), 1);
    let closed = story.pass(31 * HOUR_MS - 1);
    assert_eq!((counts(&closed), &closed[0]["id"]), (vec![("closed", 1)], &told[1]["id"]));
    assert_eq!(story.alerts.open(), 0);
    assert_eq!(story.alerts.counts().open, [0; 4]);
}

#[test]
fn a_late_event_belongs_to_what_is_open_at_the_horizon() {
    let mut story = Story::with(&by_word(&[("flag", "action: flag")]), EngineOptions::default(), hourly());
    story.tell("login.succeeded", 0, login("a", "flag"));
    story.tell("login.succeeded", 10 * HOUR_MS, login("b", ""));
    // Judged as of 09:00, and it is the older of the two.
    let told = story.tell("login.succeeded", -5 * HOUR_MS, login("a", "flag"));
    assert_eq!(counts(&told), [("grown", 2)]);
    assert_eq!(
        (&told[0]["first_seen"], &told[0]["last_seen"]),
        (&json!("2026-04-30T19:00:00.000Z"), &json!("2026-05-01T00:00:00.000Z"))
    );
    story.tell("login.succeeded", 20 * HOUR_MS, login("b", ""));
    let told = story.tell("login.succeeded", HOUR_MS, login("a", "flag"));
    assert_eq!(counts(&told), [("closed", 2), ("opened", 1)], "as of 19:00 it has been quiet for ten hours");
}

#[test]
fn a_reload_closes_the_alerts_of_rules_that_are_gone() {
    let rules = |text: &str| pack::rules(&format!("version: 1\npack: story\nrules:\n{text}"));
    let before = by_word(&[
        ("gone", "action: flag"),
        ("off", "action: flag"),
        ("shadow", "action: flag"),
        ("stays", "action: flag"),
    ]);
    let mut story = Story::of(&before);
    let opened = story.tell("login.succeeded", 0, login("a", "gone off shadow stays"));
    let old_hash = opened[0]["ruleset"].clone();
    assert_eq!(opened.len(), 4);
    let after = by_word(&[
        ("aaa", "action: flag"),
        ("off", "action: flag, mode: 'off'"),
        ("shadow", "action: flag, mode: shadow"),
        ("stays", "action: flag, severity: critical, owner: crew, tags: [t]"),
    ]);
    story.replay.reload(rules(&after), &SignalConfig::default()).unwrap();
    let told = story.tell("login.succeeded", 1, login("a", "gone off shadow stays"));
    assert_eq!(changes(&told), [("gone", "closed"), ("off", "closed"), ("stays", "worse")]);
    assert!(told[..2].iter().all(|record| record["closed_by"] == "rule_removed" && record["ruleset"] == old_hash));
    let stays = &told[2];
    assert_eq!((&stays["id"], &stays["count"], &stays["severity"]), (&opened[3]["id"], &json!(2), &json!("critical")));
    assert_eq!((&stays["owner"], &stays["tags"]), (&json!("crew"), &json!(["t"])));
    assert_ne!(stays["ruleset"], old_hash);
    let counts = story.alerts.counts();
    assert_eq!((counts.open, counts.closed), ([0, 1, 0, 1], [0, 0, 2]));
}
