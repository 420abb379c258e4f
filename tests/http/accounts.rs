//! What support may tell of an account, and what a person is given of what is kept.

use std::fs;

use serde_json::{Value, json};

use crate::support::http::{Answer, Served, configured, event, referral};

/// Words that would tell how something was found out.
const GIVEN_AWAY: &[&str] = &["device", "score", "accounts_per", "farm", "evidence", "ruleset", "rule"];

/// Rules that read what is remembered of accounts, and count by their ids.
const BY_ACCOUNT: &str = r#"
version: 1
pack: by-account
features:
  referrals_of_account: {on: [referral.completed], key: [event.account_id], aggregate: count, window: 30d}
  referees_of_referrer: {on: [referral.completed], key: [event.referrer_id], aggregate: distinct, value: event.account_id, window: 30d}
  devices_of_account: {on: [referral.completed], key: [event.account_id, device.id], aggregate: count, window: 30d}
  referrals_everywhere: {on: [referral.completed], key: [event.account_id], aggregate: count, window: 30d, scope: global}
rules:
  - id: many
    on: [referral.completed]
    when: referrals_of_account + referees_of_referrer + devices_of_account + referrals_everywhere > 1000 && account.age > duration("1h") && account.referrer == "x"
    action: block
  - {id: verify, on: [account.updated], when: event.changed == "payout", score: 1, decide: [{subject: account, verdict: challenge, ttl: 1d}]}
  - {id: only-flags, on: [account.updated], when: event.changed == "name", score: 1, decide: [{subject: account, verdict: flag}]}
"#;

fn by_account(more: &str) -> Served {
    let folder = tempfile::tempdir().expect("there is room");
    let config = configured(folder.path(), "{inbox: {http: {}}}", "{verdicts: {file: VERDICTS}}", more);
    fs::write(folder.path().join("rules/by-account.yaml"), BY_ACCOUNT).expect("there is room");
    Served::of(folder, config)
}

fn updated(served: &Served, id: &str, account: &str, changed: &str) -> Value {
    let mut updated = event(id, "/shop", json!({"account_id": account, "changed": changed}));
    updated["type"] = json!("account.updated");
    let judged = served.ask("POST", "/v1/evaluate", &updated.to_string());
    assert_eq!(judged.status, 200, "{judged:?}");
    judged.json()
}

/// Three accounts on a device: their referrer, `sara`, is held.
fn farm(served: &Served, program: &str) {
    for account in ["a", "b", "c"] {
        let mut event = referral(&format!("{program}-{account}"), account, "one device");
        event["data"]["program"] = json!(program);
        event["data"]["account_created_at"] = json!("2020-02-03T04:05:06Z");
        assert_eq!(served.ask("POST", "/v1/evaluate", &event.to_string()).status, 200);
    }
}

