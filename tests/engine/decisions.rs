//! Decisions: where they reach, when they end, on whom they stand.

use serde_json::json;

use super::{HOUR_MS, SECOND_MS, Story, by_word};

#[test]
fn decisions_count_where_they_reach() {
    let rules = by_word(&[
        ("held", "score: 0, decide: [{subject: account, verdict: hold}]"),
        ("challenged", "score: 0, decide: [{subject: account, verdict: challenge}]"),
        ("blocked", "score: 0, decide: [{subject: account, verdict: block}]"),
        ("flagged", "score: 0, decide: [{subject: account, verdict: block, on: [order.placed, shop.visited]}]"),
    ]);
    for (word, kind, verdict) in [
        ("held", "login.succeeded", "allow"),
        ("held", "reward.requested", "hold"),
        ("held", "payout.requested", "hold"),
        ("held", "gift_card.checked", "hold"),
        ("held", "reward.custom", "hold"),
        ("held", "shop.visited", "allow"),
        ("challenged", "order.placed", "allow"),
        ("challenged", "offer.accepted", "challenge"),
        ("blocked", "login.succeeded", "block"),
        ("blocked", "shop.visited", "block"),
        ("flagged", "order.placed", "block"),
        ("flagged", "shop.visited", "block"),
        ("flagged", "login.succeeded", "allow"),
    ] {
        let mut story = Story::of(&rules);
        let made = story.tell("login.succeeded", 0, json!({"account_id": "a", "channel": word}));
        assert_eq!(made["verdict"], "allow", "a decision counts from the next event on");
        assert_eq!(made["decisions"], json!([]));
        let met = story.tell(kind, 0, json!({"account_id": "a"}));
        assert_eq!(met["verdict"], verdict, "{word} {kind}");
        assert_eq!(
            met["decisions"],
            if verdict == "allow" { json!([]) } else { made["created"].clone() },
            "{word} {kind}"
        );
        let other = story.tell(kind, 0, json!({"account_id": "b"}));
        assert_eq!(other["verdict"], "allow");
        let elsewhere = story.tell(kind, 0, json!({"account_id": "a", "program": "other"}));
        assert_eq!(elsewhere["verdict"], "allow");
    }
}

#[test]
fn a_decision_ends_at_its_instant_and_a_repeat_extends_it() {
    let rules = by_word(&[("x", "score: 0, decide: [{subject: account, verdict: block, ttl: 1h}]")]);
    let mut story = Story::of(&rules);
    let data = |channel: &str| json!({"account_id": "a", "channel": channel});
    let made = story.tell("login.succeeded", 0, data("x"))["created"].clone();
    assert_eq!(made.as_array().unwrap().len(), 1);
    assert_eq!(story.tell("login.succeeded", HOUR_MS - 1, data(""))["decisions"], made);
    assert_eq!(story.tell("login.succeeded", HOUR_MS, data(""))["decisions"], json!([]));
    // Out of order, but not late: it still counts for an event of before its end.
    assert_eq!(story.tell("login.succeeded", HOUR_MS - 2, data(""))["decisions"], made);
    let again = story.tell("login.succeeded", HOUR_MS - 1, data("x"));
    assert_eq!(again["created"], json!([]), "extended");
    assert_eq!(story.tell("login.succeeded", 2 * HOUR_MS - 2, data(""))["decisions"], made);
    assert_eq!(story.tell("login.succeeded", 2 * HOUR_MS - 1, data(""))["decisions"], json!([]));
    let anew = story.tell("login.succeeded", 3 * HOUR_MS, data("x"));
    assert_eq!(anew["created"].as_array().unwrap().len(), 1);
    assert_ne!(anew["created"], made, "another event, another id");
    assert_eq!(story.replay.engine().decisions().len(), 1);
}

