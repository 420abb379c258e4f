//! What makes an account, a device or a country known, and addresses of referrers by their mailbox.

use serde_json::json;

use super::{HOUR_MS, Story, matched};

const DAY_MS: i64 = 24 * HOUR_MS;

fn ids(verdict: &serde_json::Value) -> Vec<&str> {
    matched(verdict).into_iter().map(|(id, _)| id).collect()
}

#[test]
fn a_failed_login_does_not_make_the_device_of_an_attacker_known() {
    let mut story = Story::of(
        "  - {id: device, on: [login.succeeded, login.failed, shop.opened], when: account.new_device, score: 1}\n\
         \x20 - {id: country, on: [login.succeeded, login.failed, shop.opened], when: account.new_country, score: 1}\n",
    );
    let mut told = |kind: &str, at_ms: i64, device: &str, country: &str| {
        let data = json!({"account_id": "a", "device_id": device, "country": country});
        ids(&story.tell(kind, at_ms, data)).join(" ")
    };
    assert_eq!(told("login.succeeded", 0, "own", "SA"), "country device");
    assert_eq!(told("login.succeeded", 1, "own", "SA"), "");
    for at_ms in 2..5 {
        assert_eq!(told("login.failed", at_ms, "other", "NG"), "country device", "trying makes nothing known");
    }
    assert_eq!(told("login.succeeded", 10, "other", "NG"), "country device", "the one that counts");
    assert_eq!(told("login.failed", 11, "other", "NG"), "");
    // Of a type that refguard does not know it cannot tell that nobody was behind it.
    assert_eq!(told("shop.opened", 12, "third", "EG"), "country device");
    assert_eq!(told("login.succeeded", 13, "third", "EG"), "");
}

#[test]
fn an_account_that_only_receives_is_seen_and_grows_older() {
    let mut story = Story::of(
        "  - {id: young, on: [reward.transferred], when: recipient.age < days(14), score: 1, message: '{recipient.age} {recipient.first_seen} {recipient.last_seen}'}\n\
         \x20 - {id: own, on: [login.succeeded], when: 'true', score: 1, message: '{account.age} {account.last_seen}'}\n",
    );
    let mut give = |at_ms: i64, to: &str| {
        let verdict = story.tell("reward.transferred", at_ms, json!({"account_id": "a", "recipient_id": to}));
        verdict["rules"][0]["message"].as_str().map(str::to_owned)
    };
    // The first event that names it is what it was first seen in; it did nothing itself.
    assert_eq!(give(0, "r").as_deref(), Some("0s 2026-05-01T00:00:00.000Z ?"));
    assert_eq!(give(DAY_MS, "r").as_deref(), Some("86400s 2026-05-01T00:00:00.000Z ?"));
    assert_eq!(give(14 * DAY_MS, "r"), None, "two weeks old");
    assert_eq!(give(14 * DAY_MS, "s").as_deref(), Some("0s 2026-05-15T00:00:00.000Z ?"));
    let verdict = story.tell("login.succeeded", 15 * DAY_MS, json!({"account_id": "r"}));
    assert_eq!(verdict["rules"][0]["message"], "1296000s ?", "received, and not seen acting");
}

#[test]
fn who_is_named_as_a_referrer_may_be_anybody_and_is_not_seen_by_it() {
    let mut story =
        Story::of("  - {id: all, on: [referral.clicked], when: 'true', score: 1, message: '{referrer.first_seen}'}\n");
    for at_ms in 0..3 {
        let verdict = story.tell("referral.clicked", at_ms, json!({"referrer_id": "r"}));
        assert_eq!(verdict["rules"][0]["message"], "?");
    }
}

#[test]
fn the_address_of_a_referrer_is_compared_by_its_mailbox() {
    let mut story = Story::of(
        "  - {id: alias, on: [referral.completed], when: 'email.normalized != \"\" && email.normalized == referrer_email.normalized', score: 1}\n\
         \x20 - {id: all, on: [referral.completed], when: 'true', score: 1, message: '{referrer_email.normalized} {referrer_email.local} {referrer_email.skeleton} {referrer_email.domain} {referrer_email.alias} {referrer_email.relay} {known(referrer_email.gibberish)} {has(event.referrer_email)}'}\n",
    );
    let mut told = |own: &str, referrer: &str| {
        let data = json!({"account_id": "a", "referrer_id": "b", "email": own, "referrer_email": referrer});
        let verdict = story.tell("referral.completed", 0, data);
        let message = verdict["rules"].as_array().unwrap().last().unwrap()["message"].as_str().unwrap().to_owned();
        (ids(&verdict).contains(&"alias"), message)
    };
    let (_, message) = told("x@example.com", "Ahmed.Ali+promo@GoogleMail.com");
    assert_eq!(message, "ahmedali@gmail.com ahmedali ahmedali googlemail.com true false true true");
    assert!(told("ahmedali@gmail.com", "Ahmed.Ali+promo@googlemail.com").0);
    assert!(!told("ahmedali@gmail.com", "ahmed.ali@example.com").0);
    let (alias, message) = told("no address", "no address");
    assert_eq!((alias, message.as_str()), (false, "    false false false false"));
}

#[test]
fn the_latest_event_before_this_one_is_never_this_one_at_whichever_key_it_is_read() {
    let text = r#"version: 1
pack: latest
features:
  la: {on: [login.succeeded], key: [event.account_id], aggregate: last, window: 1d}
  pc: {on: [login.succeeded], key: [event.account_id], aggregate: previous, value: event.amount_minor, window: 1d}
  n: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 1d}
rules:
  - id: told
    on: [login.succeeded]
    when: n > 0
    score: 1
    message: "{la}|{la.at(event.referrer_id)}|{pc}|{pc.at(event.referrer_id)}|{n.at(event.referrer_id)}"
"#;
    let mut story = Story::with_pack(text, super::EngineOptions::default());
    let mut tell = |at_ms, amount| {
        let data = json!({"account_id": "a", "referrer_id": "a", "amount_minor": amount});
        story.tell("login.succeeded", at_ms, data)["rules"][0]["message"].clone()
    };
    assert_eq!(tell(0, 7), "?|?|?|?|1");
    let second = tell(super::SECOND_MS, 8);
    let second: Vec<&str> = second.as_str().unwrap().split('|').collect();
    assert_eq!((second[0], second[2], second[4]), (second[1], second[3], "2"), "{second:?}");
    assert_eq!(second[2], "7");
}
