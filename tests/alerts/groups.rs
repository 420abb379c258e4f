//! What alerts are gathered by.

use super::*;

#[test]
fn a_group_is_named_values_and_what_there_is_not_is_empty() {
    let rules = by_word(&[
        ("default", "action: flag"),
        ("pair", "action: flag, group_by: [event.referrer_id, ' ip.prefix ']"),
        ("amount", "action: flag, group_by: [event.amount_minor, 'event.amount_minor > 5 ? \"much\" : \"little\"']"),
    ]);
    let mut story = Story::of(&rules);
    let mut groups = |data: Value| -> Vec<Value> {
        let told = story.tell("referral.completed", 0, data);
        told.iter().map(|record| record["group"].clone()).collect()
    };
    let data = json!({"account_id": "b", "referrer_id": "a", "ip": "198.51.100.7", "channel": "default pair"});
    let expected =
        [json!({"event.account_id": "b"}), json!({"event.referrer_id": "a", "ip.prefix": "198.51.100.0/24"})];
    assert_eq!(groups(data), expected);
    let data = json!({"account_id": "b", "referrer_id": "a", "channel": "pair"});
    assert_eq!(groups(data), [json!({"event.referrer_id": "a", "ip.prefix": ""})]);
    let data = json!({"account_id": "b", "referrer_id": "a", "channel": "amount", "amount_minor": 0});
    let name = "event.amount_minor > 5 ? \"much\" : \"little\"";
    assert_eq!(groups(data), [json!({"event.amount_minor": "0", name: "little"})]);
    let data = json!({"account_id": "b", "referrer_id": "a", "channel": "amount"});
    assert_eq!(groups(data), [json!({"event.amount_minor": "", name: ""})], "an absent number has no value here");
}

#[test]
fn alerts_are_apart_by_program_rule_and_group() {
    let mut story = Story::of(&by_word(&[("one", "action: flag"), ("two", "action: flag")]));
    let mut ids = std::collections::BTreeSet::new();
    for program in ["p", "q"] {
        for account in ["a", "b"] {
            let data = json!({"account_id": account, "program": program, "channel": "one two"});
            let told = story.tell("login.succeeded", 0, data.clone());
            assert_eq!(changes(&told), [("one", "opened"), ("two", "opened")]);
            ids.extend(told.iter().map(|record| record["id"].as_str().unwrap().to_owned()));
            assert_eq!(changes(&story.tell("login.succeeded", 1, data)), [("one", "grown"), ("two", "grown")]);
        }
    }
    assert_eq!((ids.len(), story.alerts.open()), (8, 8));
}

#[test]
fn a_group_may_read_a_feature() {
    let text = "version: 1
pack: p
features:
  logins: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 1h}
rules:
  - {id: r, on: [login.succeeded], when: 'true', action: flag, group_by: [logins], message: '{event.account_id}: {logins}'}
";
    let rules = pack::rules(text);
    let alerts = Alerts::new(AlertOptions::default(), Arc::clone(&rules));
    let replay = Replay::new(rules, &SignalConfig::default(), EngineOptions::default()).unwrap();
    let mut story = Story { replay, alerts, events: 0 };
    for logins in 1..4 {
        let told = story.tell("login.succeeded", logins, login("a\"b", ""));
        assert_eq!(told[0]["group"], json!({"logins": logins.to_string()}));
        assert_eq!(told[0]["message"], format!("a\"b: {logins}"));
    }
}

#[test]
fn accounts_are_all_that_events_name_and_few_are_listed() {
    let mut story = Story::of(&by_word(&[("ring", "action: hold, group_by: [event.campaign]")]));
    let mut last = Value::Null;
    for at in 0..512_i64 {
        let data = json!({
            "account_id": format!("a{at}"), "referrer_id": format!("r{}", at % 7), "campaign": "c", "channel": "ring",
        });
        if let Some(record) = story.tell("referral.completed", at, data).pop() {
            last = record;
        }
        if at == 15 {
            assert_eq!((&last["accounts_total"], &last["accounts_more"]), (&json!(23), &json!(false)));
        }
    }
    let accounts = last["accounts"].as_array().unwrap();
    assert_eq!(
        (accounts.len(), &accounts[0], &accounts[1], &accounts[2]),
        (20, &json!("a0"), &json!("r0"), &json!("a1"))
    );
    assert_eq!((&last["accounts_total"], &last["accounts_more"]), (&json!(500), &json!(true)));
    assert_eq!(last["count"], 512);
}

#[test]
fn long_texts_are_cut_and_keep_groups_apart() {
    let rules = by_word(&[("long", "action: flag, message: '{event.account_id}'")]);
    let mut story = Story::of(&rules);
    let name = |end: &str| "é".repeat(20_000) + end;
    let mut told = |end: &str| story.tell("login.succeeded", 0, login(&name(end), "long")).remove(0);
    let (one, other, again) = (told("1"), told("2"), told("1"));
    let group = |record: &Value| record["group"]["event.account_id"].as_str().unwrap().to_owned();
    assert!(group(&one).len() <= 256 && group(&one) != group(&other));
    assert_eq!((&one["id"], &again["count"]), (&again["id"], &json!(2)));
    assert_eq!(one["accounts"][0], group(&one));
    let message = one["message"].as_str().unwrap();
    assert!(message.len() < 1100 && name("").starts_with(message.trim_end_matches('…')), "{message}");
}