#[test]
fn a_decision_that_ended_is_forgotten_and_no_late_event_sees_when() {
    let rules = by_word(&[("x", "score: 0, decide: [{subject: account, verdict: block, ttl: 1h}]")]);
    let mut story = Story::of(&rules);
    story.tell("login.succeeded", 0, json!({"account_id": "a", "channel": "x"}));
    story.tell("login.succeeded", 10 * HOUR_MS, json!({"account_id": "b"}));
    let late = |story: &mut Story| story.tell("login.succeeded", HOUR_MS / 2, json!({"account_id": "a"}));
    assert_eq!(late(&mut story)["decisions"], json!([]));
    for _ in 0..1024 {
        story.tell("login.succeeded", 10 * HOUR_MS, json!({"account_id": "b"}));
    }
    assert_eq!(story.replay.engine().decisions().len(), 0);
    assert_eq!(late(&mut story)["decisions"], json!([]));
}

#[test]
fn many_extensions_leave_one_decision_that_ends_once() {
    let rules = by_word(&[("x", "score: 0, decide: [{subject: account, verdict: block, ttl: 1h}]")]);
    let mut story = Story::of(&rules);
    for second in 0..3000 {
        story.tell("login.succeeded", second * SECOND_MS, json!({"account_id": "a", "channel": "x"}));
    }
    assert_eq!(story.replay.engine().decisions().len(), 1);
    for second in 3000..12_000 {
        story.tell("login.succeeded", second * SECOND_MS, json!({"account_id": "b"}));
    }
    assert_eq!(story.replay.engine().decisions().len(), 0);
}

#[test]
fn every_kind_of_subject_can_stand_under_a_decision() {
    for (subject, field, value, other) in [
        ("account", "account_id", "a", "b"),
        ("referrer", "referrer_id", "a", "b"),
        ("recipient", "recipient_id", "a", "b"),
        ("device", "device_id", "d1", "d2"),
        ("ip", "ip", "198.51.100.7", "198.51.100.8"),
        ("ip_prefix", "ip", "198.51.100.7", "198.51.101.7"),
        ("email", "email", "A.b+tag@gmail.com", "other@gmail.com"),
        ("phone", "phone", "+966501234567", "+966501234568"),
        ("payment", "payment_fingerprint", "p1", "p2"),
        ("referral_code", "referral_code", "c1", "c2"),
        ("referral", "referral_id", "r1", "r2"),
        ("reward", "reward_id", "w1", "w2"),
        ("order", "order_id", "o1", "o2"),
        ("campaign", "campaign", "k1", "k2"),
        ("merchant", "merchant_id", "m1", "m2"),
        ("agent", "agent_id", "g1", "g2"),
    ] {
        let mut story = Story::of(&format!(
            "  - {{id: x, on: [survey.submitted], when: event.channel == \"web\", decide: [{{subject: {subject}, verdict: block}}]}}\n"
        ));
        let made = story.tell("survey.submitted", 0, json!({"channel": "web", field: value}));
        assert_eq!(made["created"].as_array().unwrap().len(), 1, "{subject}");
        let met = story.tell("survey.submitted", 1, json!({field: value}));
        assert_eq!((&met["verdict"], &met["decisions"]), (&json!("block"), &made["created"]), "{subject}");
        let same = match subject {
            "ip_prefix" => Some("198.51.100.9"),
            "email" => Some("ab@googlemail.com"),
            "phone" => Some("00966 50 123 4567"),
            _ => None,
        };
        if let Some(value) = same {
            let met = story.tell("survey.submitted", 1, json!({field: value}));
            assert_eq!(met["verdict"], "block", "{subject} as {value}");
        }
        let free = story.tell("survey.submitted", 1, json!({field: other}));
        assert_eq!(free["verdict"], "allow", "{subject}");
        let absent = story.tell("survey.submitted", 1, json!({"channel": "web"}));
        assert_eq!(absent["created"], json!([]), "{subject}: nobody to decide about");
    }
}

