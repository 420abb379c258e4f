//! What is absent: never counted as a 0, and never an instant.

use refguard::engine::{Policy, ProgramPolicy, Rates};
use serde_json::json;

use super::{EngineOptions, Story, Value, matched};

/// The rules that match the last of these logins, each a second after the one before.
fn last(features: &str, when: &[&str], logins: &[Value]) -> Vec<usize> {
    let rules: String = when.iter().enumerate().map(|(at, when)| rule(at, when)).collect();
    let features = if features.is_empty() { String::new() } else { format!("features:\n{features}") };
    let text = format!("version: 1\npack: p\n{features}rules:\n{rules}");
    let rates = Rates { base: "SAR".to_owned(), ..Rates::default() };
    let policy = Policy { default: ProgramPolicy { rates, ..ProgramPolicy::default() }, ..Policy::default() };
    let mut story = Story::with_pack(&text, EngineOptions { policy, ..EngineOptions::default() });
    let verdicts = logins.iter().zip(0..).map(|(data, at)| story.tell("login.succeeded", at * 1000, data.clone()));
    let verdict = verdicts.last().expect("there is a login");
    matched(&verdict).iter().map(|(id, _)| id[1..].parse().expect("a number")).collect()
}

fn rule(at: usize, when: &str) -> String {
    format!("  - {{id: r{at}, on: [login.succeeded], when: '{when}', score: 1}}\n")
}

fn feature(name: &str, key: &str, aggregate: &str, value: &str) -> String {
    let value = if value.is_empty() { String::new() } else { format!(", value: '{value}'") };
    format!("  {name}: {{on: [login.succeeded], key: ['{key}'], aggregate: {aggregate}{value}, window: 1h}}\n")
}

#[test]
fn an_absent_number_is_no_key() {
    let strangers: Vec<Value> =
        (0..9).map(|at| json!({"account_id": format!("a{at}"), "email": "", "ip": "x"})).collect();
    for key in [
        "ip.asn",
        "ip.version",
        "email.gibberish > 0.5",
        "event.amount_minor",
        "event.amount_minor / 100",
        "event.rating > 1.0",
        "event.amount_base > 1.0",
        "string(event.latitude)",
        "event.account_created_at",
    ] {
        let features = feature("f", key, "distinct", "event.account_id");
        assert_eq!(last(&features, &["f > 0", "f == 0"], &strangers), [1], "{key}");
    }
    let features = feature("f", "ip.version", "distinct", "event.account_id");
    let known: Vec<Value> = (0..4).map(|at| json!({"account_id": format!("a{at}"), "ip": "192.0.2.1"})).collect();
    assert_eq!(last(&features, &["f == 4"], &known), [0]);
}

#[test]
fn an_absent_number_is_no_value() {
    let numbers =
        ["event.amount_base", "event.amount_minor", "event.rating", "event.latitude", "ip.asn", "email.gibberish"];
    let silent = || vec![json!({"account_id": "a"}); 3];
    for value in numbers.into_iter().chain(["event.amount_minor * 2 + 1", "int(event.account_created_at)"]) {
        for aggregate in ["min", "max", "avg"] {
            let features = feature("f", "event.account_id", aggregate, value);
            assert_eq!(last(&features, &["known(f)", "!known(f)"], &silent()), [1], "{aggregate} of {value}");
        }
        for aggregate in ["distinct", "set"] {
            let features = feature("f", "event.account_id", aggregate, value);
            let read = if aggregate == "set" { "size(f)" } else { "f" };
            assert_eq!(last(&features, &[&format!("{read} == 0")], &silent()), [0], "{aggregate} of {value}");
        }
    }
    let given = |amount: i64| json!({"account_id": "a", "amount_minor": amount, "currency": "SAR"});
    let unknown = json!({"account_id": "a", "amount_minor": 500, "currency": "ZZZ"});
    let features = feature("low", "event.account_id", "min", "event.amount_base")
        + &feature("mean", "event.account_id", "avg", "event.amount_base")
        + &feature("kinds", "event.account_id", "distinct", "event.amount_base")
        + &feature("zero", "event.account_id", "sum", "has(event.amount_base) ? event.amount_base : 1000.0");
    let when = ["low == 3.0", "mean == 4.0", "kinds == 2", "zero == 1008.0"];
    assert_eq!(last(&features, &when, &[given(300), unknown, given(500)]), [0, 1, 2, 3]);
    let zero = feature("low", "event.account_id", "min", "event.amount_minor");
    assert_eq!(last(&zero, &["low == 0"], &[given(0)]), [0], "a 0 that was given is a value");
}

#[test]
fn an_absent_number_reads_as_0_in_a_condition_and_an_absent_instant_as_nothing() {
    let when = [
        "event.amount_minor == 0 && event.amount_base == 0.0 && ip.asn == 0 && email.gibberish == 0.0",
        "event.account_created_at < event.time",
        "event.account_created_at >= event.time",
        "event.time - event.account_created_at > duration(\"1h\") || event.channel == \"\"",
        "!has(event.account_created_at) && !known(event.account_created_at) && !known(event.amount_base)",
        "!known(ip.asn) && !known(email.gibberish) && !known(ip.address) && !known(event.device.model)",
    ];
    assert_eq!(last("", &when, &[json!({"account_id": "a"})]), [0, 3, 4, 5]);
    let told = json!({"account_id": "a", "account_created_at": "2026-01-01T00:00:00Z", "email": "m@mail.example"});
    let when = ["event.account_created_at < event.time", "known(event.account_created_at)", "known(email.gibberish)"];
    assert_eq!(last("", &when, &[told]), [0, 1, 2]);
}
