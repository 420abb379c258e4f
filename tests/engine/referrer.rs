//! Who invited an account: learned from its first referral, and usable wherever a text is.

use serde_json::json;

use super::{EngineOptions, HOUR_MS, Story, Value, matched};

const PACK: &str = r#"version: 1
pack: p
features:
  spent_by_referees: {on: [order.placed], key: [account.referrer], aggregate: count, window: 30d}
  invited: {on: [referral.completed], key: [event.referrer_id], aggregate: count, window: 30d}
rules:
  - {id: any, on: [login.succeeded, referral.completed, order.placed], when: 'known(account.referrer)', score: 1, message: "{event.account_id} by {account.referrer}"}
  - {id: earns, on: [login.succeeded], when: 'spent_by_referees.at(event.account_id) >= 2', score: 1}
  - {id: same, on: [referral.completed], when: 'account.referrer == event.referrer_id', score: 1}
  - {id: listed, on: [login.succeeded], when: 'account.referrer in ["ref", "x"] && account.referrer.startsWith("r")', score: 1}
  - {id: above, on: [login.succeeded], when: 'invited.at(account.referrer) >= 2', score: 1}
  - {id: grand, on: [referral.completed], when: 'referrer.referrer == "ref"', score: 1}
  - {id: bad, on: [order.charged_back], when: 'true', score: 0, decide: [{subject: account, id: account.referrer, verdict: hold}]}
"#;

fn ids(verdict: &Value) -> Vec<String> {
    matched(verdict).iter().map(|(id, _)| (*id).to_owned()).collect()
}

fn invite(story: &mut Story, at_ms: i64, account: &str, referrer: &str) -> Value {
    story.tell("referral.completed", at_ms, json!({"account_id": account, "referrer_id": referrer}))
}

#[test]
fn a_referrer_is_a_text_like_any_other() {
    let mut story = Story::with_pack(PACK, EngineOptions::default());
    let nobody = story.tell("login.succeeded", 0, json!({"account_id": "a"}));
    assert_eq!(ids(&nobody), Vec::<String>::new());
    let first = invite(&mut story, 1, "a", "ref");
    assert_eq!(ids(&first), ["any", "same"]);
    assert_eq!(first["rules"][0]["message"], "a by ref");
    assert_eq!(ids(&invite(&mut story, 2, "a", "other")), ["any"], "the first referral counts");
    assert_eq!(ids(&invite(&mut story, 3, "b", "ref")), ["any", "same"]);
    assert_eq!(ids(&invite(&mut story, 4, "c", "a")), ["any", "grand", "same"]);
    assert_eq!(ids(&story.tell("login.succeeded", 5, json!({"account_id": "a"}))), ["above", "any", "listed"]);
    assert_eq!(ids(&story.tell("login.succeeded", 6, json!({"account_id": "c"}))), ["any"]);
    for account in ["a", "b", "stranger"] {
        story.tell("order.placed", 7, json!({"account_id": account}));
    }
    assert_eq!(ids(&story.tell("login.succeeded", 8, json!({"account_id": "ref"}))), ["earns"]);
    let elsewhere = story.tell("login.succeeded", 9, json!({"account_id": "a", "program": "other"}));
    assert_eq!(ids(&elsewhere), Vec::<String>::new(), "a referral is one of its program");
}

#[test]
fn a_decision_can_stand_on_the_referrer_of_an_account() {
    let mut story = Story::with_pack(PACK, EngineOptions::default());
    invite(&mut story, 0, "a", "ref");
    let unknown = story.tell("order.charged_back", 1, json!({"account_id": "b"}));
    assert_eq!(unknown["created"], json!([]));
    let made = story.tell("order.charged_back", 2, json!({"account_id": "a"}));
    assert_eq!(made["created"].as_array().map(Vec::len), Some(1));
    assert_eq!(story.tell("reward.requested", 3, json!({"account_id": "ref"}))["verdict"], "hold");
    assert_eq!(story.tell("reward.requested", 3, json!({"account_id": "a"}))["verdict"], "allow");
}

#[test]
fn a_referrer_is_that_of_the_first_referral_as_of_the_event() {
    let retention_ms = 10 * HOUR_MS;
    let options = EngineOptions { retention_ms, ..EngineOptions::default() };
    let mut story = Story::with_pack(PACK, options);
    let message = |verdict: &Value| {
        verdict["rules"]
            .as_array()
            .unwrap()
            .iter()
            .find(|rule| rule["id"] == "any")
            .map(|rule| rule["message"].as_str().unwrap().to_owned())
    };
    assert_eq!(message(&invite(&mut story, 100, "a", "second")).as_deref(), Some("a by second"));
    assert_eq!(
        message(&invite(&mut story, 50, "a", "first")).as_deref(),
        Some("a by first"),
        "a late referral was earlier"
    );
    let mut login = |at_ms: i64| message(&story.tell("login.succeeded", at_ms, json!({"account_id": "a"})));
    assert_eq!(login(100).as_deref(), Some("a by first"));
    assert_eq!(login(49), None);
    // 100 ms is the time of the newest referral: it is forgotten a retention later, whether memory was swept or not.
    assert_eq!(login(retention_ms + 99).as_deref(), Some("a by first"));
    assert_eq!(login(retention_ms + 100), None);
    for at in 0..3000 {
        story.tell("login.succeeded", retention_ms + 2 * HOUR_MS + at, json!({"account_id": format!("other-{at}")}));
    }
    let again = invite(&mut story, retention_ms + 3 * HOUR_MS, "a", "anew");
    assert_eq!(message(&again).as_deref(), Some("a by anew"));
}