#[test]
fn roles_are_accounts_and_an_id_can_be_computed() {
    let rules = "  - {id: by-id, on: [order.placed], when: event.channel == \"web\", decide: [{subject: account, id: event.merchant_id + \"-owner\", verdict: block}, {subject: device, id: event.order_id, verdict: block, on: [login.succeeded]}]}\n  \
                   - {id: inviter, on: [referral.completed], when: event.channel == \"web\", decide: [{subject: referrer, verdict: hold, ttl: 7d}]}\n";
    let mut story = Story::of(rules);
    let made = story.tell(
        "order.placed",
        0,
        json!({"account_id": "x", "channel": "web", "merchant_id": "m", "order_id": "d9"}),
    );
    assert_eq!(made["created"].as_array().unwrap().len(), 2);
    assert_eq!(story.tell("login.succeeded", 1, json!({"account_id": "m-owner"}))["verdict"], "block");
    assert_eq!(story.tell("login.succeeded", 1, json!({"account_id": "y", "device_id": "d9"}))["verdict"], "block");
    story.tell("referral.completed", 2, json!({"account_id": "b", "referrer_id": "a", "channel": "web"}));
    assert_eq!(story.tell("reward.requested", 3, json!({"account_id": "a"}))["verdict"], "hold");
    let invited = story.tell("referral.completed", 3, json!({"account_id": "c", "referrer_id": "a"}));
    assert_eq!(invited["parties"], json!({"referrer": "hold", "referee": "allow"}));
    // Of an account that refers itself, each decision stands there once.
    let own = story.tell("referral.completed", 3, json!({"account_id": "a", "referrer_id": "a"}));
    assert_eq!(own["decisions"].as_array().unwrap().len(), 1);
    assert_eq!(own["parties"], json!({"referrer": "hold", "referee": "hold"}));
}

#[test]
fn decisions_of_one_rule_with_other_reaches_are_two() {
    let rules = by_word(&[(
        "x",
        "score: 0, decide: [{subject: account, verdict: block, on: [order.placed]}, {subject: account, verdict: block, on: [payment.added]}]",
    )]);
    let mut story = Story::of(&rules);
    let made = story.tell("login.succeeded", 0, json!({"account_id": "a", "channel": "x"}));
    let ids = made["created"].as_array().unwrap();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{made}");
    assert_eq!(story.tell("payment.added", 1, json!({"account_id": "a"}))["decisions"], json!([ids[1]]));
}

#[test]
fn derived_ids_depend_on_their_cause_alone() {
    let rules = by_word(&[("x", "action: hold, decide: [{subject: account, verdict: block}]")]);
    let ids = |before: usize| {
        let mut story = Story::of(&rules);
        (0..before).for_each(|_| drop(story.tell("login.succeeded", 0, json!({"account_id": "z"}))));
        let data = json!({"account_id": "a", "channel": "x"});
        let verdict = story.tell_as("the-event", "reward.requested", 5, data).unwrap();
        (verdict["hold_id"].as_str().unwrap().to_owned(), verdict["created"].clone())
    };
    assert_eq!(ids(0), ids(40));
    let (hold, created) = ids(0);
    assert!(hold.starts_with("hold-") && hold.len() == 5 + 16, "{hold}");
    assert!(created[0].as_str().unwrap().starts_with("dec-"), "{created}");
}

#[test]
fn a_late_event_is_judged_and_decides_nothing() {
    let rules = by_word(&[("x", "action: block, decide: [{subject: account, verdict: block}]")]);
    let mut story = Story::of(&rules);
    story.tell("login.succeeded", 40 * HOUR_MS, json!({"account_id": "b"}));
    for late_by in [30, 2] {
        let late = story.tell("login.succeeded", (40 - late_by) * HOUR_MS, json!({"account_id": "a", "channel": "x"}));
        assert_eq!((&late["late"], &late["verdict"], &late["created"]), (&json!(true), &json!("block"), &json!([])));
    }
    let next = story.tell("login.succeeded", 40 * HOUR_MS + SECOND_MS, json!({"account_id": "a"}));
    assert_eq!(next["verdict"], "allow");
}
