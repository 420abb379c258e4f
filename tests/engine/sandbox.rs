//! Verdicts that an event asks for, in a program for tests.

use refguard::engine::{EngineOptions, Policy, ProgramPolicy};
use serde_json::{Value, json};

use super::{Story, matched, summary};

const RULES: &str = "  - {id: all, on: [reward.requested, referral.completed], when: 'true', action: flag, score: 90,
     decide: [{subject: account, verdict: block}]}\n";

fn story() -> Story {
    let sandbox = ProgramPolicy { sandbox: true, observe_only: true, ..ProgramPolicy::default() };
    let policy = Policy { programs: vec![("tests".to_owned(), sandbox)], ..Policy::default() };
    Story::with(RULES, EngineOptions { policy, ..EngineOptions::default() })
}

fn asking(program: &str, word: Value) -> Value {
    json!({"program": program, "account_id": "a", "referrer_id": "r", "attributes": {"other": 1, "refguard_test": word}})
}

#[test]
fn an_event_of_a_sandbox_gets_the_verdict_that_it_asks_for() {
    let mut story = story();
    for word in ["allow", "flag", "challenge", "hold", "block"] {
        let verdict = story.tell("referral.completed", 0, asking("tests", json!(word)));
        assert_eq!(summary(&verdict), (word, "test", 0), "{verdict}");
        assert_eq!(verdict["parties"], json!({"referrer": word, "referee": word}));
        assert_eq!(
            (&verdict["rules"], &verdict["created"], &verdict["would_be"]),
            (&json!([]), &json!([]), &Value::Null)
        );
        assert_eq!(verdict["hold_id"].is_string(), word == "hold");
    }
    let first = story.tell_as("again", "reward.requested", 1, asking("tests", json!("hold"))).expect("it is new");
    let again = story.tell_as("again", "reward.requested", 1, asking("tests", json!("hold"))).expect("it is a repeat");
    assert_eq!(
        (&again["verdict"], &again["cause"], &again["current"]),
        (&json!("hold"), &json!("test"), &json!("hold"))
    );
    assert_eq!(again["hold_id"], first["hold_id"]);
}

#[test]
fn elsewhere_and_with_other_words_the_rules_judge() {
    let mut story = story();
    for (program, word) in [
        ("default", json!("allow")),
        ("unheard-of", json!("allow")),
        ("tests", json!("Allow")),
        ("tests", json!("")),
        ("tests", json!(null)),
        ("tests", json!(1)),
        ("tests", json!({"verdict": "allow"})),
    ] {
        let verdict = story.tell("reward.requested", 0, asking(program, word.clone()));
        assert_eq!(matched(&verdict), [("all", "enforce")], "{program}, {word}: {verdict}");
        assert_ne!(verdict["cause"], "test");
    }
}
