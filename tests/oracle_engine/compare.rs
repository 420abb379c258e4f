//! A line of a verdict beside what the auditor says of its event.

use serde_json::Value;

use crate::auditor::{Judged, Told};

/// Compares a line with what the auditor says; gives the ids of the decisions it made.
pub(crate) fn compare(line: &str, judged: &Judged) -> Vec<String> {
    let verdict: Value = serde_json::from_str(line).unwrap();
    let evidence = line.split_once("\"evidence\":[").unwrap().1.split_once("],\"decisions\":").unwrap().0;
    assert_eq!(evidence, judged.evidence, "evidence");
    let rules = verdict["rules"].as_array().unwrap();
    let matched: Vec<(&str, bool)> =
        rules.iter().map(|rule| (rule["id"].as_str().unwrap(), rule["mode"] == "enforce")).collect();
    assert_eq!(matched, judged.rules, "rules");
    let facts = rules.iter().find(|rule| rule["id"] == "b-facts").unwrap()["message"].as_str().unwrap();
    for (at, (told, expected)) in facts.split('|').zip(&judged.facts).enumerate() {
        match expected {
            Told::Text(text) => assert_eq!(told, text, "fact {at} of {facts}"),
            Told::Number(number, off) => {
                let told: f64 = told.parse().unwrap();
                assert!((told - number).abs() <= *off, "fact {at}: {told}, not {number}");
            }
        }
    }
    assert_eq!(facts.split('|').count(), judged.facts.len());
    assert_eq!(verdict["late"] == true, judged.late, "late");
    assert_eq!(verdict["score"], judged.score, "score");
    assert_eq!((verdict["verdict"].as_str(), verdict["cause"].as_str()), (Some(judged.verdict), Some(judged.cause)));
    let parties = verdict["parties"].as_object().unwrap();
    let sides = parties.get("referrer").zip(parties.get("referee"));
    let sides = sides.map(|(referrer, referee)| (referrer.as_str().unwrap(), referee.as_str().unwrap()));
    assert_eq!(sides, judged.parties, "parties");
    let ids = |name: &str| -> Vec<String> {
        verdict[name].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("decisions"), judged.decisions, "decisions");
    let created = ids("created");
    assert_eq!(created.len(), judged.creates, "created");
    created
}

/// A repeat says what the first line said, without evidence and messages.
pub(crate) fn compare_repeat(line: &str, first: &str) {
    let (line, mut first): (Value, Value) = (serde_json::from_str(line).unwrap(), serde_json::from_str(first).unwrap());
    first["evidence"] = Value::Array(Vec::new());
    first["rules"].as_array_mut().unwrap().iter_mut().for_each(|rule| rule["message"] = Value::Null);
    first["duplicate"] = Value::Bool(true);
    first["current"] = first["verdict"].clone();
    assert_eq!(line, first, "a repeat");
}

/// Whether a line answers with an earlier verdict.
pub(crate) fn is_repeat(line: &str) -> bool {
    line.contains("\"duplicate\":true")
}

/// What is answered by a hold says what the line that made it said.
pub(crate) fn compare_held(line: &str, before: &[&str]) {
    let verdict: Value = serde_json::from_str(line).unwrap();
    assert!(verdict["hold_id"].is_string(), "nothing but a hold is remembered for so long");
    let of_hold = |line: &&&str| line.contains(verdict["hold_id"].as_str().unwrap()) && !is_repeat(line);
    let first: Value = serde_json::from_str(before.iter().find(of_hold).expect("something made the hold")).unwrap();
    for name in
        ["event_id", "source", "program", "time", "account_id", "verdict", "cause", "score", "parties", "decisions"]
    {
        assert_eq!(verdict[name], first[name], "{name}");
    }
}