fn told(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[test]
fn support_is_told_what_is_stopped_and_never_how_it_was_found_out() {
    let served = by_account(
        "customer_texts: {self_referral: {en: {what_to_do: Call us.}, fr: {reason: Un seul appareil ne suffit pas., what_to_do: Appelez-nous.}}}",
    );
    farm(&served, "default");
    let support = served.token(&json!({"name": "support", "scopes": ["accounts:read"], "programs": ["default"]}));
    let ask = |path: &str| served.ask_with("GET", path, &support, "", "");
    let view = told(&ask("/v1/accounts/sara"));
    assert_eq!(
        (&view["state"], &view["account_id"], &view["program"]),
        (&json!("held"), &json!("sara"), &json!("default"))
    );
    let reason = &view["reasons"][0];
    assert_eq!((&reason["state"], &reason["code"]), (&json!("held"), &json!("self_referral")), "{view}");
    assert_eq!(reason["on"], json!(["where_value_moves"]));
    let instant = |member: &str| {
        let text = reason[member].as_str().expect("it is a time");
        refguard::event::parse_time_ms(text).expect("it is RFC 3339")
    };
    assert_eq!(instant("until") - instant("since"), 7 * 86_400_000, "{reason}");
    let texts = &reason["texts"];
    assert_eq!(texts["en"]["what_to_do"], "Call us.", "a configured part takes the place of the shipped one");
    assert!(texts["en"]["reason"].as_str().is_some_and(|text| text.starts_with("This referral")), "{texts}");
    assert!(texts["ar"]["reason"].as_str().is_some_and(|text| text.contains("الدعوة")), "{texts}");
    assert_eq!(texts["fr"]["what_to_do"], "Appelez-nous.");
    let whole = ask("/v1/accounts/sara").body.to_lowercase();
    for word in GIVEN_AWAY {
        assert!(!whole.contains(word), "`{word}` gives away how: {whole}");
    }
    // Who is not stopped, or is nobody, looks alike.
    let clear = |account: &str| json!({"program": "default", "account_id": account, "state": "clear", "reasons": [], "holds": []});
    assert_eq!(told(&ask("/v1/accounts/a")), clear("a"));
    assert_eq!(told(&ask("/v1/accounts/nobody")), clear("nobody"));
    assert_eq!(told(&ask("/v1/accounts/%D8%B6%2F%20x")), clear("ض/ x"));

    // A rule without a code is told by what it decided; what stops nothing is not told.
    updated(&served, "u1", "omar", "payout");
    updated(&served, "u2", "noor", "name");
    let omar = told(&ask("/v1/accounts/omar"));
    assert_eq!((&omar["state"], &omar["reasons"][0]["code"]), (&json!("verify"), &json!("verify_identity")), "{omar}");
    assert_eq!(told(&ask("/v1/accounts/noor")), clear("noor"));
}

#[test]
fn who_asks_about_accounts_needs_the_scope_and_the_program() {
    let served = Served::start("programs: {gold: {observe_only: true}}\n");
    farm(&served, "gold");
    let token =
        |scopes: &[&str], program: &str| served.token(&json!({"name": "t", "scopes": scopes, "programs": [program]}));
    let (support, gold) = (token(&["accounts:read"], "default"), token(&["accounts:read", "accounts:export"], "gold"));
    for (token, path, status, code) in [
        (&support, "/v1/accounts/sara?program=gold", 403, "program"),
        (&support, "/v1/accounts/sara/export", 403, "scope"),
        (&gold, "/v1/accounts/sara", 403, "program"),
        (&gold, "/v1/accounts/sara/export", 403, "program"),
        (&support, "/v1/accounts/%FF", 400, "bad_path"),
        (&support, "/v1/accounts/sara?programme=gold", 400, "bad_query"),
    ] {
        let answer = served.ask_with("GET", path, token, "", "");
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
    }
    // Where a program is only observed nothing is stopped, whatever stands on the account.
    let view = told(&served.ask_with("GET", "/v1/accounts/sara?program=gold", &gold, "", ""));
    assert_eq!((&view["state"], &view["reasons"]), (&json!("clear"), &json!([])));
    let kept = told(&served.ask_with("GET", "/v1/accounts/sara/export?program=gold", &gold, "", ""));
    let decision = &kept["decision"];
    assert_eq!(
        (&decision["verdict"], &decision["would_be"]),
        (&json!("allow"), &json!("hold")),
        "what is kept is told all the same: {kept}"
    );
}

#[test]
fn an_export_has_all_that_can_be_found_by_the_id_and_is_noted() {
    let served = by_account("");
    let export = |account: &str, token: &str| {
        told(&served.ask_with("GET", &format!("/v1/accounts/{account}/export"), token, "", ""))
    };
    let before = export("sara", &served.admin);
    assert_eq!((&before["as_of"], &before["decision"], &before["features"]), (&Value::Null, &Value::Null, &json!([])));
    farm(&served, "default");
    let officer = served.token(&json!({"name": "officer", "scopes": ["accounts:export"], "programs": ["default"]}));
    let kept = export("a", &officer);
    let facts = &kept["facts"];
    assert_eq!(
        (&facts["opened_at"], &facts["referrer"]),
        (&json!("2020-02-03T04:05:06.000Z"), &json!("sara")),
        "{kept}"
    );
    assert!(facts["first_seen"].is_string() && facts["referred_at"].is_string() && facts["place"].is_null(), "{facts}");
    assert!(kept["decision"].is_null(), "{kept}");
    let features = |kept: &Value| -> Vec<(String, Value)> {
        let list = kept["features"].as_array().expect("they are a list").iter();
        list.map(|of| {
            (
                format!("{}/{}", of["feature"].as_str().unwrap_or_default(), of["field"].as_str().unwrap_or_default()),
                of["value"].clone(),
            )
        })
        .collect()
    };
    // What several programs share is for tokens of all programs.
    assert_eq!(features(&kept), [("referrals_of_account/account_id".to_owned(), json!(1))]);
    let whole = features(&export("a", &served.admin));
    assert!(whole.contains(&("referrals_everywhere/account_id".to_owned(), json!(1))), "{whole:?}");
    let sara = export("sara", &officer);
    assert_eq!(features(&sara), [("referees_of_referrer/referrer_id".to_owned(), json!(3))]);
    assert_eq!((&sara["decision"]["kind"], &sara["decision"]["verdict"]), (&json!("account"), &json!("hold")));
    assert_eq!(sara["decision"]["causes"][0]["rule"], "device-farm");
    // Reading changes nothing.
    assert_eq!(export("a", &officer)["features"], kept["features"]);

    let trail = told(&served.ask("GET", "/v1/audit", ""));
    let noted = trail.as_array().expect("it is a list").iter().filter(|record| record["action"] == "account.export");
    let noted: Vec<(&str, &str)> =
        noted.filter_map(|record| Some((record["subject"].as_str()?, record["detail"].as_str()?))).collect();
    assert_eq!(noted.len(), 5, "{trail}");
    assert!(noted.contains(&("sara", "{\"program\":\"default\"}")), "{noted:?}");
}

#[test]
fn what_waits_for_a_review_is_told_until_it_has_ended_and_an_override_beats_decisions() {
    let served = by_account("programs: {sandbox: {sandbox: true}}\n");
    let asking = |id: &str, kind: &str, referrer: Option<&str>| {
        let data = json!({"program": "sandbox", "account_id": "sara", "referrer_id": referrer, "reward_id": "r-1", "reward_kind": "points",
                          "attributes": {"refguard_test": "hold"}});
        let mut asks = event(id, "/shop", data);
        asks["type"] = json!(kind);
        served.ask("POST", "/v1/evaluate", &asks.to_string()).json()
    };
    let view = |account: &str| told(&served.ask("GET", &format!("/v1/accounts/{account}?program=sandbox"), ""));
    let held = asking("e1", "reward.requested", None);
    assert_eq!(held["verdict"], "hold", "{held}");
    let waits = view("sara");
    assert_eq!((&waits["state"], &waits["reasons"]), (&json!("held"), &json!([])), "{waits}");
    let hold = &waits["holds"][0];
    for (member, value) in [
        ("hold_id", held["hold_id"].clone()),
        ("reward_id", json!("r-1")),
        ("reward_kind", json!("points")),
        ("code", json!("under_review")),
        ("until", Value::Null),
    ] {
        assert_eq!(hold[member], value, "{member}: {hold}");
    }
    assert!(hold["review_by"].is_string() && hold["since"].is_string() && hold["texts"]["ar"].is_object(), "{hold}");
    assert_eq!(view("omar")["state"], "clear");
    asking("e2", "referral.completed", Some("omar"));
    assert_eq!(view("omar")["holds"].as_array().map(Vec::len), Some(1), "what he gets for inviting waits too");
    assert_eq!(view("sara")["holds"].as_array().map(Vec::len), Some(2));
    let export = told(&served.ask("GET", "/v1/accounts/sara/export?program=sandbox", ""));
    assert_eq!(export["holds"].as_array().map(Vec::len), Some(2), "{export}");
    let released = served.ask(
        "POST",
        &format!("/v1/holds/{}/release", hold["hold_id"].as_str().unwrap_or_default()),
        r#"{"reason": "fine"}"#,
    );
    assert_eq!(released.status, 200, "{released:?}");
    assert_eq!(view("sara")["holds"].as_array().map(Vec::len), Some(1));

    // The word of a person beats what rules have decided.
    farm(&served, "default");
    let state = || told(&served.ask("GET", "/v1/accounts/sara", ""))["state"].clone();
    assert_eq!(state(), "held");
    for (verdict, expected) in [("allow", "clear"), ("block", "stopped")] {
        let word = json!({"kind": "account", "id": "sara", "verdict": verdict, "reason": "ticket 7"}).to_string();
        assert_eq!(served.ask("PUT", "/v1/overrides", &word).status, 200);
        assert_eq!(state(), expected);
    }
}
