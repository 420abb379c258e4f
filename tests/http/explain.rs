//! Why a verdict was given, from what was recorded when it was.

use serde_json::{Value, json};

use crate::support::http::{Served, event, referral};

fn why(served: &Served, id: &str) -> Value {
    let answer = served.ask("GET", &format!("/v1/explain/%2Fshop/{id}"), "");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[test]
fn a_verdict_is_explained_by_what_was_recorded_and_after_a_kill_too() {
    let mut served = Served::start("");
    let mut said = Value::Null;
    for account in ["a", "b", "c"] {
        let judged = served.ask("POST", "/v1/evaluate", &referral(account, account, "d-\"1\"").to_string());
        said = judged.json();
    }
    assert_eq!(said["verdict"], "block", "{said}");
    let explained = why(&served, "c");
    assert_eq!(
        (&explained["recorded"], &explained["verdict"], &explained["current"]),
        (&json!(true), &said, &json!("block"))
    );
    let feature = json!({"feature": "accounts_per_device", "aggregate": "distinct", "key": ["d-\"1\""], "own": true, "value": 3,
                         "known": true, "exact": true, "complete": false});
    assert_eq!(explained["features"], json!([feature]));
    assert_eq!(explained["decisions"], json!([]), "what it decided counts for later ones");
    let rule = &explained["rules"][0];
    assert_eq!((&rule["id"], &rule["when"]), (&json!("device-farm"), &json!("accounts_per_device > 2")), "{explained}");
    assert_eq!(explained["ruleset"], said["ruleset"]);

    // What then meets the decision says so.
    let mut asks = event("r1", "/shop", json!({"account_id": "sara", "reward_id": "r", "reward_kind": "points"}));
    asks["type"] = json!("reward.requested");
    assert_eq!(served.ask("POST", "/v1/evaluate", &asks.to_string()).json()["verdict"], "hold");
    let met = why(&served, "r1");
    let decision = &met["decisions"][0];
    assert_eq!(decision["id"], said["created"][0], "{met}");
    for (member, value) in [("kind", "account"), ("subject", "sara"), ("verdict", "hold"), ("rule", "device-farm")] {
        assert_eq!(decision[member], value, "{decision}");
    }
    assert!(decision["expires"].is_string(), "{decision}");

    // A plain allow rests on nothing.
    let plain = why(&served, "a");
    assert_eq!((&plain["recorded"], &plain["verdict"]["verdict"]), (&json!(false), &json!("allow")), "{plain}");
    assert_eq!((&plain["features"], &plain["rules"]), (&json!([]), &json!([])));

    served.kill();
    served.restart();
    assert_eq!(why(&served, "c"), explained, "judged again from the journal");
    served.stop();
    served.restart();
    assert_eq!(why(&served, "c"), explained, "read from the checkpoint");
    assert_eq!(why(&served, "r1"), met);
}

#[test]
fn who_asks_why_needs_the_scope_the_program_and_the_source() {
    let served = Served::start("");
    let token = |scopes: &[&str], program: &str, source: &str| {
        served.token(&json!({"name": "t", "scopes": scopes, "programs": [program], "sources": [source]}))
    };
    let analyst = token(&["rules:read"], "default", "/shop");
    for (token, path, status, code) in [
        (&analyst, "/v1/explain/%2Fshop/nothing", 404, "not_found"),
        (&analyst, "/v1/explain/%2Fother/e", 403, "source"),
        (&analyst, "/v1/explain/%2Fshop/e?program=gold", 403, "program"),
        (&analyst, "/v1/explain/%2Fshop/e?programme=gold", 400, "bad_query"),
        (&analyst, "/v1/explain/%2Fshop/%FF", 400, "bad_path"),
        (&token(&["evaluate"], "*", "*"), "/v1/explain/%2Fshop/e", 403, "scope"),
    ] {
        let answer = served.ask_with("GET", path, token, "", "");
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
    }
}

#[test]
fn only_as_much_is_kept_as_is_configured() {
    let served = Served::start("http: {evidence: 0B}");
    for account in ["a", "b", "c"] {
        served.ask("POST", "/v1/evaluate", &referral(account, account, "d1").to_string());
    }
    let explained = why(&served, "c");
    assert_eq!(
        (&explained["recorded"], &explained["verdict"]["verdict"]),
        (&json!(false), &json!("block")),
        "{explained}"
    );
    assert_eq!(explained["rules"][0]["id"], "device-farm", "what is remembered is told");
}
