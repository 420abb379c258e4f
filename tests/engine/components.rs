//! Linked accounts as rules use them: a ring with a referral inside, and everybody in it decided about.

use serde_json::json;

use super::{EngineOptions, HOUR_MS, Story, Value, matched};

const DAY_MS: i64 = 24 * HOUR_MS;
const PACK: &str = r#"version: 1
pack: p
lists:
  agencies: {kind: string, values: [desk-1]}
features:
  ring:
    on: [login.succeeded, referral.completed]
    key: [event.account_id]
    aggregate: component
    links: [device.id, event.payment_fingerprint]
    ignore: lists.agencies
    window: 30d
rules:
  - id: ring
    on: [referral.completed]
    when: ring >= 4 && same(ring, event.account_id, event.referrer_id)
    score: 10
    message: "{ring} accounts around {event.account_id}"
    decide: [{subject: account, each: ring, verdict: hold, ttl: 7d}]
"#;

fn story() -> Story {
    Story::with_pack(PACK, EngineOptions::default())
}

fn login(story: &mut Story, at_ms: i64, account: &str, device: &str, card: &str) {
    story.tell(
        "login.succeeded",
        at_ms,
        json!({"account_id": account, "device_id": device, "payment_fingerprint": card}),
    );
}

fn invite(story: &mut Story, at_ms: i64, account: &str, referrer: &str, device: &str) -> Value {
    let data = json!({"account_id": account, "referrer_id": referrer, "device_id": device});
    story.tell("referral.completed", at_ms, data)
}

/// What the account meets when it asks for a reward.
fn asks(story: &mut Story, at_ms: i64, account: &str) -> String {
    let verdict = story.tell("reward.requested", at_ms, json!({"account_id": account}));
    verdict["verdict"].as_str().unwrap().to_owned()
}

#[test]
fn everybody_in_a_ring_is_held() {
    let mut story = story();
    login(&mut story, 0, "a", "d1", "");
    login(&mut story, 1, "b", "d1", "card-1");
    login(&mut story, 2, "c", "d2", "card-1");
    login(&mut story, 3, "stranger", "d3", "card-3");
    let made = invite(&mut story, 4, "d", "a", "d2");
    assert_eq!(made["rules"][0]["message"], "4 accounts around d");
    assert_eq!(made["created"].as_array().map(Vec::len), Some(4));
    for (account, verdict) in [("a", "hold"), ("b", "hold"), ("c", "hold"), ("d", "hold"), ("stranger", "allow")] {
        assert_eq!(asks(&mut story, 5, account), verdict, "{account}");
    }
    // Who joins is not decided about before the rule matches again.
    login(&mut story, 6, "e", "d2", "");
    assert_eq!(asks(&mut story, 7, "e"), "allow");
    let again = invite(&mut story, 8, "d", "a", "d2");
    assert_eq!(again["created"].as_array().map(Vec::len), Some(1), "the others had the decision already: {again}");
    assert_eq!(asks(&mut story, 9, "e"), "hold");
    assert_eq!(asks(&mut story, 7 * DAY_MS + 10, "a"), "allow", "decisions end");
}

#[test]
fn a_family_an_agency_and_links_of_the_past_make_no_ring() {
    let mut family = story();
    login(&mut family, 0, "a", "d1", "");
    login(&mut family, 1, "b", "d1", "");
    assert_eq!(matched(&invite(&mut family, 2, "c", "a", "d1")), []);
    let mut agency = story();
    for (at_ms, account) in ["a", "b", "c", "d"].into_iter().enumerate() {
        login(&mut agency, at_ms as i64, account, "desk-1", "");
    }
    assert_eq!(matched(&invite(&mut agency, 5, "e", "a", "desk-1")), []);
    let mut past = story();
    for (at_ms, account) in ["a", "b", "c"].into_iter().enumerate() {
        login(&mut past, at_ms as i64, account, "d1", "");
    }
    assert_eq!(matched(&invite(&mut past, 31 * DAY_MS, "d", "a", "d1")), []);
}

#[test]
fn a_ring_outlives_a_reload_unless_its_members_are_to_be_known_or_not() {
    let mut story = story();
    for (at_ms, account) in ["a", "b", "c"].into_iter().enumerate() {
        login(&mut story, at_ms as i64, account, "d1", "");
    }
    let other_rule = PACK.replace("score: 10", "score: 11");
    story.reload(&other_rule);
    let held = invite(&mut story, 4, "d", "a", "d1");
    assert_eq!((held["score"].as_i64(), held["created"].as_array().map(Vec::len)), (Some(11), Some(4)));
    // Hashes alone are kept now, and names were kept before: another state.
    let without_each = PACK.replace("    decide: [{subject: account, each: ring, verdict: hold, ttl: 7d}]\n", "");
    assert_ne!(without_each, PACK);
    story.reload(&without_each);
    assert_eq!(matched(&invite(&mut story, 5, "e", "a", "d1")), []);
}
